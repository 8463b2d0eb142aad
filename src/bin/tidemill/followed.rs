//! What is followed, and that nothing of it is what the command writes itself.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemill::{DStream, Directory, Follow, Receiver, StreamingContext, checkpoint};

use crate::failure::Failure;
use crate::input::{Following, Lines, is_same};
use crate::terminal;

/// The lines of files that are appended to, and of all files that are in directories or come there.
pub(crate) fn follow(
    ssc: &StreamingContext,
    paths: &[PathBuf],
    following: Following,
    checkpoint: Option<&Path>,
    lines: Lines,
) -> Result<Vec<DStream<String>>, Failure> {
    let Lines { options, first_line } = lines;
    let known = known_sources(checkpoint);
    let name_of = |path: &Path| Directory::awaited(path).name();
    // What ends in a slash is not a file that will come, nor is what was a directory before.
    let is_directory = |path: &PathBuf| {
        let is_meant = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        path.is_dir() || is_meant || known.contains(&name_of(path))
    };
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(is_directory);
    let mut streams = Vec::new();
    if !files.is_empty() {
        let mut files = Follow::new(files)?;
        if let Some(quiet) = following.rotated_quiet {
            files = files.rotated_quiet(quiet);
        }
        if let Some(ask) = first_line.clone() {
            files = files.first_line(move |path, line| ask(path, line));
        }
        streams.push(ssc.text_stream(files, options)?);
    }
    for (number, path) in directories.iter().enumerate() {
        // One that is named twice is read once, as files are.
        let is_it = |other: &PathBuf| is_same(other, path) || name_of(other) == name_of(path);
        if directories[..number].iter().any(is_it) {
            continue;
        }
        let directory = match Directory::new(path) {
            // Its volume may not be mounted yet.
            Err(_) if known.contains(&name_of(path)) => Directory::awaited(path),
            directory => directory?,
        };
        // Files count whatever their time, as they do where they are named one by one.
        let all = directory.new_files_only(false).remember(Duration::MAX);
        let mut all = all.recursive(following.is_recursive).follow_links(following.follows_links);
        if let Some(ask) = first_line.clone() {
            all = all.first_line(move |path, line| ask(path, line));
        }
        if following.is_recursive
            && let Some(checkpoint) = checkpoint
        {
            all = without_checkpoints(all, path, checkpoint);
        }
        streams.push(ssc.text_stream(all, options)?);
    }
    Ok(streams)
}

/// The names of the sources in the checkpoint that the job will go on from.
fn known_sources(checkpoint: Option<&Path>) -> Vec<String> {
    // What is wrong with them is said where they are read.
    let infos = checkpoint.and_then(|directory| checkpoint::inspect(directory).ok());
    let last = infos.into_iter().flatten().rfind(|info| info.damage.is_none());
    last.into_iter().flat_map(|info| info.sources).map(|source| source.name).collect()
}

/// Leaves out the directory of checkpoints, if it is below one that is read with those below.
fn without_checkpoints(directory: Directory, path: &Path, checkpoint: &Path) -> Directory {
    let Ok(inside) = real(checkpoint).strip_prefix(real(path)).map(Path::to_owned) else {
        return directory;
    };
    let root: PathBuf = std::path::absolute(path).unwrap_or(path.to_owned()).components().collect();
    let inside = root.join(inside);
    terminal::tell(format_args!("not read, as checkpoints are in it: {}", inside.display()));
    directory.filter(move |path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        !name.starts_with(b".") && !path.starts_with(&inside)
    })
}

/// A path without links, whose last part need not be there.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or(path.to_owned());
    whole.canonicalize().unwrap_or_else(|_| match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().unwrap_or(parent.to_owned()).join(name),
        _ => whole.clone(),
    })
}

/// Refuses files that the command would read and write at a time, as `cat` does: what it writes
/// would be read again. An empty one is read once, before anything is written.
pub(crate) fn check_output(files: &[PathBuf], follows: bool) -> Result<(), Failure> {
    let outputs = outputs();
    let written_to = |input: &Metadata| {
        let is_it = |output: &&(Metadata, &'static str)| is_one(&output.0, input);
        let may_grow = follows || input.len() > 0;
        outputs.iter().find(is_it).filter(|_| may_grow && input.is_file()).map(|(_, name)| *name)
    };
    for path in files {
        let found = if path.as_os_str() == "-" { stdin() } else { path.metadata().ok() };
        if let Some(output) = found.as_ref().and_then(written_to) {
            let path = path.display();
            let message =
                format!("{path} is read, and {output} goes there, too: write to another file");
            return Err(Failure::Usage(message));
        }
    }
    match stdin().as_ref().and_then(written_to) {
        Some(output) if files.is_empty() => Err(Failure::Usage(format!(
            "standard input and {output} are one file: write to another file"
        ))),
        _ => Ok(()),
    }
}

/// Whether the command writes to this file.
pub(crate) fn is_output(path: &Path) -> bool {
    let found = path.metadata().ok();
    found.is_some_and(|found| outputs().iter().any(|(output, _)| is_one(output, &found)))
}

#[cfg(unix)]
fn is_one(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_one(_: &Metadata, _: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn outputs() -> Vec<(Metadata, &'static str)> {
    use std::os::fd::AsFd;
    let [stdout, stderr] = [
        std::io::stdout().as_fd().try_clone_to_owned(),
        std::io::stderr().as_fd().try_clone_to_owned(),
    ];
    let open = [(stdout, "standard output"), (stderr, "standard error")];
    let metadata = open
        .into_iter()
        .filter_map(|(file, name)| Some((std::fs::File::from(file.ok()?).metadata().ok()?, name)));
    metadata.collect()
}

#[cfg(unix)]
fn stdin() -> Option<Metadata> {
    use std::os::fd::AsFd;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    std::fs::File::from(stdin).metadata().ok()
}

/// Elsewhere it is not known what goes where.
#[cfg(not(unix))]
fn outputs() -> Vec<(Metadata, &'static str)> {
    Vec::new()
}

#[cfg(not(unix))]
fn stdin() -> Option<Metadata> {
    None
}
