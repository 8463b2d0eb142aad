//! `tracing`: each batch is a span, with what is known of it in the end.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use tidemill::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::feed::DEADLINE;

/// Rows of the batch that is looked for among those of all other tests.
const ROWS: usize = 17_291;

/// What was said of a span.
type Fields = BTreeMap<&'static str, String>;

struct Spans {
    last: AtomicU64,
    open: Mutex<BTreeMap<u64, Fields>>,
    ours: SyncSender<Fields>,
}

impl Spans {
    fn with<T>(&self, id: &Id, f: impl FnOnce(&mut Fields) -> T) -> T {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        f(open.entry(id.into_u64()).or_default())
    }
}

struct Fill<'a>(&'a mut Fields);

impl Visit for Fill<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "batch"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = Id::from_u64(1 + self.last.fetch_add(1, Ordering::Relaxed));
        self.with(&id, |fields| attributes.record(&mut Fill(fields)));
        id
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.with(id, |fields| values.record(&mut Fill(fields)));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.with(id, |fields| fields.insert("entered", String::new()));
    }

    fn exit(&self, id: &Id) {
        // It is over: a batch enters its span once.
        let fields = self.with(id, std::mem::take);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id.into_u64());
        if fields.get("rows").is_some_and(|rows| *rows == ROWS.to_string()) {
            let _ = self.ours.try_send(fields);
        }
    }
}

#[test]
fn a_span_for_each_batch() {
    let (ours, spans) = sync_channel(1);
    let spans_of_all = Spans { last: AtomicU64::default(), open: Mutex::default(), ours };
    tracing::subscriber::set_global_default(spans_of_all).expect("no other test listens");
    let builder = StreamingContext::builder("spans").count_rows();
    let mut t = TestContext::with(builder).unwrap();
    let tape = crate::replay::Tape::new([(0..ROWS).map(|row| row.to_string())]);
    let lines = t.context().receiver_stream(tape.player()).unwrap();
    let counts = t.output(&lines.count());
    t.tick().unwrap();
    assert_eq!(counts.take_sorted(), [ROWS as i64]);
    let span = spans.recv_timeout(DEADLINE).unwrap();
    assert_eq!(span["time"], "1000");
    for field in ["entered", "scheduling_delay", "processing_delay"] {
        assert!(span.contains_key(field), "{field} is not in {span:?}");
    }
}
