//! Text to numbers against Rust's own `parse`: random texts and adversarial ones, halfway between
//! two floats, past every range, and nearly numbers, through the kernels and the decoder.
//! `TIDEMILL_SEEDS=n` runs n columns of 2,000 texts.

use tidemill::prelude::*;
use tidemill::{Number, Reject};
use tidemill_kernels::{BadKind, BadRow, MAX_SCALE, Span, parse_decimal, parse_f64, parse_i64};

use crate::random::{Random, seeds};

const TEXTS: usize = 2_000;

/// Texts at the limits of something.
const EDGES: &[&str] = &[
    "",
    "0",
    "-0",
    "+0",
    "-0.0",
    "-0e5",
    "+",
    "-",
    ".",
    "-.",
    "..",
    "1..",
    ".1.",
    "1.2.3",
    "--1",
    "+-1",
    ".5",
    "-.5",
    "5.",
    "+5.",
    "1_000",
    "1,5",
    " 1",
    "1 ",
    "\t1",
    "1\0",
    "0x10",
    "１",
    "٣",
    "1٣",
    "1e",
    "1e+",
    "e5",
    ".e5",
    "1.e5",
    ".5e1",
    "1e5.0",
    "1E5",
    "1e400",
    "-1e400",
    "1e-400",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "179769313486231580793728971405301e276",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "4.9e-324",
    "5e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "1e-323",
    "0e99999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "inf",
    "-inf",
    "infinity",
    "INF",
    "nan",
    "-NaN",
    "infinit",
    "9007199254740993",
    "9007199254740993.0000000001",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "92233720368547758.07",
    "92233720368547758.08",
    "9.223372036854775807",
    "9.223372036854775808",
    "999999999999999999",
    "1000000000000000000",
    "0.000000000000000001",
    "0.0000000000000000001",
    "1234567890123456789012345678901234567890",
    "0.1000000000000000055511151231257827021181583404541",
    "6.9294956446009195e15",
    "8.5e-1",
    "100000000000000000000000000000000000000e-38",
    "00000000000000000000000000000000000001.50000000000000000000000000000000000000",
];

fn digits(random: &mut Random, max: usize) -> String {
    let len = random.below(max + 1);
    // Runs of one digit are nearer to the limits than random ones.
    let one = [Some('0'), Some('9'), None, None, None][random.below(5)];
    (0..len).map(|_| one.unwrap_or(char::from(b'0' + random.below(10) as u8))).collect()
}

/// Any finite float, above zero.
fn float(random: &mut Random) -> f64 {
    let bits = match random.below(4) {
        0 => random.next() >> (12 + random.below(52)),
        1 => (1.0 + random.below(1 << 20) as f64 / 1024.0).to_bits() + random.below(5) as u64,
        _ => random.next() >> 1,
    };
    let float = f64::from_bits(bits.min(f64::MAX.to_bits()));
    if float.is_finite() { float } else { f64::MAX }
}

/// Half way between a float and the next one, or a bit beside it, in all digits.
fn halfway(random: &mut Random) -> String {
    let low = float(random).min(f64::MAX.next_down());
    let high = low.next_up();
    // The sum of the two, digit by digit, and then its half.
    let [low_text, high_text] = [low, high].map(|float| format!("{float:0>1400.1080}"));
    let digits = low_text.bytes().zip(high_text.bytes()).filter(|(low, _)| *low != b'.');
    let mut sum: Vec<u32> =
        digits.map(|(low, high)| u32::from(low - b'0') + u32::from(high - b'0')).collect();
    for at in (1..sum.len()).rev() {
        sum[at - 1] += sum[at] / 10;
        sum[at] %= 10;
    }
    let mut rest = 0;
    let mut text = String::new();
    for digit in sum {
        text.extend(char::from_digit((rest * 10 + digit) / 2, 10));
        rest = digit % 2;
    }
    text.insert(text.len() - 1080, '.');
    let text = text.trim_matches('0');
    let above = format!("{text}0000000000000000000000001");
    assert_eq!(above.parse(), Ok(high), "{low}");
    // One that ends with the point is an integer with zeros.
    let below = text.strip_suffix('5').map_or(low.to_string(), |rest| format!("{rest}4999"));
    assert_eq!(below.parse(), Ok(low), "{low}");
    match random.below(5) {
        0 => above,
        1 => below,
        2 => text.chars().take(15 + random.below(20)).collect(),
        _ => text.to_owned(),
    }
}

