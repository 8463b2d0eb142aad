//! Symbolic links in a followed directory: followed only if asked, by the command and the library.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use crate::shell::{Running, STREAM, append};

/// A directory that is followed, and another one with what nobody may have from it.
struct Folders {
    followed: TempDir,
    other: TempDir,
}

impl Folders {
    fn new() -> Folders {
        let folder = || tempfile::tempdir().expect("a folder");
        let folders = Folders { followed: folder(), other: folder() };
        fs::write(folders.other.path().join("secret"), "secret\n").expect("a file");
        fs::create_dir(folders.other.path().join("below")).expect("a folder");
        fs::write(folders.other.path().join("below/file"), "deep\n").expect("a file");
        folders
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.followed.path().join(name)).expect("a link");
    }

    /// Moves a file there whole, as those do who know that the directory is followed.
    fn add(&self, name: &str, content: &str) {
        add(self.followed.path(), name, content);
    }

    fn follow(&self, path: &Path, args: &[&str]) -> Running {
        let path = path.to_str().expect("a path of ours");
        Running::start(&[&["wordcount", "--follow", path], args, &STREAM[..]].concat())
    }
}

fn add(folder: &Path, name: &str, content: &str) {
    let hidden = folder.join(format!(".{name}"));
    append(&hidden, content.as_bytes());
    fs::rename(hidden, folder.join(name)).expect("a file of ours");
}

/// The words of the totals, what was said, and the exit code.
fn ended(running: Running, last: &str) -> (Vec<String>, String, Option<i32>) {
    running.wait_for(|line| line.ends_with(&format!(",{last},1")));
    running.signal("TERM");
    let said = running.stderr_to_the_end().join("\n");
    let (status, rest) = running.end();
    let words = rest.iter().filter_map(|line| line.split(',').nth(1).map(str::to_owned));
    (words.collect(), said, status.code())
}

#[test]
fn links_in_a_followed_directory_are_told_and_not_followed() {
    let folders = Folders::new();
    folders.add("a", "own\n");
    folders.link(folders.other.path().join("secret"), "outside");
    folders.link("a", "inside");
    folders.link("nowhere", "dangling");
    folders.link(folders.other.path(), "folder");
    folders.link("circle", "circle");
    folders.link(folders.other.path().join("secret"), ".hidden");
    for args in [&[][..], &["--recursive"]] {
        let running = folders.follow(folders.followed.path(), args);
        running.wait_for(|line| line.ends_with(",own,1"));
        folders.add("b", "last\n");
        let (words, said, code) = ended(running, "last");
        assert!(!words.iter().any(|word| ["secret", "deep"].contains(&&word[..])), "{words:?}");
        for name in ["outside", "inside", "dangling", "folder", "circle"] {
            assert!(said.contains(&format!("/{name}")), "{name} is not in {said}");
        }
        assert!(said.contains("symbolic link") && !said.contains(".hidden"), "{said}");
        assert!(said.contains("5 symbolic links were not followed (--follow-links)"), "{said}");
        assert_eq!(code, Some(0), "{said}");
        fs::remove_file(folders.followed.path().join("b")).expect("a file of ours");
    }
}

#[test]
fn links_are_followed_if_asked() {
    let folders = Folders::new();
    folders.link(folders.other.path().join("secret"), "outside");
    folders.link(folders.other.path().join("below"), "folder");
    let args = ["--follow-links", "--recursive"];
    let running = folders.follow(folders.followed.path(), &args);
    running.wait_for(|line| line.ends_with(",deep,1"));
    folders.add("b", "last\n");
    let (_, said, code) = ended(running, "last");
    assert!(!said.contains("symbolic link"), "{said}");
    assert_eq!(code, Some(0), "{said}");
}

/// The directory itself may be a link, as may be a file that is named.
#[test]
fn what_is_named_may_be_a_link() {
    let folders = Folders::new();
    folders.add("a", "own\n");
    let places = tempfile::tempdir().expect("a folder");
    let (folder, file) = (places.path().join("folder"), places.path().join("file"));
    symlink(folders.followed.path(), &folder).expect("a link");
    symlink(folders.other.path().join("secret"), &file).expect("a link");
    let file = file.to_str().expect("a path of ours");
    let running = folders.follow(&folder, &[file]);
    running.wait_for(|line| line.ends_with(",secret,1"));
    folders.add("b", "last\n");
    let (_, said, code) = ended(running, "last");
    assert!(!said.contains("symbolic link"), "{said}");
    assert_eq!(code, Some(0), "{said}");
}

/// A link takes the place of a file, and of a folder of files, again and again while they are
/// listed and opened: nothing is read by one.
#[test]
fn a_link_that_takes_the_place_of_a_file_is_not_followed() {
    let folders = Folders::new();
    let path = folders.followed.path();
    fs::create_dir(path.join("below")).expect("a folder");
    let running = folders.follow(path, &["--recursive"]);
    for number in 0..200 {
        let name = format!("file-{number}");
        folders.add(&name, &format!("word-{number}\n"));
        let link = path.join(".link");
        symlink(folders.other.path().join("secret"), &link).expect("a link");
        fs::rename(&link, path.join(&name)).expect("a link of ours");
        let below = path.join("below");
        add(&below, "file", "own\n");
        let away = path.join(format!(".away-{number}"));
        fs::rename(&below, &away).expect("a folder of ours");
        symlink(folders.other.path().join("below"), &below).expect("a link");
        fs::remove_file(&below).expect("a link of ours");
        fs::rename(&away, &below).expect("a folder of ours");
        fs::remove_file(below.join("file")).expect("a file of ours");
    }
    folders.add("z", "last\n");
    let (words, said, _) = ended(running, "last");
    let is_other = |word: &String| ["secret", "deep"].contains(&&word[..]);
    assert!(!words.iter().any(is_other), "{words:?} {said}");
}
