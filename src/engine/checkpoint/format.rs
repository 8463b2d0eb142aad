//! A checkpoint as bytes.
//!
//! ```text
//! magic             8   "tidemill"
//! version           4   3
//! kind              4   0: all there is, 1: changes since the predecessor
//! number            8   of the batch
//! life              8   made up for a directory: what other programs wrote has another one
//! id                8   made up for each checkpoint; one that is written again keeps it
//! predecessor       16  its number, and its id
//! time, zero        16  in milliseconds since the epoch
//! interval          8   in milliseconds
//! body length       8
//! body checksum     4
//! header checksum   4   of all before it
//! body:
//!   sources         4   how many, and for each: name, delta of its position
//!   sections        4   how many, and for each: name, form, whether whole (1), entries
//! ```
//!
//! Numbers are little-endian; names, deltas and entries have their lengths before them, 8 bytes. A
//! [delta](super::delta) stands on the position of the same source in the predecessor, if there is
//! one, and otherwise by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Checkpoint, Section, delta};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Changes;
use crate::record::saved::torn;
use crate::time::Time;

const MAGIC: &[u8; 8] = b"tidemill";

/// Changes with what is in the files.
pub(super) const VERSION: u32 = 3;

pub(super) const HEADER_BYTES: usize = 96;

/// The last millisecond of the year 9999: what comes later is no time of a batch.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// By what a checkpoint is told from another one with its number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Made up for a directory that has no checkpoint yet.
    pub(super) life: u64,
    /// Made up for each checkpoint.
    pub(super) id: u64,
}

/// What is known of a checkpoint without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) stamp: Stamp,
    /// The checkpoint that it stands on: its number and id.
    pub(super) predecessor: Option<(u64, u64)>,
    pub(super) time: Time,
    pub(super) zero: Time,
    pub(super) interval: Duration,
    pub(super) body_len: u64,
    pub(super) body_checksum: u32,
}

/// Where sources stand, by name.
pub(in crate::engine) type Positions = Vec<(String, Vec<u8>)>;

/// The checkpoint that another one stands on.
pub(super) struct Predecessor<'a> {
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) positions: &'a Positions,
}

/// What is in a file.
pub(super) struct Decoded {
    pub(super) header: Header,
    /// Without where its sources stand.
    pub(super) checkpoint: Checkpoint,
    /// How that has changed: [deltas](delta) by the names of sources.
    pub(super) deltas: Vec<(String, Vec<u8>)>,
}

/// The position of a source, which is empty where there is none.
pub(in crate::engine) fn position_of<'a>(
    positions: &'a [(String, Vec<u8>)],
    name: &str,
) -> &'a [u8] {
    let mut positions = positions.iter();
    positions.find(|(known, _)| known == name).map_or(&[], |(_, position)| position)
}

/// Where sources stand that stood there before.
pub(super) fn apply(before: &Positions, deltas: Vec<(String, Vec<u8>)>) -> Result<Positions> {
    let apply = |(name, delta): (String, Vec<u8>)| {
        let position = delta::apply(position_of(before, &name), &delta)?;
        Ok((name, position))
    };
    deltas.into_iter().map(apply).collect()
}

/// A checkpoint as it is in its file.
pub(super) fn encode(
    checkpoint: &Checkpoint,
    stamp: Stamp,
    predecessor: Option<&Predecessor<'_>>,
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    push_u32(checkpoint.sources.len() as u32, &mut bytes);
    for (name, position) in &checkpoint.sources {
        push_bytes(name.as_bytes(), &mut bytes);
        let before = predecessor.map_or(&[][..], |before| position_of(before.positions, name));
        push_bytes(&delta::between(before, position), &mut bytes);
    }
    push_u32(checkpoint.sections.len() as u32, &mut bytes);
    for Section { name, form, changes } in &checkpoint.sections {
        push_bytes(name.as_bytes(), &mut bytes);
        push_bytes(form.as_bytes(), &mut bytes);
        bytes.push(u8::from(changes.is_whole()));
        push_bytes(changes.bytes(), &mut bytes);
    }
    let body = &bytes[HEADER_BYTES..];
    let (number, its_id) = predecessor.map_or((0, 0), |before| (before.number, before.id));
    let mut header = MAGIC.to_vec();
    push_u32(VERSION, &mut header);
    push_u32(u32::from(predecessor.is_some()), &mut header);
    push_u64(checkpoint.number, &mut header);
    push_u64(stamp.life, &mut header);
    push_u64(stamp.id, &mut header);
    push_u64(number, &mut header);
    push_u64(its_id, &mut header);
    push_u64(checkpoint.time.millis(), &mut header);
    push_u64(checkpoint.zero.millis(), &mut header);
    push_u64(checkpoint.interval.as_millis() as u64, &mut header);
    push_u64(body.len() as u64, &mut header);
    push_u32(crc32fast::hash(body), &mut header);
    let checksum = crc32fast::hash(&header);
    push_u32(checksum, &mut header);
    bytes[..HEADER_BYTES].copy_from_slice(&header);
    bytes
}

