//! The writer against a model that looks at the whole input at once, however it was cut into reads
//! and batches.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::memory::Memory;
use crate::source::quoted::Quoted;
use crate::source::{BadUtf8, LongLine, SourceCounts};

/// What a source is set to, and what it makes of its input.
#[derive(Copy, Clone, Debug)]
struct Setup {
    options: LineOptions,
    is_text: bool,
    line_bytes_max: usize,
    /// Bytes that a block has over those that it must have.
    block_bytes_more: usize,
    /// Whether fields may stand in quotes, with `;` between two.
    is_quoted: bool,
}

impl Setup {
    fn writer(&self) -> BlockWriter {
        let needed = ROOM_BYTES_MIN.max(self.line_bytes_max + 1 + ROOM_BYTES_MIN / 2);
        let charge = Memory::unlimited().charge("blocks");
        let pool = BlockPool::new(2, needed + self.block_bytes_more, charge);
        BlockWriter::new(pool, self.options, self.form(), self.line_bytes_max)
    }

    fn form(&self) -> Form {
        match self.is_text {
            true if self.is_quoted => Form::Quoted(self.quoted()),
            true => Form::Text,
            false => Form::Bytes,
        }
    }

    fn quoted(&self) -> Quoted {
        Quoted { separator: b';', record_bytes_max: self.line_bytes_max }
    }

    /// One line after the other, and never a thought for the reads.
    fn model(&self, input: &[u8]) -> (Vec<Vec<u8>>, SourceCounts) {
        let mut counts = SourceCounts { bytes: input.len() as u64, ..SourceCounts::default() };
        let mut lines = Vec::new();
        for line in input.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines.extend(self.model_line(line, &mut counts));
        }
        (lines, counts)
    }

    fn model_line(&self, line: &[u8], counts: &mut SourceCounts) -> Option<Vec<u8>> {
        let is_fitting = |line: &[u8]| line.len() <= self.line_bytes_max;
        let (mut is_cut, mut is_replaced) = (!is_fitting(line), false);
        let mut line = self.model_cut(line);
        if self.is_text && std::str::from_utf8(&line).is_err() {
            is_replaced = true;
            line = String::from_utf8_lossy(&line).into_owned().into_bytes();
            is_cut |= !is_fitting(&line);
            line = self.model_cut(&line);
        }
        let is_rejected = is_cut && self.options.long_line == LongLine::Reject
            || is_replaced && self.options.bad_utf8 == BadUtf8::Reject;
        if is_rejected {
            counts.lines_rejected += 1;
            return None;
        }
        counts.lines_cut += u64::from(is_cut);
        counts.lines_replaced += u64::from(is_replaced);
        Some(line)
    }

    fn model_cut(&self, line: &[u8]) -> Vec<u8> {
        let max = self.line_bytes_max;
        if line.len() <= max {
            return line.to_vec();
        }
        // The start of the character that the maximum falls into, if it is one.
        let mut ends = (max.saturating_sub(3)..=max).rev();
        let end = ends.find(|&end| !self.is_text || !matches!(line[end], 0x80..=0xBF));
        line[..end.unwrap_or(max)].to_vec()
    }
}

/// A source's inner loop, with ticks when told.
struct Taker {
    writer: BlockWriter,
    setup: Setup,
    lines: Vec<Vec<u8>>,
}

impl Taker {
    fn new(setup: Setup) -> Taker {
        Taker { writer: setup.writer(), setup, lines: Vec::new() }
    }

    fn open(&mut self) {
        loop {
            assert!(self.writer.open());
            if !self.writer.is_full() {
                return;
            }
            self.seal();
        }
    }

