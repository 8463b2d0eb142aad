//! Delimited text to the spans of its fields, for the columns that are wanted. Separators and line
//! ends become positions by mask, some hundred lines at a time; where all of these have the same
//! number of fields, a column is every n-th position, and no line is looked at alone.
//!
//! There are no quotes: a separator always separates. Bad rows stay rows, with empty fields, so
//! that columns of one text always have the same length.

use crate::isa::{BLOCK, Block, Positions};
use crate::multiversion::multiversion;
use crate::span::assert_spannable;
use crate::{BadKind, BadRow, Span};

/// Separators or line ends that are kept at a time.
const ROOM: usize = 1024;

/// How rows are cut into fields, and which fields are wanted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Fields<'a> {
    /// What stands between two fields.
    pub separator: u8,
    /// The numbers of the wanted fields, from 0 on, in any order.
    pub columns: &'a [u32],
    /// How many fields a row has.
    pub count: FieldCount,
}

/// How many fields a row must have not to be a bad one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FieldCount {
    /// So many, the wanted ones among them; what follows is left alone.
    AtLeast(u32),
    /// So many and no more.
    Exactly(u32),
}

impl FieldCount {
    #[inline(always)]
    fn allows(self, count: usize) -> bool {
        match self {
            FieldCount::AtLeast(least) => count >= least as usize,
            FieldCount::Exactly(exact) => count == exact as usize,
        }
    }

    fn least(self) -> u32 {
        match self {
            FieldCount::AtLeast(count) | FieldCount::Exactly(count) => count,
        }
    }
}

impl Fields<'_> {
    pub(crate) fn assert_columns(&self) {
        for column in self.columns {
            assert!(
                *column < self.count.least(),
                "column {column} is not among the {} fields that a row must have",
                self.count.least()
            );
        }
    }
}

multiversion! {
    /// Appends the wanted fields of each line of `text` to one column each, and returns the number
    /// of lines.
    ///
    /// Lines are those of [`line_spans`](crate::line_spans), and an empty line has one empty field.
    /// A line with the wrong number of fields is appended to `bad`, and empty spans to the columns.
    ///
    /// ```
    /// use tidemill_kernels::{FieldCount, Fields, Span, line_fields};
    ///
    /// let fields = Fields { separator: b';', columns: &[1], count: FieldCount::AtLeast(2) };
    /// let (mut columns, mut bad) = ([Vec::new()], Vec::new());
    /// assert_eq!(line_fields(b"ebb;-1.5\nflow\n", &fields, &mut columns, &mut bad), 2);
    /// assert_eq!(columns[0][0], Span { start: 4, len: 4 });
    /// assert_eq!((bad[0].row, columns[0][1].len), (1, 0));
    /// ```
    ///
    /// # Panics
    ///
    /// If the separator is part of a line end, a column is not below the number of fields that a
    /// row must have, there is not one column in `out` for each in `fields`, or `text` is 4 GiB or
    /// longer.
    pub fn line_fields / line_fields_at(
        text: &[u8],
        fields: &Fields<'_>,
        out: &mut [Vec<Span>],
        bad: &mut Vec<BadRow>,
    ) -> usize, isa => {
        fields.assert_columns();
        assert_eq!(fields.columns.len(), out.len(), "a vector for each column");
        let equal = |block: &Block, byte| isa::equal(block, byte);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut lines = Lines::new(text, fields);
        while lines.next(&equal, &positions) {
            for (column, out) in fields.columns.iter().zip(out.iter_mut()) {
                lines.append(*column as usize, out);
            }
            lines.report(bad);
        }
        lines.number
    }
}

