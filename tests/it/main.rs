//! The integration tests: one binary, a file for each feature, through the public API only.

mod aggregates;
mod check;
mod child;
#[cfg(feature = "cli")]
mod command;
//faults
mod feed;
mod lifecycle;
mod model;
mod naive;
mod operators;
mod plan;
//pressure
mod random;
mod records;
//tidy
mod time;
