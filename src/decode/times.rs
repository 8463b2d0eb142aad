//! Timestamps: texts in the format's way of writing them, and numbers where that is a number.

use tidemill_kernels::{BadRow, Span, TimeFormat, parse_timestamps};

use super::scalars::report;
use super::{Decode, DecodeValue, Fill, Reason, Texts, Value};
use crate::record::{ScalarColumn, Timestamp};

impl DecodeValue for Timestamp {}

impl Decode for Timestamp {
    fn fill(columns: &mut ScalarColumn<Timestamp>) -> &mut dyn Fill {
        columns
    }
}

impl Fill for ScalarColumn<Timestamp> {
    fn rows(&self) -> usize {
        self.values().len()
    }

    fn push_absent(&mut self) {
        self.values_mut().push(Timestamp::default());
    }

    fn push(&mut self, value: Value<'_>, times: TimeFormat) -> Result<(), Reason> {
        let number = match (value, times.scale()) {
            (Value::Text(text), _) => text.to_owned(),
            (Value::I64(number), Some(_)) => number.to_string(),
            (Value::U64(number), Some(_)) => number.to_string(),
            _ => return Err(Reason::Type),
        };
        let span = Span { start: 0, len: number.len() as u32 };
        let bad = append(number.as_bytes(), &[span], times, self.values_mut());
        match bad.first() {
            None => Ok(()),
            Some(bad) => {
                self.values_mut().pop();
                Err(bad.kind.into())
            }
        }
    }

    fn push_texts(&mut self, texts: &Texts<'_>, bad: &mut Vec<(u32, Reason)>) {
        report(&append(texts.bytes(), texts.spans, texts.times, self.values_mut()), bad);
    }
}

fn append(text: &[u8], rows: &[Span], times: TimeFormat, out: &mut Vec<Timestamp>) -> Vec<BadRow> {
    let (mut nanos, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
    parse_timestamps(text, rows, times, &mut nanos, &mut bad);
    out.extend(nanos.into_iter().map(Timestamp::from_nanos));
    bad
}
