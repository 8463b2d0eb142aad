//! Kernels, each at each level.
fn main() {}
