//! Values on the command line: each refusal names the limit, and clap adds the value.

use std::fmt;
use std::time::Duration;

use tidemill::Encoding;

/// The longest duration that is taken: the engine's longest batch interval.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The last field that can be asked for.
const FIELD_MAX: usize = 1 << 20;

/// A batch interval: a number and a unit, such as `500ms`, `1s`, `1.5s`, `2m`, `1h`.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let limits = "write a number and a unit, from 1ms to 24h, such as 500ms, 1s or 2m";
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(limits)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(limits.to_owned()),
    };
    match Decimal::parse(number).ok_or(limits)?.times(unit_millis) {
        Times::Whole(millis @ 1..) if u128::from(millis) <= DURATION_MAX.as_millis() => {
            Ok(Duration::from_millis(millis))
        }
        Times::Between(millis @ 1..) if u128::from(millis) < DURATION_MAX.as_millis() => {
            Err("must be whole milliseconds: batch times are".to_owned())
        }
        _ => Err("must be between 1ms and 24h".to_owned()),
    }
}

/// How long a connection may be idle: as an interval, or `never`.
pub(crate) fn idle_timeout(text: &str) -> Result<Duration, String> {
    match text {
        "never" => Ok(Duration::MAX),
        _ => interval(text).map_err(|limits| format!("{limits}, or never")),
    }
}

/// A number of seconds, such as `10` or `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let limits = "must be a number of seconds, more than 0 and at most 86400";
    let number = Decimal::parse(text.strip_suffix('s').unwrap_or(text)).ok_or(limits)?;
    match number.times(1_000_000_000) {
        Times::Whole(nanos @ 1..) if u128::from(nanos) <= DURATION_MAX.as_nanos() => {
            Ok(Duration::from_nanos(nanos))
        }
        Times::Between(nanos) if u128::from(nanos) < DURATION_MAX.as_nanos() => {
            Err("must have at most 9 digits after the point".to_owned())
        }
        _ => Err(limits.to_owned()),
    }
}

/// A count of one or more, such as `1000`, `10k`, `2M` or `1G`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let limits = "must be a whole number from 1 up, such as 1000, 10k, 2M or 1G";
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        Some(b'G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    let number: u64 = number.replace('_', "").parse().map_err(|_| limits)?;
    number.checked_mul(unit).filter(|&count| count > 0).ok_or(limits.to_owned())
}

/// The longest line that can be asked for.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// An encoding, by its name.
pub(crate) fn encoding(text: &str) -> Result<Encoding, String> {
    Encoding::named(text).map_err(|error| error.to_string())
}

/// The bytes of a line: `4096`, `64k`, `16M`, with units of 1024.
pub(crate) fn line_bytes(text: &str) -> Result<usize, String> {
    let limits = "must be a number of bytes from 1 to 64M, such as 4096, 64k or 16M";
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let bytes = number.parse().ok().filter(|_| is_digits(number));
    let bytes = bytes.and_then(|bytes: usize| bytes.checked_mul(unit));
    bytes.filter(|bytes| (1..=LINE_BYTES_MAX).contains(bytes)).ok_or(limits.to_owned())
}

/// Bytes of memory: `512M`, `2G`, with units of 1024.
pub(crate) fn memory(text: &str) -> Result<usize, String> {
    let limits = "must be a number of bytes from 16M up, such as 512M or 2G";
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let bytes = number.parse().ok().filter(|_| is_digits(number));
    let bytes = bytes.and_then(|bytes: usize| bytes.checked_mul(unit));
    let is_within = |bytes: &usize| (MEMORY_BYTES_MIN..=isize::MAX as usize).contains(bytes);
    bytes.filter(is_within).ok_or(limits.to_owned())
}

/// The least memory that can be asked for: the engine's.
const MEMORY_BYTES_MIN: usize = 16 << 20;

/// Where words end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Whitespace,
    Byte(u8),
}

/// What stands between two fields.
pub(crate) fn delimiter(text: &str) -> Result<Split, String> {
    match split(text) {
        Ok(Split::Byte(b'\n' | b'\r')) | Err(_) => Err(
            r"must be 'whitespace' or one ASCII character, such as ',' or '\t', but no line end"
                .to_owned(),
        ),
        Ok(split) => Ok(split),
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Split::Whitespace => f.write_str("whitespace"),
            Split::Byte(byte) => write!(f, "{}", byte.escape_ascii()),
        }
    }
}

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A position, from 1 up, written `#2`.
    Position(usize),
    /// A name in the header, or the number of a position where no column is called so.
    Text(String),
}

/// A field's name, its number, or `#` and its number, which is never a name.
pub(crate) fn field(text: &str) -> Result<Field, String> {
    match text.strip_prefix('#') {
        Some(digits) if is_digits(digits) => position(digits).map(Field::Position),
        _ => Ok(Field::Text(text.to_owned())),
    }
}

/// The number of a field, from 1 up.
pub(crate) fn position(digits: &str) -> Result<usize, String> {
    match digits.parse() {
        Ok(number @ 1..=FIELD_MAX) => Ok(number),
        _ => Err(format!("must be a number from 1 to {FIELD_MAX}, or a name in the header")),
    }
}

pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Field {
    /// Whether it can be nothing but a name.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self, Field::Text(text) if !is_digits(text))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Position(number) => write!(f, "#{number}"),
            Field::Text(text) if is_digits(text) => f.write_str(text),
            Field::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// `whitespace`, or one ASCII character, which may be written `\t`, `\n`, `\0` or `\\`.
pub(crate) fn split(text: &str) -> Result<Split, String> {
    match (text, text.as_bytes()) {
        ("whitespace", _) => Ok(Split::Whitespace),
        (r"\t", _) => Ok(Split::Byte(b'\t')),
        (r"\n", _) => Ok(Split::Byte(b'\n')),
        (r"\0", _) => Ok(Split::Byte(0)),
        (r"\\", _) => Ok(Split::Byte(b'\\')),
        (_, &[byte]) if byte.is_ascii() => Ok(Split::Byte(byte)),
        _ => Err(r"must be 'whitespace' or one ASCII character, such as ',' or '\t'".to_owned()),
    }
}

/// Digits with at most one point, nothing else: no sign, no exponent.
#[derive(Copy, Clone, Debug)]
struct Decimal<'a> {
    whole: &'a str,
    /// Without zeros at its end.
    fraction: &'a str,
}

/// A decimal times a unit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Times {
    Whole(u64),
    /// More than this, and less than one more.
    Between(u64),
    /// Past what 64 bits hold.
    Large,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Decimal<'a>> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |part: &str| part.is_empty() || is_digits(part);
        let is_decimal = are_digits(whole) && are_digits(fraction) && !matches!(text, "" | ".");
        let fraction = fraction.trim_end_matches('0');
        is_decimal.then_some(Decimal { whole, fraction })
    }

    /// In integers, so that 1.1 hours are 3,960,000 milliseconds and not a little more.
    fn times(self, unit: u64) -> Times {
        let whole = if self.whole.is_empty() { Some(0) } else { self.whole.parse::<u64>().ok() };
        let Some(mut total) = whole.and_then(|whole| whole.checked_mul(unit)) else {
            return Times::Large;
        };
        // As one divides on paper, from the last digit on: a remainder anywhere stays one.
        let (mut worth, mut is_whole) = (0, true);
        for digit in self.fraction.bytes().rev() {
            let product = u64::from(digit - b'0') * unit + worth;
            is_whole &= product.is_multiple_of(10);
            worth = product / 10;
        }
        total = match total.checked_add(worth) {
            Some(total) => total,
            None => return Times::Large,
        };
        if is_whole { Times::Whole(total) } else { Times::Between(total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations of every number of places, against integers.
    #[test]
    fn durations_are_exact_decimals() {
        let units = [("ms", 1u128), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000)];
        for (unit, millis) in units {
            for whole in 0..30u128 {
                for (places, scale) in [(0, 1u128), (1, 10), (2, 100), (3, 1_000), (5, 100_000)] {
                    let step = (scale / 1_000).max(1) * 7;
                    for fraction in (0..scale).step_by(step as usize) {
                        let text = match places {
                            0 => format!("{whole}{unit}"),
                            _ => format!("{whole}.{fraction:0places$}{unit}"),
                        };
                        let product = (whole * scale + fraction) * millis;
                        let is_within = product >= scale && product <= 86_400_000 * scale;
                        let expected = (is_within && product % scale == 0)
                            .then(|| Duration::from_millis((product / scale) as u64));
                        assert_eq!(interval(&text).ok(), expected, "{text}");
                    }
                }
            }
        }
        let exact =
            [("1.1h", 3_960_000), ("4.1m", 246_000), ("1.001s", 1_001), ("24.000h", 86_400_000)];
        for (text, millis) in exact {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let long = format!("1.5{}s", "0".repeat(10_000));
        assert_eq!(interval(&long), Ok(Duration::from_millis(1_500)));
    }

    #[test]
    fn bytes_of_memory_have_units_of_1024() {
        let cases = [("16M", 16 << 20), ("2G", 2 << 30), ("20000k", 20_000 << 10)];
        for (text, bytes) in cases {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        assert_eq!(memory("16777216"), Ok(16 << 20));
        for text in ["", "0", "16777215", "1M", "-1G", "1.5G", "+2G", "2T", "99999999999G", "G"] {
            assert!(memory(text).unwrap_err().contains("from 16M up"), "{text}");
        }
    }

    #[test]
    fn durations_that_are_none_say_the_limit() {
        for text in ["1.0001s", "0.33333ms", "1.5ms"] {
            let expected =
                if text.starts_with('0') { "between 1ms and 24h" } else { "whole milli" };
            assert!(interval(text).unwrap_err().contains(expected), "{text}");
        }
        let nines = "9".repeat(400);
        for text in ["0s", "0.9ms", "24.0000001h", "25h", "18446744073709551616ms", &(nines + "h")]
        {
            assert!(interval(text).unwrap_err().contains("between 1ms and 24h"), "{text}");
        }
        for text in ["", "s", ".s", "1", "-1s", "+1s", "1e3s", "1..2s", "inf", "1 s", "1d", "0x1s"]
        {
            assert!(interval(text).unwrap_err().contains("from 1ms to 24h"), "{text}");
        }
        assert_eq!(seconds("0.1"), Ok(Duration::from_nanos(100_000_000)));
        assert_eq!(seconds(".000000001s"), Ok(Duration::from_nanos(1)));
        assert_eq!(seconds("86400"), Ok(DURATION_MAX));
        for text in ["0", "86400.1", "", "-1", "nan"] {
            assert!(seconds(text).unwrap_err().contains("at most 86400"), "{text}");
        }
        assert!(seconds("1.0000000001").unwrap_err().contains("9 digits"));
    }
}
