//! Rows to the spans of their fields where any run of white space stands between two, as tools that
//! print tables for people have it. Each row is looked at alone: no two have their fields at the
//! same places.

use crate::fields::{block_at, first_bytes};
use crate::isa::BLOCK;
use crate::multiversion::multiversion;
use crate::span::assert_spannable;
use crate::{BadKind, BadRow, FieldCount, Fields, Span};

/// How rows are cut into fields between white space, and which fields are wanted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct WhiteFields<'a> {
    /// The numbers of the wanted fields, from 0 on, in any order.
    pub columns: &'a [u32],
    /// How many fields a row has.
    pub count: FieldCount,
    /// The number of a field that takes all that is left of its row, white space within it too.
    pub rest: Option<u32>,
}

multiversion! {
    /// Appends the wanted fields of each row to one column each.
    ///
    /// White space is ASCII's, as in [`split_whitespace`](crate::split_whitespace); what a row
    /// begins or ends with is part of no field, and a row of nothing else has none. A row with the
    /// wrong number of fields is appended to `bad`, and empty spans to the columns.
    ///
    /// ```
    /// use tidemill_kernels::{FieldCount, Span, WhiteFields, white_fields};
    ///
    /// let fields = WhiteFields { columns: &[1], count: FieldCount::AtLeast(2), rest: Some(1) };
    /// let (mut columns, mut bad) = ([Vec::new()], Vec::new());
    /// let rows = [Span { start: 0, len: 14 }];
    /// white_fields(b"  7 ebb  tide ", &rows, &fields, &mut columns, &mut bad);
    /// assert_eq!(columns, [[Span { start: 4, len: 9 }]]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a column is not below the number of fields that a row must have, there is not one column
    /// in `out` for each in `fields`, a row reaches past `text`, or `text` is 4 GiB or longer.
    pub fn white_fields / white_fields_at(
        text: &[u8],
        rows: &[Span],
        fields: &WhiteFields<'_>,
        out: &mut [Vec<Span>],
        bad: &mut Vec<BadRow>,
    ), isa => {
        assert_spannable(text);
        Fields { separator: b' ', columns: fields.columns, count: fields.count }.assert_columns();
        assert_eq!(fields.columns.len(), out.len(), "a vector for each column");
        let mut words: Vec<Span> = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            let end = row.end();
            assert!(end <= text.len(), "a row reaches to {end}, past {} bytes", text.len());
            words.clear();
            // What is around a row counts as white.
            let (mut before, mut start) = (1, None);
            for at in (row.start as usize..end).step_by(BLOCK) {
                let mut padded = [0; BLOCK];
                let block = block_at(text, at, &mut padded);
                let white = isa::ascii_white(block) | !first_bytes(end - at);
                // The first byte of each word, and the first one after it.
                let mut borders = white ^ (white << 1 | before);
                before = white >> (BLOCK - 1);
                while borders != 0 {
                    let border = at as u32 + borders.trailing_zeros();
                    borders &= borders - 1;
                    start = match start {
                        None => Some(border),
                        Some(start) => {
                            words.push(Span { start, len: border - start });
                            None
                        }
                    };
                }
            }
            words.extend(start.map(|start| Span { start, len: end as u32 - start }));
            if let Some(rest) = fields.rest.map(|rest| rest as usize)
                && let (Some(first), Some(last)) = (words.get(rest), words.last())
            {
                let len = last.end() as u32 - first.start;
                words[rest].len = len;
                words.truncate(rest + 1);
            }
            let is_good = fields.count.allows(words.len());
            for (column, out) in fields.columns.iter().zip(out.iter_mut()) {
                let none = Span { start: row.start, len: 0 };
                out.push(if is_good { words[*column as usize] } else { none });
            }
            if !is_good {
                bad.push(BadRow::new(number, BadKind::Fields));
            }
        }
    }
}
