//! Text: patterns, lengths and letters.

use memchr::memmem::Finder;

use super::Series;
use super::expr::{Match, Unary};
use super::series::Values;
use crate::record::{Columns, TextColumn};

pub(crate) fn matches(place: Match, of: &Series, finder: &Finder<'_>) -> Series {
    let text = text(of);
    let pattern = finder.needle();
    let rows = text.spans().iter().map(|span| &text.bytes()[span.range()]);
    let found: Vec<bool> = match place {
        Match::StartsWith => rows.map(|row| row.starts_with(pattern)).collect(),
        Match::EndsWith => rows.map(|row| row.ends_with(pattern)).collect(),
        Match::Contains => rows.map(|row| finder.find(row).is_some()).collect(),
    };
    Series::new(Values::Bool(found.into()), of.validity().cloned())
}

pub(crate) fn unary(operator: Unary, of: &Series) -> Series {
    let text = text(of);
    let rows = (0..text.len()).map(|row| text.get(row));
    let changed = |change: fn(&str) -> String| {
        let mut changed = TextColumn::default();
        rows.clone().for_each(|row| changed.push(&change(row)));
        Series::from(changed).values().clone()
    };
    let values = match operator {
        Unary::Lower => changed(str::to_lowercase),
        Unary::Upper => changed(str::to_uppercase),
        _ => Values::I64(rows.map(|row| row.chars().count() as i64).collect::<Vec<_>>().into()),
    };
    Series::new(values, of.validity().cloned())
}

fn text(of: &Series) -> &TextColumn {
    match of.values() {
        Values::Text(text) => text,
        _ => unreachable!("types were checked"),
    }
}
