//! Keys and their numbers in the order in which they came, in chunks of one huge page each: an
//! entry never moves, so growing costs a page fault every 87,000 keys and nothing else.

use super::prefetch::prefetch;
use crate::huge::HugePage;

/// Where an entry is: chunk and number within. Good until the log is cleared.
pub(super) type Place = u32;

/// Entries of `W` key words and a number.
#[derive(Clone)]
pub(super) struct Log<const W: usize> {
    /// Full ones, one with room, and empty ones that are kept for their memory.
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Clone)]
struct Chunk {
    page: HugePage,
    /// The keys' length marks, apart from the words: only who reads the whole log needs them.
    marks: Vec<u8>,
}

impl<const W: usize> Log<W> {
    /// Entries of a chunk.
    const CHUNK: usize = HugePage::WORDS / (W + 1);

    /// Bits of a [`Place`] that are the entry's number within its chunk.
    const WITHIN_BITS: u32 = Self::CHUNK.ilog2() + 1;

    /// Entries that places can tell apart.
    pub(super) const MAX: usize = Self::CHUNK << (u32::BITS - Self::WITHIN_BITS);

    pub(super) fn new() -> Self {
        Log { chunks: Vec::new(), len: 0 }
    }

    /// Appends an entry. There have to be fewer than [`MAX`](Self::MAX).
    #[inline(always)]
    pub(super) fn push(&mut self, words: [u64; W], value: i64, mark: u8) -> Place {
        let (number, within) = (self.len / Self::CHUNK, self.len % Self::CHUNK);
        if number == self.chunks.len() {
            self.add_chunk();
        }
        let chunk = &mut self.chunks[number];
        let entry = chunk.page.words_mut()[within * (W + 1)..].first_chunk_mut::<W>();
        *entry.expect("a chunk has room for all its entries") = words;
        chunk.page.words_mut()[within * (W + 1) + W] = value as u64;
        chunk.marks.push(mark);
        self.len += 1;
        (number << Self::WITHIN_BITS | within) as Place
    }

    #[cold]
    fn add_chunk(&mut self) {
        assert!(self.len < Self::MAX, "the table refuses keys before the log is out of places");
        self.chunks.push(Chunk { page: HugePage::new(), marks: Vec::with_capacity(Self::CHUNK) });
    }

    /// The words of an entry's key.
    #[inline(always)]
    pub(super) fn words(&self, place: Place) -> &[u64; W] {
        let (chunk, at) = Self::find(place);
        let words = &self.chunks[chunk].page.words()[at..];
        words.first_chunk().expect("an entry has W words")
    }

    /// Changes the number of an entry; returns what `change` does.
    #[inline(always)]
    pub(super) fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut i64) -> R) -> R {
        let (chunk, at) = Self::find(place);
        let word = &mut self.chunks[chunk].page.words_mut()[at + W];
        let mut value = *word as i64;
        let result = change(&mut value);
        *word = value as u64;
        result
    }

    /// Asks for an entry: for both of its lines if it lies in two.
    #[inline(always)]
    pub(super) fn prefetch(&self, place: Place) {
        let (chunk, at) = Self::find(place);
        let entry = &self.chunks[chunk].page.words()[at..at + W + 1];
        prefetch(&entry[0]);
        prefetch(&entry[W]);
    }

    #[inline(always)]
    fn find(place: Place) -> (usize, usize) {
        let within = place as usize & ((1 << Self::WITHIN_BITS) - 1);
        ((place >> Self::WITHIN_BITS) as usize, within * (W + 1))
    }

    /// Calls `each` with the words, the number and the length mark of every entry, in order, until
    /// it fails.
    #[inline]
    pub(super) fn try_for_each<E>(
        &self,
        mut each: impl FnMut(&[u64; W], i64, u8) -> Result<(), E>,
    ) -> Result<(), E> {
        for chunk in &self.chunks {
            let entries = chunk.page.words().chunks_exact(W + 1);
            for (entry, mark) in entries.zip(&chunk.marks) {
                let words = entry.first_chunk().expect("an entry has W words");
                each(words, entry[W] as i64, *mark)?;
            }
        }
        Ok(())
    }

    /// [`try_for_each`](Self::try_for_each) with what cannot fail.
    #[inline]
    pub(super) fn for_each(&self, mut each: impl FnMut(&[u64; W], i64, u8)) {
        let Ok(()) = self.try_for_each::<std::convert::Infallible>(|words, value, mark| {
            each(words, value, mark);
            Ok(())
        });
    }

    /// Forgets the entries and keeps the chunks.
    pub(super) fn clear(&mut self) {
        self.chunks.iter_mut().for_each(|chunk| chunk.marks.clear());
        self.len = 0;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let marks: usize = self.chunks.iter().map(|chunk| chunk.marks.capacity()).sum();
        self.chunks.len() * (size_of::<u64>() * HugePage::WORDS)
            + marks
            + self.chunks.capacity() * size_of::<Chunk>()
    }
}
