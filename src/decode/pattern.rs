//! Lines that a regular expression takes apart, by the names of its groups.

use regex::{CaptureLocations, Regex, RegexBuilder};
use tidemill_kernels::{Span, TimeFormat};

use super::access_log::{self, AccessLine};
use super::cells::{Cells, Member, Names};
use super::layout::{PIECE, fields, positions};
use super::{Decode, Decoder, Reason, Rejects};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Record, TextColumn};

/// Bytes that an expression may take once it is compiled: `\w{1000}` alone takes millions.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// Lines that a regular expression matches, with a named group for each field of the record.
///
/// The expression is searched for in the line: write `^` and `$` where it has to match all of it.
/// A group that took no part in the match is `None` of an `Option`, and missing for all else; one
/// that matched nothing is an empty text. Groups for fields of a struct within the record are
/// called `place.street`. The syntax is that of the crate
/// [regex](https://docs.rs/regex/latest/#syntax); a match takes time in proportion to the line,
/// whatever the expression.
///
/// ```
/// use tidemill::prelude::*;
///
/// #[derive(Record)]
/// struct Login {
///     user: String,
///     port: Option<u16>,
/// }
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let login = Pattern::new(r"login of (?<user>\S+)(?: from port (?<port>\d+))?");
/// let logins = lines.stream().decode::<Login>(login);
/// let (logins, rejects) = (t.output(&logins), t.output(&logins.rejects()));
/// lines.push(["sshd: login of ann from port 4711", "sshd: login of bob", "sshd: bye"])?;
/// t.tick()?;
/// assert!(logins.take().iter().map(|login| login.port).eq([Some(4711), None]));
/// assert_eq!(rejects.take()[0].reason, "no match");
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    means: Means,
    times: TimeFormat,
}

/// How lines are taken apart.
#[derive(Clone, Debug)]
enum Means {
    /// By an expression; what is wrong with it is the start's error.
    Expression(std::result::Result<Regex, regex::Error>),
    /// As what an expression says, but by hand, which is many times as fast.
    AccessLog { is_combined: bool },
}

impl Pattern {
    /// A regular expression. Whether it is one is checked by the start.
    pub fn new(expression: &str) -> Pattern {
        let regex = RegexBuilder::new(expression).size_limit(COMPILED_BYTES_MAX).build();
        Pattern { means: Means::Expression(regex), times: TimeFormat::default() }
    }

    /// The common log format of web servers, `host ident user [time] "request" status bytes`:
    ///
    /// ```text
    /// ::1 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326
    /// ```
    ///
    /// Its groups are `host`, `ident`, `user`, `time`, `request`, `status` and `bytes`. Where the
    /// request is three words, or two as in HTTP 0.9, these are `method`, `path` and `protocol`. An
    /// `ident`, `user` and `bytes` that is `-` took no part. Times are in the
    /// [common log's way](TimeFormat::CommonLog). [`AccessLog`](crate::AccessLog) is a record of
    /// most of these.
    ///
    /// ```
    /// use tidemill::prelude::*;
    /// use tidemill::{AccessLog, Pattern};
    ///
    /// let mut t = TestContext::new()?;
    /// let lines = t.input::<String>();
    /// let requests = lines.stream().decode::<AccessLog>(Pattern::common_log());
    /// let requests = t.output(&requests);
    /// lines.push([r#"::1 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326"#])?;
    /// t.tick()?;
    /// let request = &requests.take()[0];
    /// assert_eq!((request.path.as_deref(), request.status), (Some("/a?b"), 200));
    /// assert_eq!(request.time.to_string(), "2000-10-10T20:55:36Z");
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn common_log() -> Pattern {
        let means = Means::AccessLog { is_combined: false };
        Pattern { means, times: TimeFormat::CommonLog }
    }

    /// The combined log format of web servers: the [common one](Self::common_log), and after it the
    /// groups `referer` and `agent` in quotes. What is escaped in them, as in requests, stays so.
    pub fn combined_log() -> Pattern {
        let means = Means::AccessLog { is_combined: true };
        Pattern { means, times: TimeFormat::CommonLog }
    }

    /// How timestamps are written: RFC 3339 unless this says otherwise.
    #[must_use]
    pub fn times(self, times: TimeFormat) -> Pattern {
        Pattern { times, ..self }
    }

