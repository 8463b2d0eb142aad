//! The first line of a file, of which somebody decides before anything of the file is counted.
//!
//! Invariant: it is asked about once for each file that is read from its start, and the line is
//! whole.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use super::encoding::Encoding;
use super::open_file::{OpenFile, cannot_read};
use crate::config::FIRST_LINE_BYTES_MAX;
use crate::error::Result;

/// What a source does with the first line of a file, which is the first that is not blank.
///
/// ```
/// use tidemill::prelude::*;
/// use tidemill::{Files, FirstLine};
///
/// # let directory = tempfile::tempdir()?;
/// # let [old, new] = ["old.csv", "new.csv"].map(|name| directory.path().join(name));
/// std::fs::write(&old, "station;celsius\noslo;-3.5\n")?;
/// std::fs::write(&new, "celsius;station\n4.0;oslo\n")?;
/// let files = Files::open([old, new])?.first_line(|_, line| match line {
///     "station;celsius" => FirstLine::Skip,
///     other => FirstLine::Refuse(format!("it has the columns {other}")),
/// });
/// let ssc = StreamingContext::builder("readings").build()?;
/// let lines = ssc.receiver_stream(files)?.collect(16);
/// ssc.start()?;
/// ssc.await_termination()?;
/// assert!(lines.iter().flat_map(|(_, lines)| lines).eq(["oslo;-3.5"]));
/// assert_eq!(ssc.source_counts()[0].files_unread, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLine {
    /// It is a line like all others.
    Data,
    /// It is left out, as a header is.
    Skip,
    /// It is no whole record, as one with an open quote: the question is asked again with the next
    /// line behind it.
    More,
    /// The whole file is left out, for this reason: it is warned of and counted as
    /// [unread](crate::SourceCounts::files_unread).
    Refuse(String),
}

/// Who decides: called with the path and the line, without a byte-order mark and its line end.
pub(super) type Ask = Arc<dyn Fn(&Path, &str) -> FirstLine + Send + Sync>;

/// Who decides about the first lines of a source's files, if anybody does.
#[derive(Clone, Default)]
pub(super) struct Asks(Option<Ask>);

impl Asks {
    pub(super) fn by(ask: impl Fn(&Path, &str) -> FirstLine + Send + Sync + 'static) -> Asks {
        Asks(Some(Arc::new(ask)))
    }

    /// Has somebody, if there is one, decide about a file before it is read.
    pub(super) fn of(&self, file: &mut OpenFile, path: &Path, may_grow: bool) {
        if let Some(ask) = &self.0 {
            file.ask(ask, path, may_grow);
        }
    }
}

/// What is done with a file that is at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It is read from its first byte on.
    Whole,
    /// It is read after so many bytes; maybe within a line, of which the rest is left out.
    After {
        bytes: u64,
        is_within: bool,
    },
    /// Its first line is not whole yet.
    Later,
    Refused(String),
}

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Without its end and a byte-order mark; several lines, where one was not enough.
    Line(String),
    /// It has not come yet.
    Later,
    /// The file is empty.
    Empty,
}

impl Look {
    /// Looks at a file that is no pipe; nothing if it is empty, or its first line has not come.
    pub(super) fn at(
        path: &Path,
        encoding: Encoding,
        may_grow: bool,
        goes_on: impl Fn(&str) -> bool,
    ) -> Result<Option<String>> {
        let opened = OpenFile::open(path);
        let look = opened.and_then(|mut file| file.first_line(encoding, may_grow, goes_on));
        match look.map_err(|error| cannot_read(path, error))? {
            Look::Line(line) => Ok(Some(line)),
            Look::Later | Look::Empty => Ok(None),
        }
    }
}