    /// Reads all of `bytes` by as many calls as it takes.
    fn fill(&mut self, carry: &mut Carry, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.open();
            let filled = self.writer.fill(carry, |room| {
                let count = bytes.len().min(room.len());
                room[..count].copy_from_slice(&bytes[..count]);
                Ok(count)
            });
            match filled.unwrap() {
                Some(count) => bytes = &bytes[count..],
                None => assert!(self.writer.is_full(), "or it would be called for ever"),
            }
            let begun = if self.setup.options.long_line.word_ends().is_some() { 2 } else { 0 };
            assert!(carry.bytes.len() <= self.setup.line_bytes_max + 1 + begun);
        }
    }

    fn seal(&mut self) {
        let Some(block) = self.writer.seal() else { return };
        assert!(block.bytes().ends_with(b"\n"));
        if self.setup.is_text {
            assert_eq!(block.checked_str().len(), block.len(), "all was checked");
        }
        let (form, mut rest) = (self.setup.form(), block.bytes());
        while !rest.is_empty() {
            let end = form.end(rest).expect("a block of whole rows");
            let line = &rest[..end];
            rest = &rest[end + 1..];
            assert!(!self.setup.is_quoted || !self.setup.quoted().is_open(line), "it is closed");
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is_within = line.len() <= self.setup.line_bytes_max;
            assert!(is_within || self.setup.options.long_line.word_ends().is_some());
            self.lines.push(line.to_vec());
        }
    }

    fn end(mut self) -> (Vec<Vec<u8>>, SourceCounts) {
        self.seal();
        while self.writer.has_excess() {
            assert!(self.writer.open());
            self.seal();
        }
        (self.lines, self.writer.counters().get())
    }
}

/// Reads `input` in pieces of these lengths, over and over; a tick follows each zero.
fn take(setup: Setup, input: &[u8], pieces: &[usize]) -> (Vec<Vec<u8>>, SourceCounts) {
    let (mut taker, mut carry) = (Taker::new(setup), Carry::default());
    let (mut rest, mut pieces) = (input, pieces.iter().cycle());
    while !rest.is_empty() {
        let piece = *pieces.next().unwrap();
        if piece == 0 {
            taker.seal();
        }
        let (now, later) = rest.split_at(piece.min(rest.len()));
        taker.fill(&mut carry, now);
        rest = later;
    }
    taker.open();
    taker.writer.finish(&mut carry);
    assert!(carry.is_empty());
    taker.end()
}

fn options() -> impl Strategy<Value = LineOptions> {
    let bad_utf8 = select(vec![BadUtf8::Replace, BadUtf8::Reject]);
    let long_line = select(vec![LongLine::Cut, LongLine::Reject]);
    (bad_utf8, long_line).prop_map(|(bad_utf8, long_line)| LineOptions {
        bad_utf8,
        long_line,
        ..LineOptions::default()
    })
}

fn setup(line_bytes_max: impl Strategy<Value = usize>) -> impl Strategy<Value = Setup> {
    (options(), any::<bool>(), line_bytes_max, 0..300usize).prop_map(
        |(options, is_text, line_bytes_max, block_bytes_more)| Setup {
            options,
            is_text,
            line_bytes_max,
            block_bytes_more,
            is_quoted: false,
        },
    )
}

/// Line ends, text, and ways to be none.
fn part() -> impl Strategy<Value = &'static [u8]> {
    select(vec![
        &b"\n"[..],
        b"\n",
        b"\r\n",
        b"\r",
        b"a",
        b"bc",
        "é".as_bytes(),
        "€".as_bytes(),
        "😀".as_bytes(),
        b"\xFF",
        b"\x80",
        b"\xC3",
        b"\xE2\x82",
        b"\0",
    ])
}

fn short_input() -> impl Strategy<Value = Vec<u8>> {
    vec(part(), 0..40).prop_map(|parts| parts.concat())
}

fn long_input() -> impl Strategy<Value = Vec<u8>> {
    let repeats = prop_oneof![4 => Just(1usize), 2 => 1..100usize, 1 => 1..40_000usize];
    vec((part(), repeats), 0..60)
        .prop_map(|parts| parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect())
}