/// One text, of one shape or the other.
fn text(random: &mut Random) -> String {
    let sign = ["", "", "-", "+"][random.below(4)];
    let zeros = &"000000000000000000000000"[..[0, 0, 0, 1, 17, 24][random.below(6)]];
    let exponent = match random.below(4) {
        0 => format!("e{}", random.below(700) as i64 - 350),
        1 => format!("E{:+}", random.below(40) as i64 - 20),
        _ => String::new(),
    };
    let unsigned = match random.below(10) {
        0 => return EDGES[random.below(EDGES.len())].to_owned(),
        1 => format!("{}.{}", digits(random, 3), digits(random, 2)),
        2 => format!("{}.{}{exponent}", digits(random, 20), digits(random, 20)),
        3 => digits(random, 40) + &exponent,
        4 => format!("{zeros}{}.{}{exponent}", digits(random, 8), digits(random, 8)),
        5 => halfway(random),
        6 => {
            let float = float(random);
            [format!("{float:e}"), format!("{float:.16e}"), format!("{float}")][random.below(3)]
                .clone()
        }
        7 => {
            // At the limit of the integers, at some scale.
            let edge = (1u128 << 63) + random.below(5) as u128 - 2;
            let mut text = edge.to_string();
            text.insert(random.below(text.len() + 1), '.');
            text
        }
        8 => format!("{}e-{}", digits(random, 19), random.below(24)),
        _ => {
            let number = format!("{}.{}{exponent}", digits(random, 5), digits(random, 5));
            let mut characters: Vec<char> = number.chars().collect();
            let place = random.below(characters.len());
            let odd = ['0', '.', '+', '-', 'e', 'E', ' ', ':', '/', '_', '\0', '٣', 'é', '０'];
            characters[place] = odd[random.below(odd.len())];
            characters.into_iter().collect()
        }
    };
    format!("{sign}{unsigned}")
}

/// What a text that is a number by its digits says: these digits, with no zeros around them, times
/// a power of ten.
fn written_out(text: &str) -> Option<(String, i64)> {
    let float: f64 = text.parse().ok()?;
    if float.is_nan() || text.to_ascii_lowercase().contains("inf") {
        return None;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{}{fraction}", whole.trim_start_matches(['+', '-']));
    let trimmed = all.trim_end_matches('0');
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        i64::MIN / 2
    } else {
        i64::MAX / 2
    });
    let zeros = (all.len() - trimmed.len()) as i64;
    let sign = if text.starts_with('-') { "-" } else { "" };
    let digits = trimmed.trim_start_matches('0');
    Some((format!("{sign}{digits}"), exponent - fraction.len() as i64 + zeros))
}

/// The decimal at a scale.
fn naive_decimal(text: &str, scale: u32) -> Result<i64, BadKind> {
    if text.is_empty() {
        return Err(BadKind::Empty);
    }
    let (digits, exponent) = written_out(text).ok_or(BadKind::NotANumber)?;
    if digits.trim_start_matches('-').is_empty() {
        return Ok(0);
    }
    match exponent + i64::from(scale) {
        ..0 => Err(BadKind::TooPrecise),
        zeros @ 0..20 => {
            let text = digits + &"0".repeat(zeros as usize);
            text.parse().map_err(|_| BadKind::OutOfRange)
        }
        _ => Err(BadKind::OutOfRange),
    }
}

fn naive_i64(text: &str) -> Result<i64, BadKind> {
    use std::num::IntErrorKind::{Empty, NegOverflow, PosOverflow};
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        Empty => BadKind::Empty,
        PosOverflow | NegOverflow => BadKind::OutOfRange,
        _ => BadKind::NotANumber,
    })
}

fn naive_f64(text: &str) -> Result<f64, BadKind> {
    let kind = if text.is_empty() { BadKind::Empty } else { BadKind::NotANumber };
    text.parse().map_err(|_| kind)
}

