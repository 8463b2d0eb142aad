//! Blocks: the buffers that receivers fill, and the bounded pool that they come from and go back
//! to.
//!
//! The pool is the engine's back-pressure: it makes at most so many blocks, hands one out only when
//! nobody looks at it any more, and a receiver that gets none stops reading. A block is
//! initialised once and then recycled, since reading into fresh pages is several times slower.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use memchr::memrchr;
use tidemill_kernels::TextBuffer;

use crate::config::POOL_BLOCKS_MIN;
use crate::memory::MemoryCharge;

/// A buffer that is read by many and written by none. The last to drop it frees its block.
#[derive(Clone)]
pub(crate) struct SharedText {
    /// Only `drop` takes it.
    text: Option<Arc<TextBuffer>>,
    pool: Option<Arc<BlockPool>>,
}

/// At most so many blocks, made when first needed and there is memory for them.
pub(crate) struct BlockPool {
    /// Of all blocks that were made.
    charge: MemoryCharge,
    blocks_max: AtomicUsize,
    block_bytes: usize,
    /// Blocks that are free or being read; one that is being filled is not among them.
    blocks: Mutex<Blocks>,
    freed: Condvar,
    /// Whether somebody waits for a block: spares the readers' drops a lock.
    awaited: AtomicBool,
}

#[derive(Default)]
struct Blocks {
    idle: Vec<Arc<TextBuffer>>,
    made: usize,
}

impl BlockPool {
    pub(crate) fn new(
        blocks_max: usize,
        block_bytes: usize,
        charge: MemoryCharge,
    ) -> Arc<BlockPool> {
        let blocks = Mutex::new(Blocks { idle: Vec::with_capacity(blocks_max), made: 0 });
        let blocks_max = AtomicUsize::new(blocks_max);
        let (freed, awaited) = (Condvar::new(), AtomicBool::new(false));
        Arc::new(BlockPool { charge, blocks_max, block_bytes, blocks, freed, awaited })
    }

    /// Bytes of each block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Lowers the maximum; only blocks that were not made yet are fewer.
    pub(crate) fn limit(&self, blocks_max: usize) {
        self.blocks_max.fetch_min(blocks_max, Ordering::Relaxed);
    }

    /// An empty block, if one is free.
    pub(crate) fn take(&self) -> Option<Arc<TextBuffer>> {
        self.take_locked(&mut self.lock())
    }

    /// How many blocks there may be, and how many of them are being read or filled.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let blocks = self.lock();
        let free = blocks.idle.iter().filter(|block| Arc::strong_count(block) == 1).count();
        (self.blocks_max.load(Ordering::Relaxed), blocks.made - free)
    }

    /// Waits until a block may be free, or the time has passed.
    pub(crate) fn wait(&self, timeout: Duration) {
        let mut blocks = self.lock();
        self.awaited.store(true, Ordering::SeqCst);
        // A reader that dropped its block before it saw the flag will not call.
        if let Some(block) = self.take_locked(&mut blocks) {
            blocks.idle.push(block);
            return;
        }
        drop(self.freed.wait_timeout(blocks, timeout));
    }

    /// Shares a filled block with its readers.
    pub(crate) fn seal(self: &Arc<Self>, block: Arc<TextBuffer>) -> SharedText {
        self.lock().idle.push(block.clone());
        SharedText { text: Some(block), pool: Some(self.clone()) }
    }

    fn take_locked(&self, blocks: &mut Blocks) -> Option<Arc<TextBuffer>> {
        // The block that was freed last is likely still in a cache.
        let free = blocks.idle.iter_mut().rposition(|block| Arc::get_mut(block).is_some());
        if let Some(free) = free {
            let mut block = blocks.idle.remove(free);
            Arc::get_mut(&mut block).expect("found unshared under the lock").clear();
            return Some(block);
        }
        if blocks.made >= self.blocks_max.load(Ordering::Relaxed) {
            return None;
        }
        // Where memory is short the source waits for the blocks that there are.
        if blocks.made >= POOL_BLOCKS_MIN && self.charge.check_room(self.block_bytes).is_err() {
            return None;
        }
        blocks.made += 1;
        // What passes the maximum all the same is said by whoever needs memory next.
        let _ = self.charge.set(blocks.made * self.block_bytes);
        Some(Arc::new(TextBuffer::with_capacity(self.block_bytes)))
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SharedText {
    /// The buffer, if it is no block and nobody else holds it.
    pub(crate) fn into_own(mut self) -> Option<TextBuffer> {
        if self.is_pooled() { None } else { self.text.take().and_then(Arc::into_inner) }
    }

    /// Whether both are the same buffer.
    pub(crate) fn is_same(&self, other: &SharedText) -> bool {
        match (&self.text, &other.text) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// Whether a receiver waits for the buffer to be free again.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pool.is_some()
    }
}

impl From<Arc<TextBuffer>> for SharedText {
    fn from(text: Arc<TextBuffer>) -> SharedText {
        SharedText { text: Some(text), pool: None }
    }
}

impl Deref for SharedText {
    type Target = TextBuffer;

    #[inline]
    fn deref(&self) -> &TextBuffer {
        self.text.as_ref().expect("only drop takes it")
    }
}

impl Drop for SharedText {
    fn drop(&mut self) {
        self.text = None;
        let Some(pool) = &self.pool else { return };
        if pool.awaited.swap(false, Ordering::SeqCst) {
            // Taking the lock makes sure that the waiter waits by now.
            drop(pool.lock());
            pool.freed.notify_all();
        }
    }
}

/// Whether every line of `text`, which ends in a line end, is within the maximum.
pub(crate) fn lines_fit(text: &[u8], line_bytes_max: usize) -> bool {
    let mut start = 0;
    // From the start of a line to the last line end within its reach: few steps, no scan.
    while text.len() - start > line_bytes_max {
        let reach = (start + line_bytes_max + 1).min(text.len());
        match memrchr(b'\n', &text[start..reach]) {
            Some(at) => start += at + 1,
            None => return false,
        }
    }
    true
}

impl fmt::Debug for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedText({} bytes)", self.len())
    }
}