/// Decides about a file by the first line that its reader gives. One without an end is whole where
/// the file will not grow.
pub(super) fn judge(
    input: &mut impl Read,
    path: &Path,
    encoding: Encoding,
    ask: &dyn Fn(&Path, &str) -> FirstLine,
    may_grow: bool,
) -> io::Result<Start> {
    let (mut head, mut end) = (Vec::new(), 0);
    let mut is_blank = true;
    loop {
        let line_end = encoding.line_end(&head, end);
        if line_end.is_none() && head.len() < FIRST_LINE_BYTES_MAX {
            match read_more(input, &mut head) {
                Ok(true) => continue,
                Ok(false) if may_grow => return Ok(Start::Later),
                Ok(false) if head.is_empty() => return Ok(Start::Whole),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Start::Later),
                Err(error) => return Err(error),
            }
        }
        let is_last = line_end.is_none();
        let is_within = is_last && head.len() >= FIRST_LINE_BYTES_MAX;
        let before = std::mem::replace(&mut end, line_end.unwrap_or(head.len()));
        // A blank line is none, and of many each is looked at once.
        is_blank = is_blank && is_space(&encoding.decode_from(&head[..end], before));
        if is_blank && !is_within {
            match is_last {
                true => return Ok(Start::Whole),
                false => continue,
            }
        }
        match ask(path, &text(&head[..end], encoding)) {
            FirstLine::Data => return Ok(Start::Whole),
            FirstLine::Skip => return Ok(Start::After { bytes: end as u64, is_within }),
            FirstLine::Refuse(reason) => return Ok(Start::Refused(reason)),
            FirstLine::More if is_last || end >= FIRST_LINE_BYTES_MAX => {
                let reason = format!("its first record has no end within {end} bytes");
                return Ok(Start::Refused(reason));
            }
            FirstLine::More => {}
        }
    }
}

/// Looks at the first line that a reader gives, and the next ones while `goes_on` says so.
pub(super) fn look(
    input: &mut impl Read,
    path: &Path,
    encoding: Encoding,
    may_grow: bool,
    goes_on: impl Fn(&str) -> bool,
) -> io::Result<Look> {
    let seen = RefCell::new(None);
    let ask = |_: &Path, line: &str| {
        *seen.borrow_mut() = Some(line.to_owned());
        if goes_on(line) { FirstLine::More } else { FirstLine::Skip }
    };
    let start = judge(input, path, encoding, &ask, may_grow)?;
    match start {
        Start::Later => Ok(Look::Later),
        Start::After { is_within: true, .. } => {
            let message = format!("its first line has no end within {FIRST_LINE_BYTES_MAX} bytes");
            Err(io::Error::new(ErrorKind::InvalidData, message))
        }
        Start::Refused(reason) => Err(io::Error::new(ErrorKind::InvalidData, reason)),
        Start::Whole | Start::After { .. } => Ok(seen.into_inner().map_or(Look::Empty, Look::Line)),
    }
}

/// Reads once; false at the end.
fn read_more(input: &mut impl Read, head: &mut Vec<u8>) -> io::Result<bool> {
    let len = head.len();
    head.resize((len + (16 << 10)).min(FIRST_LINE_BYTES_MAX), 0);
    loop {
        match input.read(&mut head[len..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => {
                head.truncate(len + read.as_ref().map_or(0, |count| *count));
                return read.map(|count| count > 0);
            }
        }
    }
}

/// Whether there is nothing to see in a text: not in a byte-order mark or a hole either.
fn is_space(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || matches!(c, '\0' | '\u{FEFF}'))
}

