//! The files that this process writes its output to: they are no input of it.

use std::fs::File;

use super::identity::FileId;

/// The regular files that standard output and standard error go to.
#[cfg(unix)]
pub(super) fn own_output() -> Vec<FileId> {
    use std::os::fd::AsFd;
    let outputs = [
        std::io::stdout().as_fd().try_clone_to_owned(),
        std::io::stderr().as_fd().try_clone_to_owned(),
    ];
    let files = outputs.into_iter().filter_map(|output| {
        let metadata = File::from(output.ok()?).metadata().ok()?;
        metadata.is_file().then(|| FileId::of(&metadata))
    });
    files.collect()
}

/// Elsewhere they are not known.
#[cfg(not(unix))]
pub(super) fn own_output() -> Vec<FileId> {
    Vec::new()
}