multiversion! {
    /// Appends the wanted fields of each row to one column each.
    ///
    /// An empty row has one empty field. A row with the wrong number of fields is appended to
    /// `bad`, and empty spans to the columns.
    ///
    /// ```
    /// use tidemill_kernels::{FieldCount, Fields, Span, row_fields};
    ///
    /// let fields = Fields { separator: b';', columns: &[2, 0], count: FieldCount::Exactly(3) };
    /// let (mut columns, mut bad) = ([Vec::new(), Vec::new()], Vec::new());
    /// row_fields(b"a;b;c", &[Span { start: 0, len: 5 }], &fields, &mut columns, &mut bad);
    /// assert_eq!(columns, [[Span { start: 4, len: 1 }], [Span { start: 0, len: 1 }]]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a column is not below the number of fields that a row must have, there is not one column
    /// in `out` for each in `fields`, a row reaches past `text`, or `text` is 4 GiB or longer.
    pub fn row_fields / row_fields_at(
        text: &[u8],
        rows: &[Span],
        fields: &Fields<'_>,
        out: &mut [Vec<Span>],
        bad: &mut Vec<BadRow>,
    ), isa => {
        assert_spannable(text);
        fields.assert_columns();
        assert_eq!(fields.columns.len(), out.len(), "a vector for each column");
        out.iter_mut().for_each(|column| column.reserve(rows.len()));
        let mut room = [0; ROOM];
        for (number, row) in rows.iter().enumerate() {
            assert!(row.end() <= text.len(), "{row:?} reaches past {} bytes", text.len());
            let (mut at, mut count) = (row.start as usize, 0);
            while at < row.end() && count <= ROOM - BLOCK {
                let mut padded = [0; BLOCK];
                let block = block_at(text, at, &mut padded);
                let mask = isa::equal(block, fields.separator) & first_bytes(row.end() - at);
                let into = room[count..].first_chunk_mut().expect("room for a block");
                isa::positions(mask, at as u32, into);
                count += mask.count_ones() as usize;
                at += BLOCK;
            }
            let many;
            let separators = if at < row.end() {
                many = separators_of(text, *row, fields.separator);
                &many
            } else {
                &room[..count]
            };
            let is_good = fields.count.allows(separators.len() + 1);
            let line = Line { row: *row, separators, is_good };
            for (column, out) in fields.columns.iter().zip(out.iter_mut()) {
                out.push(line.field(*column as usize));
            }
            if !is_good {
                bad.push(BadRow::new(number, BadKind::Fields));
            }
        }
    }
}

/// The lines of a text, a stretch of them at a time.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    fields: &'a Fields<'a>,
    /// How many lines there are before the stretch.
    pub(crate) number: usize,
    /// How many lines the stretch has.
    len: usize,
    /// How many separators each line of the stretch has, if that is the same for all and allowed.
    width: Option<usize>,
    has_returns: bool,
    /// The separators of the stretch, and maybe more.
    separators: [u32; ROOM],
    separator_count: usize,
    /// The separators of the stretch if it is one line that has more than there is room for.
    many: Vec<u32>,
    /// The byte before the first line of the stretch, as a wrapping number, then the end of each.
    ends: [u32; ROOM + 1],
}

