//! The house's rules, checked on the text of every source file: what is absent, which way the
//! dependencies run, and how files look.
//!
//! A list of exceptions may only shrink: an entry that is not needed any more fails, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folders with sources. Those of tests and examples may break the rules of the engine.
const FOLDERS: [&str; 6] = ["src", "kernels/src", "derive/src", "benches", "examples", "tests"];

const COLUMNS_MAX: usize = 100;
const LINES_MAX: usize = 1_000;

/// Files that are too long.
const LONG_FILES: [&str; 0] = [];

/// A name says what is in a file; these say that nobody knows.
const NAMES_THAT_SAY_NOTHING: [&str; 9] =
    ["utils", "util", "common", "helpers", "helper", "types", "misc", "shared", "stuff"];

/// What each module of the engine may use of the others; `engine` drives and may use all. The
/// public streams build on the plan, that on the operators and sources, and those on records.
const LAYERS: [(&str, &[&str]); 13] = [
    ("error", &[]),
    ("time", &[]),
    ("config", &["error"]),
    ("memory", &["error"]),
    ("storage", &["error"]),
    ("record", &["memory", "config", "error"]),
    ("decode", &["record", "error"]),
    ("ops", &["decode", "record", "memory", "config", "error", "time"]),
    ("source", &["storage", "record", "memory", "config", "error", "time"]),
    ("sink", &["storage", "record", "error", "time"]),
    ("plan", &["ops", "source", "sink", "record", "memory", "config", "error", "time"]),
    ("dstream", &["plan", "memory", "ops", "decode", "sink", "record", "config", "error", "time"]),
    ("table", &["dstream", "ops", "sink", "record", "error", "time"]),
];

/// Uses that run up, each with its reason.
const UPWARD: [(&str, &str, &str); 1] =
    [("src/dstream/mod.rs", "engine", "a stream holds the handle of its context")];

/// One source file.
struct Source {
    /// From the root of the workspace, with `/`.
    path: String,
    text: String,
    /// The text without comments and literals; lines and columns stay.
    code: String,
}

