//! Values on the command line: each refusal names the limit, and clap adds the value.

use std::fmt;
use std::time::Duration;

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
        "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3600e3,
        _ => return Err(limits.to_owned()),
    };
    let millis = decimal(number).ok_or(limits)? * unit_millis;
    if !(1.0..=DURATION_MAX.as_millis() as f64).contains(&millis) {
        return Err("must be between 1ms and 24h".to_owned());
    }
    if millis.fract() != 0.0 {
        return Err("must be whole milliseconds: batch times are".to_owned());
    }
    Ok(Duration::from_millis(millis as u64))
}

/// A number of seconds, such as `10` or `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let limits = "must be a number of seconds, more than 0 and at most 86400";
    let number = decimal(text.strip_suffix('s').unwrap_or(text)).ok_or(limits)?;
    if !(number > 0.0 && number <= DURATION_MAX.as_secs_f64()) {
        return Err(limits.to_owned());
    }
    Ok(Duration::from_secs_f64(number))
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

/// Where words end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Whitespace,
    Byte(u8),
}

/// What stands between two fields.
pub(crate) fn delimiter(text: &str) -> Result<u8, String> {
    match split(text) {
        Ok(Split::Byte(byte)) if !matches!(byte, b'\n' | b'\r') => Ok(byte),
        _ => Err(r"must be one ASCII character, such as ',' or '\t', but no line end".to_owned()),
    }
}

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// From 1 up.
    Number(usize),
    Name(String),
}

/// A field's number, or its name, which is not made of digits only.
pub(crate) fn field(text: &str) -> Result<Field, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Field::Name(text.to_owned()));
    }
    match text.parse() {
        Ok(number @ 1..=FIELD_MAX) => Ok(Field::Number(number)),
        _ => Err(format!("must be a number from 1 to {FIELD_MAX}, or a name in the header")),
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Number(number) => write!(f, "{number}"),
            Field::Name(name) => write!(f, "{name:?}"),
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

/// Digits with at most one point, nothing else: no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_plain.then(|| text.parse().ok()).flatten()
}
