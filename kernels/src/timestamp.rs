//! Columns of text to columns of times: nanoseconds since 1970 UTC, leap seconds left out, as all
//! clocks of computers count.
//!
//! Times of a fixed shape are read eight characters at a time, each step for all eight; numbers
//! are decimals at the scale of nanoseconds. Either way a time is exact or the row is a bad one.

use crate::multiversion::multiversion;
use crate::number::decimals;
use crate::{BadKind, BadRow, Span};

/// How times are written.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeFormat {
    /// `2024-02-29T13:55:36.5+01:00`; `t` or a space may stand for the `T`, and `Z` or `z` for the
    /// offset.
    #[default]
    Rfc3339,
    /// Seconds since 1970 UTC, with a fraction or without.
    Seconds,
    /// Milliseconds since 1970 UTC.
    Millis,
    /// Microseconds since 1970 UTC.
    Micros,
    /// Nanoseconds since 1970 UTC.
    Nanos,
    /// `10/Oct/2000:13:55:36 -0700`, as web servers' logs have it.
    CommonLog,
}

impl TimeFormat {
    /// For times that are numbers, how many digits after the point nanoseconds are.
    pub fn scale(self) -> Option<u32> {
        match self {
            TimeFormat::Rfc3339 | TimeFormat::CommonLog => None,
            TimeFormat::Seconds => Some(9),
            TimeFormat::Millis => Some(6),
            TimeFormat::Micros => Some(3),
            TimeFormat::Nanos => Some(0),
        }
    }
}

multiversion! {
    /// Appends the time that each row says, in nanoseconds since 1970 UTC.
    ///
    /// A row that says none is appended to `bad`, and 0 to `out` in its place: one that is not in
    /// the format, has digits below a nanosecond that are not zero, or is outside of what an `i64`
    /// holds, the years 1677 to 2262. The second `60` is no time either: seconds since 1970 have no
    /// place for it. Times that are numbers are read as by [`parse_decimal`](crate::parse_decimal).
    ///
    /// ```
    /// use tidemill_kernels::{BadKind, Span, TimeFormat, parse_timestamps};
    ///
    /// let row = |start| Span { start, len: 22 };
    /// let text = b"1970-01-02T00:00:00.5Z 1970-02-30T00:00:00.5Z";
    /// let (mut times, mut bad) = (Vec::new(), Vec::new());
    /// let format = TimeFormat::Rfc3339;
    /// parse_timestamps(text, &[row(0), row(23)], format, &mut times, &mut bad);
    /// assert_eq!(times, [86_400_500_000_000, 0]);
    /// assert_eq!((bad[0].row, bad[0].kind), (1, BadKind::NotATime));
    /// ```
    ///
    /// # Panics
    ///
    /// If a row reaches past `text`.
    pub fn parse_timestamps / parse_timestamps_at(
        text: &[u8],
        rows: &[Span],
        format: TimeFormat,
        out: &mut Vec<i64>,
        bad: &mut Vec<BadRow>,
    ), isa => {
        match format {
            TimeFormat::Rfc3339 => each_row(text, rows, out, bad, rfc3339),
            TimeFormat::CommonLog => each_row(text, rows, out, bad, common_log),
            _ => {
                let scale = format.scale().expect("the others are numbers");
                decimals(text, rows, scale, out, bad);
            }
        }
    }
}

#[inline(always)]
fn each_row(
    text: &[u8],
    rows: &[Span],
    out: &mut Vec<i64>,
    bad: &mut Vec<BadRow>,
    parse: impl Fn(&[u8]) -> Result<i64, BadKind>,
) {
    out.extend(rows.iter().enumerate().map(|(row, span)| {
        parse(&text[span.range()]).unwrap_or_else(|kind| {
            bad.push(BadRow::new(row, kind));
            0
        })
    }));
}

/// `2024-02-29T13:55:36`, up to the seconds: what follows has no fixed length.
const RFC3339_LEN: usize = 19;

#[inline(always)]
fn rfc3339(row: &[u8]) -> Result<i64, BadKind> {
    let Some((time, rest)) = row.split_at_checked(RFC3339_LEN) else {
        return Err(if row.is_empty() { BadKind::Empty } else { BadKind::NotATime });
    };
    let year_month = Pairs::of(time, 0, *b"0000-00-");
    let mut day_hour_minute = Pairs::of(time, 8, *b"00T00:00");
    let separator = time[10];
    if separator == b't' || separator == b' ' {
        day_hour_minute.allow(2);
    }
    // The minutes once more, so that there are eight characters.
    let second = Pairs::of(time, 11, *b"00:00:00");
    if !(year_month.are_numbers() & day_hour_minute.are_numbers() & second.are_numbers()) {
        return Err(BadKind::NotATime);
    }
    let year = 100 * year_month.at(0) + year_month.at(2);
    let days = days(year, year_month.at(5), day_hour_minute.at(0)).ok_or(BadKind::NotATime)?;
    let seconds = seconds_of_day(second.at(0), second.at(3), second.at(6));
    let seconds = days * SECONDS_A_DAY + seconds.ok_or(BadKind::NotATime)?;
    // By far the most common.
    if let [b'Z'] = rest {
        return nanos(seconds, 0);
    }
    let (fraction, is_exact, rest) = match rest {
        [b'.', rest @ ..] => fraction(rest).ok_or(BadKind::NotATime)?,
        _ => (0, true, rest),
    };
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign, hours @ .., b':', minute_tens, minute_ones] if hours.len() == 2 => {
            offset([*sign, hours[0], hours[1], *minute_tens, *minute_ones])?
        }
        _ => return Err(BadKind::NotATime),
    };
    if is_exact { nanos(seconds - offset, fraction) } else { Err(BadKind::TooPrecise) }
}

