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
    pub(crate) fn allows(self, count: usize) -> bool {
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
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut separators = Separators::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let number = rows.len() - rest.len();
            let stretch = &rest[..near(rest)];
            let len = separators.of_rows(text, stretch, |block| {
                isa::equal(block, fields.separator)
            }, &positions);
            let stretch = rest.split_off(..len).expect("a stretch of what is left");
            let stretch = stretch.iter().copied();
            separators.assign(stretch.clone(), fields.count);
            for (column, out) in fields.columns.iter().zip(out.iter_mut()) {
                separators.append(stretch.clone(), *column as usize, out);
            }
            separators.report(number, bad);
        }
    }
}

/// How many of the first rows lie one after the other with not much between them, so that their
/// separators can be looked for all at once.
#[inline(always)]
fn near(rows: &[Span]) -> usize {
    let gaps = rows.windows(2).map(|pair| (pair[1].start as usize).wrapping_sub(pair[0].end()));
    1 + gaps.take(ROOM - 1).take_while(|gap| *gap <= BLOCK).count()
}

/// The separators of a stretch of rows.
struct Separators {
    room: [u32; ROOM],
    count: usize,
    /// Those of a row that has more than there is room for.
    many: Vec<u32>,
    /// How many each row has, if that is the same for all, and allowed.
    width: Option<usize>,
    /// Whose they are, if not.
    owned: Vec<Owned>,
}

/// Which separators a row has.
#[derive(Copy, Clone)]
struct Owned {
    first: u32,
    count: u32,
    is_allowed: bool,
}

impl Separators {
    #[inline(always)]
    fn new() -> Separators {
        Separators { room: [0; ROOM], count: 0, many: Vec::new(), width: None, owned: Vec::new() }
    }

    #[inline(always)]
    fn clear(&mut self) {
        self.count = 0;
        self.many.clear();
    }

    #[inline(always)]
    fn has_room(&self) -> bool {
        self.count <= ROOM - BLOCK
    }

    /// Adds those of the block at `at`.
    #[inline(always)]
    fn add(&mut self, mask: u64, at: usize, positions: &impl Fn(u64, u32, &mut Positions)) {
        let into = self.room[self.count..].first_chunk_mut().expect("room for a block");
        positions(mask, at as u32, into);
        self.count += mask.count_ones() as usize;
    }

    /// Finds those of as many of `rows` as there is room for, at least of one, and says how many.
    #[inline(always)]
    fn of_rows(
        &mut self,
        text: &[u8],
        rows: &[Span],
        separators: impl Fn(&Block) -> u64,
        positions: &impl Fn(u64, u32, &mut Positions),
    ) -> usize {
        self.clear();
        let (from, to) = (rows[0].start as usize, rows[rows.len() - 1].end());
        assert!(to <= text.len(), "a row reaches to {to}, past {} bytes", text.len());
        let mut at = from;
        while at < to && self.has_room() {
            let mut padded = [0; BLOCK];
            let mask = separators(block_at(text, at, &mut padded)) & first_bytes(to - at);
            self.add(mask, at, positions);
            at += BLOCK;
        }
        if at >= to {
            return rows.len();
        }
        match rows.partition_point(|row| row.end() <= at) {
            0 => {
                self.of_wide_row(text, rows[0], separators);
                1
            }
            len => len,
        }
    }

    /// Finds those of a row that there is no room for.
    #[cold]
    fn of_wide_row(&mut self, text: &[u8], row: Span, separators: impl Fn(&Block) -> u64) {
        self.clear();
        for at in (row.start as usize..row.end()).step_by(BLOCK) {
            let mut padded = [0; BLOCK];
            let block = block_at(text, at, &mut padded);
            let mut mask = separators(block) & first_bytes(row.end() - at);
            while mask != 0 {
                self.many.push(at as u32 + mask.trailing_zeros());
                mask &= mask - 1;
            }
        }
    }

    #[inline(always)]
    fn all(&self) -> &[u32] {
        if self.many.is_empty() { &self.room[..self.count] } else { &self.many }
    }

    /// Finds out which separators are whose.
    #[inline(always)]
    fn assign(&mut self, rows: impl ExactSizeIterator<Item = Span> + Clone, count: FieldCount) {
        self.width = self.regular_width(rows.clone(), count);
        self.owned.clear();
        if self.width.is_some() {
            return;
        }
        let all = if self.many.is_empty() { &self.room[..self.count] } else { &self.many };
        let mut first = 0;
        self.owned.extend(rows.map(|row| {
            // Few rows have any before them.
            while all.get(first).is_some_and(|separator| *separator < row.start) {
                first += 1;
            }
            let own = count_below(&all[first..], row.end() as u32);
            let is_allowed = count.allows(own + 1);
            let owned = Owned { first: first as u32, count: own as u32, is_allowed };
            first += own;
            owned
        }));
    }

