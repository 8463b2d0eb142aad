//! Text to decimals: what fills a column of [`Number`]s.

use tidemill_kernels::BadKind;

use super::{Decode, DecodeValue, Fill, Reason, Texts, TimeFormat, Value};
use crate::record::{Columns, Number, NumberColumn};

impl DecodeValue for Number {}

impl Decode for Number {
    fn fill(columns: &mut NumberColumn) -> &mut dyn Fill {
        columns
    }
}

impl Fill for NumberColumn {
    fn rows(&self) -> usize {
        self.len()
    }

    fn push_absent(&mut self) {
        Columns::push(self, Number::ZERO);
    }

    fn push(&mut self, value: Value<'_>, _: TimeFormat) -> Result<(), Reason> {
        let number = match value {
            Value::I64(value) => Number::from(value),
            Value::U64(value) => match i64::try_from(value) {
                Ok(value) => Number::from(value),
                Err(_) => Number::from_f64(value as f64).expect("an integer is finite"),
            },
            // A format that has parsed the number gives the float that is nearest to it. The text
            // meant was as a rule the shortest one that parses to this float.
            Value::F64(value) if value.is_finite() => {
                Number::parse(format!("{value:e}").as_bytes()).expect("a float prints as a number")
            }
            Value::F64(_) => return Err(Reason::NotFinite),
            _ => return Err(Reason::Type),
        };
        Columns::push(self, number);
        Ok(())
    }

    fn push_texts(&mut self, texts: &Texts<'_>, bad: &mut Vec<(u32, Reason)>) {
        let mut bad_rows = Vec::new();
        self.parse(texts.bytes(), texts.spans, &mut bad_rows);
        bad.extend(bad_rows.iter().map(|bad| match bad.kind {
            BadKind::OutOfRange => (bad.row, Reason::NotFinite),
            kind => (bad.row, Reason::from(kind)),
        }));
    }
}
