//! The header of delimited lines: which fields are meant, and which lines are none of the data.
//!
//! It is read before the source opens. The source reads it again as a line like all others, but of
//! standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tidemill::{Files, Limits};

use crate::failure::Failure;
use crate::input::Source;
use crate::parse::{self, Field, Split};
use crate::terminal::{self, Interrupt};

/// How often Ctrl-C is looked for while a header is awaited.
const POLL: Duration = Duration::from_millis(25);

/// What the header is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header<'a> {
    /// There is none.
    Absent,
    /// The first line.
    First,
    /// This text.
    Given(&'a str),
}

/// Where the fields are that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Positions, from 0 on.
    pub(crate) fields: [usize; 2],
    /// Lines that are headers, distinct ones.
    pub(crate) headers: Vec<String>,
}

/// How lines are cut.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) delimiter: Split,
    pub(crate) is_quoted: bool,
}

/// Fields that are asked for, with the options that ask for them.
pub(crate) type Wanted<'a> = [(&'static str, &'a Field); 2];

/// Finds the fields in all headers that there are.
pub(crate) fn layout(
    source: Source<'_>,
    header: Header<'_>,
    wanted: Wanted<'_>,
    cut: Cut,
    interrupt: &Interrupt,
) -> Result<Layout, Failure> {
    let headers = match header {
        Header::Given(text) => vec![("--header".to_owned(), text.to_owned())],
        Header::First => first_lines(source, cut, interrupt)?,
        Header::Absent => vec![],
    };
    let mut layout: Option<Layout> = None;
    let mut first = "";
    for (origin, line) in &headers {
        let names = names(line, cut);
        let [key, value] = wanted.map(|wanted| position(wanted, &names, origin));
        let fields = [key?, value?];
        let Some(layout) = &mut layout else {
            (layout, first) = (Some(Layout { fields, headers: vec![line.clone()] }), origin);
            continue;
        };
        if layout.fields != fields {
            let [key, value] = wanted.map(|(_, field)| field);
            let message = format!(
                "{key} and {value} are not at the same positions in {origin} as in {first}: {}",
                list(&names)
            );
            return Err(Failure::Usage(message));
        }
        if !layout.headers.contains(line) {
            layout.headers.push(line.clone());
        }
    }
    layout.map_or_else(|| without_header(wanted, header), Ok)
}

/// The layout where fields have numbers only, or there is no line to be found in.
fn without_header(wanted: Wanted<'_>, header: Header<'_>) -> Result<Layout, Failure> {
    let position = |(option, field): (&str, &Field)| match field {
        Field::Position(number) => Ok(number - 1),
        Field::Text(digits) if parse::is_digits(digits) => {
            let number = parse::position(digits);
            number.map(|number| number - 1).map_err(|limits| {
                Failure::Usage(format!("invalid value '{digits}' for '{option} <FIELD>': {limits}"))
            })
        }
        // Nothing but empty files: any layout does.
        Field::Text(_) if header != Header::Absent => Ok(0),
        Field::Text(name) => Err(Failure::Usage(format!("{option} {name} needs a header"))),
    };
    let [key, value] = wanted.map(position);
    Ok(Layout { fields: [key?, value?], headers: vec![] })
}

/// The position of a field in a header: the column of this name, or else of this number.
fn position(
    (option, field): (&str, &Field),
    names: &[String],
    origin: &str,
) -> Result<usize, Failure> {
    let refused = |what: String| {
        Err(Failure::Usage(format!("{option}: {origin} has {what}: {}", list(names))))
    };
    let by_number = |number: usize| match number {
        1.. if number <= names.len() => Ok(number - 1),
        _ => refused(format!("no column {number}")),
    };
    let text = match field {
        Field::Position(number) => return by_number(*number),
        Field::Text(text) => text,
    };
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == text);
    match (found.next(), found.count()) {
        (Some((at, _)), 0) => {
            let number = text.parse().ok().filter(|_| parse::is_digits(text));
            if number.is_some_and(|number| number != at + 1 && by_number(number).is_ok()) {
                terminal::tell(format_args!(
                    "{option} {text} is the column of this name, the one at {} in {origin}; \
                     {option} '#{text}' would be the one at {text}",
                    at + 1
                ));
            }
            Ok(at)
        }
        (Some(_), more) => refused(format!("{} columns named {text:?}", more + 1)),
        (None, _) if parse::is_digits(text) => match text.parse() {
            Ok(number) => by_number(number),
            Err(_) => refused(format!("no column {text}")),
        },
        (None, _) => refused(format!("no column named {text:?}")),
    }
}

/// Columns as a message has them.
fn list(names: &[String]) -> String {
    /// Columns that are listed.
    const NAMES_MAX: usize = 40;
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|name| format!("{name:?}")).collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("the columns are {}{more}", shown.join(", "))
}

/// The names in a header, or the fields of any line.
pub(crate) fn names(line: &str, cut: Cut) -> Vec<String> {
    // What some programs begin a file with is no part of the first name.
    let line = line.strip_prefix('\u{FEFF}').unwrap_or(line);
    let delimiter = match cut.delimiter {
        Split::Byte(byte) => char::from(byte),
        Split::Whitespace => return line.split_ascii_whitespace().map(str::to_owned).collect(),
    };
    if !cut.is_quoted {
        return line.split(delimiter).map(str::to_owned).collect();
    }
    let (mut names, mut name, mut is_inside) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if is_inside && rest.peek() == Some(&'"') => name.extend(rest.next()),
            // What is wrong with other quotes, the format says when it is given the header.
            '"' => is_inside = !is_inside,
            c if c == delimiter && !is_inside => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    names
}