/// A line as it is asked about. What a writer left as a hole before it is no part of it, and nor
/// are blank lines.
fn text(line: &[u8], encoding: Encoding) -> String {
    let line = encoding.decode(line);
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let text = text.trim_start_matches('\0');
    let mut text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    while let Some((blank, rest)) = text.split_once('\n')
        && blank.trim().is_empty()
    {
        text = rest;
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(content: &[u8], may_grow: bool, answers: &[(&str, FirstLine)]) -> Start {
        let answers: Vec<(String, FirstLine)> =
            answers.iter().map(|(line, answer)| ((*line).to_owned(), answer.clone())).collect();
        let ask: Ask = Arc::new(move |path, line| {
            assert_eq!(path, Path::new("a.csv"));
            let found = answers.iter().find(|(asked, _)| asked == line);
            found.unwrap_or_else(|| panic!("nobody asked about {line:?}")).1.clone()
        });
        judge(&mut &content[..], Path::new("a.csv"), Encoding::UTF_8, &*ask, may_grow).unwrap()
    }

    #[test]
    fn first_lines_are_whole_and_without_their_ends() {
        let after = |bytes| Start::After { bytes, is_within: false };
        let skip = |line| [(line, FirstLine::Skip)];
        assert_eq!(judged(b"k;v\na;1\n", false, &skip("k;v")), after(4));
        assert_eq!(judged("\u{feff}k;v\r\na;1".as_bytes(), true, &skip("k;v")), after(8));
        assert_eq!(judged(b"\0\0k;v\n", true, &skip("k;v")), after(6));
        assert_eq!(judged(b"k;v", false, &skip("k;v")), after(3));
        assert_eq!(judged(b"k;v\n", false, &[("k;v", FirstLine::Data)]), Start::Whole);
        let refused = FirstLine::Refuse("no".to_owned());
        assert_eq!(judged(b"x\n", false, &[("x", refused)]), Start::Refused("no".to_owned()));
        // Blank lines are none.
        assert_eq!(judged(b"\r\n \nk;v\n", false, &skip("k;v")), after(8));
        for blank in [&b""[..], b"\n", b" \n\n"] {
            assert_eq!(judged(blank, false, &[]), Start::Whole);
        }
        for part in [&b""[..], b"k;", b"k;v", b"\n", b"\n\nk"] {
            assert_eq!(judged(part, true, &skip("")), Start::Later);
        }
    }

    /// As many as there may be: looking at all of them again for each would take minutes.
    #[test]
    fn many_blank_lines_cost_what_they_are() {
        let blank = vec![b'\n'; FIRST_LINE_BYTES_MAX - 8];
        let after = Start::After { bytes: blank.len() as u64 + 4, is_within: false };
        let all = [&blank[..], b"k;v\na;1\n"].concat();
        assert_eq!(judged(&all, false, &[("k;v", FirstLine::Skip)]), after);
    }

    /// The order of bytes is that of the first ones, wherever a line is.
    #[cfg(feature = "encoding")]
    #[test]
    fn blank_lines_before_a_first_line_in_utf_16() {
        let utf_16 = Encoding::named("utf-16").unwrap();
        let content: Vec<u8> =
            "\u{FEFF}\n\nk\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let ask = |_: &Path, line: &str| {
            assert_eq!(line, "k");
            FirstLine::Skip
        };
        let start = judge(&mut &content[..], Path::new("a"), utf_16, &ask, false).unwrap();
        assert_eq!(start, Start::After { bytes: content.len() as u64, is_within: false });
    }

    #[test]
    fn a_first_record_may_have_several_lines() {
        let more = [("\"k", FirstLine::More), ("\"k\n2\";v", FirstLine::Skip)];
        let after = Start::After { bytes: 8, is_within: false };
        assert_eq!(judged(b"\"k\n2\";v\na;1\n", false, &more), after);
        assert_eq!(judged(b"\"k\n2\";", true, &more), Start::Later);
        let open = [("\"k", FirstLine::More), ("\"k\nx", FirstLine::More)];
        assert!(matches!(judged(b"\"k\nx", false, &open), Start::Refused(_)));
    }

    #[test]
    fn a_first_line_over_the_maximum_is_asked_about_as_it_begins() {
        let long = [b'x'; FIRST_LINE_BYTES_MAX + 100];
        let ask: Ask = Arc::new(|_, line| {
            assert_eq!(line.len(), FIRST_LINE_BYTES_MAX);
            FirstLine::Skip
        });
        let start =
            judge(&mut &long[..], Path::new("a.csv"), Encoding::UTF_8, &*ask, true).unwrap();
        let bytes = FIRST_LINE_BYTES_MAX as u64;
        assert_eq!(start, Start::After { bytes, is_within: true });
    }
}