/// The failing input is printed, and becomes a test by name rather than a file of seeds.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// What ends a line, or looks like it.
const ENDS: [&str; 3] = ["\n", "\r\n", "\r\r\n"];

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn short_lines_at_every_cut(setup in setup(1..9usize), input in short_input()) {
        let expected = setup.model(&input);
        for cut in 1..=input.len() {
            prop_assert_eq!(&take(setup, &input, &[cut, input.len()]), &expected, "cut {}", cut);
        }
        prop_assert_eq!(&take(setup, &input, &[1]), &expected);
        prop_assert_eq!(&take(setup, &input, &[1, 0, 2, 3, 0]), &expected);
    }

    #[test]
    fn lines_around_the_maximum(
        setup in setup(1..9usize),
        lines in vec((0..4usize, select(vec!["a", "é", "€"]), select(&ENDS[..])), 1..9),
        piece in 1..9usize,
    ) {
        let mut input = Vec::new();
        for (more, text, end) in lines {
            // From one below the maximum to two above.
            let len = setup.line_bytes_max + more - 1;
            input.extend(text.repeat(len).bytes().take(len));
            input.extend(end.bytes());
        }
        prop_assert_eq!(take(setup, &input, &[piece]), setup.model(&input));
    }

    #[test]
    fn pushed_lines(setup in setup(1..9usize), lines in vec(short_input(), 0..9)) {
        let mut taker = Taker::new(setup);
        for line in &lines {
            taker.open();
            taker.writer.push_line(line);
        }
        let input = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<_>>();
        let (lines, counts) = setup.model(&input);
        // They were not read.
        prop_assert_eq!(taker.end(), (lines, SourceCounts { bytes: 0, ..counts }));
    }

    #[test]
    fn two_inputs_share_a_block(
        setup in setup(1..9usize),
        first in short_input(),
        second in short_input(),
        piece in 1..5usize,
    ) {
        let mut taker = Taker::new(setup);
        let (mut carries, inputs) = ([Carry::default(), Carry::default()], [&first, &second]);
        for at in (0..first.len().max(second.len())).step_by(piece) {
            for (carry, input) in carries.iter_mut().zip(inputs) {
                let end = input.len().min(at + piece);
                taker.fill(carry, &input[at.min(end)..end]);
            }
        }
        for carry in &mut carries {
            taker.open();
            taker.writer.finish(carry);
        }
        let (mut lines, counts) = taker.end();
        let (mut expected, one) = setup.model(&first);
        let (more, two) = setup.model(&second);
        expected.extend(more);
        lines.sort();
        expected.sort();
        prop_assert_eq!(lines, expected);
        prop_assert_eq!(counts.lines_rejected, one.lines_rejected + two.lines_rejected);
        prop_assert_eq!(counts.lines_cut, one.lines_cut + two.lines_cut);
        prop_assert_eq!(counts.lines_replaced, one.lines_replaced + two.lines_replaced);
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn long_lines_over_blocks(
        setup in setup(prop_oneof![1..100usize, 30_000..70_000usize]),
        input in long_input(),
        pieces in vec(prop_oneof![Just(0usize), 1..100usize, 1..300_000usize], 1..5),
    ) {
        let pieces = [&pieces[..], &[4096]].concat();
        prop_assert_eq!(take(setup, &input, &pieces), setup.model(&input));
    }
}

/// Records with fields in quotes, some of which are never closed.
fn quoted_part() -> impl Strategy<Value = &'static [u8]> {
    let parts = [&b"\""[..], b"\"", b";", b"\n", b"\r\n", b"a", "é".as_bytes(), b"\xFF"];
    select(parts.to_vec())
}

proptest! {
    #![proptest_config(cases(256))]

    /// Wherever it is cut, and each row ends within its own quotes.
    #[test]
    fn records_with_quotes_at_every_cut(
        setup in setup(prop_oneof![1..20usize, Just(1_000usize)]),
        input in vec(quoted_part(), 0..40).prop_map(|parts| parts.concat()),
    ) {
        let setup = Setup { is_text: true, is_quoted: true, ..setup };
        let expected = take(setup, &input, &[input.len().max(1)]);
        for cut in 1..=input.len() {
            prop_assert_eq!(&take(setup, &input, &[cut, input.len()]), &expected, "cut {}", cut);
        }
        prop_assert_eq!(&take(setup, &input, &[1]), &expected);
        prop_assert_eq!(&take(setup, &input, &[1, 0, 2, 3, 0]), &expected);
    }
}

