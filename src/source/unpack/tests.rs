//! Archives that are whole, truncated, damaged, and padded.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

pub(in crate::source) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Text that does not compress to almost nothing.
fn text(bytes: usize) -> Vec<u8> {
    let numbers = (0u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40);
    numbers.flat_map(|n| format!("{n}\n").into_bytes()).take(bytes).collect()
}

/// What is read of a file with this in it, and the error that came after that.
fn read(file: &[u8]) -> (Vec<u8>, Option<io::Error>) {
    let mut named = tempfile::NamedTempFile::new().unwrap();
    named.write_all(file).unwrap();
    let mut input = Input::open(&crate::source::links::Links::Followed, named.path()).unwrap();
    let (mut content, mut buffer) = (Vec::new(), vec![0; 7_001]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return (content, None),
            Ok(count) => content.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_eq!(input.read(&mut buffer).unwrap(), 0, "the end comes after an error");
                return (content, Some(error));
            }
        }
    }
}

fn read_whole(file: &[u8]) -> Vec<u8> {
    let (content, error) = read(file);
    assert!(error.is_none(), "{error:?}");
    content
}

#[test]
fn a_file_is_known_by_what_it_holds() {
    let text = text(1_200_000);
    assert_eq!(read_whole(&text), text);
    assert_eq!(read_whole(&gzip(&text)), text);
    assert_eq!(read_whole(&zstd(&text)), text);
    for short in [&b""[..], b"\x1F", b"\x1F\x8B", b"(\xB5/", b"a\n"] {
        assert_eq!(read_whole(short), short);
    }
    assert_eq!(read_whole(&gzip(b"")), b"");
    assert_eq!(read_whole(&zstd(b"")), b"");
}

#[test]
fn members_and_frames_follow_one_another() {
    let parts = [text(300_000), Vec::new(), b"b\n".to_vec(), text(70_000)];
    let expected = parts.concat();
    let gzipped: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
    assert_eq!(read_whole(&gzipped), expected);
    // As gzip does: padding is no content, and neither is what comes after it.
    assert_eq!(read_whole(&[&gzipped[..], &[0; 100_000]].concat()), expected);
    assert_eq!(read_whole(&[&gzipped[..], b"other"].concat()), expected);
    let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames: Vec<u8> =
        parts.iter().flat_map(|part| [skipped.clone(), zstd(part)].concat()).collect();
    assert_eq!(read_whole(&frames), expected);
}

#[test]
fn a_truncated_archive_gives_what_came_before_and_then_an_error() {
    let text = text(1_200_000);
    for archive in [gzip(&text), zstd(&text)] {
        for cut in [archive.len() / 2, archive.len() - 1] {
            let (content, error) = read(&archive[..cut]);
            let error = error.expect("it is truncated").to_string();
            assert!(error.contains("truncated"), "{error}");
            assert!(text.starts_with(&content));
            let share = content.len() as f64 / text.len() as f64;
            let expected = cut as f64 / archive.len() as f64;
            assert!((share - expected).abs() < 0.15, "{share} of it, of {expected}");
        }
    }
}

#[test]
fn a_damaged_archive_gives_what_came_before_and_then_an_error() {
    let text = text(1_200_000);
    for archive in [gzip(&text), zstd(&text)] {
        for at in [archive.len() / 2, archive.len() - 6, archive.len() - 1] {
            let mut damaged = archive.clone();
            damaged[at] ^= 0x55;
            let (content, error) = read(&damaged);
            if let Some(error) = &error {
                assert!(error.to_string().contains("damaged"), "{error}");
                assert!(content.len() > text.len() / 3, "{} bytes", content.len());
            }
            assert!(error.is_some() || content == text, "byte {at} of {}", archive.len());
        }
    }
}

#[test]
fn the_content_can_be_read_again_and_left_in_the_middle() {
    let text = text(1_200_000);
    for archive in [text.clone(), gzip(&text), zstd(&text)] {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(&archive).unwrap();
        let mut input = Input::open(&crate::source::links::Links::Followed, named.path()).unwrap();
        for _ in 0..2 {
            let mut some = vec![0; 400_000];
            input.read_exact(&mut some).unwrap();
            assert!(text.starts_with(&some));
            let consumed = input.consumed(400_000);
            assert!((1..=archive.len() as u64).contains(&consumed), "{consumed} bytes");
            input.restart().unwrap();
        }
        let mut whole = Vec::new();
        input.read_to_end(&mut whole).unwrap();
        assert_eq!(whole, text);
        assert_eq!(input.consumed(whole.len() as u64), archive.len() as u64);
    }
}