const COMMON_LOG_LEN: usize = 26;

#[inline(always)]
fn common_log(row: &[u8]) -> Result<i64, BadKind> {
    let Ok(row) = <&[u8; COMMON_LOG_LEN]>::try_from(row) else {
        return Err(if row.is_empty() { BadKind::Empty } else { BadKind::NotATime });
    };
    let mut day = Pairs::of(row, 0, *b"00/   /0");
    (3..6).for_each(|place| day.allow(place));
    let year_hour = Pairs::of(row, 7, *b"0000:00:");
    // The sign comes with the offset.
    let mut minute_second = Pairs::of(row, 14, *b":00:00 +");
    minute_second.allow(7);
    if !(day.are_numbers() & year_hour.are_numbers() & minute_second.are_numbers()) {
        return Err(BadKind::NotATime);
    }
    let year = 100 * year_hour.at(0) + year_hour.at(2);
    let days = days(year, month([row[3], row[4], row[5]]), day.at(0)).ok_or(BadKind::NotATime)?;
    let seconds = seconds_of_day(year_hour.at(5), minute_second.at(1), minute_second.at(4));
    let seconds = days * SECONDS_A_DAY + seconds.ok_or(BadKind::NotATime)?;
    let (_, offset_text) = row.split_last_chunk::<5>().expect("26 are more than 5");
    nanos(seconds - offset(*offset_text)?, 0)
}

/// The month of this name, or 0.
#[inline(always)]
fn month(name: [u8; 3]) -> u32 {
    const NAMES: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let found = NAMES.iter().position(|known| **known == name);
    found.map_or(0, |index| index as u32 + 1)
}

/// Eight characters, each with the next one as a number of two digits.
#[derive(Copy, Clone)]
struct Pairs {
    /// The difference of each character to the one of the shape: of a digit its value, else zero.
    digits: u64,
    /// What lifts the top bit of a byte that is past nine, or past zero where a digit may not be.
    limits: u64,
}

impl Pairs {
    /// The eight characters from `start` on, for a shape in which `0` stands for any digit.
    #[inline(always)]
    fn of(text: &[u8], start: usize, shape: [u8; 8]) -> Pairs {
        let chars: [u8; 8] = *text[start..].first_chunk().expect("eight characters");
        let limits = shape.map(|char| if char == b'0' { 0x76 } else { 0x7F });
        Pairs {
            digits: u64::from_le_bytes(chars) ^ u64::from_le_bytes(shape),
            limits: u64::from_le_bytes(limits),
        }
    }

    /// Lets anything stand here.
    #[inline(always)]
    fn allow(&mut self, place: u32) {
        self.digits &= !(0xFF << (8 * place));
    }

    /// Whether the characters are of the shape.
    #[inline(always)]
    fn are_numbers(self) -> bool {
        // A sum can carry only out of a byte that has its top bit set itself.
        (self.digits.wrapping_add(self.limits) | self.digits) & 0x8080_8080_8080_8080 == 0
    }

    /// The number that the digits here and after here say.
    #[inline(always)]
    fn at(self, place: u32) -> u32 {
        let pairs = self.digits.wrapping_mul(10).wrapping_add(self.digits >> 8);
        (pairs >> (8 * place)) as u32 & 0xFF
    }
}

const SECONDS_A_DAY: i64 = 86_400;
const NANOS_A_SECOND: i64 = 1_000_000_000;

/// Days from 1970 to a day of the Gregorian calendar, if there is such a day.
///
/// By Howard Hinnant's `days_from_civil` ("chrono-compatible low-level date algorithms", 2013):
/// years begin in March, so that the day which is not always there is the last.
#[inline(always)]
fn days(year: u32, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[inline(always)]
fn days_of_month(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(is_leap),
        // 31 in turn with 30, up to July and from August on.
        _ => 30 + ((month ^ month >> 3) & 1),
    }
}

#[inline(always)]
fn seconds_of_day(hour: u32, minute: u32, second: u32) -> Option<i64> {
    let is_time = (hour < 24) & (minute < 60) & (second < 60);
    is_time.then(|| i64::from(3_600 * hour + 60 * minute + second))
}

/// The nanoseconds that digits say, whether they say no more than that, and what follows them.
#[inline(always)]
fn fraction(text: &[u8]) -> Option<(i64, bool, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    let (digits, below) = digits.split_at(len.min(9));
    let number = digits.iter().fold(0, |number, digit| 10 * number + i64::from(digit - b'0'));
    let nanos = number * 10i64.pow(9 - digits.len() as u32);
    let is_exact = below.iter().all(|digit| *digit == b'0');
    (len > 0).then_some((nanos, is_exact, rest))
}

/// The seconds that a sign, two digits for hours and two for minutes say.
#[inline(always)]
fn offset([sign, digits @ ..]: [u8; 5]) -> Result<i64, BadKind> {
    let digits = digits.map(|digit| u32::from(digit.wrapping_sub(b'0')));
    let (hours, minutes) = (10 * digits[0] + digits[1], 10 * digits[2] + digits[3]);
    let are_digits = digits.iter().all(|digit| *digit <= 9);
    let seconds = seconds_of_day(hours, minutes, 0).filter(|_| are_digits);
    match sign {
        b'+' => seconds,
        b'-' => seconds.map(|seconds| -seconds),
        _ => None,
    }
    .ok_or(BadKind::NotATime)
}

#[inline(always)]
fn nanos(seconds: i64, fraction: i64) -> Result<i64, BadKind> {
    // Years have four digits, so this is far below 2^63 seconds.
    let nanos = i128::from(seconds) * i128::from(NANOS_A_SECOND) + i128::from(fraction);
    i64::try_from(nanos).map_err(|_| BadKind::OutOfRange)
}