/// Whether a header goes on behind a line end, which is within quotes.
fn is_open(line: &[u8], cut: Cut) -> bool {
    let Split::Byte(delimiter) = cut.delimiter else { return false };
    let line = line.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(line);
    let (mut is_start, mut is_inside) = (true, false);
    for &byte in line {
        match byte {
            // Of two quotes in a row the second one opens again what the first one closed.
            b'"' if is_inside => (is_inside, is_start) = (false, true),
            b'"' if is_start => (is_inside, is_start) = (true, false),
            _ => is_start = byte == delimiter,
        }
    }
    cut.is_quoted && is_inside
}

/// The first line of each input that has one, and what the input is called.
fn first_lines(
    source: Source<'_>,
    cut: Cut,
    interrupt: &Interrupt,
) -> Result<Vec<(String, String)>, Failure> {
    let named = |path: &Path, line| (path.display().to_string(), line);
    let mut lines = Vec::new();
    match source {
        Source::Files(paths) => {
            // All of them can be read, or it is an error.
            Files::open(paths)?;
            for path in paths {
                lines.extend(first_line(path, cut, false)?.map(|line| named(path, line)));
            }
        }
        Source::Follow(paths, _) => {
            for path in followed(paths)? {
                lines.extend(first_line(&path, cut, true)?.map(|line| named(&path, line)));
            }
            if lines.is_empty() {
                let message = "no FILE has a first line yet: say what it will be by --header=TEXT";
                return Err(Failure::Usage(message.to_owned()));
            }
        }
        Source::Stdin => {
            let line = first_line_of_stdin(cut, interrupt)?;
            lines.extend(line.map(|line| ("standard input".to_owned(), line)));
        }
        Source::Connect(_) | Source::Listen { .. } => {
            let message = "connections have no first line: say what the header is by --header=TEXT";
            return Err(Failure::Usage(message.to_owned()));
        }
    }
    Ok(lines)
}

/// The files that are followed and there by now: of a directory those that are read.
fn followed(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| {
            Failure::Input(format!("cannot list directory {}: {error}", path.display()))
        })?;
        let visible = entries
            .flatten()
            .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        let from = files.len();
        files.extend(visible.map(|entry| entry.path()));
        files[from..].sort();
    }
    files.retain(|path| path.is_file());
    Ok(files)
}

/// The bytes of the longest line that the engine takes whole, with its end.
fn line_bytes_max() -> usize {
    Limits::default().line_bytes + b"\r\n".len()
}

/// The first line of a file, unless it is empty, or the line has no end and has to have one.
fn first_line(path: &Path, cut: Cut, is_whole: bool) -> Result<Option<String>, Failure> {
    let origin = path.display();
    let refused = |error| Failure::Input(format!("cannot read {origin}: {error}"));
    let bytes_max = line_bytes_max();
    let mut line = Vec::new();
    let file = File::open(path).map_err(refused)?;
    let mut input = BufReader::new(file.take(bytes_max as u64));
    while input.read_until(b'\n', &mut line).map_err(refused)? > 0 && is_open(&line, cut) {}
    if line.is_empty() || (is_whole && line.last() != Some(&b'\n') && line.len() < bytes_max) {
        return Ok(None);
    }
    text(line, &origin.to_string()).map(Some)
}

/// A line as the engine has it: without its end, and valid UTF-8.
fn text(mut line: Vec<u8>, origin: &str) -> Result<String, Failure> {
    let has_end = line.pop_if(|byte| *byte == b'\n').is_some();
    if has_end {
        line.pop_if(|byte| *byte == b'\r');
    }
    let bytes_max = Limits::default().line_bytes;
    if line.len() > bytes_max {
        let message = format!("the first line of {origin} has more than {bytes_max} bytes");
        return Err(Failure::Usage(message));
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The first line of standard input, of which nothing else is taken, unless it is empty.
fn first_line_of_stdin(cut: Cut, interrupt: &Interrupt) -> Result<Option<String>, Failure> {
    let refused = |error| Failure::Input(format!("cannot read standard input: {error}"));
    let (tell, told) = sync_channel(1);
    // Reading blocks, and Ctrl-C should still end the command.
    std::thread::spawn(move || tell.send(read_line_of_stdin(cut)));
    loop {
        match told.recv_timeout(POLL) {
            Ok(line) => {
                let line = line.map_err(refused)?;
                return (!line.is_empty()).then(|| text(line, "standard input")).transpose();
            }
            Err(RecvTimeoutError::Timeout) if interrupt.is_wanted() => {
                terminal::clear_line();
                return Err(Failure::Interrupted("interrupted before a header came".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Input("cannot read standard input".to_owned()));
            }
        }
    }
}

/// Byte by byte: what is read beyond the line would be lost to the source.
#[cfg(unix)]
fn read_line_of_stdin(cut: Cut) -> io::Result<Vec<u8>> {
    use std::os::fd::AsFd;

    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < line_bytes_max() && (!line.ends_with(b"\n") || is_open(&line, cut)) {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

/// Elsewhere standard input cannot be read without a buffer.
#[cfg(not(unix))]
fn read_line_of_stdin(_: Cut) -> io::Result<Vec<u8>> {
    let message = "say what the header is by --header=TEXT";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}
