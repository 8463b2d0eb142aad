//! `tidemill checkpoint`: what is in a directory of checkpoints, and whether it is whole.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Subcommand;
use tidemill::checkpoint::{self, CheckpointInfo, IntakeLogInfo};

use crate::cells::push_cell;
use crate::failure::Failure;
use crate::output;

/// The widest name that is shown.
const NAME_COLUMNS_MAX: usize = 60;

/// Looks at the checkpoints in a directory, without changing it; a program may be using it.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the checkpoints, and what the newest whole one holds.
    Inspect {
        /// The directory that a program was given for its checkpoints.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Reads and checks them all, and says which one a start would use. Exit code 4 says that
    /// something is damaged, and a start goes on from what is whole; 1 that it could not.
    Verify {
        /// The directory that a program was given for its checkpoints.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (Action::Inspect { directory } | Action::Verify { directory }) = &args.action;
    let checkpoints =
        checkpoint::inspect(directory).map_err(|error| Failure::Input(error.to_string()))?;
    let logs =
        checkpoint::intake_logs(directory).map_err(|error| Failure::Input(error.to_string()))?;
    if checkpoints.is_empty() && logs.is_empty() {
        let message = format!("there are no checkpoints in {}", directory.display());
        return Err(Failure::Input(message));
    }
    let start = checkpoints.iter().rfind(|info| info.damage.is_none());
    let mut out = Vec::new();
    if matches!(args.action, Action::Inspect { .. }) {
        push_list(&checkpoints, &mut out);
        if let Some(start) = start {
            push_parts(start, &mut out);
        }
        if !logs.is_empty() {
            push_logs(&logs, &mut out);
        }
    } else {
        let count = checkpoints.len();
        let of_each = checkpoints.iter().map(|info| chain_of(info, &checkpoints));
        let chains = of_each.flatten().collect::<BTreeSet<u64>>().len();
        let noun = if chains == 1 { "chain" } else { "chains" };
        let line = match start {
            Some(start) => {
                let start = start.number;
                format!("{count} read, in {chains} {noun}; a start would use {start}\n")
            }
            None if count == 0 => "no checkpoint was made yet\n".to_owned(),
            None => format!("{count} read; none is whole\n"),
        };
        out.extend_from_slice(line.as_bytes());
        for IntakeLogInfo { source, blocks, last, foreign, .. } in &logs {
            let source = cell(source);
            let line = format!("intake log of {source}: {blocks} whole blocks, up to {last}\n");
            out.extend_from_slice(line.as_bytes());
            if *foreign > 0 {
                let line = format!("{foreign} of its files are of another directory: not read\n");
                out.extend_from_slice(line.as_bytes());
            }
        }
    }
    output::print(&String::from_utf8_lossy(&out))?;
    let damaged = checkpoints.iter().filter_map(|info| {
        let number = info.number;
        match &info.damage {
            Some(what) => Some(format!("checkpoint {number} is damaged: {what}")),
            None if info.is_from_copy => {
                Some(format!("checkpoint {number} is damaged: a start would use its copy"))
            }
            None => None,
        }
    });
    let lost = logs.iter().filter(|log| log.lost > 0).map(|log| {
        let (source, lost) = (cell(&log.source), log.lost);
        format!("the intake log of {source} is damaged: {lost} blocks are lost")
    });
    let damaged: Vec<String> = damaged.chain(lost).collect();
    match (damaged.is_empty(), start) {
        (true, _) => Ok(()),
        // A log may be all that there is so far.
        (false, None) if !checkpoints.is_empty() => Err(Failure::Run(damaged.join("; "))),
        (false, _) => Err(Failure::NotWhole(damaged.join("; "))),
    }
}

fn push_list(checkpoints: &[CheckpointInfo], out: &mut Vec<u8>) {
    let head = ["number", "batch", "bytes", "stands on", "chain", "state"];
    let mut rows = vec![head.map(String::from)];
    rows.extend(checkpoints.iter().map(|info| {
        let chain = chain_of(info, checkpoints);
        let chain = chain.map_or_else(|| "?".to_owned(), |chain| chain.to_string());
        let (time, stands_on) = match (info.time, info.stands_on) {
            (None, _) => ("?".to_owned(), "?".to_owned()),
            (Some(time), None) => (time.to_string(), "itself".to_owned()),
            (Some(time), Some(number)) => (time.to_string(), number.to_string()),
        };
        let state = match info.damage {
            Some(_) => "damaged",
            None if info.is_from_copy => "its copy is whole",
            None => "whole",
        };
        let (number, bytes) = (info.number.to_string(), info.bytes.to_string());
        [number, time, bytes, stands_on, chain, state.to_owned()]
    }));
    push_table(&rows, out);
}

/// The checkpoint that stands by itself on which this one stands in the end, unless one between
/// them cannot be read.
fn chain_of(info: &CheckpointInfo, checkpoints: &[CheckpointInfo]) -> Option<u64> {
    let mut info = info;
    loop {
        info.time?;
        match info.stands_on {
            None => return Some(info.number),
            Some(number) => info = checkpoints.iter().find(|info| info.number == number)?,
        }
    }
}

/// The sources and sections of a checkpoint.
fn push_parts(info: &CheckpointInfo, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\nin checkpoint {}\n", info.number).as_bytes());
    let mut rows = vec![["entries", "bytes", "holds", "form", "name"].map(String::from)];
    rows.extend(info.sources.iter().map(|source| {
        let bytes = source.position_bytes.to_string();
        ["1".to_owned(), bytes, "position".to_owned(), "source".to_owned(), cell(&source.name)]
    }));
    rows.extend(info.sections.iter().map(|section| {
        let holds = if section.is_whole { "all" } else { "changes" };
        let (entries, bytes) = (section.entries.to_string(), section.bytes.to_string());
        [entries, bytes, holds.to_owned(), cell(&section.form), cell(&section.name)]
    }));
    push_table(&rows, out);
}

/// The intake logs.
fn push_logs(logs: &[IntakeLogInfo], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\nin intake logs\n");
    let mut rows = vec![["blocks", "bytes", "last", "lost", "source"].map(String::from)];
    rows.extend(logs.iter().map(|log| {
        let [blocks, bytes, last, lost] =
            [log.blocks, log.bytes, log.last, log.lost].map(|number| number.to_string());
        [blocks, bytes, last, lost, cell(&log.source)]
    }));
    push_table(&rows, out);
}

/// A name as it may be shown.
fn cell(text: &str) -> String {
    let mut cell = Vec::new();
    push_cell(text, NAME_COLUMNS_MAX, &mut cell);
    String::from_utf8_lossy(&cell).into_owned()
}

/// Columns as wide as what is in them, numbers to the right, and the last one as it is.
fn push_table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], out: &mut Vec<u8>) {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..COLUMNS - 1).map(width).collect();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            out.extend_from_slice(format!("{cell:>width$}  ").as_bytes());
        }
        out.extend_from_slice(format!("{}\n", row[COLUMNS - 1]).as_bytes());
    }
}