    /// How many each row has, if that is the same for all, between the rows are none, and `count`
    /// allows it.
    #[inline(always)]
    fn regular_width(
        &self,
        mut rows: impl ExactSizeIterator<Item = Span> + Clone,
        count: FieldCount,
    ) -> Option<usize> {
        let all = self.all();
        let len = rows.len();
        let first_end = rows.clone().next()?.end() as u32;
        let width = all.iter().take_while(|separator| **separator < first_end).count();
        if !count.allows(width + 1) || width * len > all.len() {
            return None;
        }
        let (own, after) = all.split_at(width * len);
        let mut is_regular = true;
        let mut last_end = 0;
        // Where a row's first and last are in it, and there are no more after the last row's, all
        // are where they should be.
        match width {
            0 => last_end = rows.nth(len - 1)?.end(),
            // The compiler makes vectors of this one, as its step is known.
            1 => {
                for (row, separator) in rows.zip(own) {
                    last_end = row.end();
                    is_regular &= (*separator >= row.start) & (*separator < row.end() as u32);
                }
            }
            _ => {
                for (row, own) in rows.zip(own.chunks_exact(width)) {
                    last_end = row.end();
                    is_regular &= (own[0] >= row.start) & (own[width - 1] < row.end() as u32);
                }
            }
        }
        is_regular &= after.first().is_none_or(|after| *after as usize >= last_end);
        is_regular.then_some(width)
    }

    /// Appends a field of each row; an empty one where the row is bad.
    #[inline(always)]
    fn append(
        &self,
        rows: impl ExactSizeIterator<Item = Span>,
        column: usize,
        out: &mut impl Extend<Span>,
    ) {
        let Some(width) = self.width else {
            let all = self.all();
            return out.extend(rows.zip(&self.owned).map(|(row, own)| own.field(row, all, column)));
        };
        let between = |start: u32, end: u32| Span { start, len: end - start };
        let own = &self.all()[..width * rows.len()];
        let lines = own.chunks_exact(width.max(1));
        match (column, width) {
            (0, 0) => out.extend(rows),
            // Without chunks, so that the compiler knows the step and makes vectors of it.
            (0, 1) => out.extend(rows.zip(own).map(|(row, end)| between(row.start, *end))),
            (1, 1) => {
                out.extend(own.iter().zip(rows).map(|(at, row)| between(at + 1, row.end() as u32)));
            }
            (0, _) => out.extend(rows.zip(lines).map(|(row, own)| between(row.start, own[0]))),
            (_, _) if column == width => {
                let ends = rows.map(|row| row.end() as u32);
                out.extend(lines.zip(ends).map(|(own, end)| between(own[column - 1] + 1, end)));
            }
            (_, _) => out.extend(lines.map(|own| between(own[column - 1] + 1, own[column]))),
        }
    }

    /// Appends the bad rows, of which the first has number `first`.
    #[inline(always)]
    fn report(&self, first: usize, bad: &mut Vec<BadRow>) {
        let rows = self.owned.iter().enumerate().filter(|(_, own)| !own.is_allowed);
        bad.extend(rows.map(|(row, _)| BadRow::new(first + row, BadKind::Fields)));
    }
}

impl Owned {
    /// A field of a good row, an empty span of a bad one.
    #[inline(always)]
    fn field(&self, row: Span, all: &[u32], column: usize) -> Span {
        if !self.is_allowed {
            return Span { start: row.start, len: 0 };
        }
        let own = &all[self.first as usize..][..self.count as usize];
        let start = if column == 0 { row.start } else { own[column - 1] + 1 };
        let end = own.get(column).copied().unwrap_or(row.end() as u32);
        Span { start, len: end - start }
    }
}

/// How many of `sorted` are below `limit`, where that is a number one cannot foresee: sixteen are
/// compared at once.
#[inline(always)]
fn count_below(sorted: &[u32], limit: u32) -> usize {
    let (chunks, rest) = sorted.as_chunks::<16>();
    let mut count = 0;
    for chunk in chunks {
        let below: u32 = chunk.iter().map(|number| u32::from(*number < limit)).sum();
        count += below as usize;
        if below < 16 {
            return count;
        }
    }
    count + rest.iter().filter(|number| **number < limit).count()
}

