//! The header of delimited lines: which fields are meant, and which lines are none of the data.
//!
//! It is looked at before the job starts. The source reads it again, and decides by it about the
//! file.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, SystemTime};

use tidemill::{Encoding, Files, FirstLine, Follow};

use crate::failure::Failure;
use crate::followed::is_output;
use crate::input::{Following, Input, Source};
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
    /// How many columns all of them have.
    count: Option<usize>,
    /// Where the first one was found.
    origin: String,
}

/// How lines are cut.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) delimiter: Split,
    pub(crate) is_quoted: bool,
}

/// Fields that are asked for, with the options that ask for them.
pub(crate) type Wanted<'a> = [(&'static str, &'a Field); 2];

/// A header, and where it was found.
struct Found {
    origin: String,
    line: String,
    /// Whether its file may be left out where it does not fit, as one that only is in a directory.
    may_differ: bool,
}

impl Found {
    fn named(path: &Path, line: String) -> Found {
        Found { origin: path.display().to_string(), line, may_differ: false }
    }
}

/// Finds the fields in all headers that there are; `None` if that was interrupted.
pub(crate) fn layout(
    input: &mut Input<'_>,
    header: Header<'_>,
    wanted: Wanted<'_>,
    cut: Cut,
    interrupt: &Interrupt,
) -> Result<Option<Layout>, Failure> {
    let headers = match header {
        Header::Given(text) => {
            let (origin, line) = ("--header".to_owned(), text.to_owned());
            Some(vec![Found { origin, line, may_differ: false }])
        }
        Header::First => first_lines(input, cut, interrupt)?,
        Header::Absent => Some(vec![]),
    };
    let Some(headers) = headers else { return Ok(None) };
    let (mut layout, mut misfit): (Option<Layout>, Option<String>) = (None, None);
    for Found { origin, line, may_differ } in &headers {
        let names = names(line, cut);
        let found = match &layout {
            None => positions(wanted, &names),
            Some(layout) => layout.check(wanted, &names).map(|()| layout.fields),
        };
        let fields = match found {
            Ok(fields) => fields,
            Err(misfits) => {
                let message = format!("{origin}: {misfits}");
                if !may_differ {
                    return Err(Failure::Usage(message));
                }
                misfit.get_or_insert(message);
                continue;
            }
        };
        let layout = layout.get_or_insert_with(|| {
            tell_of_numbers(wanted, &names, origin);
            let (count, origin) = (Some(names.len()), origin.clone());
            Layout { fields, headers: vec![], count, origin }
        });
        layout.count = layout.count.filter(|count| *count == names.len());
        if !layout.headers.contains(line) {
            layout.headers.push(line.clone());
        }
    }
    match (layout, misfit) {
        (Some(layout), _) => Ok(Some(layout)),
        (None, Some(misfit)) => Err(Failure::Usage(misfit)),
        (None, None) => without_header(wanted, header).map(Some),
    }
}

impl Layout {
    /// Says why another header does not fit, if the fields stand elsewhere.
    fn check(&self, wanted: Wanted<'_>, names: &[String]) -> Result<(), String> {
        let fields = positions(wanted, names)?;
        if fields == self.fields {
            return Ok(());
        }
        let [key, value] = wanted.map(|(_, field)| field);
        let [at, other] = [fields, self.fields].map(|[key, value]| [key + 1, value + 1]);
        Err(format!(
            "{key} and {value} are the columns {} and {}, but {} and {} in {}: {}",
            at[0],
            at[1],
            other[0],
            other[1],
            self.origin,
            columns(names)
        ))
    }

    /// Decides about the first line of a file: a header that has the fields at the same positions
    /// is skipped, and a file with any other is left out.
    pub(crate) fn judge(&self, wanted: Wanted<'_>, cut: Cut, line: &str) -> FirstLine {
        if is_open(line, cut) {
            return FirstLine::More;
        }
        let names = names(line, cut);
        if let Err(misfits) = self.check(wanted, &names) {
            return FirstLine::Refuse(misfits);
        }
        match self.count {
            Some(count) if count != names.len() => FirstLine::Refuse(format!(
                "it has {} columns, but {} has {count}: {}",
                names.len(),
                self.origin,
                columns(&names)
            )),
            _ => FirstLine::Skip,
        }
    }
}

