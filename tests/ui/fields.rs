//! Fields whose types are seen to be no records.

use tidemill::prelude::*;

#[derive(Record)]
struct Packet {
    flags: u8,
    payload: Vec<u8>,
    len: usize,
    source: Option<u128>,
    initials: Vec<char>,
    name: &'static str,
    address: [u16; 8],
    parts: (i64, i64, i64, i64, i64, i64, i64),
    within: Option<Vec<Packet>>,
    fine: Row<[u8; 4]>,
}
