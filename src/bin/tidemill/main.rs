//! The command `tidemill`: word counts and averages over files, pipes and sockets, made-up input to
//! try them on, and a demonstration.
//!
//! Data goes to standard output and everything else to standard error, so that the command can
//! stand in a pipe; what went wrong is in the exit code.

mod access;
mod average;
mod averages;
mod cells;
mod checkpoint;
mod corpus;
mod demo;
mod descriptors;
mod failure;
mod followed;
mod generate;
mod guess;
mod header;
mod input;
mod job;
mod log;
mod missing;
mod output;
mod parse;
mod stdio;
mod stream;
mod summary;
mod tallies;
mod terminal;
mod totals;
mod wordcount;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tidemill::__command::escaped_lines;

use crate::failure::Failure;

/// Counts words and averages numbers in streams and files: Spark Streaming's model on one machine,
/// on columns.
#[derive(Parser)]
#[command(name = "tidemill", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Wordcount(wordcount::Args),
    Average(average::Args),
    Generate(generate::Args),
    Checkpoint(checkpoint::Args),
}

const AFTER_HELP: &str = "\
Examples:
  tidemill demo
  tidemill wordcount --all --format csv server.log > words.csv
  tidemill wordcount --listen 127.0.0.1:9999 --interval 500ms
  tidemill average --all --format csv measurements.txt > averages.csv
  tidemill generate words --connect 127.0.0.1:9999 --rate 10k
  tidemill checkpoint verify /var/lib/words

Exit codes:
  0    all went well, or the reader of the output had enough
  1    a batch failed, the output could not be written, or no checkpoint is whole
  2    the command line is wrong
  3    an input, an address or a directory of checkpoints could not be opened or read
  4    the result was printed, but it is not whole: lines were cut or dropped at the maximum, files
       were not read to their ends, senders were refused, or nearly every line was left out; the
       last line on standard error says which. Of `checkpoint verify`: something is damaged, and a
       start goes on from what is whole
  130  interrupted before the end of a file, or a second Ctrl-C (143 for a second SIGTERM)";

fn main() -> ExitCode {
    descriptors::raise_limit();
    let done = match Cli::try_parse() {
        Ok(cli) => run(cli.command),
        Err(error) => explain(&error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                terminal::tell(message);
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Wordcount(args) => wordcount::run(&args),
        Command::Average(args) => average::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Checkpoint(args) => checkpoint::run(&args),
    }
}

/// Prints the help that was asked for, or says what is wrong with the arguments.
fn explain(error: &clap::Error) -> Result<(), Failure> {
    let text = error.render().to_string();
    if error.use_stderr() {
        // An argument may be a file's name, as where a shell puts names in the place of a `*`.
        stdio::write_stderr(escaped_lines(&text).as_bytes());
        return Err(Failure::Arguments);
    }
    stdio::Stdout.write_all(text.as_bytes()).map_err(|error| Failure::of_output(&error))
}