/// Where the fields are in a header.
fn positions(wanted: Wanted<'_>, names: &[String]) -> Result<[usize; 2], String> {
    let [key, value] = wanted.map(|wanted| position(wanted, names));
    Ok([key?, value?])
}

/// Says which number is a name of another column.
fn tell_of_numbers(wanted: Wanted<'_>, names: &[String], origin: &str) {
    for (option, field) in wanted {
        let Field::Text(text) = field else { continue };
        let number = text.parse::<usize>().ok().filter(|_| parse::is_digits(text));
        let is_position = number.is_some_and(|number| (1..=names.len()).contains(&number));
        let at = names.iter().position(|name| name == text).map(|at| at + 1);
        if is_position && at.is_some() && at != number {
            terminal::tell(format_args!(
                "{option} {text} is the column of this name, the one at {} in {origin}; \
                 {option} '#{text}' would be the one at {text}",
                at.unwrap_or_default()
            ));
        }
    }
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
    let (headers, count, origin) = (vec![], None, String::new());
    Ok(Layout { fields: [key?, value?], headers, count, origin })
}

/// The position of a field in a header: the column of this name, or else of this number.
fn position((option, field): (&str, &Field), names: &[String]) -> Result<usize, String> {
    let refused = |what: String| Err(format!("{option}: no column {what}: {}", columns(names)));
    let by_number = |number: usize| match number {
        1.. if number <= names.len() => Ok(number - 1),
        _ => refused(number.to_string()),
    };
    let text = match field {
        Field::Position(number) => return by_number(*number),
        Field::Text(text) => text,
    };
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == text);
    match (found.next(), found.count()) {
        (Some((at, _)), 0) => Ok(at),
        (Some(_), more) => {
            let count = more + 1;
            Err(format!("{option}: {count} columns named {text:?}: {}", columns(names)))
        }
        (None, _) if parse::is_digits(text) => {
            text.parse().map_or_else(|_| refused(text.clone()), by_number)
        }
        (None, _) => refused(format!("named {text:?}")),
    }
}

