//! Timestamps: texts in the format's way of writing them, and numbers where that is a number.

use tidemill_kernels::{BadRow, Span, TimeFormat, parse_timestamps};

use super::fill::Kind;
use super::scalars::report;
use super::{Decode, DecodeValue, Fill, Reason, Texts};
use crate::record::{ScalarColumn, Timestamp};

impl DecodeValue for Timestamp {}

impl Decode for Timestamp {
    fn fill(columns: &mut ScalarColumn<Timestamp>) -> &mut dyn Fill {
        columns
    }
}

impl Fill for ScalarColumn<Timestamp> {
    fn kind(&self) -> Kind {
        Kind::Time
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