impl<'a> Lines<'a> {
    #[inline(always)]
    pub(crate) fn new(text: &'a [u8], fields: &'a Fields<'a>) -> Lines<'a> {
        assert_spannable(text);
        let separator = fields.separator;
        assert!(!matches!(separator, b'\n' | b'\r'), "{separator:?} is part of a line end");
        let mut ends = [0; ROOM + 1];
        ends[0] = u32::MAX;
        Lines {
            text,
            fields,
            number: 0,
            len: 0,
            width: None,
            has_returns: false,
            separators: [0; ROOM],
            separator_count: 0,
            many: Vec::new(),
            ends,
        }
    }

    /// Goes on to the next stretch; false if there is none.
    #[inline(always)]
    pub(crate) fn next(
        &mut self,
        equal: &impl Fn(&Block, u8) -> u64,
        positions: &impl Fn(u64, u32, &mut Positions),
    ) -> bool {
        self.number += self.len;
        self.ends[0] = self.ends[self.len];
        self.len = 0;
        let start = self.ends[0].wrapping_add(1) as usize;
        if start >= self.text.len() {
            return false;
        }
        self.scan(start, equal, positions);
        self.width = self.regular_width();
        true
    }

    #[inline(always)]
    fn scan(
        &mut self,
        start: usize,
        equal: &impl Fn(&Block, u8) -> u64,
        positions: &impl Fn(u64, u32, &mut Positions),
    ) {
        let text = self.text;
        let (mut separator_count, mut end_count, mut returns) = (0, 1, 0);
        let mut at = start;
        while at < text.len() && separator_count.max(end_count) <= ROOM - BLOCK {
            let mut padded = [0; BLOCK];
            let block = block_at(text, at, &mut padded);
            let within = first_bytes(text.len() - at);
            let separators = equal(block, self.fields.separator) & within;
            let feeds = equal(block, b'\n') & within;
            returns |= equal(block, b'\r');
            let into = self.separators[separator_count..].first_chunk_mut();
            positions(separators, at as u32, into.expect("room for a block"));
            let into = self.ends[end_count..].first_chunk_mut();
            positions(feeds, at as u32, into.expect("room for a block"));
            separator_count += separators.count_ones() as usize;
            end_count += feeds.count_ones() as usize;
            at += BLOCK;
        }
        self.separator_count = separator_count;
        self.len = end_count - 1;
        self.has_returns = returns != 0;
        self.many.clear();
        if at >= text.len() {
            if !text.ends_with(b"\n") {
                self.ends[end_count] = text.len() as u32;
                self.len += 1;
            }
        } else if self.len == 0 {
            self.wide_line(start);
        }
    }

    /// Makes the stretch one line, of so many separators that they left no room for its end.
    #[cold]
    fn wide_line(&mut self, start: usize) {
        let rest = &self.text[start..];
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = Span { start: start as u32, len: len as u32 };
        self.ends[1] = line.end() as u32;
        self.len = 1;
        self.many = separators_of(self.text, line, self.fields.separator);
        self.has_returns = true;
    }

    /// How many separators each line has, if that is the same for all and allowed.
    #[inline(always)]
    fn regular_width(&self) -> Option<usize> {
        if !self.many.is_empty() {
            return None;
        }
        let separators = &self.separators[..self.separator_count];
        let first_end = self.ends[1];
        let width = separators.iter().take_while(|separator| **separator < first_end).count();
        let (starts, ends) = (&self.ends[..self.len], &self.ends[1..=self.len]);
        if !self.fields.count.allows(width + 1) || width * self.len > separators.len() {
            return None;
        }
        // Each line's first and last are in it, and after the last line's there are no more.
        let after = separators.get(width * self.len);
        let mut is_regular = after.is_none_or(|after| *after > ends[self.len - 1]);
        let bounds = starts.iter().zip(ends);
        let is_within = |first: u32, last: u32, (before, end): (&u32, &u32)| {
            (first >= before.wrapping_add(1)) & (last < *end)
        };
        match width {
            0 => {}
            // The compiler makes vectors of this one, as its step is known.
            1 => {
                for (separator, bounds) in separators.iter().zip(bounds) {
                    is_regular &= is_within(*separator, *separator, bounds);
                }
            }
            _ => {
                for (line, bounds) in separators.chunks_exact(width).zip(bounds) {
                    is_regular &= is_within(line[0], line[width - 1], bounds);
                }
            }
        }
        is_regular.then_some(width)
    }
    /// Appends a field of each line of the stretch; an empty one where the line is bad.
    #[inline(always)]
    pub(crate) fn append(&self, column: usize, out: &mut impl Extend<Span>) {
        let Some(width) = self.width else {
            return out.extend(self.ragged().map(|line| line.field(column)));
        };
        let before = self.ends[..self.len].iter();
        let ends = self.ends[1..=self.len].iter();
        let separators = &self.separators[..width * self.len];
        let lines = separators.chunks_exact(width.max(1));
        match (column, width) {
            (0, 0) => self.extend(before.zip(ends), true, out),
            // Without chunks, so that the compiler knows the step and makes vectors of it.
            (0, 1) => self.extend(before.zip(separators), false, out),
            (1, 1) => self.extend(separators.iter().zip(ends), true, out),
            (0, _) => self.extend(before.zip(lines.map(|line| &line[0])), false, out),
            (_, _) if column == width => {
                self.extend(lines.map(|line| &line[column - 1]).zip(ends), true, out);
            }
            (_, _) => {
                self.extend(lines.map(|line| (&line[column - 1], &line[column])), false, out);
            }
        }
    }

    /// Appends what lies between the borders; if those at the end end lines, without a return.
    #[inline(always)]
    fn extend<'b>(
        &self,
        borders: impl Iterator<Item = (&'b u32, &'b u32)>,
        is_last: bool,
        out: &mut impl Extend<Span>,
    ) {
        let spans = borders.map(|(before, end)| {
            let start = before.wrapping_add(1);
            Span { start, len: end - start }
        });
        if is_last && self.has_returns {
            out.extend(spans.map(|span| without_return(self.text, span)));
        } else {
            out.extend(spans);
        }
    }

