//! `tidemill generate`: made-up lines on standard output or on sockets, at a rate or as fast as
//! the other end takes them.
//!
//! A peer that goes away ends its own connection only.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::corpus::{Corpus, KEYS_MAX, Kind};
use crate::failure::Failure;
use crate::stdio::Stdout;
use crate::{parse, terminal};

/// Connections that are served at a time; further ones wait for their turn.
const CONNECTIONS_MAX: usize = 256;

/// How long a refused connection is tried again: the other end may be starting up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// Makes up lines to count: words, or measurements such as `brako;12.3`.
///
/// Some 8 MiB of lines are made first and then repeated, so that it sends several GB/s and is not
/// what you measure. Each of the keys comes at least once in what is repeated.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[arg(value_enum)]
    kind: Kind,

    /// Serve the lines to whoever connects to ADDR; each connection gets lines of its own
    #[arg(long, value_name = "ADDR", conflicts_with = "connect")]
    listen: Option<String>,

    /// Send the lines to HOST:PORT instead of to standard output
    #[arg(long, value_name = "HOST:PORT")]
    connect: Option<String>,

    /// Lines per second, such as 500 or 10k [default: as fast as they are taken]
    #[arg(long, value_name = "N", value_parser = parse::count)]
    rate: Option<u64>,

    /// End after so many lines (of each connection)
    #[arg(long, value_name = "N", value_parser = parse::count)]
    lines: Option<u64>,

    /// End after so many seconds (of each connection)
    #[arg(long, value_name = "N", value_parser = parse::seconds)]
    seconds: Option<Duration>,

    /// Distinct words or stations: at most 4194304 [default: 10000 words, 400 stations]
    #[arg(long, value_name = "N", value_parser = parse::count)]
    keys: Option<u64>,

    /// Other lines of the same sort; the same seed gives the same lines
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

const AFTER_HELP: &str = "\
With --lines or --seconds, --listen ends when the last connection has got its lines.

Examples:
  tidemill generate words --lines 1M --keys 50k > words.txt
  tidemill generate words --listen 127.0.0.1:9999 --rate 10k
  tidemill generate measurements --connect 127.0.0.1:9999 --seconds 30";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let default_keys = match args.kind {
        Kind::Words => 10_000,
        Kind::Measurements => 400,
    };
    let keys = args.keys.unwrap_or(default_keys);
    if keys > KEYS_MAX {
        return Err(Failure::Usage(format!("--keys is {keys}, but must be at most {KEYS_MAX}")));
    }
    let flow = Flow { rate: args.rate, lines_max: args.lines, duration_max: args.seconds };
    let corpus = || Corpus::new(args.kind, keys, args.seed, args.lines);
    if let Some(address) = &args.listen {
        let refused = |error| Failure::Input(format!("cannot listen on {address}: {error}"));
        // Bound before the lines are made, so that whoever connects meanwhile is not refused.
        let listener = TcpListener::bind(address).map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        terminal::tell(format_args!("listening on {local}"));
        return serve(&listener, corpus(), flow).map_err(refused);
    }
    if let Some(address) = &args.connect {
        let refused = |error| Failure::Input(format!("cannot connect to {address}: {error}"));
        let mut stream = connect(address).map_err(refused)?;
        let _ = stream.set_nodelay(true);
        let (lines, ended) = flow.send(&corpus(), &mut stream);
        return match ended {
            Err(error) if flow.is_bounded() => {
                Err(Failure::Run(format!("{address} took {lines} lines only: {error}")))
            }
            // Without a limit it is for the peer to end it.
            _ => Ok(()),
        };
    }
    let (_, ended) = flow.send(&corpus(), &mut Stdout);
    ended.map_err(|error| Failure::of_output(&error))
}

/// How fast lines go out, and until when.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Flow {
    pub(crate) rate: Option<u64>,
    pub(crate) lines_max: Option<u64>,
    pub(crate) duration_max: Option<Duration>,
}

impl Flow {
    fn is_bounded(&self) -> bool {
        self.lines_max.is_some() || self.duration_max.is_some()
    }

    /// Sends lines until their end or an error; says how many went out.
    fn send(&self, corpus: &Corpus, out: &mut impl Write) -> (u64, io::Result<()>) {
        let start = Instant::now();
        let mut cursor = corpus.cursor();
        let mut sent = 0;
        loop {
            let elapsed = start.elapsed();
            if self.duration_max.is_some_and(|max| elapsed >= max) {
                break;
            }
            let left = self.lines_max.map_or(u64::MAX, |max| max - sent);
            if left == 0 {
                break;
            }
            let due = match self.rate {
                // The first line is due at the start.
                Some(rate) => ((elapsed.as_secs_f64() * rate as f64) as u64)
                    .saturating_add(1)
                    .min(left.saturating_add(sent)),
                None => left.saturating_add(sent),
            };
            if due <= sent {
                std::thread::sleep(self.pause(sent, elapsed));
                continue;
            }
            let (lines, count) = cursor.take(due - sent);
            if let Err(error) = out.write_all(lines) {
                return (sent, Err(error));
            }
            sent += count;
        }
        (sent, out.flush())
    }

    /// Until the next line is due or the time is over, but not shorter than a timer is accurate.
    fn pause(&self, sent: u64, elapsed: Duration) -> Duration {
        let due = Duration::from_secs_f64(sent as f64 / self.rate.unwrap_or(1) as f64);
        let due = self.duration_max.map_or(due, |max| due.min(max));
        due.saturating_sub(elapsed).max(Duration::from_millis(1))
    }
}

/// Sends lines to whoever connects. Returns when the last connection has got all its lines, so
/// never without a limit on them.
pub(crate) fn serve(listener: &TcpListener, corpus: Corpus, flow: Flow) -> io::Result<()> {
    let listener = listener.try_clone()?;
    let (tell, news) = mpsc::sync_channel(CONNECTIONS_MAX);
    let shared = Arc::new((corpus, AtomicUsize::new(0)));
    // Accepting blocks, so it has a thread of its own, which the end of the process ends.
    std::thread::spawn(move || accept(&listener, &shared, flow, &tell));
    match news.recv() {
        Ok(End::Served) => Ok(()),
        Ok(End::Failed(error)) => Err(error),
        Err(_) => Ok(()),
    }
}

enum End {
    Served,
    Failed(io::Error),
}

fn accept(
    listener: &TcpListener,
    shared: &Arc<(Corpus, AtomicUsize)>,
    flow: Flow,
    tell: &mpsc::SyncSender<End>,
) {
    loop {
        if shared.1.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // The peer gave up before its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                let _ = tell.send(End::Failed(error));
                return;
            }
        };
        let _ = stream.set_nodelay(true);
        let (shared, tell) = (shared.clone(), tell.clone());
        shared.1.fetch_add(1, Ordering::AcqRel);
        std::thread::spawn(move || {
            // A peer that goes away early has had enough.
            let _ = flow.send(&shared.0, &mut stream);
            drop(stream);
            let is_last = shared.1.fetch_sub(1, Ordering::AcqRel) == 1;
            if is_last && flow.is_bounded() {
                let _ = tell.send(End::Served);
            }
        });
    }
}

/// Connects, and tries again for a while if refused.
fn connect(address: &str) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && start.elapsed() < CONNECT_PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}