#[test]
fn every_file() {
    let mut faults = Vec::new();
    for Source { path, text, code } in sources() {
        if !text.starts_with("//! ") {
            faults.push(format!("{path}: the first line says what the file is: `//! …`"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                faults.push(format!("{path}:{number}: {columns} columns, not {COLUMNS_MAX}"));
            }
            for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
                if line.contains(mark) {
                    faults.push(format!("{path}:{number}: {mark}"));
                }
            }
        }
        for (word, line, rest) in words(&code) {
            if ["todo", "unimplemented", "dbg"].contains(&word) && rest.starts_with('!') {
                faults.push(format!("{path}:{}: {word}!", line + 1));
            }
        }
        for name in Path::new(&path).iter().filter_map(|name| name.to_str()) {
            let name = name.strip_suffix(".rs").unwrap_or(name);
            if NAMES_THAT_SAY_NOTHING.contains(&name) {
                faults.push(format!("{path}: what is in {name}?"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn long_files() {
    let is_long = |source: &Source| source.text.lines().count() > LINES_MAX;
    let long: Vec<String> = sources().into_iter().filter(is_long).map(|s| s.path).collect();
    assert_eq!(long, LONG_FILES, "files of more than {LINES_MAX} lines, and the list of them");
}

#[test]
fn unsafe_lives_in_the_kernels() {
    check_absent(&["unsafe"], &["src", "derive/src"], &["src/record/bridge.rs"]);
}

#[test]
fn arrow2_stays_in_the_records() {
    check_absent(
        &["arrow2"],
        &["src", "kernels/src", "derive/src"],
        &["src/record/", "src/lib.rs"],
    );
    // The root gives the crate on to users, and that is all.
    let lib = read("src/lib.rs");
    assert_eq!(words(&lib.code).filter(|(word, ..)| *word == "arrow2").count(), 1);
}

#[test]
fn the_outside_is_reached_in_few_places() {
    let allowed = ["src/source/", "src/sink/", "src/storage/", "src/bin/"];
    let folders = ["src", "kernels/src", "derive/src"];
    check_absent(&["net", "fs", "mio", "socket2", "TcpStream", "File"], &folders, &allowed);
}

#[test]
fn clocks_are_read_in_few_places() {
    let allowed = ["src/engine/clock.rs", "src/source/", "src/bin/"];
    let folders = ["src", "kernels/src", "derive/src"];
    check_absent(&["Instant", "SystemTime", "UNIX_EPOCH"], &folders, &allowed);
}

#[test]
fn no_queue_is_unbounded() {
    // `sync_channel` is another word.
    let names = ["channel", "unbounded", "unbounded_channel", "SegQueue", "Injector"];
    check_absent(&names, &["src", "kernels/src", "derive/src", "examples"], &[]);
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    for source in ["kernels/src", "src"].into_iter().flat_map(sources_in) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (word, line, _) in words(&source.code) {
            if word != "unsafe" {
                continue;
            }
            // In the comment right above, or above the statement that it is part of.
            let above = lines[..line].iter().rev();
            let above = above.skip_while(|line| line.ends_with(['=', '(']));
            let mut near = above.take_while(|line| {
                let line = line.trim_start();
                line.starts_with("//") || line.starts_with('#')
            });
            let is_said = near.any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            assert!(is_said, "{}:{}: unsafe without SAFETY", source.path, line + 1);
        }
    }
}

#[test]
fn dependencies_run_down() {
    let layers = BTreeMap::from(LAYERS);
    let mut upward = Vec::new();
    for source in sources_in("src") {
        let path = source.path.strip_prefix("src/").unwrap();
        let module = path.split(['/', '.']).next().unwrap();
        // What lies above the layers may use them all.
        if ["lib", "bin", "engine"].contains(&module) || path.ends_with("/tests.rs") {
            continue;
        }
        let allowed = layers.get(module).unwrap_or_else(|| panic!("{path} is in no layer"));
        for used in modules_used(&source.code) {
            if used != module && !allowed.contains(&used) {
                upward.push((source.path.clone(), used.to_owned()));
            }
        }
        assert!(!source.code.contains("super::super"), "{path}: name the module from the root");
        let is_root = path.ends_with("mod.rs") || !path.contains('/');
        assert!(!is_root || !source.code.contains("super::"), "{path}: as above");
    }
    upward.sort();
    upward.dedup();
    let expected: Vec<(String, String)> =
        UPWARD.map(|(path, module, _)| (path.to_owned(), module.to_owned())).to_vec();
    assert_eq!(upward, expected, "uses that run up, and the list of those that may");
}

#[test]
fn kernels_and_command_keep_their_distance() {
    for source in sources_in("kernels/src") {
        assert!(words(&source.code).all(|(word, ..)| word != "tidemill"), "{}", source.path);
    }
    // The command uses what every program can: `crate::` there is the command itself.
    for source in sources_in("src/bin") {
        let is_kernel = words(&source.code).any(|(word, ..)| word == "tidemill_kernels");
        assert!(!is_kernel, "{}: the command uses the library", source.path);
    }
}

/// A promise in a document names the test that breaks it on purpose: `module::test`.
#[test]
fn tests_that_documents_name_are_there() {
    let sources = sources();
    let mut named = 0;
    for document in ["docs/durability.md", "SECURITY.md"] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        // Between two fences is code, and so is what stands between two single marks elsewhere.
        let prose = text.split("```").step_by(2);
        for span in prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)) {
            let Some((module, function)) = span.rsplit_once("::") else { continue };
            if !span.chars().all(|c| c.is_ascii_lowercase() || "_:0123456789".contains(c)) {
                continue;
            }
            let module = module.replace("::", "/");
            let definition = format!("fn {function}(");
            let is_there = |source: &Source| {
                source.path.contains(&module) && source.code.contains(&definition)
            };
            assert!(sources.iter().any(is_there), "{document}: {span} is nowhere");
            named += 1;
        }
    }
    assert!(named > 30, "only {named} tests are named");
}

/// None of the words in the code of these folders, but for files whose paths begin so.
#[track_caller]
fn check_absent(absent: &[&str], folders: &[&str], allowed: &[&str]) {
    let mut faults = Vec::new();
    for source in folders.iter().flat_map(|folder| sources_in(folder)) {
        if allowed.iter().any(|allowed| source.path.starts_with(allowed)) {
            continue;
        }
        for (word, line, _) in words(&source.code).filter(|(word, ..)| absent.contains(word)) {
            faults.push(format!("{}:{}: {word} has no place here", source.path, line + 1));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The modules after `crate::`, also in braces.
fn modules_used(code: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        let group = rest.strip_prefix('{').and_then(|rest| rest.split(';').next());
        match group {
            Some(group) => modules.extend(group_heads(group)),
            None => modules.push(first_word(rest)),
        }
    }
    modules
}

/// `{a::b, c::{d, e}}` begins with `a` and `c`.
fn group_heads(group: &str) -> Vec<&str> {
    let (mut heads, mut depth, mut is_start) = (Vec::new(), 0, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => is_start = is_start || depth == 0,
            _ if is_start && depth == 0 && is_word(character) => {
                heads.push(first_word(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
    }
    heads
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn first_word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Each word of the code, its line from 0, and what follows.
fn words(code: &str) -> impl Iterator<Item = (&str, usize, &str)> {
    code.lines().enumerate().flat_map(|(number, line)| {
        let starts = line.char_indices().filter(move |&(at, character)| {
            is_word(character) && !line[..at].chars().next_back().is_some_and(is_word)
        });
        starts.map(move |(at, _)| {
            let word = first_word(&line[at..]);
            (word, number, &line[at + word.len()..])
        })
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Source {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    Source { path: path.to_owned(), code: code_of(&text), text }
}

fn sources() -> Vec<Source> {
    let sources: Vec<Source> = FOLDERS.iter().flat_map(|folder| sources_in(folder)).collect();
    assert!(sources.len() > 60, "only {} files were found", sources.len());
    sources
}

/// The files in a folder and its folders, by path. The folder need not be there.
fn sources_in(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap();
                paths.push(path.replace(std::path::MAIN_SEPARATOR, "/"));
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// The text with a space for every character of a comment or a literal.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_len(rest),
            '"' => 1 + string_len(&rest[1..]),
            '\'' => character_len(rest),
            // No other word may stand right before a quote.
            'r' => raw_string_len(rest),
            _ => 0,
        };
        if hidden == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        code.extend(rest[..hidden].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[hidden..];
    }
    code
}

fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let opens = text[at..].find("/*").map_or(text.len(), |found| at + found);
        let closes = text[at..].find("*/").map_or(text.len(), |found| at + found);
        depth = if opens < closes { depth + 1 } else { depth - 1 };
        at = opens.min(closes) + 2;
        if depth == 0 || at >= text.len() {
            return at.min(text.len());
        }
    }
}

/// Up to and with the quote that ends it.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 for what is a lifetime.
fn character_len(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let Some((_, first)) = characters.next() else { return 0 };
    if first == '\\' {
        // The character after the backslash may be a quote.
        return text[3..].find('\'').map_or(0, |end| 3 + end + 1);
    }
    match characters.next() {
        Some((at, '\'')) => at + 1,
        _ => 0,
    }
}

/// 0 for what is a word that begins with an r.
fn raw_string_len(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|&c| c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let (start, end) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
    text[start..].find(&end).map_or(text.len(), |found| start + found + end.len())
}

#[test]
fn code_without_comments_and_literals() {
    let check = |text: &str, expected: &str| {
        let code = code_of(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
    };
    check("a // unsafe\nb", "a b");
    check("a /* b /* c */ d */ e /* f", "a e");
    check(r#"a("b \" unsafe", 'x') c"#, "a( , ) c");
    check(r##"a(r#"b " c"#) d r"\" e br"x" f"##, "a( ) d e b f");
    check(r"a('\'', '\\', '\u{1f}', '漢') b", "a( , , , ) b");
    check("fn a<'a>(b: &'a str) -> &'static str", "fn a<'a>(b: &'a str) -> &'static str");
    let modules =
        modules_used("use crate::a::b;\nuse crate::{c::{d, e}, f, g::h};\ncrate::i::j();");
    assert_eq!(modules, ["a", "c", "f", "g", "i"]);
}
