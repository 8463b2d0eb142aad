//! Once warm, with a fixed set of keys, a batch on the fused path allocates nothing and touches no
//! new page. A binary of its own, because the allocator that counts is the whole process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tidemill::prelude::*;

/// The system's allocator, and how often it was asked.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The same lines at each call.
struct Lines {
    text: Vec<u8>,
    position: usize,
}

/// All lines come in each call, and so all keys in each batch that has any.
const LINES: usize = 200;

impl Receiver for Lines {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        for _ in 0..LINES {
            if into.is_full() {
                return Ok(Received::More);
            }
            let rest = &self.text[self.position..];
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            into.push_line(&rest[..end]);
            self.position = (self.position + end + 1) % self.text.len();
        }
        Ok(Received::Later(Duration::from_micros(200)))
    }
}

/// Page faults of this process that no disk was needed for.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name may hold blanks; the tenth field is the seventh after it.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    fields.split(' ').nth(7).and_then(|faults| faults.parse().ok()).unwrap_or(0)
}

const WARM: u64 = 300;
const MEASURED: u64 = 300;

#[test]
fn a_warm_batch_neither_allocates_nor_faults() {
    let line = |n| format!("word{n} and{} a-rather-longer-word-{} x\n", n % 7, n % 31);
    let text: String = (0..LINES).map(line).collect();
    let builder = StreamingContext::builder("steady").batch_interval(Duration::from_millis(2));
    // Two blocks are made at once; a larger pool makes another one whenever it first needs it.
    let limits = Limits { blocks: 2, ..Limits::default() };
    let ssc = builder.threads(2).limits(limits).build().expect("valid settings");
    let lines = ssc.receiver_stream(Lines { text: text.into(), position: 0 }).expect("not started");
    let (send, receive) = sync_channel(1);
    let (mut batches, mut words, mut before) = (0, 0, (0, 0, 0));
    lines.split_whitespace().count_by_value().foreach_batch(move |batch, _| {
        words += batch.iter().map(|(_, count)| count).sum::<i64>();
        batches += 1;
        if batches == WARM {
            // Twice, since the first look may itself touch new pages.
            let faults = page_faults().max(page_faults());
            // Last, so that reading the faults is not among the allocations.
            before = (words, faults, ALLOCATIONS.load(Ordering::Relaxed));
        } else if batches == WARM + MEASURED {
            let allocations = ALLOCATIONS.load(Ordering::Relaxed);
            send.send((before, (words, page_faults(), allocations)))?;
        }
        Ok(())
    });
    ssc.start().expect("starts");
    let (before, after) = receive.recv().expect("so many batches come");
    ssc.stop();
    assert!(after.0 > before.0, "nothing was counted");
    // The system may take a page away by itself now and then; a fault a batch is ours.
    assert!(after.1 - before.1 < MEASURED / 50, "{} page faults", after.1 - before.1);
    assert_eq!(after.2 - before.2, 0, "allocations in {MEASURED} batches");
}
