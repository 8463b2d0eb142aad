//! What has changed of a state since it was last saved: entries by number, of which the last one
//! counts. All that remembers is saved in this form, so that checkpoints are put together and
//! merged without knowing what is in them.

use crate::error::Result;
use crate::record::saved::{push_varint, take_varint, torn};

/// Entries by number, in ascending order, as bytes; ready to be written as they are.
///
/// An entry is put, with its bytes, or removed. Two runs of changes, one after the other, come to
/// the entries of both, where of two with the same number the later one counts.
///
/// ```text
/// varint: number less the number before (less -1 for the first)
/// varint: 0 if removed, otherwise 1 + the number of bytes
/// the bytes
/// ```
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    bytes: Vec<u8>,
    count: u64,
    /// How many of them say that an entry is gone.
    removed: u64,
    /// The number after the last one.
    next: u64,
    is_whole: bool,
}

/// An entry: its number, and its bytes unless it was removed.
pub(crate) type Change<'a> = (u64, Option<&'a [u8]>);

impl Changes {
    /// The same as was given by [`bytes`](Self::bytes) and [`is_whole`](Self::is_whole).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] for bytes that are no entries in ascending order.
    pub(crate) fn from_bytes(bytes: Vec<u8>, is_whole: bool) -> Result<Changes> {
        let mut entries = Entries { rest: &bytes, next: 0 };
        let (mut count, mut removed) = (0, 0);
        while let Some((_, entry)) = entries.take()? {
            count += 1;
            removed += u64::from(entry.is_none());
        }
        let next = entries.next;
        Ok(Changes { bytes, count, removed, next, is_whole })
    }

    /// No entries, and none from before.
    pub(crate) fn whole() -> Changes {
        Changes { is_whole: true, ..Changes::default() }
    }

    /// All that was saved before no longer counts. To be said before the first entry.
    pub(crate) fn forget_all(&mut self) {
        assert_eq!(self.count, 0, "entries are put after those before are forgotten");
        self.is_whole = true;
    }

    /// What may have been saved before does not count, either.
    pub(crate) fn be_whole(&mut self) {
        self.is_whole = true;
    }

    /// Whether they stand for all there is, so that nothing saved before counts.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Adds an entry with what `write` appends.
    ///
    /// # Panics
    ///
    /// If the number is not above the one before.
    pub(crate) fn put(&mut self, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.push_number(number);
        // Room for the length, as short as it mostly is.
        let at = self.bytes.len();
        self.bytes.push(0);
        write(&mut self.bytes);
        let len = self.bytes.len() - at - 1;
        if len + 1 < 0x80 {
            self.bytes[at] = len as u8 + 1;
        } else {
            let mut prefix = Vec::new();
            push_varint(len as u64 + 1, &mut prefix);
            self.bytes.splice(at..=at, prefix);
        }
    }

    /// Adds that an entry is gone.
    ///
    /// # Panics
    ///
    /// If the number is not above the one before.
    pub(crate) fn remove(&mut self, number: u64) {
        self.push_number(number);
        self.bytes.push(0);
        self.removed += 1;
    }

    /// The entries, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let mut entries = Entries { rest: &self.bytes, next: 0 };
        std::iter::from_fn(move || entries.known())
    }

    /// Appends entries whose numbers are all above those that are there.
    pub(crate) fn append(&mut self, above: &Changes) {
        let mut entries = Entries { rest: &above.bytes, next: 0 };
        let Some((number, bytes)) = entries.known() else { return };
        self.push(number, bytes);
        // What follows stands on the entry before it here, too, so it is copied as it is.
        self.bytes.extend_from_slice(entries.rest);
        self.count += above.count - 1;
        self.removed += above.removed - u64::from(bytes.is_none());
        self.next = above.next;
    }

    /// These changes and later ones as one.
    pub(crate) fn then(self, later: &Changes) -> Changes {
        let mut all = Changes { is_whole: self.is_whole || later.is_whole, ..Changes::default() };
        all.bytes.reserve(if later.is_whole { 0 } else { self.bytes.len() } + later.bytes.len());
        let earlier: &[u8] = if later.is_whole { &[] } else { &self.bytes };
        let mut earlier = Entries { rest: earlier, next: 0 };
        for (number, bytes) in later.iter() {
            all.push_below(&mut earlier, number);
            all.push(number, bytes);
        }
        all.push_below(&mut earlier, u64::MAX);
        all
    }

    /// Appends the entries below a number, and passes over that of the number itself.
    fn push_below(&mut self, from: &mut Entries<'_>, end: u64) {
        let mut before = *from;
        let Some((number, bytes)) = from.known().filter(|&(number, _)| number <= end) else {
            *from = before;
            return;
        };
        if number == end {
            return;
        }
        self.push(number, bytes);
        // As above.
        let run = from.rest;
        loop {
            before = *from;
            let Some((number, bytes)) = from.known() else { break };
            if number >= end {
                if number > end {
                    *from = before;
                }
                break;
            }
            self.count += 1;
            self.removed += u64::from(bytes.is_none());
        }
        self.bytes.extend_from_slice(&run[..run.len() - before.rest.len()]);
        self.next = before.next;
    }

    /// All that there is after these changes, if there was nothing before.
    pub(crate) fn without_removed(mut self) -> Changes {
        self.is_whole = true;
        if self.removed == 0 {
            return self;
        }
        let mut left = Changes::whole();
        self.iter().filter(|(_, bytes)| bytes.is_some()).for_each(|(n, bytes)| left.push(n, bytes));
        left
    }

    fn push(&mut self, number: u64, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.push_number(number);
                push_varint(bytes.len() as u64 + 1, &mut self.bytes);
                self.bytes.extend_from_slice(bytes);
            }
            None => self.remove(number),
        }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The entries as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push_number(&mut self, number: u64) {
        assert!(number >= self.next, "entry {number} comes after entry {}", self.next);
        push_varint(number - self.next, &mut self.bytes);
        self.next = number + 1;
        self.count += 1;
    }
}

