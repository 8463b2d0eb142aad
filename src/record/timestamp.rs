//! Timestamps: points in time in whole nanoseconds, as Arrow keeps them.

use std::fmt;
use std::str::FromStr;

use tidemill_kernels::{BadKind, Span, TimeFormat, parse_timestamps};

use crate::error::{Error, ErrorKind};

/// A point in time: nanoseconds since 1970 UTC, of the years 1677 to 2262.
///
/// It is written and read as RFC 3339 has it. Leap seconds have no place in it, as they have none
/// in the clocks of computers.
///
/// ```
/// use tidemill::Timestamp;
///
/// let time: Timestamp = "2024-02-29T13:55:36.5+01:00".parse()?;
/// assert_eq!(time.nanos(), 1_709_211_336_500_000_000);
/// assert_eq!(time.to_string(), "2024-02-29T12:55:36.500Z");
/// assert!(time > Timestamp::from_nanos(0));
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    nanos: i64,
}

/// Bytes of a text that may be a timestamp.
const TEXT_MAX: usize = 64;

const NANOS_A_SECOND: i64 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;

impl Timestamp {
    /// The point in time so many nanoseconds after the start of 1970 UTC, or before it.
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp { nanos }
    }

    /// Nanoseconds since the start of 1970 UTC.
    pub const fn nanos(self) -> i64 {
        self.nanos
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads RFC 3339.
    fn from_str(text: &str) -> Result<Timestamp, Error> {
        let (mut nanos, mut bad) = (Vec::new(), Vec::new());
        // All that is longer is none, or ends in zeros that nobody writes.
        let shown = &text[..text.floor_char_boundary(TEXT_MAX)];
        if shown.len() == text.len() {
            let row = Span { start: 0, len: text.len() as u32 };
            parse_timestamps(text.as_bytes(), &[row], TimeFormat::Rfc3339, &mut nanos, &mut bad);
        }
        match (nanos.first(), bad.first()) {
            (Some(&nanos), None) => Ok(Timestamp { nanos }),
            (_, bad) => {
                let why = bad.map_or(BadKind::NotATime, |bad| bad.kind);
                Err(Error::new(ErrorKind::Decode, format!("timestamp {shown:?}: {why}")))
            }
        }
    }
}

/// RFC 3339 in UTC, with 0, 3, 6 or 9 digits of a fraction.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) =
            (self.nanos.div_euclid(NANOS_A_SECOND), self.nanos.rem_euclid(NANOS_A_SECOND));
        let (days, second) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match nanos {
            0 => f.write_str("Z"),
            _ if nanos % 1_000_000 == 0 => write!(f, ".{:03}Z", nanos / 1_000_000),
            _ if nanos % 1_000 == 0 => write!(f, ".{:06}Z", nanos / 1_000),
            _ => write!(f, ".{nanos:09}Z"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Year, month and day of the Gregorian calendar, by days since 1970.
///
/// By Howard Hinnant's `civil_from_days` ("chrono-compatible low-level date algorithms", 2013):
/// years begin in March, so that the day which is not always there is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = 400 * era + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * from_march + 2) / 5 + 1)
}
