//! Tests that run themselves again in a process of their own: for settings that are read once per
//! process, and for memory that is measured per process.

use std::process::Command;

/// Set in a child, so that it does what is to be done instead of starting another.
const CHILD: &str = "TIDEMILL_TEST_CHILD";

/// Whether this process was started by [`run`].
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the tests whose names begin with `tests` in a child, with these variables; fails as they
/// do, and gives what they wrote to standard output.
pub(crate) fn run(tests: &str, variables: &[(&str, &str)]) -> String {
    let output = command(tests).envs(variables.iter().copied()).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tests} with {variables:?} failed:\n{out}{err}");
    // A name that matches nothing would pass.
    assert!(!out.contains("running 0 tests"), "there is no test {tests}");
    out.into_owned()
}

/// A child that is to run the tests whose names begin with `tests`.
pub(crate) fn command(tests: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([tests, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command
}
