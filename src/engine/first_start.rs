//! Beginning of the batches in a checkpoint directory: noted at its first start, as a process that
//! dies before its first checkpoint has written outputs, too, and the next start has to know which.
//! The first start with a checkpoint removes the note.

use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Storage, replace};
use crate::time::Time;

const NAME: &str = "began";

/// Name of the file until it is whole.
const BEGUN: &str = "began.tmp";

/// The time before the first batch of all earlier processes that began here and left no checkpoint,
/// if there were any. This one's, `zero`, is noted for the next one: the earlier of the two, as a
/// clock may have been put back.
///
/// # Errors
///
/// [`ErrorKind::Checkpoint`] if the note cannot be read or written, or is damaged.
pub(super) fn began_before(
    storage: &dyn Storage,
    directory: &Path,
    zero: Time,
) -> Result<Option<Time>> {
    let path = directory.join(NAME);
    let cannot = |what: &str, error: io::Error| {
        Error::caused(ErrorKind::Checkpoint, format!("cannot {what} {}", path.display()), error)
    };
    let before = match storage.read_whole(&path) {
        Ok(bytes) => Some(time_in(&bytes).ok_or_else(|| damaged(&path))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot("read", error)),
    };
    if before.is_none_or(|before| zero < before) {
        replace(storage, &directory.join(BEGUN), &path, &text_of(zero))
            .map_err(|error| cannot("write", error))?;
    }
    Ok(before)
}

/// There is a checkpoint, which says more. Who removes all of them later begins anew, and what was
/// written until then stays.
pub(super) fn forget_beginning(storage: &dyn Storage, directory: &Path) {
    // Where it cannot be removed, it is not read either.
    let _ = storage.remove(&directory.join(NAME));
}

fn damaged(path: &Path) -> Error {
    let message = format!(
        "{} is damaged, so that outputs cannot be told what an earlier process wrote without a \
         checkpoint: take that back by hand, and remove the file",
        path.display()
    );
    Error::new(ErrorKind::Checkpoint, message)
}

/// Milliseconds since the epoch, and their checksum.
fn text_of(time: Time) -> Vec<u8> {
    let millis = time.millis().to_string();
    format!("{millis} {:08x}\n", crc32fast::hash(millis.as_bytes())).into_bytes()
}

fn time_in(bytes: &[u8]) -> Option<Time> {
    let millis = std::str::from_utf8(bytes).ok()?.split(' ').next()?;
    let time = Time::from_millis(millis.parse().ok()?);
    (text_of(time) == bytes).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::faulty::{Fault, FaultyDisk};

    const DIRECTORY: &str = "/state";

    fn began(disk: &FaultyDisk, millis: u64) -> Result<Option<u64>> {
        let began = began_before(disk, Path::new(DIRECTORY), Time::from_millis(millis));
        began.map(|time| time.map(Time::millis))
    }

    #[test]
    fn the_earliest_start_counts() {
        let disk = FaultyDisk::new(1);
        disk.create_directory(Path::new(DIRECTORY)).unwrap();
        assert_eq!(began(&disk, 1_000).unwrap(), None);
        disk.crash();
        assert_eq!(began(&disk, 2_000).unwrap(), Some(1_000));
        // The clock was put back.
        assert_eq!(began(&disk, 500).unwrap(), Some(1_000));
        assert_eq!(began(&disk, 3_000).unwrap(), Some(500));
        forget_beginning(&disk, Path::new(DIRECTORY));
        forget_beginning(&disk, Path::new(DIRECTORY));
        assert_eq!(began(&disk, 4_000).unwrap(), None);
    }

    /// After a success the note is there, and after a failure it is or is not.
    #[test]
    fn every_operation_fails_in_turn() {
        for (fault, and_after) in Fault::each_way() {
            for at in 0.. {
                let disk = FaultyDisk::new(7);
                disk.create_directory(Path::new(DIRECTORY)).unwrap();
                disk.fail_at(at, and_after, fault);
                let first = began(&disk, 1_000);
                let has_failed = disk.failed().is_some();
                disk.fail(0);
                disk.crash();
                let second = began(&disk, 2_000).unwrap();
                assert!(second == Some(1_000) || (first.is_err() && second.is_none()), "{fault:?}");
                if !has_failed {
                    break;
                }
            }
        }
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let whole = text_of(Time::from_millis(1_796_066_270_474));
        assert_eq!(time_in(&whole), Some(Time::from_millis(1_796_066_270_474)));
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(time_in(&bytes), None, "{bit}");
        }
        (0..whole.len()).for_each(|len| assert_eq!(time_in(&whole[..len]), None));
    }
}
