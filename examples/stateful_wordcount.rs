//! cargo run --release --example stateful_wordcount -- [ADDRESS] [--checkpoints DIR] [--batches N]
//!
//! How often each word has come since the beginning, and which words stay away, across restarts:
//! end it by Ctrl-C, or kill it, and start it again with the same DIR. Feed it with `nc -lk 9999`,
//! or with `tidemill generate words --listen 127.0.0.1:9999`. With `--batches` it ends by itself
//! after so many batches.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::path::PathBuf;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{BackPressure, BatchInfo, IntakeLog, StreamingListener};

const INTERVAL: Duration = Duration::from_millis(500);

/// Says which batches were late, and stops after so many.
struct Watch {
    context: StreamingContext,
    batches_left: Option<u64>,
}

impl StreamingListener for Watch {
    fn on_batch_completed(&mut self, batch: &BatchInfo) {
        if let Some(delay) = batch.total_delay.filter(|&delay| delay > INTERVAL) {
            println!("{}: done after {delay:?}", batch.time);
        }
        if let Some(left) = &mut self.batches_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.context.stop_gracefully();
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Arguments { address, checkpoints, batches } = arguments();

    // The program is built anew at each start: a checkpoint holds data by names, and no code.
    let ssc = StreamingContext::get_or_create(checkpoints, || {
        let ssc = StreamingContext::builder("stateful_wordcount")
            .batch_interval(INTERVAL)
            .back_pressure(BackPressure { initial_rate: 10_000.0, ..BackPressure::default() })
            .build()?;
        // What a socket brings cannot be asked for again, so it is on disk before it counts.
        ssc.intake_log(IntakeLog::synced());
        let words = ssc.socket_text_stream(&address)?.split_whitespace();

        // Only words that come are looked at: ten million others cost nothing.
        let totals = words.count_by_value().update_state_by_key("totals.v1", |counts, total| {
            Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
        });
        totals.touched_only().top_by(5, |(_, a), (_, b)| a.cmp(&b)).print(5);

        // A row for each word that has not come for ten seconds.
        let seen = words.count_by_value().map_with_state::<String, i64, _>(
            "seen.v1",
            |word, count, state, gone| match count {
                Some(count) => state.update(state.get_option().unwrap_or(0) + count),
                None => gone.push(word),
            },
        );
        seen.timeout(Duration::from_secs(10)).print(3);
        Ok(ssc)
    })?;

    ssc.add_listener(Watch { context: ssc.clone(), batches_left: batches });
    ssc.stop_gracefully_on_signals()?;
    ssc.start()?;
    ssc.await_termination()?;

    // States can be looked up while the stream runs, and after it.
    let totals = ssc.state_by_key::<String, i64>("totals.v1")?;
    println!("{} words, \"the\" {} times", totals.keys()?, totals.get("the")?.unwrap_or(0));
    Ok(())
}

struct Arguments {
    address: String,
    checkpoints: PathBuf,
    batches: Option<u64>,
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        address: "127.0.0.1:9999".to_owned(),
        checkpoints: std::env::temp_dir().join("stateful_wordcount"),
        batches: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--batches" => found.batches = arguments.next().and_then(|n| n.parse().ok()),
            "--checkpoints" => found.checkpoints = arguments.next().unwrap_or_default().into(),
            _ => found.address = argument,
        }
    }
    found
}
