//! cargo bench --bench socket [-- FILE]
//!
//! From a loopback socket, sender included: a reader that only drains it (D), the engine that only
//! makes lines and counts them, and the engine that counts words, in turn; and, of lines
//! `key;decimal` of 413 keys, a reader that only drains, and the engine that decodes them to exact
//! decimals and takes minimum, mean, maximum and count by key. Prints the median of the ratios to D
//! in the same round; and of word counts with an intake log, to those without, beside the time that
//! it takes to write as many bytes to a file.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{IntakeLog, Listen, Number, Stats};

/// Sends the text so many times to the first who connects, and then closes.
fn serve(text: Arc<Vec<u8>>, times: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = listener.local_addr().expect("just bound");
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("somebody connects");
        for _ in 0..times {
            if peer.write_all(&text).is_err() {
                return;
            }
        }
    });
    address
}

fn drain(text: &Arc<Vec<u8>>, times: usize) -> f64 {
    let address = serve(text.clone(), times);
    let (start, mut buffer) = (Instant::now(), vec![0; 256 << 10]);
    let mut peer = TcpStream::connect(address).expect("it listens");
    while peer.read(&mut buffer).expect("loopback does not fail") > 0 {}
    start.elapsed().as_secs_f64()
}

/// Seconds until the engine has shown all rows of what one socket sends.
fn engine(
    text: &Arc<Vec<u8>>,
    times: usize,
    rows: i64,
    pipeline: impl Fn(&DStream<String>) -> DStream<i64>,
) -> f64 {
    logged_engine(text, times, rows, pipeline, None)
}

/// The same with an intake log.
fn logged_engine(
    text: &Arc<Vec<u8>>,
    times: usize,
    rows: i64,
    pipeline: impl Fn(&DStream<String>) -> DStream<i64>,
    log: Option<IntakeLog>,
) -> f64 {
    let address = serve(text.clone(), times);
    let interval = Duration::from_millis(100);
    let builder = StreamingContext::builder("socket").batch_interval(interval);
    let ssc = builder.threads(2).build().expect("valid settings");
    let directory = tempfile::tempdir().expect("room on a disk");
    if let Some(log) = log {
        ssc.checkpoint(directory.path(), 10);
        ssc.intake_log(log);
    }
    let lines = ssc.socket_text_stream(&address.to_string()).expect("an address");
    let (seen, done) = std::sync::mpsc::sync_channel(1);
    let mut total = 0;
    pipeline(&lines).foreach_batch(move |batch, _| {
        total += batch.iter().sum::<i64>();
        if total == rows {
            // A second call finds the channel full, or nobody waiting.
            let _ = seen.try_send(());
        }
        Ok(())
    });
    let start = Instant::now();
    ssc.start().expect("starts");
    done.recv_timeout(Duration::from_secs(600)).expect("all rows come");
    let seconds = start.elapsed().as_secs_f64();
    ssc.stop();
    seconds
}

/// Seconds to write as much to a file, and have it on disk.
fn write(text: &[u8], times: usize) -> f64 {
    let mut file = tempfile::tempfile().expect("room on a disk");
    let start = Instant::now();
    for _ in 0..times {
        file.write_all(text).expect("room on a disk");
    }
    file.sync_all().expect("a disk that works");
    start.elapsed().as_secs_f64()
}

