//! Keys of several columns to dense ids.
//!
//! Each column has a dictionary, which gives each of its values a code: one table for text, one
//! for all that has 64 bits. Of two columns, pairs of codes have codes, and of more the pairs of
//! those and the next column's: however many columns there are, what is looked up is a text or a
//! number.

use std::fmt;

use super::rows::float_bits;
use super::series::Values;
use super::{DataType, Schema, Series, Table, TableRow};
use crate::error::Result;
use crate::record::{Columns, Groups, HashGroups, ScalarColumn, TextColumn, TextGroups};

/// The code of null, in each dictionary.
const NULL: u32 = 0;

/// The number of a code that has none yet.
const UNKNOWN: u32 = u32::MAX;

/// Distinct keys of rows of tables, and their dense ids.
pub struct TableGroups {
    keys_max: usize,
    dictionaries: Vec<Dictionary>,
    numbering: Numbering,
    // Scratch.
    codes: Vec<u32>,
}

/// How codes become ids, in the order of first appearance.
enum Numbering {
    /// No column: all rows are one group, which is there once there was a row.
    One { is_seen: bool },
    /// One column: the code less one is the id, until there is a null among the keys.
    Single { ids: Option<Renumbered> },
    /// Pairs of codes: of the first two columns, of those and the third, and so on.
    Pairs(Vec<HashGroups<u64>>),
}

/// Ids by code, and codes by id.
#[derive(Default)]
struct Renumbered {
    ids: Vec<u32>,
    codes: Vec<u32>,
}

/// The distinct values of a column: the first has the code 1.
enum Dictionary {
    Text(Box<TextGroups>),
    Bits(Box<HashGroups<i64>>, DataType),
}

impl TableGroups {
    /// A table of keys with these columns.
    pub(crate) fn of(schema: &Schema, keys_max: usize) -> TableGroups {
        let mut groups = TableGroups::new(keys_max);
        groups.set_columns(schema.fields().iter().map(super::Field::data_type));
        groups
    }

    fn set_columns(&mut self, types: impl Iterator<Item = DataType>) {
        let keys_max = self.keys_max;
        self.dictionaries = types.map(|data_type| Dictionary::new(data_type, keys_max)).collect();
        self.numbering = match self.dictionaries.len() {
            0 => Numbering::One { is_seen: false },
            1 => Numbering::Single { ids: None },
            columns => Numbering::Pairs((1..columns).map(|_| HashGroups::new(keys_max)).collect()),
        };
    }
}

impl Groups<TableRow> for TableGroups {
    fn new(keys_max: usize) -> TableGroups {
        let numbering = Numbering::One { is_seen: false };
        TableGroups { keys_max, dictionaries: Vec::new(), numbering, codes: Vec::new() }
    }