#[test]
fn what_becomes_of_quotes_that_are_never_closed() {
    let take = |line_bytes_max: usize, input: &str| {
        let setup = Setup { is_quoted: true, ..setup_of(line_bytes_max) };
        let (lines, counts) = take(setup, input.as_bytes(), &[7]);
        let lines: Vec<String> =
            lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        (lines, counts.lines_cut)
    };
    // At the end of the input.
    let (lines, cut) = take(100, "a;1\n\"b;2\nc;3\n");
    assert_eq!((&lines[..], cut), (&["a;1".to_owned(), "\"b;2\nc;3\n\"…".to_owned()][..], 0));
    // Past the maximum it is the line that it began in, and the next one is a record.
    let (lines, cut) = take(20, &format!("\"b;2\n{}\nc;3\n", "x".repeat(30)));
    assert_eq!((&lines[..], cut), (&["\"b;2\nxxxxxxxxxxx\"…".to_owned(), "c;3".to_owned()][..], 1));
    assert_eq!(lines[0].len(), 20);
    // A quote within a field opens nothing.
    let (lines, cut) = take(100, "5\" pipe;1\n6\";2\n");
    assert_eq!((&lines[..], cut), (&["5\" pipe;1".to_owned(), "6\";2".to_owned()][..], 0));
}

/// The words of lines, and how many of them are over the maximum and were cut.
fn words_of(lines: &[u8], setup: Setup, is_model: bool) -> (Vec<Vec<u8>>, u64) {
    let (mut words, mut cut) = (Vec::new(), 0);
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).unwrap();
        let all: Vec<&str> = match setup.options.long_line {
            LongLine::SplitAt(separator) => line.split(char::from(separator)).collect(),
            _ => line.split_whitespace().collect(),
        };
        for word in all.iter().map(|word| word.as_bytes()) {
            let is_long = word.len() > setup.line_bytes_max;
            assert!(is_model || !is_long, "{} bytes of a word", word.len());
            cut += u64::from(is_long);
            words.push(setup.model_cut(word));
        }
    }
    (words, cut)
}

fn check_words(setup: Setup, input: &[u8], pieces: &[usize]) -> Result<(), TestCaseError> {
    let (expected, words_cut) = words_of(input, setup, true);
    let (lines, counts) = take(setup, input, pieces);
    let lines: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
    let (words, _) = words_of(&lines, setup, false);
    prop_assert!(words == expected, "{} words of {}", words.len(), expected.len());
    let bytes = input.len() as u64;
    prop_assert_eq!(counts, SourceCounts { bytes, words_cut, ..SourceCounts::default() });
    Ok(())
}

/// Words, and what may stand between them.
fn word_part() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a", "bc", "é", "€", "😀", " ", ",", "\t", "\r", "\n", "\r\n", "\u{85}", "\u{A0}",
        "\u{2003}", "\u{3000}",
    ])
}