/// The lines of a text, a stretch of them at a time.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    fields: &'a Fields<'a>,
    /// How many lines there are before the stretch.
    pub(crate) number: usize,
    /// How many lines the stretch has.
    len: usize,
    separators: Separators,
    /// The byte before the first line of the stretch, as a wrapping number, then the end of each.
    ends: [u32; ROOM + 1],
    has_returns: bool,
}

impl<'a> Lines<'a> {
    #[inline(always)]
    pub(crate) fn new(text: &'a [u8], fields: &'a Fields<'a>) -> Lines<'a> {
        assert_spannable(text);
        fields.assert_columns();
        let separator = fields.separator;
        assert!(!matches!(separator, b'\n' | b'\r'), "{separator:?} is part of a line end");
        let mut ends = [0; ROOM + 1];
        ends[0] = u32::MAX;
        Lines {
            text,
            fields,
            number: 0,
            len: 0,
            separators: Separators::new(),
            ends,
            has_returns: false,
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
        self.separators.assign(whole_lines(&self.ends, self.len), self.fields.count);
        true
    }

    #[inline(always)]
    fn scan(
        &mut self,
        start: usize,
        equal: &impl Fn(&Block, u8) -> u64,
        positions: &impl Fn(u64, u32, &mut Positions),
    ) {
        let (text, separator) = (self.text, self.fields.separator);
        let (mut end_count, mut returns) = (1, 0);
        let mut at = start;
        self.separators.clear();
        while at < text.len() && self.separators.has_room() && end_count <= ROOM - BLOCK {
            let mut padded = [0; BLOCK];
            let block = block_at(text, at, &mut padded);
            let within = first_bytes(text.len() - at);
            self.separators.add(equal(block, separator) & within, at, positions);
            let feeds = equal(block, b'\n') & within;
            let into = self.ends[end_count..].first_chunk_mut().expect("room for a block");
            positions(feeds, at as u32, into);
            end_count += feeds.count_ones() as usize;
            returns |= equal(block, b'\r');
            at += BLOCK;
        }
        self.len = end_count - 1;
        self.has_returns = returns != 0;
        if at >= text.len() {
            if !text.ends_with(b"\n") {
                self.ends[end_count] = text.len() as u32;
                self.len += 1;
            }
        } else if self.len == 0 {
            self.wide_line(start, equal);
        }
    }

    /// Makes the stretch one line, of so many separators that they left no room for its end.
    #[cold]
    fn wide_line(&mut self, start: usize, equal: &impl Fn(&Block, u8) -> u64) {
        let rest = &self.text[start..];
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = Span { start: start as u32, len: len as u32 };
        self.separators.of_wide_row(self.text, line, |block| equal(block, self.fields.separator));
        self.ends[1] = line.end() as u32;
        self.len = 1;
        self.has_returns = true;
    }

    /// Appends a field of each line of the stretch; an empty one where the line is bad.
    #[inline(always)]
    pub(crate) fn append(&self, column: usize, out: &mut impl Extend<Span>) {
        let lines = whole_lines(&self.ends, self.len);
        if self.has_returns {
            let lines = lines.map(|line| without_return(self.text, line));
            self.separators.append(lines, column, out);
        } else {
            self.separators.append(lines, column, out);
        }
    }

    /// Appends the bad lines of the stretch.
    #[inline(always)]
    pub(crate) fn report(&self, bad: &mut Vec<BadRow>) {
        self.separators.report(self.number, bad);
    }
}

/// The lines of a stretch with the returns of their ends.
#[inline(always)]
fn whole_lines(
    ends: &[u32; ROOM + 1],
    len: usize,
) -> impl ExactSizeIterator<Item = Span> + Clone + '_ {
    ends[..len].iter().zip(&ends[1..=len]).map(|(before, end)| {
        let start = before.wrapping_add(1);
        Span { start, len: end - start }
    })
}

/// A line without the return of its end.
#[inline(always)]
fn without_return(text: &[u8], span: Span) -> Span {
    let is_return = span.len > 0 && span.end() < text.len() && text[span.end() - 1] == b'\r';
    Span { start: span.start, len: span.len - u32::from(is_return) }
}

/// The block at `at`, or what is left of the text in a padded one.
#[inline(always)]
pub(crate) fn block_at<'a>(text: &'a [u8], at: usize, padded: &'a mut Block) -> &'a Block {
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
pub(crate) fn first_bytes(len: usize) -> u64 {
    if len < BLOCK { (1 << len) - 1 } else { u64::MAX }
}