/// Seconds until a listening engine has counted all words of one sender at full speed, beside so
/// many that send a byte a second.
fn beside_slow_ones(text: &Arc<Vec<u8>>, times: usize, words: i64, slow: usize) -> f64 {
    let listen = Listen::bind("127.0.0.1:0").expect("loopback has a port");
    let address = listen.local_addr();
    let builder = StreamingContext::builder("listen").batch_interval(Duration::from_millis(100));
    let ssc = builder.threads(2).build().expect("valid settings");
    let lines = ssc.receiver_stream(listen).expect("not started");
    let (seen, done) = std::sync::mpsc::sync_channel(1);
    let mut total = 0;
    // A word of one byte is a slow one's.
    lines.split_whitespace().count_by_value().foreach_batch(move |batch, _| {
        total += batch.iter().filter(|row| row.0 != "~").map(|row| row.1).sum::<i64>();
        if total == words {
            let _ = seen.try_send(());
        }
        Ok(())
    });
    ssc.start().expect("starts");
    let mut slow: Vec<_> =
        (0..slow).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    let (finish, finished) = std::sync::mpsc::sync_channel::<()>(0);
    let dripping = std::thread::spawn(move || {
        // Each has its byte once a second, and a line's end after nine of them.
        for byte in b"~ ~ ~ ~ ~\n".iter().cycle() {
            for peer in &mut slow {
                peer.write_all(&[*byte]).expect("it reads");
            }
            if finished.recv_timeout(Duration::from_secs(1)).is_ok() {
                return;
            }
        }
    });
    let mut peer = TcpStream::connect(address).expect("it listens");
    let start = Instant::now();
    for _ in 0..times {
        peer.write_all(text).expect("it reads");
    }
    done.recv_timeout(Duration::from_secs(600)).expect("all words come");
    let seconds = start.elapsed().as_secs_f64();
    // The engine reads until the last of them is done.
    finish.send(()).expect("the thread waits for it");
    dripping.join().expect("nothing fails");
    ssc.stop();
    seconds
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let text = match &file {
        Some(file) => Arc::new(std::fs::read(file).expect("a file that can be read")),
        None => corpus::kjv(8 << 20),
    };
    let (rounds, bytes) = if is_test { (1, 8 << 20) } else { (7, 2 << 30) };
    let times = (bytes / text.len()).max(1);
    let bytes = (text.len() * times) as f64;
    let all_lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let lines = (all_lines.len() * times) as i64;
    let words = text.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let words = (words.count() * times) as i64;

    let readings = Arc::new(corpus::measurements(8 << 20, 413));
    let reading_times = (bytes as usize / 2 / readings.len()).max(1);
    let rows = readings.iter().filter(|&&byte| byte == b'\n').count() * reading_times;

    let (mut drained, mut to_lines, mut to_counts) = (Vec::new(), Vec::new(), Vec::new());
    let mut to_averages = Vec::new();
    let (mut written, mut synced, mut grouped) = (Vec::new(), Vec::new(), Vec::new());
    // Both ends are in this process: twice as many descriptors.
    let (slow, mut undisturbed) = (if is_test { 20 } else { 1_000 }, Vec::new());
    for _ in 0..rounds {
        let bound = drain(&text, times);
        drained.push(bytes / bound / 1e9);
        to_lines.push(bound / engine(&text, times, lines, DStream::count));
        let counts = |lines: &DStream<String>| {
            lines.split_whitespace().count_by_value().map(|(_, count)| count)
        };
        let counted = engine(&text, times, words, counts);
        to_counts.push(bound / counted);
        let logged = |log| counted / logged_engine(&text, times, words, counts, Some(log));
        synced.push(logged(IntakeLog::synced()));
        grouped.push(logged(IntakeLog::group_commit(Duration::from_secs(1))));
        written.push(counted / write(&text, times));
        let averages = |lines: &DStream<String>| {
            let readings = lines.decode::<(String, Number)>(Delimited::new(b';'));
            readings.aggregate_by_key(Stats).map(|(_, stats)| stats.count)
        };
        let bound = drain(&readings, reading_times);
        to_averages.push(bound / engine(&readings, reading_times, rows as i64, averages));
        let alone = beside_slow_ones(&text, times, words, 0);
        undisturbed.push(alone / beside_slow_ones(&text, times, words, slow));
    }
    println!("{}", corpus::machine());
    println!("drain only (D)           {:6.2} GB/s", corpus::median(drained));
    println!("socket to lines, counted {:6.2} D", corpus::median(to_lines));
    println!("socket to word counts    {:6.2} D", corpus::median(to_counts));
    println!("with an intake log, synced  {:6.2} x its speed", corpus::median(synced));
    println!("with one synced each second {:6.2} x", corpus::median(grouped));
    println!("writing as much to a file   {:6.2} x", corpus::median(written));
    println!("socket to averages       {:6.2} D of such lines", corpus::median(to_averages));
    println!(
        "one sender beside {slow} slow ones: {:.2} x its speed alone",
        corpus::median(undisturbed)
    );
}