    fn ids(&mut self, keys: &Table, ids: &mut Vec<u32>) -> Result<()> {
        if self.dictionaries.is_empty() && !keys.schema().is_empty() {
            self.set_columns(keys.columns().iter().map(Series::data_type));
        }
        let TableGroups { dictionaries, numbering, codes, .. } = self;
        codes.clear();
        let known = dictionaries.first().map_or(0, Dictionary::len);
        let mut columns = dictionaries.iter_mut().zip(keys.columns());
        if let Some((dictionary, column)) = columns.next() {
            dictionary.codes(column, codes)?;
        }
        match numbering {
            Numbering::One { is_seen } => {
                *is_seen |= !keys.is_empty();
                ids.resize(ids.len() + keys.len(), 0);
            }
            Numbering::Single { ids: renumbered } => {
                if renumbered.is_none() && codes.contains(&NULL) {
                    *renumbered = Some(Renumbered::of(known as u32));
                }
                match renumbered {
                    None => ids.extend(codes.iter().map(|code| code - 1)),
                    Some(renumbered) => ids.extend(codes.iter().map(|&code| renumbered.id(code))),
                }
            }
            Numbering::Pairs(levels) => {
                let mut more = Vec::with_capacity(keys.len());
                for (level, (dictionary, column)) in levels.iter_mut().zip(columns) {
                    more.clear();
                    dictionary.codes(column, &mut more)?;
                    let pairs = codes.iter().zip(&more);
                    let pairs = pairs.map(|(&first, &second)| pair(first, second));
                    let pairs = ScalarColumn::from(pairs.collect::<Vec<u64>>());
                    codes.clear();
                    level.ids(&pairs, codes)?;
                }
                ids.extend_from_slice(codes);
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        match &self.numbering {
            Numbering::One { is_seen } => usize::from(*is_seen),
            Numbering::Single { ids: Some(renumbered) } => renumbered.codes.len(),
            Numbering::Single { ids: None } => self.dictionaries[0].len(),
            Numbering::Pairs(levels) => levels.last().map_or(0, Groups::len),
        }
    }

    fn keys(&self, keys: &mut Table) {
        let own = self.columns();
        if keys.schema().is_empty() {
            // Names do not matter where there were none.
            let fields = own.iter().enumerate();
            let fields = fields
                .map(|(index, series)| super::Field::new(index.to_string(), series.data_type()));
            let schema = Schema::new(fields).expect("numbers differ");
            *keys = Table::empty(schema.into());
        }
        let table = Table::of(keys.shared_schema().clone(), own, self.len());
        Columns::append(keys, &table);
    }

    fn clear(&mut self) {
        self.dictionaries.iter_mut().for_each(Dictionary::clear);
        match &mut self.numbering {
            Numbering::One { is_seen } => *is_seen = false,
            Numbering::Single { ids } => *ids = None,
            Numbering::Pairs(levels) => levels.iter_mut().for_each(Groups::clear),
        }
    }

    fn byte_len(&self) -> usize {
        let dictionaries = self.dictionaries.iter().map(Dictionary::byte_len).sum::<usize>();
        let numbering = match &self.numbering {
            Numbering::One { .. } | Numbering::Single { ids: None } => 0,
            Numbering::Single { ids: Some(Renumbered { ids, codes }) } => {
                size_of_val(&**ids) + size_of_val(&**codes)
            }
            Numbering::Pairs(levels) => levels.iter().map(Groups::byte_len).sum(),
        };
        dictionaries + numbering
    }
}

impl TableGroups {
    /// The keys by id, column by column.
    pub(crate) fn columns(&self) -> Vec<Series> {
        let codes = match &self.numbering {
            Numbering::One { .. } => Vec::new(),
            Numbering::Single { ids: None } => return vec![self.dictionaries[0].series()],
            Numbering::Single { ids: Some(renumbered) } => vec![renumbered.codes.clone()],
            Numbering::Pairs(levels) => unpaired(levels),
        };
        let columns = self.dictionaries.iter().zip(codes);
        columns.map(|(dictionary, codes)| dictionary.series_of(&codes)).collect()
    }
}

impl Renumbered {
    /// So many codes are ids already: 1 is the id 0.
    fn of(codes: u32) -> Renumbered {
        let ids = std::iter::once(UNKNOWN).chain(0..codes).collect();
        Renumbered { ids, codes: (1..=codes).collect() }
    }

    fn id(&mut self, code: u32) -> u32 {
        if code as usize >= self.ids.len() {
            self.ids.resize(code as usize + 1, UNKNOWN);
        }
        let id = &mut self.ids[code as usize];
        if *id == UNKNOWN {
            *id = self.codes.len() as u32;
            self.codes.push(code);
        }
        *id
    }
}

fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

/// The codes of each column, for each id.
fn unpaired(levels: &[HashGroups<u64>]) -> Vec<Vec<u32>> {
    let mut columns = Vec::with_capacity(levels.len() + 1);
    let mut ids: Vec<u32> = (0..levels.last().map_or(0, |level| level.len() as u32)).collect();
    for level in levels.iter().rev() {
        let mut pairs = ScalarColumn::default();
        level.keys(&mut pairs);
        let pairs = || ids.iter().map(|&id| pairs.values()[id as usize]);
        columns.push(pairs().map(|pair| pair as u32).collect());
        ids = pairs().map(|pair| (pair >> 32) as u32).collect();
    }
    columns.push(ids);
    columns.reverse();
    columns
}

impl Dictionary {
    fn new(data_type: DataType, keys_max: usize) -> Dictionary {
        match data_type {
            DataType::Text => Dictionary::Text(Box::new(TextGroups::new(keys_max))),
            of => Dictionary::Bits(Box::new(HashGroups::new(keys_max)), of),
        }
    }

    fn len(&self) -> usize {
        match self {
            Dictionary::Text(groups) => groups.len(),
            Dictionary::Bits(groups, _) => groups.len(),
        }
    }

    fn clear(&mut self) {
        match self {
            Dictionary::Text(groups) => groups.clear(),
            Dictionary::Bits(groups, _) => groups.clear(),
        }
    }

    fn byte_len(&self) -> usize {
        match self {
            Dictionary::Text(groups) => groups.byte_len(),
            Dictionary::Bits(groups, _) => groups.byte_len(),
        }
    }

    /// Appends the code of each row.
    fn codes(&mut self, of: &Series, codes: &mut Vec<u32>) -> Result<()> {
        let Some(validity) = of.validity() else {
            let first = codes.len();
            self.ids(of, codes)?;
            codes[first..].iter_mut().for_each(|code| *code += 1);
            return Ok(());
        };
        let valid: Vec<u32> =
            (0..).zip(&**validity).filter(|(_, valid)| **valid).map(|(row, _)| row).collect();
        let mut ids = Vec::with_capacity(valid.len());
        self.ids(&of.gather(&valid), &mut ids)?;
        let mut ids = ids.into_iter();
        codes.extend(validity.iter().map(|&valid| match valid {
            true => ids.next().expect("there is one for each valid row") + 1,
            false => NULL,
        }));
        Ok(())
    }

    fn ids(&mut self, of: &Series, ids: &mut Vec<u32>) -> Result<()> {
        let bits: Vec<i64> = match (&mut *self, of.values()) {
            (Dictionary::Text(groups), Values::Text(text)) => return groups.ids(text, ids),
            (_, Values::I64(values) | Values::Timestamp(values)) => values.to_vec(),
            (_, Values::F64(values)) => values.iter().map(|&value| float_bits(value)).collect(),
            (_, Values::Bool(values)) => values.iter().map(|&value| value.into()).collect(),
            (_, Values::Text(_)) => unreachable!("keys are of one schema"),
        };
        match self {
            Dictionary::Bits(groups, _) => groups.ids(&bits.into(), ids),
            Dictionary::Text(_) => unreachable!("keys are of one schema"),
        }
    }

    /// The values, by code less one.
    fn series(&self) -> Series {
        match self {
            Dictionary::Text(groups) => {
                let mut text = TextColumn::default();
                groups.keys(&mut text);
                text.into()
            }
            Dictionary::Bits(groups, of) => {
                let mut bits = ScalarColumn::default();
                groups.keys(&mut bits);
                let bits = bits.values();
                match of {
                    DataType::F64 => {
                        let values = bits.iter().map(|&bits| f64::from_bits(bits as u64));
                        values.collect::<Vec<f64>>().into()
                    }
                    DataType::Bool => bits.iter().map(|&bits| bits != 0).collect::<Vec<_>>().into(),
                    DataType::Timestamp => {
                        Series::new(Values::Timestamp(bits.to_vec().into()), None)
                    }
                    _ => bits.to_vec().into(),
                }
            }
        }
    }

    /// The values of these codes.
    fn series_of(&self, codes: &[u32]) -> Series {
        let values = self.series();
        if !codes.contains(&NULL) {
            let rows: Vec<u32> = codes.iter().map(|code| code - 1).collect();
            return values.gather(&rows);
        }
        let mut series = Series::empty(values.data_type());
        for &code in codes {
            series.push(match code {
                NULL => super::Cell::Null,
                code => values.get(code as usize - 1),
            });
        }
        series.freeze();
        series
    }
}

impl fmt::Debug for TableGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableGroups({} keys)", Groups::<TableRow>::len(self))
    }
}