    /// The names of the groups.
    fn groups(&self) -> Result<Vec<&str>> {
        match &self.means {
            Means::Expression(regex) => Ok(compiled(regex)?.capture_names().flatten().collect()),
            Means::AccessLog { is_combined } => Ok(access_log::groups(*is_combined).to_vec()),
        }
    }
}

fn compiled(regex: &std::result::Result<Regex, regex::Error>) -> Result<&Regex> {
    let caused =
        |error: &regex::Error| Error::caused(ErrorKind::Config, "the pattern", error.clone());
    regex.as_ref().map_err(caused)
}

impl<R: Decode> Decoder<R> for Pattern {
    fn name(&self) -> String {
        match &self.means {
            Means::Expression(Ok(regex)) => format!("Pattern({:?})", regex.as_str()),
            Means::Expression(Err(_)) => "Pattern".to_owned(),
            Means::AccessLog { is_combined: false } => "Pattern::common_log".to_owned(),
            Means::AccessLog { is_combined: true } => "Pattern::combined_log".to_owned(),
        }
    }

    fn check(&self) -> Result<()> {
        positions(&fields::<R>(), self.groups()?, "the pattern").map(drop)
    }

    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut <R as Record>::Columns,
        rejects: &mut Rejects,
    ) -> Result<()> {
        rejects.skip_blank();
        let (text, spans) = lines.to_shared();
        let mut cells = Cells::new::<R>(false);
        let mut matcher = Matcher::new(self, &cells)?;
        for (piece, spans) in spans.chunks(PIECE).enumerate() {
            for (line, span) in (piece * PIECE..).zip(spans) {
                let found = matcher.take(text.str(*span), span.start, &mut cells);
                cells.end_row(line, found.map_err(|reason| (None, reason)), rejects);
            }
            cells.fill::<R>(rows, &text, piece * PIECE, self.times, rejects);
        }
        Ok(())
    }
}

/// Takes lines apart.
enum Matcher<'a> {
    Expression {
        regex: &'a Regex,
        /// Where the groups of the last line are.
        locations: CaptureLocations,
        /// The number of each field's group.
        groups: Vec<usize>,
    },
    AccessLog {
        is_combined: bool,
        /// The number of each field's group.
        groups: Vec<usize>,
    },
}

impl<'a> Matcher<'a> {
    fn new(pattern: &'a Pattern, cells: &Cells) -> Result<Matcher<'a>> {
        let mut names = Names::flat(&cells.fields);
        let mut groups = vec![0; cells.fields.len()];
        let mut place = |group: usize, name: &str| {
            if let Some(Member::Field(field)) = names.find(group, name) {
                groups[field] = group;
            }
        };
        match &pattern.means {
            Means::Expression(regex) => {
                let regex = compiled(regex)?;
                for (group, name) in regex.capture_names().enumerate() {
                    name.into_iter().for_each(|name| place(group, name));
                }
                let locations = regex.capture_locations();
                Ok(Matcher::Expression { regex, locations, groups })
            }
            &Means::AccessLog { is_combined } => {
                let names = access_log::groups(is_combined).iter().enumerate();
                names.for_each(|(group, name)| place(group, name));
                Ok(Matcher::AccessLog { is_combined, groups })
            }
        }
    }

    fn take(
        &mut self,
        line: &str,
        start: u32,
        cells: &mut Cells,
    ) -> std::result::Result<(), Reason> {
        match self {
            Matcher::Expression { regex, locations, groups } => {
                regex.captures_read(locations, line).ok_or(Reason::NoMatch)?;
                take_groups(groups, start, cells, |group| locations.get(group))
            }
            Matcher::AccessLog { is_combined, groups } => {
                let line = AccessLine::of(line.as_bytes(), *is_combined).ok_or(Reason::NoMatch)?;
                take_groups(groups, start, cells, |group| line.group(group))
            }
        }
    }
}

/// Sets the fields whose groups took part.
#[inline]
fn take_groups(
    groups: &[usize],
    start: u32,
    cells: &mut Cells,
    at: impl Fn(usize) -> Option<(usize, usize)>,
) -> std::result::Result<(), Reason> {
    for (field, group) in groups.iter().enumerate() {
        if let Some((from, to)) = at(*group) {
            let span = Span { start: start + from as u32, len: (to - from) as u32 };
            cells.set(field, span)?;
        }
    }
    Ok(())
}
