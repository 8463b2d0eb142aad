//! Bytes that are the same beside those that are equal.

use crate::same_bytes;

#[test]
fn the_same_bytes_are_those_that_are_equal() {
    let bytes: Vec<u8> = (0..70).map(|at: u8| at.wrapping_mul(37)).collect();
    for len in 0..bytes.len() {
        // Of which one ends where its memory does.
        let (left, right) = (&bytes[..len], bytes[..len].to_vec().into_boxed_slice());
        assert!(same_bytes(left, &right), "{len}");
        assert!(!same_bytes(left, &bytes[..len + 1]) && !same_bytes(&bytes[..len + 1], left));
        for at in 0..len {
            for bit in 0..8 {
                let mut other = right.clone();
                other[at] ^= 1 << bit;
                assert!(!same_bytes(left, &other), "{len} bytes, another at {at}");
            }
        }
    }
}
