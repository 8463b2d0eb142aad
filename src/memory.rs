//! The memory account of a context: one number of bytes for everything that outside data can grow.
//!
//! Each holder (an operator, a pool of blocks, a window) has a [`MemoryCharge`] and tells it how
//! many bytes it holds, a block or a chunk at a time, so that the hot paths pay nothing. All
//! charges are in one sum. Whoever would bring the sum past the maximum gets an error that names
//! the largest holders: the batch fails, what it held is given back, and the engine goes on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::error::{Error, ErrorKind, Result};

/// Holders that an error names.
const NAMED_MAX: usize = 3;

/// The account of one context.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes_max: usize,
    held: AtomicUsize,
    peak: AtomicUsize,
    holders: Mutex<Vec<Weak<Holder>>>,
}

#[derive(Debug)]
struct Holder {
    name: String,
    bytes: AtomicUsize,
}

/// Bytes that one holder has charged to the memory account of its context.
///
/// A program charges what it keeps beside the engine, such as a map that an output fills, so that
/// the [maximum](crate::ContextBuilder::memory) holds for both together. Dropping the charge gives
/// its bytes back.
///
/// ```
/// use tidemill::prelude::*;
///
/// let ssc = StreamingContext::builder("small").memory(64 << 20).build()?;
/// let charge = ssc.charge_memory("totals");
/// charge.set(1 << 20)?;
/// assert_eq!(ssc.metrics().memory.held, 1 << 20);
/// assert!(charge.set(65 << 20).is_err());
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryCharge {
    memory: Arc<Memory>,
    holder: Arc<Holder>,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize) -> Arc<Memory> {
        Arc::new(Memory {
            bytes_max,
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            holders: Mutex::default(),
        })
    }

    /// An account without a maximum, for what belongs to no context.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Arc<Memory> {
        Memory::new(usize::MAX)
    }

    /// A charge of nothing yet. The name stands in errors, after "by".
    pub(crate) fn charge(self: &Arc<Self>, name: impl Into<String>) -> MemoryCharge {
        let holder = Arc::new(Holder { name: name.into(), bytes: AtomicUsize::new(0) });
        let mut holders = self.lock();
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(Arc::downgrade(&holder));
        drop(holders);
        MemoryCharge { memory: self.clone(), holder }
    }

    /// Bytes that are held now, the most that were, and the maximum.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (load(&self.held), load(&self.peak), self.bytes_max)
    }

    #[cold]
    fn exceeded(&self, wanted: usize) -> Error {
        let holders = self.lock();
        let mut held: Vec<(usize, String)> = Vec::new();
        for holder in holders.iter().filter_map(Weak::upgrade) {
            let bytes = holder.bytes.load(Ordering::Relaxed);
            match held.iter_mut().find(|(_, name)| *name == holder.name) {
                Some((all, _)) => *all += bytes,
                None => held.push((bytes, holder.name.clone())),
            }
        }
        drop(holders);
        held.sort_unstable_by(|a, b| b.cmp(a));
        let most = held.iter().filter(|(bytes, _)| *bytes > 0).take(NAMED_MAX);
        let most: Vec<String> =
            most.map(|(bytes, name)| format!("{name} ({bytes} bytes)")).collect();
        let max = self.bytes_max;
        let message = format!(
            "{wanted} bytes of memory would be held, more than the maximum of {max} \
             (ContextBuilder::memory); most by {}",
            most.join(", ")
        );
        Error::new(ErrorKind::Limit, message)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Holder>>> {
        self.holders.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl MemoryCharge {
    /// Says how many bytes are held now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Limit`] where they are more than before and the account passes its maximum,
    /// with those who hold most. The bytes are charged all the same, as they are held: let go of
    /// some, and say so.
    pub fn set(&self, bytes: usize) -> Result<()> {
        let before = self.holder.bytes.swap(bytes, Ordering::Relaxed);
        self.moved(before, bytes)
    }

    /// Bytes that are charged now.
    pub fn held(&self) -> usize {
        self.holder.bytes.load(Ordering::Relaxed)
    }

    /// One of several parts of the holder has so many bytes now, and had `before` until now.
    pub(crate) fn replace(&self, before: &mut usize, bytes: usize) -> Result<()> {
        let before = std::mem::replace(before, bytes);
        if bytes >= before {
            self.holder.bytes.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            self.holder.bytes.fetch_sub(before - bytes, Ordering::Relaxed);
        }
        self.moved(before, bytes)
    }

    /// Whether so many bytes more are within the maximum: to be asked before they are taken where
    /// they are many at once.
    pub(crate) fn check_room(&self, more: usize) -> Result<()> {
        let memory = &*self.memory;
        let wanted = memory.held.load(Ordering::Relaxed).saturating_add(more);
        if wanted <= memory.bytes_max { Ok(()) } else { Err(memory.exceeded(wanted)) }
    }

    fn moved(&self, before: usize, bytes: usize) -> Result<()> {
        let memory = &*self.memory;
        if bytes <= before {
            if bytes < before {
                memory.held.fetch_sub(before - bytes, Ordering::Relaxed);
            }
            return Ok(());
        }
        let more = bytes - before;
        let held = memory.held.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        memory.peak.fetch_max(held, Ordering::Relaxed);
        if held <= memory.bytes_max { Ok(()) } else { Err(memory.exceeded(held)) }
    }
}

impl Drop for MemoryCharge {
    fn drop(&mut self) {
        let held = self.holder.bytes.swap(0, Ordering::Relaxed);
        self.memory.held.fetch_sub(held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::memory::{Memory, MemoryCharge};

    #[test]
    fn charges_add_up_and_are_given_back() {
        let memory = Memory::new(100);
        let (keys, blocks) = (memory.charge("keys"), memory.charge("blocks"));
        keys.set(60).unwrap();
        blocks.set(40).unwrap();
        assert_eq!(memory.counts(), (100, 100, 100));
        blocks.set(10).unwrap();
        let mut part = 0;
        keys.replace(&mut part, 20).unwrap();
        assert_eq!((keys.held(), memory.counts().0), (80, 90));
        keys.check_room(10).unwrap();
        assert_eq!(keys.check_room(11).unwrap_err().kind(), ErrorKind::Limit);
        keys.replace(&mut part, 5).unwrap();
        assert_eq!(memory.counts().0, 75);
        drop(keys);
        assert_eq!(memory.counts(), (10, 100, 100));
    }

    #[test]
    fn an_error_names_those_who_hold_most() {
        let memory = Memory::new(100);
        let charges: Vec<MemoryCharge> =
            ["a", "b", "c", "d", "a"].map(|name| memory.charge(name)).into();
        for (charge, bytes) in charges.iter().zip([10, 30, 25, 20, 15]) {
            charge.set(bytes).unwrap();
        }
        let error = charges[2].set(26).unwrap_err();
        assert_eq!(
            error.to_string(),
            "101 bytes of memory would be held, more than the maximum of 100 \
             (ContextBuilder::memory); most by b (30 bytes), c (26 bytes), a (25 bytes)"
        );
        // It is held all the same, until it is given back.
        assert_eq!(memory.counts().0, 101);
        charges[2].set(25).unwrap();
    }
}
