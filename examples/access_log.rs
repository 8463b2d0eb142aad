//! cargo run --release --example access_log -- LOG [--batches N]
//!
//! Follows a web server's log, also after it was rotated, and prints for the busiest paths of the
//! last minute how many requests there were, how many of them failed, and how long they took. The
//! log has the combined format and after it the seconds that the request took; with nginx that is
//! the `log_format` of `combined` and `$request_time`. With `--batches` it ends by itself.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{Follow, Pattern};

/// What is asked of a line. `Pattern::combined_log()` and `AccessLog` have the rest of it.
#[derive(Record)]
struct Request {
    path: String,
    status: u16,
    seconds: f64,
}

/// The path without what follows a question mark, so that it is one of few.
const LINE: &str = concat!(
    r#"^\S+ \S+ .* \[[^\]]+\] "[A-Z]+ (?<path>[^ "?]+)[^"]*" "#,
    r#"(?<status>\d{3}) .* (?<seconds>[0-9.]+)$"#
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let log = arguments.next().ok_or("which log? the first argument says")?;
    let batches: Option<u64> = arguments.nth(1).and_then(|count| count.parse().ok());
    let (window, slide) = (Duration::from_secs(60), Duration::from_secs(1));

    let ssc = StreamingContext::builder("access_log").batch_interval(slide).build()?;
    let lines = ssc.receiver_stream(Follow::new([&log])?)?;
    let requests = lines.decode::<Request>(Pattern::new(LINE));

    // Three aggregates of a window in one pass, and beside them the failures.
    let by_path = requests.pairs(Request::PATH, Request::SECONDS);
    let latencies = by_path.aggregate_by_key_and_window((Count, Mean, Max), window, slide);
    let failed = requests.filter(|request| request.status >= 500);
    let failed = failed.pairs(Request::PATH, Request::STATUS);
    let failures = failed.aggregate_by_key_and_window(Count, window, slide);
    let report = latencies.left_outer_join(&failures);

    let (context, mut seen) = (ssc.clone(), 0);
    report.foreach_batch(move |batch, time| {
        let mut rows: Vec<_> = batch.iter().collect();
        rows.sort_by_key(|(path, ((count, ..), _))| (std::cmp::Reverse(*count), *path));
        println!("{time}: {} paths in the last {window:?}", rows.len());
        println!("requests  failed  mean ms  max ms  path");
        for (path, ((count, mean, max), failed)) in rows.into_iter().take(10) {
            let (failed, mean, max) = (failed.unwrap_or(0), mean * 1e3, max * 1e3);
            println!("{count:>8} {failed:>7} {mean:>8.1} {max:>7.1}  {path}");
        }
        seen += 1;
        if Some(seen) == batches {
            context.stop();
        }
        Ok(())
    });

    println!("{}", ssc.explain());
    ssc.start()?;
    ssc.await_termination()?;
    for count in requests.counts().rejected {
        println!("{} lines: {}, such as {:?}", count.lines, count.reason, count.samples[0].line);
    }
    Ok(())
}
