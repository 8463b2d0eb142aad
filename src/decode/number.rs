//! Text to decimals: what fills a column of [`Number`]s.

use tidemill_kernels::BadKind;

use super::fill::Kind;
use super::{Decode, DecodeValue, Fill, Reason, Texts};
use crate::record::{Number, NumberColumn};

impl DecodeValue for Number {}

impl Decode for Number {
    fn fill(columns: &mut NumberColumn) -> &mut dyn Fill {
        columns
    }
}

impl Fill for NumberColumn {
    fn kind(&self) -> Kind {
        Kind::Number
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
