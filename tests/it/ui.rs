//! What the compiler says of structs that cannot be records: each file of `tests/ui` is compiled
//! alone, and the file beside it has the errors.
//!
//! `TIDEMILL_UPDATE_UI=1` writes these down anew. What the compiler adds of its own, and changes
//! from version to version, is left out: which other types have a trait, and where that stands.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn errors_say_what_to_write() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let compiler = Compiler::new();
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let mut sources: Vec<PathBuf> = entries.filter(is_source).collect();
    sources.sort();
    assert!(sources.len() > 5, "only {} files were found", sources.len());
    let mut faults = Vec::new();
    for source in sources {
        // One of them knows the crate by another name.
        let krate = if source.ends_with("renamed.rs") { "mill" } else { "tidemill" };
        let errors = essence(&compiler.errors(&source, krate));
        let expected = source.with_extension("stderr");
        if env::var_os("TIDEMILL_UPDATE_UI").is_some() && !errors.is_empty() {
            fs::write(&expected, &errors).unwrap();
        }
        // What has no errors beside it compiles without any.
        let texts = fs::read_to_string(&expected).unwrap_or_default();
        if errors != texts {
            faults.push(format!("{}:\n{errors}\nexpected:\n{texts}", source.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

struct Compiler {
    program: PathBuf,
    /// Where the libraries are that this test itself is made of.
    libraries: PathBuf,
    tidemill: PathBuf,
    out: tempfile::TempDir,
}

impl Compiler {
    fn new() -> Compiler {
        let libraries = env::current_exe().unwrap().parent().unwrap().to_owned();
        let beside_cargo =
            env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
        let program = env::var_os("RUSTC").map(PathBuf::from).or(beside_cargo);
        let program = program.filter(|program| program.is_file()).unwrap_or("rustc".into());
        // Libraries of other features may be there, too: the newest is of the sources as they are.
        let entries = fs::read_dir(&libraries).unwrap().map(|entry| entry.unwrap());
        let is_tidemill = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("libtidemill-") && name.ends_with(".rlib")
        };
        let candidates = entries.filter(|entry| is_tidemill(&entry.file_name()));
        let tidemill = candidates
            .max_by_key(|entry| entry.metadata().unwrap().modified().unwrap())
            .expect("the library is beside the test that uses it")
            .path();
        Compiler { program, libraries, tidemill, out: tempfile::tempdir().unwrap() }
    }

    fn errors(&self, source: &Path, krate: &str) -> String {
        let folder = source.parent().unwrap();
        let mut library = std::ffi::OsString::from(format!("{krate}="));
        library.push(&self.tidemill);
        let mut command = Command::new(&self.program);
        // Paths in messages are then names of files.
        command.current_dir(folder).arg(source.file_name().unwrap());
        command.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--color=never"]);
        command.arg("--out-dir").arg(self.out.path()).arg("--extern").arg(library);
        command.args([OsStr::new("-L"), &dependency(&self.libraries)]);
        // Macros are of the machine that compiles: of a folder above, where that is another one.
        for above in self.libraries.ancestors().skip(2).take(2) {
            let profile = self.libraries.parent().unwrap().file_name().unwrap();
            command.args([OsStr::new("-L"), &dependency(&above.join(profile).join("deps"))]);
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), !errors.contains("error"), "{errors}");
        errors
    }
}

fn dependency(folder: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("dependency=");
    argument.push(folder);
    argument
}

/// Each message, the lines that it points at, and its notes.
fn essence(errors: &str) -> String {
    let (mut essence, mut is_main) = (String::new(), false);
    for line in errors.lines() {
        let starts = |starts: &[&str]| starts.iter().any(|start| line.starts_with(start));
        if starts(&["error: aborting", "Some errors have", "For more information"]) {
            break;
        }
        if starts(&["error", "warning"]) {
            essence.push_str(if essence.is_empty() { "" } else { "\n" });
            is_main = true;
        }
        let detail = line.trim_start();
        let note = detail.strip_prefix("= note: ");
        let is_note = note.is_some_and(|note| {
            let chatter = ["required for", "this error originates", "1 redundant"];
            !chatter.iter().any(|start| note.starts_with(start))
        });
        // What the compiler lists or points at besides: it is told at the start of a line, or after
        // a `=`, and stands below.
        is_main &= !starts(&["note", "help"]) && !detail.starts_with("= ") && !line.is_empty();
        if is_main || is_note {
            essence.extend([line, "\n"]);
        }
    }
    essence
}