    /// Appends the bad lines of the stretch.
    #[inline(always)]
    pub(crate) fn report(&self, bad: &mut Vec<BadRow>) {
        if self.width.is_none() {
            let lines = self.ragged().enumerate().filter(|(_, line)| !line.is_good);
            bad.extend(lines.map(|(row, _)| BadRow::new(self.number + row, BadKind::Fields)));
        }
    }

    /// The lines of the stretch one by one.
    fn ragged(&self) -> impl Iterator<Item = Line<'_>> {
        let mut rest = match &self.many[..] {
            [] => &self.separators[..self.separator_count],
            many => many,
        };
        self.ends[..self.len].iter().zip(&self.ends[1..]).map(move |(before, end)| {
            let count = rest.iter().take_while(|separator| *separator < end).count();
            let (separators, after) = rest.split_at(count);
            rest = after;
            let start = before.wrapping_add(1);
            let row = without_return(self.text, Span { start, len: end - start });
            Line { row, separators, is_good: self.fields.count.allows(count + 1) }
        })
    }
}

/// A line that is looked at alone.
struct Line<'a> {
    row: Span,
    separators: &'a [u32],
    is_good: bool,
}

impl Line<'_> {
    /// A field of a good line, an empty span of a bad one.
    #[inline(always)]
    fn field(&self, column: usize) -> Span {
        if !self.is_good {
            return Span { start: self.row.start, len: 0 };
        }
        let start = match column.checked_sub(1) {
            Some(before) => self.separators[before] + 1,
            None => self.row.start,
        };
        let end = self.separators.get(column).copied().unwrap_or(self.row.end() as u32);
        Span { start, len: end - start }
    }
}

/// A line, or the last field of one, without the return of its end.
#[inline(always)]
fn without_return(text: &[u8], span: Span) -> Span {
    let is_return = span.len > 0 && span.end() < text.len() && text[span.end() - 1] == b'\r';
    Span { start: span.start, len: span.len - u32::from(is_return) }
}

/// The block at `at`, or what is left of the text in a padded one.
#[inline(always)]
fn block_at<'a>(text: &'a [u8], at: usize, padded: &'a mut Block) -> &'a Block {
    match text[at..].first_chunk() {
        Some(block) => block,
        None => {
            padded[..text.len() - at].copy_from_slice(&text[at..]);
            padded
        }
    }
}

/// The bits of a block's first bytes.
#[inline(always)]
fn first_bytes(len: usize) -> u64 {
    if len < BLOCK { (1 << len) - 1 } else { u64::MAX }
}

/// The separators of a row that has more than there is room for.
#[cold]
fn separators_of(text: &[u8], row: Span, separator: u8) -> Vec<u32> {
    let places = (row.start..row.end() as u32).zip(&text[row.range()]);
    places.filter(|(_, byte)| **byte == separator).map(|(place, _)| place).collect()
}
