//! What the fuzz targets share: a program that keeps all kinds of state, the files that it leaves
//! in its directory, edits to those, and checksums that are right all the same.

pub mod edit;
pub mod program;
pub mod seal;

use std::fs;
use std::path::{Path, PathBuf};

use edit::Edit;
use tidemill::checkpoint;

/// The files of a directory, by their paths in it.
pub type Files = Vec<(PathBuf, Vec<u8>)>;

/// A directory that a program has left behind, to be edited and started from.
pub struct Left {
    /// Where edited files are put, in memory where the system has such a place.
    directory: tempfile::TempDir,
    files: Files,
    /// Those that are edited.
    edited: Vec<usize>,
    seal: fn(&Path, &mut Vec<u8>),
}

impl Left {
    /// What the program leaves, of which files with this in their paths are edited and sealed.
    ///
    /// # Panics
    ///
    /// If the program fails, leaves no such file, or they are sealed in another way: then the
    /// fuzzer would never get past the checksums.
    pub fn by_the_program(edited: &str, seal: fn(&Path, &mut Vec<u8>)) -> Left {
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let directory = directory.expect("a directory for the files");
        program::run(directory.path(), 5).expect("a first run");
        let mut files = Files::new();
        read_all(directory.path(), Path::new(""), &mut files);
        let is_edited = |at: &usize| files[*at].0.to_string_lossy().contains(edited);
        let edited: Vec<usize> = (0..files.len()).filter(is_edited).collect();
        assert!(!edited.is_empty(), "the program leaves files to edit");
        for &at in &edited {
            let (path, bytes) = &files[at];
            let mut sealed = bytes.clone();
            seal(path, &mut sealed);
            assert_eq!(&sealed, bytes, "{} is sealed as the engine does it", path.display());
        }
        let left = Left { directory, files, edited, seal };
        left.restore();
        program::run(left.directory.path(), 1).expect("what is not edited is gone on from");
        left
    }

    /// Starts the program again where one of the files is edited, or a few are.
    pub fn start_edited(&self, edits: &[(u8, Vec<Edit>)]) {
        self.restore();
        for (file, edits) in edits.iter().take(4) {
            let (path, genuine) = &self.files[self.edited[*file as usize % self.edited.len()]];
            let mut bytes = genuine.clone();
            edits.iter().take(64).for_each(|edit| edit.apply(&mut bytes));
            (self.seal)(path, &mut bytes);
            fs::write(self.directory.path().join(path), bytes).expect("a file");
        }
        // An error is as good as a start: what must not be is a panic, which ends the fuzzer. To
        // look at the files is far faster than a start, which has the same to say of most that are
        // damaged.
        let checkpoints = self.directory.path().join("checkpoints");
        let verified = checkpoint::verify(&checkpoints).expect("the files can be read");
        let logs = checkpoint::intake_logs(&checkpoints);
        if verified.damaged == 0 && logs.is_ok() || edits.len() == 4 {
            let _ = program::run(self.directory.path(), 2);
        }
    }

    /// Makes the directory what the program has left.
    fn restore(&self) {
        for entry in fs::read_dir(self.directory.path()).expect("the directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).expect("a folder to be removed"),
                false => fs::remove_file(path).expect("a file to be removed"),
            }
        }
        for (path, bytes) in &self.files {
            let path = self.directory.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
    }
}

fn read_all(directory: &Path, below: &Path, into: &mut Files) {
    for entry in fs::read_dir(directory.join(below)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = below.join(entry.file_name());
        match entry.path().is_dir() {
            true => read_all(directory, &path, into),
            false => into.push((path, fs::read(entry.path()).expect("a file"))),
        }
    }
    into.sort();
}