fn words_setup(line_bytes_max: impl Strategy<Value = usize>) -> impl Strategy<Value = Setup> {
    let ends = vec![LongLine::SplitAtWhitespace, LongLine::SplitAt(b',')];
    (select(ends), line_bytes_max, 0..300usize).prop_map(
        |(long_line, line_bytes_max, block_bytes_more)| Setup {
            options: LineOptions { long_line, ..LineOptions::default() },
            is_text: true,
            is_quoted: false,
            line_bytes_max,
            block_bytes_more,
        },
    )
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn words_are_whole_whatever_their_lines_are(
        setup in words_setup(4..12usize),
        parts in vec(word_part(), 0..40),
    ) {
        let input = parts.concat().into_bytes();
        for cut in 1..=input.len() {
            check_words(setup, &input, &[cut, input.len()])?;
        }
        check_words(setup, &input, &[1])?;
        check_words(setup, &input, &[1, 0, 2, 3, 0])?;
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn words_in_lines_longer_than_blocks(
        setup in words_setup(prop_oneof![4..100usize, 30_000..70_000usize]),
        parts in vec((word_part(), prop_oneof![4 => 1..3usize, 1 => 1..40_000usize]), 0..60),
        times in 1..4usize,
        pieces in vec(prop_oneof![Just(0usize), 1..100usize, 1..300_000usize], 1..5),
    ) {
        let input: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
        let pieces = [&pieces[..], &[4096]].concat();
        check_words(setup, input.repeat(times).as_bytes(), &pieces)?;
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_an_input() {
    let setup = setup_of(9);
    let take_lines = |input: &[u8], pieces: &[usize]| take(setup, input, pieces).0;
    for pieces in [&[1][..], &[2], &[3], &[4], &[100], &[1, 0]] {
        assert_eq!(take_lines(b"\xEF\xBB\xBFoslo\nrome", pieces), [&b"oslo"[..], b"rome"]);
        assert_eq!(take_lines(b"\xEF\xBB\xBF", pieces), [b""; 0]);
        assert_eq!(take_lines(b"\xEF\xBB\xBF\na", pieces), [&b""[..], b"a"]);
        // Only at the start, and only one.
        let twice = "\u{FEFF}\u{FEFF}a\n\u{FEFF}b".as_bytes();
        assert_eq!(take_lines(twice, pieces), ["\u{FEFF}a".as_bytes(), "\u{FEFF}b".as_bytes()]);
        assert_eq!(take_lines("\u{FEFE}a".as_bytes(), pieces), ["\u{FEFE}a".as_bytes()]);
    }
    let bytes = Setup { is_text: false, ..setup };
    assert_eq!(take(bytes, b"\xEF\xBB\xBFa", &[2]).0, [b"\xEF\xBB\xBFa"]);
}

#[test]
fn an_input_that_is_gone_on_with_has_no_byte_order_mark() {
    let mut carry = Carry::default();
    let mut taker = Taker::new(setup_of(9));
    taker.fill(&mut carry, b"\xEF\xBB\xBFa\nb");
    let standing = carry.standing(6);
    assert_eq!(standing.offset, 5);
    carry.resume(standing, &[]);
    taker.fill(&mut carry, "\u{FEFF}b\n".as_bytes());
    carry.clear();
    taker.fill(&mut carry, "\u{FEFF}c\n".as_bytes());
    assert_eq!(taker.end().0, [b"a".to_vec(), "\u{FEFF}b".into(), b"c".to_vec()]);
}

#[cfg(feature = "encoding")]
mod encodings {
    use super::*;

    const TEXT: &str = "\u{FEFF}größe\nb\r\n\u{1F30A} c\n\nlast\u{0A0A}";

    fn wide(text: &str, unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    fn setup_with(name: &str) -> Setup {
        let mut setup = setup_of(100);
        setup.options.encoding = Encoding::named(name).unwrap();
        setup
    }

    /// Inputs, with the lines that are in them.
    fn inputs() -> Vec<(Setup, Vec<u8>, Vec<&'static str>)> {
        let lines = vec!["größe", "b", "\u{1F30A} c", "", "last\u{0A0A}"];
        let unmarked = TEXT.strip_prefix('\u{FEFF}').unwrap();
        vec![
            (setup_with("utf-16"), wide(TEXT, u16::to_le_bytes), lines.clone()),
            (setup_with("utf-16"), wide(TEXT, u16::to_be_bytes), lines.clone()),
            (setup_with("utf-16"), wide(unmarked, u16::to_le_bytes), lines.clone()),
            (setup_with("utf-16be"), wide(unmarked, u16::to_be_bytes), lines.clone()),
            (
                setup_with("latin1"),
                b"gr\xF6\xDFe\n\x80\r\n\nx\xFF".to_vec(),
                vec!["größe", "€", "", "xÿ"],
            ),
        ]
    }

    #[test]
    fn text_is_decoded_wherever_it_is_cut() {
        for (setup, input, lines) in inputs() {
            for pieces in [&[1][..], &[2], &[3], &[5, 0], &[100]] {
                let (taken, counts) = take(setup, &input, pieces);
                let taken: Vec<&str> =
                    taken.iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
                assert_eq!(taken, lines, "{setup:?} by {pieces:?}");
                let bytes = input.len() as u64;
                assert_eq!(counts, SourceCounts { bytes, ..SourceCounts::default() });
            }
        }
    }

    #[test]
    fn a_place_in_encoded_text_is_one_of_its_bytes() {
        for (setup, input, lines) in inputs() {
            for cut in 0..=input.len() {
                let (mut taker, mut carry) = (Taker::new(setup), Carry::default());
                taker.fill(&mut carry, &input[..cut]);
                let standing = carry.standing(cut as u64);
                carry.resume(standing, &input[..2]);
                let rest = &input[standing.offset as usize..];
                taker.fill(&mut carry, rest);
                taker.open();
                taker.writer.finish(&mut carry);
                let (taken, _) = taker.end();
                let taken: Vec<String> =
                    taken.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
                assert_eq!(taken, lines, "{setup:?}, from {} at {cut}", standing.offset);
            }
        }
    }

    #[test]
    fn what_stands_for_no_character_is_counted() {
        let units = [0x61, 0xD83C, 0x0A, 0x62, 0x0A, 0xDC00, 0x0A, 0xD83C];
        let mut input: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
        input.push(0x61);
        for pieces in [&[1][..], &[2], &[3], &[100]] {
            let (lines, counts) = take(setup_with("utf-16le"), &input, pieces);
            let lines: Vec<String> =
                lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
            assert_eq!(lines, ["a\u{FFFD}", "b", "\u{FFFD}", "\u{FFFD}"], "{pieces:?}");
            assert_eq!(counts.lines_replaced, 3);
        }
    }

    #[test]
    fn a_limited_source_reads_encoded_text() {
        let setup = setup_with("utf-16le");
        let input = wide("ab\nc\n", u16::to_le_bytes);
        let (mut taker, mut carry) = (Taker::new(setup), Carry::default());
        for byte in input.chunks(1) {
            taker.open();
            taker.writer.limit(1);
            let read = taker.writer.fill(&mut carry, |room| {
                assert_eq!(room.len(), 1);
                room.copy_from_slice(byte);
                Ok(1)
            });
            assert_eq!(read.unwrap(), Some(1));
        }
        assert_eq!(taker.end().0, [b"ab".to_vec(), b"c".to_vec()]);
    }
}

fn setup_of(line_bytes_max: usize) -> Setup {
    let (options, is_text, is_quoted) = (LineOptions::default(), true, false);
    Setup { options, is_text, line_bytes_max, block_bytes_more: 0, is_quoted }
}

#[test]
fn a_line_longer_than_all_blocks_is_cut_once() {
    let setup = setup_of(1000);
    let mut input = vec![b'x'; 1_000_000];
    input.extend(b"\nshort\n");
    let (lines, counts) = take(setup, &input, &[300_000]);
    assert_eq!(lines, [vec![b'x'; 1000], b"short".to_vec()]);
    assert_eq!(counts.lines_cut, 1);
}

#[test]
fn a_long_carry_closes_a_block_that_is_not_full() {
    let setup = Setup { block_bytes_more: 1000, ..setup_of(60_000) };
    let (mut taker, mut carry) = (Taker::new(setup), Carry::default());
    taker.fill(&mut carry, &[&b"short\n"[..], &[b'x'; 60_000]].concat());
    taker.fill(&mut Carry::default(), &[b'\n'; 1500]);
    assert!(!taker.writer.is_full());
    let filled = taker.writer.fill(&mut carry, |_| panic!("there is no room"));
    assert_eq!(filled.unwrap(), None);
    assert!(taker.writer.is_full(), "so that the block is sealed");
    taker.fill(&mut carry, b"\n");
    assert_eq!(taker.end().0.last().unwrap().len(), 60_000);
}

#[test]
fn a_failed_read_changes_nothing() {
    let setup = Setup { block_bytes_more: 100, ..setup_of(100) };
    let (mut taker, mut carry) = (Taker::new(setup), Carry::default());
    taker.fill(&mut carry, b"one\ntw");
    let failed = taker.writer.fill(&mut carry, |room| {
        room[0] = b'\n';
        Err(io::ErrorKind::WouldBlock.into())
    });
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    taker.fill(&mut carry, b"o\n");
    let (lines, counts) = taker.end();
    assert_eq!(lines, [b"one", b"two"]);
    assert_eq!(counts.bytes, 8);
}

#[test]
fn a_carry_lets_go_of_a_long_lines_memory() {
    let (mut taker, mut carry) = (Taker::new(setup_of(100_000)), Carry::default());
    taker.fill(&mut carry, &[b'x'; 100_000]);
    assert!(carry.bytes.capacity() >= 100_000);
    taker.fill(&mut carry, b"\nshort");
    assert!(carry.bytes.capacity() < 1000);
}