/// The header at the beginning of a file.
pub(super) fn decode_header(bytes: &[u8]) -> Result<Header> {
    let header = bytes.get(..HEADER_BYTES).ok_or_else(torn)?;
    let (mut rest, checksum) = header.split_at(HEADER_BYTES - 4);
    let checksum = u32::from_le_bytes(checksum.try_into().expect("it is four bytes"));
    if take(&mut rest, MAGIC.len())? != MAGIC {
        return Err(Error::new(ErrorKind::Checkpoint, "it is no checkpoint"));
    }
    let version = take_u32(&mut rest)?;
    if crc32fast::hash(&header[..HEADER_BYTES - 4]) != checksum {
        return Err(wrong_checksum());
    }
    if version != VERSION {
        let message = format!("it is of version {version}, and this program reads {VERSION}");
        return Err(Error::new(ErrorKind::Checkpoint, message));
    }
    let kind = take_u32(&mut rest)?;
    let number = take_u64(&mut rest)?;
    let stamp = Stamp { life: take_u64(&mut rest)?, id: take_u64(&mut rest)? };
    let predecessor = (take_u64(&mut rest)?, take_u64(&mut rest)?);
    let header = Header {
        number,
        stamp,
        predecessor: (kind != 0).then_some(predecessor),
        time: Time::from_millis(take_u64(&mut rest)?),
        zero: Time::from_millis(take_u64(&mut rest)?),
        interval: Duration::from_millis(take_u64(&mut rest)?),
        body_len: take_u64(&mut rest)?,
        body_checksum: take_u32(&mut rest)?,
    };
    match impossible(kind, &header) {
        None => Ok(header),
        Some(what) => Err(Error::new(ErrorKind::Checkpoint, what)),
    }
}

/// What no program has written, whatever the checksum says.
fn impossible(kind: u32, header: &Header) -> Option<String> {
    let &Header { number, predecessor, time, zero, interval, .. } = header;
    let [time, zero] = [time, zero].map(Time::millis);
    let interval = interval.as_millis() as u64;
    if kind > 1 {
        return Some(format!("its kind is {kind}, of which there is 0 and 1"));
    }
    if let Some((predecessor, _)) = predecessor
        && predecessor >= number
    {
        return Some(format!("it is number {number}, and stands on {predecessor}"));
    }
    if time > LAST_MILLIS {
        return Some(format!("its time is {time} ms, and the last one is {LAST_MILLIS} ms"));
    }
    let batches = time.checked_sub(zero).zip((interval > 0).then_some(interval));
    let numbered = batches.map(|(since, interval)| (since / interval, since % interval));
    if numbered != Some((number, 0)) {
        return Some(format!(
            "its batch is number {number}, and its time {time} ms is not so many intervals of \
             {interval} ms after {zero} ms"
        ));
    }
    None
}

/// The header of a whole file, of which all is what was written.
pub(super) fn check(bytes: &[u8]) -> Result<Header> {
    let header = decode_header(bytes)?;
    let body = &bytes[HEADER_BYTES..];
    if body.len() as u64 != header.body_len {
        let (len, expected) = (body.len(), header.body_len);
        let message = format!("its body has {len} bytes, and should have {expected}");
        return Err(Error::new(ErrorKind::Checkpoint, message));
    }
    if crc32fast::hash(body) != header.body_checksum {
        return Err(wrong_checksum());
    }
    Ok(header)
}

/// A whole file, whose memory the largest section takes over.
pub(super) fn decode(mut bytes: Vec<u8>) -> Result<Decoded> {
    let header = check(&bytes)?;
    let mut body = &bytes[HEADER_BYTES..];
    let mut deltas = Vec::new();
    for _ in 0..take_u32(&mut body)? {
        deltas.push((take_text(&mut body)?, take_bytes(&mut body)?.to_vec()));
    }
    let (mut sections, mut ranges) = (Vec::new(), Vec::new());
    for _ in 0..take_u32(&mut body)? {
        let (name, form) = (take_text(&mut body)?, take_text(&mut body)?);
        let mut changes = Changes::default();
        if take(&mut body, 1)? == [1] {
            changes.be_whole();
        }
        let len = take_bytes(&mut body)?.len();
        let end = bytes.len() - body.len();
        ranges.push(end - len..end);
        sections.push(Section { name, form, changes });
    }
    if !body.is_empty() {
        return Err(torn());
    }
    check_names("source", deltas.iter().map(|(name, _)| name))?;
    check_names("state", sections.iter().map(|section| &section.name))?;
    let fill = |section: &mut Section, bytes: Vec<u8>| {
        section.changes = Changes::from_bytes(bytes, section.changes.is_whole())?;
        Ok(())
    };
    let largest = (0..ranges.len()).max_by_key(|&at| ranges[at].len());
    for (at, section) in sections.iter_mut().enumerate().filter(|(at, _)| Some(*at) != largest) {
        fill(section, bytes[ranges[at].clone()].to_vec())?;
    }
    if let Some(largest) = largest {
        bytes.truncate(ranges[largest].end);
        bytes.drain(..ranges[largest].start);
        fill(&mut sections[largest], bytes)?;
    }
    let Header { number, time, zero, interval, .. } = header;
    let (sources, is_whole) = (Vec::new(), header.predecessor.is_none());
    let checkpoint = Checkpoint { number, time, zero, interval, sources, sections, is_whole };
    Ok(Decoded { header, checkpoint, deltas })
}

/// Whether each name is there once.
fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(twice) => {
            let message = format!("it has the {what} {twice:?} twice");
            Err(Error::new(ErrorKind::Checkpoint, message))
        }
    }
}

fn wrong_checksum() -> Error {
    Error::new(ErrorKind::Checkpoint, "its checksum is wrong")
}

fn push_u32(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn push_u64(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    push_u64(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(len).ok_or_else(torn)?;
    *from = rest;
    Ok(taken)
}

fn take_u32(from: &mut &[u8]) -> Result<u32> {
    take(from, 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("it is four bytes")))
}

fn take_u64(from: &mut &[u8]) -> Result<u64> {
    take(from, 8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("it is eight bytes")))
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Result<&'a [u8]> {
    let len = usize::try_from(take_u64(from)?).map_err(|_| torn())?;
    take(from, len)
}

fn take_text(from: &mut &[u8]) -> Result<String> {
    String::from_utf8(take_bytes(from)?.to_vec()).map_err(|_| torn())
}