/// What is left of the entries.
#[derive(Copy, Clone)]
struct Entries<'a> {
    rest: &'a [u8],
    next: u64,
}

impl<'a> Entries<'a> {
    /// The next one of entries that were checked when they came.
    fn known(&mut self) -> Option<Change<'a>> {
        self.take().expect("they were checked when they came")
    }

    #[inline]
    fn take(&mut self) -> Result<Option<Change<'a>>> {
        // Most entries follow the one before and are short.
        if let [0, len @ 1..0x80, rest @ ..] = self.rest
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(*len) - 1)
        {
            let number = self.next;
            self.next = number.checked_add(1).ok_or_else(torn)?;
            self.rest = rest;
            return Ok(Some((number, Some(bytes))));
        }
        self.take_any()
    }

    fn take_any(&mut self) -> Result<Option<Change<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let ahead = take_varint(&mut self.rest)?;
        let number = self.next.checked_add(ahead).ok_or_else(torn)?;
        self.next = number.checked_add(1).ok_or_else(torn)?;
        let Some(len) = take_varint(&mut self.rest)?.checked_sub(1) else {
            return Ok(Some((number, None)));
        };
        let len = usize::try_from(len).map_err(|_| torn())?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(torn)?;
        self.rest = rest;
        Ok(Some((number, Some(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn entries_come_back() {
        let mut changes = Changes::default();
        changes.put(0, |_| {});
        changes.put(7, |out| out.extend([1, 2, 3]));
        changes.remove(8);
        changes.put(u64::from(u32::MAX), |out| out.extend([9; 300]));
        let again = Changes::from_bytes(changes.bytes().to_vec(), false).unwrap();
        assert_eq!(again.len(), 4);
        let expected: [Change<'_>; 4] = [
            (0, Some(&[])),
            (7, Some(&[1, 2, 3])),
            (8, None),
            (u64::from(u32::MAX), Some(&[9; 300])),
        ];
        assert!(again.iter().eq(expected));
    }

    #[test]
    fn later_entries_count() {
        let changes = |entries: &[(u64, Option<u8>)]| {
            let mut changes = Changes::default();
            for &(number, byte) in entries {
                changes.push(number, byte.as_ref().map(std::slice::from_ref));
            }
            changes
        };
        let earlier = changes(&[(1, Some(1)), (2, Some(2)), (3, None), (9, Some(9))]);
        let mut later = changes(&[(0, Some(10)), (2, None), (3, Some(13)), (10, Some(20))]);
        let both = [(0, Some(10)), (1, Some(1)), (2, None), (3, Some(13)), (9, Some(9))];
        let expected = changes(&[&both[..], &[(10, Some(20))]].concat());
        assert!(earlier.clone().then(&later).iter().eq(expected.iter()));
        later.is_whole = true;
        let alone = earlier.then(&later);
        assert!(alone.is_whole() && alone.iter().eq(later.iter()));
    }

    #[test]
    fn runs_between_later_entries_are_kept() {
        let of = |numbers: &[u64], removed: u64| {
            let mut changes = Changes::default();
            for &number in numbers {
                match number % 5 == removed {
                    true => changes.remove(number),
                    false => changes.put(number, |out| out.extend([removed as u8; 3])),
                }
            }
            changes
        };
        let sets: [&[u64]; 6] =
            [&[], &[0], &[1, 2, 3, 4, 5, 9], &[2, 3, 300], &[7, 8, 9, 10, 1000], &[4, 5, 300]];
        for earlier in sets.map(|numbers| of(numbers, 0)) {
            for later in sets.map(|numbers| of(numbers, 3)) {
                let mut expected: std::collections::BTreeMap<_, _> = earlier.iter().collect();
                expected.extend(later.iter());
                let both = earlier.clone().then(&later);
                assert!(both.iter().eq(expected.clone()), "{earlier:?} {later:?}");
                let again = Changes::from_bytes(both.bytes().to_vec(), false).unwrap();
                assert_eq!((both.count, both.removed), (again.count, again.removed));
                assert_eq!(both.next, again.next);
                let mut above = Changes::default();
                for (number, bytes) in later.iter() {
                    above.push(number + 2000, bytes);
                }
                let mut appended = earlier.clone();
                appended.append(&above);
                assert!(appended.iter().eq(earlier.iter().chain(above.iter())));
                let again = Changes::from_bytes(appended.bytes().to_vec(), false).unwrap();
                assert_eq!((appended.count, appended.removed), (again.count, again.removed));
                assert_eq!(appended.next, if above.count == 0 { earlier.next } else { above.next });
                let left = both.without_removed();
                assert!(left.is_whole() && left.removed == 0);
                assert!(left.iter().eq(expected.into_iter().filter(|(_, bytes)| bytes.is_some())));
            }
        }
    }

    #[test]
    fn torn_bytes_are_refused() {
        let mut changes = Changes::default();
        changes.put(3, |out| out.extend([1; 200]));
        let bytes = changes.bytes();
        for end in 1..bytes.len() {
            let torn = Changes::from_bytes(bytes[..end].to_vec(), false);
            assert_eq!(torn.unwrap_err().kind(), ErrorKind::Checkpoint, "{end} bytes");
        }
        assert!(Changes::from_bytes(vec![0xFF; 11], false).is_err());
    }
}