/// Columns as a message has them.
fn columns(names: &[String]) -> String {
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
fn is_open(line: &str, cut: Cut) -> bool {
    let Split::Byte(delimiter) = cut.delimiter else { return false };
    let (mut is_start, mut is_inside) = (true, false);
    for byte in line.bytes() {
        match byte {
            // Of two quotes in a row the second one opens again what the first one closed.
            b'"' if is_inside => (is_inside, is_start) = (false, true),
            b'"' if is_start => (is_inside, is_start) = (true, false),
            _ => is_start = byte == delimiter,
        }
    }
    cut.is_quoted && is_inside
}

/// The first line of each file that has one, or else of a pipe; `None` if whoever waits for one has
/// enough.
fn first_lines(
    input: &mut Input<'_>,
    cut: Cut,
    interrupt: &Interrupt,
) -> Result<Option<Vec<Found>>, Failure> {
    let mut lines = Vec::new();
    match input.source {
        Source::Files(paths) => {
            for path in paths.iter().filter(|path| !Files::is_pipe(path)) {
                let line = Files::first_line_of(path, input.encoding, |line| is_open(line, cut))
                    .map_err(refused)?;
                lines.extend(line.map(|line| Found::named(path, line)));
            }
        }
        Source::Follow(paths, following) => {
            let files: Vec<&PathBuf> = paths.iter().filter(|path| !Files::is_pipe(path)).collect();
            if !files.is_empty() {
                let encoding = input.encoding;
                return first_lines_of_followed(&files, following, encoding, cut, interrupt);
            }
        }
        Source::Connect(_) | Source::Listen { .. } => {
            let message = "connections have no first line: say what the header is by --header=TEXT";
            return Err(Failure::Usage(message.to_owned()));
        }
    }
    if lines.is_empty() {
        lines.extend(first_line_of_pipes(input, cut, interrupt)?);
    }
    Ok(Some(lines))
}

/// Why there is no first line: what was found is none, or it could not be read.
fn refused(error: tidemill::Error) -> Failure {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause {
        Some(cause) if cause.kind() == io::ErrorKind::InvalidData => {
            Failure::Usage(error.to_string())
        }
        _ => error.into(),
    }
}

/// The first line that comes through any pipe, if there is one.
fn first_line_of_pipes(
    input: &mut Input<'_>,
    cut: Cut,
    interrupt: &Interrupt,
) -> Result<Option<Found>, Failure> {
    let (mut pipes, encoding) = (std::mem::take(&mut input.files), input.encoding);
    let (tell, told) = sync_channel(1);
    // It waits, and Ctrl-C should still end the command.
    std::thread::spawn(move || {
        let lines = pipes
            .iter_mut()
            .map(|pipe| pipe.wait_for_first_line(encoding, |line| is_open(line, cut)));
        let found = lines.filter_map(Result::transpose).next();
        tell.send((pipes, found))
    });
    loop {
        match told.recv_timeout(POLL) {
            Ok((pipes, found)) => {
                input.files = pipes;
                let found = found.transpose().map_err(refused)?;
                return Ok(found.map(|(path, line)| Found::named(&path, line)));
            }
            Err(RecvTimeoutError::Timeout) if interrupt.is_wanted() => {
                terminal::clear_line();
                return Err(Failure::Interrupted("interrupted before a header came".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Input("cannot read the first line".to_owned()));
            }
        }
    }
}

/// As [`first_lines`], of files that may come later: waits for a first one.
fn first_lines_of_followed(
    paths: &[&PathBuf],
    following: Following,
    encoding: Encoding,
    cut: Cut,
    interrupt: &Interrupt,
) -> Result<Option<Vec<Found>>, Failure> {
    let mut is_told = false;
    loop {
        let mut lines = Vec::new();
        for (path, may_differ) in followed(paths, following.is_recursive)? {
            // What is gone again, or is no file, is the source's to tell.
            if let Ok(Some(line)) =
                Follow::first_line_of(&path, encoding, |line| is_open(line, cut))
            {
                lines.push(Found { may_differ, ..Found::named(&path, line) });
            }
        }
        if !lines.is_empty() {
            return Ok(Some(lines));
        }
        if !is_told {
            terminal::tell("no FILE has a header yet: waiting for the first one");
            is_told = true;
        }
        std::thread::sleep(POLL);
        if interrupt.is_wanted() {
            terminal::clear_line();
            return Ok(None);
        }
    }
}

/// The files that are followed and there by now, those that are named first, and whether they may
/// be left out: of a directory those that are read, from the oldest one on.
fn followed(paths: &[&PathBuf], is_recursive: bool) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let (directories, files): (Vec<&PathBuf>, Vec<&PathBuf>) =
        paths.iter().partition(|path| path.is_dir());
    let mut found: Vec<(PathBuf, bool)> =
        files.into_iter().map(|path| (path.clone(), false)).collect();
    for path in directories {
        let mut dated = Vec::new();
        list(path, is_recursive, &mut dated).map_err(|error| {
            Failure::Input(format!("cannot list directory {}: {error}", path.display()))
        })?;
        dated.sort();
        found.extend(dated.into_iter().map(|(_, path)| (path, true)));
    }
    found.retain(|(path, _)| path.is_file() && !is_output(path));
    Ok(found)
}

/// Adds what is in a directory and not hidden, with the times of its last changes.
fn list(
    directory: &Path,
    is_recursive: bool,
    found: &mut Vec<(SystemTime, PathBuf)>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && is_recursive => {
                // What is gone again, or closed, is the source's to tell.
                let _ = list(&path, true, found);
            }
            _ => found.extend(entry.metadata().and_then(|of| of.modified()).map(|at| (at, path))),
        }
    }
    Ok(())
}