/// The number, or the words of its reject.
fn naive_number(text: &str) -> Result<Number, &'static str> {
    let float: f64 = match text.parse() {
        Ok(float) => float,
        Err(_) if text.is_empty() => return Err("empty"),
        Err(_) => return Err("not a number"),
    };
    let scale =
        written_out(text).map_or(0, |(_, exponent)| exponent.clamp(-99, 0).unsigned_abs() as u32);
    let exact = naive_decimal(text, scale).ok().filter(|_| scale <= MAX_SCALE);
    let exact = exact.map(|mantissa| Number::decimal(mantissa, scale as u8));
    exact.or_else(|| Number::from_f64(float)).ok_or("not a finite number")
}

/// Runs a kernel on all texts and compares it row by row.
#[track_caller]
fn check<T: Copy + Default + std::fmt::Debug>(
    texts: &[String],
    kernel: impl FnOnce(&[u8], &[Span], &mut Vec<T>, &mut Vec<BadRow>),
    naive: impl Fn(&str) -> Result<T, BadKind>,
    same: impl Fn(T, T) -> bool,
) {
    let mut text = String::new();
    let spans = texts.iter().map(|row| {
        let start = text.len() as u32;
        text += row;
        text += ";";
        Span { start, len: row.len() as u32 }
    });
    let spans: Vec<Span> = spans.collect();
    let (mut numbers, mut bad) = (Vec::new(), Vec::new());
    kernel(text.as_bytes(), &spans, &mut numbers, &mut bad);
    assert_eq!(numbers.len(), texts.len());
    let mut bad = bad.into_iter().peekable();
    for (row, (text, number)) in texts.iter().zip(numbers).enumerate() {
        let ours =
            bad.next_if(|bad| bad.row as usize == row).map_or(Ok(number), |bad| Err(bad.kind));
        let is_same = match (ours, naive(text)) {
            (Ok(ours), Ok(expected)) => same(ours, expected),
            (ours, expected) => ours.is_err() && ours.err() == expected.err(),
        };
        assert!(is_same, "{text:?} is {:?}, not {ours:?}", naive(text));
    }
    assert_eq!(bad.next(), None);
}

#[test]
fn every_text_is_what_rust_says() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<String>();
    // The text stands twice, so that an empty one is no empty line.
    let decoded = input.stream().decode::<(String, Number)>(Delimited::new(b'|'));
    let (rows, rejects) = (t.output(&decoded), t.output(&decoded.rejects()));
    for seed in seeds(8) {
        let mut random = Random::new(seed);
        let texts: Vec<String> = (0..TEXTS).map(|_| text(&mut random)).collect();
        check(&texts, parse_i64, naive_i64, |a, b| a == b);
        check(&texts, parse_f64, naive_f64, |a, b| {
            a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
        });
        let scale = random.below(MAX_SCALE as usize + 1) as u32;
        check(
            &texts,
            |text, spans, out, bad| parse_decimal(text, spans, scale, out, bad),
            |text| naive_decimal(text, scale),
            |a, b| a == b,
        );
        input.push(texts.iter().map(|text| format!("{text}|{text}"))).unwrap();
        t.tick().unwrap();
        let (mut rows, mut rejects) = (rows.take().into_iter(), rejects.take().into_iter());
        let mut rejected = 0;
        for text in &texts {
            match naive_number(text) {
                Ok(expected) => {
                    let (of, number) = rows.next().unwrap();
                    assert_eq!((&of, number), (text, expected), "seed {seed}");
                    assert_eq!(number.as_decimal(), expected.as_decimal(), "{text:?}");
                    // There is no negative zero.
                    let float = text.parse::<f64>().unwrap() + 0.0;
                    assert_eq!(number.to_f64().to_bits(), float.to_bits(), "{text:?}");
                    assert_eq!(text.parse::<Number>().unwrap(), expected, "{text:?}");
                }
                Err(reason) => {
                    assert!(text.parse::<Number>().is_err(), "{text:?}");
                    rejected += 1;
                    // Samples only.
                    let Some(Reject { line, reason: ours, .. }) = rejects.next() else { continue };
                    assert_eq!((line, ours.as_str()), (format!("{text}|{text}"), reason));
                }
            }
        }
        assert_eq!(rows.next(), None);
        assert!(rejected > TEXTS / 100 && rejected < TEXTS / 2, "{rejected} rejects");
    }
}
