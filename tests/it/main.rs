//! The integration tests: one binary, a file for each feature, through the public API only.

#[cfg(all(unix, feature = "cli", feature = "tls"))]
mod access;
mod aggregates;
#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "cli")]
mod average_columns;
#[cfg(feature = "cli")]
mod average_command;
#[cfg(feature = "cli")]
mod average_headers;
#[cfg(feature = "cli")]
mod average_wrong_calls;
mod backlog;
mod batches;
mod check;
#[cfg(feature = "cli")]
mod checkpoint_command;
mod child;
mod closures;
mod collect;
mod combine;
#[cfg(feature = "cli")]
mod command;
#[cfg(all(unix, feature = "cli"))]
mod command_kills;
#[cfg(all(feature = "cli", feature = "compression"))]
mod compressed_files;
mod conformance;
mod connections;
mod decimals;
#[cfg(all(feature = "json", feature = "regex"))]
mod decoders;
mod delimited;
mod derive;
mod directories;
#[cfg(feature = "cli")]
mod directory_command;
mod directory_identity;
mod extremes;
mod failed_outputs;
mod faults;
mod feed;
#[cfg(all(unix, feature = "cli"))]
mod follow_command;
mod history;
mod intake_log;
mod joins;
#[cfg(feature = "cli")]
mod kept_totals;
#[cfg(all(unix, feature = "signals"))]
mod kills;
mod large_files;
mod laws;
mod lifecycle;
#[cfg(all(unix, feature = "cli"))]
mod links;
mod listeners;
#[cfg(all(unix, feature = "signals"))]
mod lives;
#[cfg(all(target_os = "linux", feature = "cli"))]
mod long;
mod memory;
#[cfg(all(target_os = "linux", feature = "cli"))]
mod memory_command;
mod model;
#[cfg(all(feature = "json", feature = "regex"))]
mod mutations;
mod naive;
mod numbers;
mod offsets;
mod operators;
mod output;
#[cfg(feature = "cli")]
mod output_command;
mod output_policy;
mod panics;
#[cfg(all(unix, feature = "cli"))]
mod pipes;
mod plan;
mod pressure;
mod process_memory;
#[cfg(all(unix, feature = "cli"))]
mod producers;
mod properties;
mod random;
mod rate;
mod records;
mod recovered_sinks;
mod recovery;
mod refusals;
mod replay;
mod restarts;
mod saved;
mod saved_names;
mod saved_windows;
#[cfg(feature = "cli")]
mod shell;
#[cfg(all(unix, feature = "signals"))]
mod signals;
mod sort;
mod spans;
mod state_panics;
mod stats;
mod tables;
#[cfg(all(unix, feature = "cli"))]
mod terminal;
mod text_files;
#[cfg(feature = "cli")]
mod text_input;
mod tidy;
mod time;
mod trouble;
mod ui;
mod windows;
