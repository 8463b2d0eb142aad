//! The common and the combined log format of web servers, cut by hand: a line has a dozen
//! separators, each of which is found by one search.

use memchr::{memchr, memchr2};

use crate::record::{Record, Timestamp};

/// A request in a web server's log, as [`Pattern::common_log`](crate::Pattern::common_log) and
/// [`Pattern::combined_log`](crate::Pattern::combined_log) read it.
///
/// A record with other fields of theirs serves as well.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
#[record(crate = crate)]
pub struct AccessLog {
    /// Who asked, by address or name.
    pub host: String,
    /// As whom, if that is known.
    pub user: Option<String>,
    /// When the server had the request.
    pub time: Timestamp,
    /// `GET`; with path and protocol, none if the request is no HTTP.
    pub method: Option<String>,
    /// What was asked for.
    pub path: Option<String>,
    /// `HTTP/1.1`; none in the first HTTP, which had no name for itself.
    pub protocol: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The length of the answer without its head.
    pub bytes: Option<u64>,
}

/// The names of all groups, those of the combined format last.
const GROUPS: [&str; 12] = [
    "host", "ident", "user", "time", "request", "method", "path", "protocol", "status", "bytes",
    "referer", "agent",
];

const COMMON: usize = 10;

/// The names of a format's groups.
pub(super) fn groups(is_combined: bool) -> &'static [&'static str] {
    if is_combined { &GROUPS } else { &GROUPS[..COMMON] }
}

/// Where the groups of a line are.
pub(super) struct AccessLine {
    groups: [Option<(usize, usize)>; GROUPS.len()],
}

impl AccessLine {
    /// The groups of a line, if it is in the format.
    pub(super) fn of(line: &[u8], is_combined: bool) -> Option<AccessLine> {
        let mut cut = Cut { line, at: 0 };
        let mut groups = [None; GROUPS.len()];
        groups[0] = Some(cut.word()?);
        groups[1] = cut.present(Cut::word)?;
        groups[2] = cut.present(Cut::word)?;
        cut.expect(b"[")?;
        groups[3] = Some(cut.until(b']')?);
        cut.expect(b"] \"")?;
        let request = cut.quoted()?;
        groups[4] = Some(request);
        cut.expect(b"\" ")?;
        groups[8] = Some(cut.word()?);
        groups[9] = cut.present(Cut::last_word)?;
        if is_combined {
            cut.expect(b" \"")?;
            groups[10] = cut.present(Cut::quoted)?;
            cut.expect(b"\" \"")?;
            groups[11] = cut.present(Cut::quoted)?;
            cut.expect(b"\"")?;
        }
        let [method, path, protocol] = words(line, request);
        (groups[5], groups[6], groups[7]) = (method, path, protocol);
        (cut.at == line.len()).then_some(AccessLine { groups })
    }

    #[inline]
    pub(super) fn group(&self, group: usize) -> Option<(usize, usize)> {
        self.groups[group]
    }
}

/// What of a line is still to be cut.
struct Cut<'a> {
    line: &'a [u8],
    at: usize,
}

impl Cut<'_> {
    fn rest(&self) -> &[u8] {
        &self.line[self.at..]
    }

    fn take(&mut self, len: usize) -> (usize, usize) {
        let start = self.at;
        self.at += len;
        (start, self.at)
    }

    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.rest().starts_with(text).then(|| self.at += text.len())
    }

    /// What comes before a byte; not nothing.
    fn until(&mut self, byte: u8) -> Option<(usize, usize)> {
        let len = memchr(byte, self.rest()).filter(|len| *len > 0)?;
        Some(self.take(len))
    }

    /// A word, and takes the space after it.
    fn word(&mut self) -> Option<(usize, usize)> {
        let word = self.until(b' ')?;
        self.at += 1;
        Some(word)
    }

    /// A word that may be the line's last.
    fn last_word(&mut self) -> Option<(usize, usize)> {
        let len = memchr(b' ', self.rest()).unwrap_or(self.rest().len());
        (len > 0).then(|| self.take(len))
    }

    /// What comes before a quote that is not escaped.
    fn quoted(&mut self) -> Option<(usize, usize)> {
        let mut len = 0;
        loop {
            len += memchr2(b'"', b'\\', self.rest().get(len..)?)?;
            if self.rest()[len] == b'"' {
                return Some(self.take(len));
            }
            len += 2;
        }
    }

    /// A part that is absent if it is `-`.
    fn present(
        &mut self,
        part: impl FnOnce(&mut Self) -> Option<(usize, usize)>,
    ) -> Option<Option<(usize, usize)>> {
        let (start, end) = part(self)?;
        Some((&self.line[start..end] != b"-").then_some((start, end)))
    }
}

/// The words of a request, if they are two or three.
fn words(line: &[u8], (start, end): (usize, usize)) -> [Option<(usize, usize)>; 3] {
    let space = |from: usize| memchr(b' ', &line[from..end]).map(|at| from + at);
    let Some(first) = space(start) else { return [None; 3] };
    let second = space(first + 1).unwrap_or(end);
    let is_third = second < end;
    let words = [(start, first), (first + 1, second), (second + usize::from(is_third), end)];
    if words[..2].iter().any(|(start, end)| start == end)
        || is_third && (second + 1 == end || space(second + 1).is_some())
    {
        return [None; 3];
    }
    [Some(words[0]), Some(words[1]), is_third.then_some(words[2])]
}
