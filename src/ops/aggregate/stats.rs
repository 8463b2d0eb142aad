//! What an average wants to know of a key's values and what goes with it, in one pass.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::exact_total::{Total, add_numbers, take_count};
use super::{Aggregate, no_values};
use crate::error::Result;
use crate::record::saved::torn;
use crate::record::{Number, NumberColumn, Record, TENS};

/// Count, least value, mean, greatest value and sum of each key's numbers, in one pass: a
/// [`Summary`] for each key.
///
/// Nothing is rounded until the end: sums are exact, of decimals and of floats, so the mean is the
/// exact mean rounded once, and the order of the values shows in nothing.
///
/// ```
/// use tidemill::prelude::*;
/// use tidemill::{Number, Stats};
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let readings = lines.stream().decode::<(String, Number)>(Delimited::new(b';'));
/// let stats = t.output(&readings.aggregate_by_key(Stats));
/// lines.push(["oslo;0.1", "oslo;0.2", "oslo;0.3"])?;
/// t.tick()?;
/// let (station, summary) = &stats.take()[0];
/// assert_eq!((station.as_str(), summary.count), ("oslo", 3));
/// assert_eq!((summary.min, summary.max), ("0.1".parse()?, "0.3".parse()?));
/// // Sums of floats give 0.6000000000000001.
/// assert_eq!((summary.mean, summary.sum), (0.2, 0.6));
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats;

/// What [`Stats`] says of a key.
#[derive(Copy, Clone, Debug, PartialEq, Record)]
#[record(crate = crate)]
pub struct Summary {
    /// How many values there are.
    pub count: i64,
    /// The least of them.
    pub min: Number,
    /// Their exact mean, rounded once.
    pub mean: f64,
    /// The greatest of them.
    pub max: Number,
    /// Their exact sum, rounded once; infinite if it is past the largest float.
    pub sum: f64,
}

/// What [`Stats`] keeps of a key's values.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Tally {
    total: Total,
    count: i64,
    /// The extremes of what has a mantissa at the total's scale; before the first, the least is
    /// past the greatest.
    min: i64,
    max: i64,
    /// Those of the other values; most keys have none.
    others: Option<Box<(Number, Number)>>,
}

// A key's row is one cache line.
const _: () = assert!(size_of::<Tally>() == 64);

impl Tally {
    fn new() -> Tally {
        Tally { total: Total::default(), count: 0, min: i64::MAX, max: i64::MIN, others: None }
    }

    /// Adds a decimal. New extremes are rare, so they are branches.
    #[inline(always)]
    fn add_decimal(&mut self, mantissa: i64, scale: u8) {
        if scale != self.total.scale() {
            return self.add_at_scale(mantissa, scale);
        }
        self.count += 1;
        self.total.add_mantissa(mantissa);
        if mantissa < self.min {
            self.min = mantissa;
        }
        if mantissa > self.max {
            self.max = mantissa;
        }
    }

    /// Adds a decimal of another scale than the total has.
    #[cold]
    fn add_at_scale(&mut self, mantissa: i64, scale: u8) {
        self.raise(scale);
        let factor = TENS[usize::from(self.total.scale() - scale)];
        match mantissa.checked_mul(factor) {
            Some(mantissa) => self.add_decimal(mantissa, self.total.scale()),
            None => {
                self.count += 1;
                self.total.add_decimal(mantissa, scale);
                self.widen(Number::decimal(mantissa, scale));
            }
        }
    }

    fn add(&mut self, number: Number) {
        match number.parts() {
            Ok((mantissa, scale)) => self.add_decimal(mantissa, scale),
            Err(_) => {
                self.count += 1;
                self.total.add(number);
                self.widen(number);
            }
        }
    }

    /// Makes the scale no less than this one.
    fn raise(&mut self, scale: u8) {
        let own = self.total.scale();
        if scale <= own {
            return;
        }
        self.total.raise(scale);
        if self.min > self.max {
            return;
        }
        let factor = TENS[usize::from(scale - own)];
        match self.min.checked_mul(factor).zip(self.max.checked_mul(factor)) {
            Some(extremes) => (self.min, self.max) = extremes,
            None => {
                let (min, max) = (self.min, self.max);
                (self.min, self.max) = (i64::MAX, i64::MIN);
                self.widen(Number::decimal(min, own));
                self.widen(Number::decimal(max, own));
            }
        }
    }

    /// Takes in a value as an extreme that has no mantissa at the scale.
    fn widen(&mut self, number: Number) {
        let (min, max) = &mut **self.others.get_or_insert_with(|| Box::new((number, number)));
        *min = number.min(*min);
        *max = number.max(*max);
    }

    fn merge(&mut self, later: &Tally) {
        self.raise(later.total.scale());
        self.count += later.count;
        self.total.merge(&later.total);
        if later.min <= later.max {
            let scale = later.total.scale();
            let factor = TENS[usize::from(self.total.scale() - scale)];
            for extreme in [later.min, later.max] {
                match extreme.checked_mul(factor) {
                    Some(extreme) => {
                        self.min = self.min.min(extreme);
                        self.max = self.max.max(extreme);
                    }
                    None => self.widen(Number::decimal(extreme, scale)),
                }
            }
        }
        if let Some(others) = &later.others {
            self.widen(others.0);
            self.widen(others.1);
        }
    }

    fn summary(&self) -> Result<Summary> {
        let scale = self.total.scale();
        let own = (self.min <= self.max)
            .then(|| (Number::decimal(self.min, scale), Number::decimal(self.max, scale)));
        let extremes = match (own, self.others.as_deref().copied()) {
            (Some(own), Some(others)) => Some((own.0.min(others.0), own.1.max(others.1))),
            (own, others) => own.or(others),
        };
        let (min, max) = extremes.ok_or_else(|| no_values("least"))?;
        let mean = self.total.mean(self.count);
        Ok(Summary { count: self.count, min, mean, max, sum: self.total.mean(1) })
    }

    fn byte_len(&self) -> usize {
        let others = if self.others.is_some() { size_of::<(Number, Number)>() } else { 0 };
        size_of::<Tally>() + self.total.heap_len() + others
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.total.save(out);
        <(i64, i64, i64)>::save((self.count, self.min, self.max), out);
        Option::<(Number, Number)>::save(self.others.as_deref().copied(), out);
    }

    fn load(from: &mut &[u8]) -> Result<Tally> {
        let (total, count) = (Total::load(from)?, take_count(from)?);
        let (min, max, others) = <(i64, i64, Option<(Number, Number)>)>::load(from)?;
        Ok(Tally { total, count, min, max, others: others.map(Box::new) })
    }
}

/// As the bytes that checkpoints hold, in whatever format: so that it can be a
/// [`Saved`](crate::Saved) value, or a part of one.
impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        self.save(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Tally {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tally, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Tally;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a tally")
            }

            fn visit_bytes<E: serde::de::Error>(self, mut bytes: &[u8]) -> Result<Tally, E> {
                match Tally::load(&mut bytes) {
                    Ok(tally) if bytes.is_empty() => Ok(tally),
                    Ok(_) => Err(E::custom(torn())),
                    Err(error) => Err(E::custom(error)),
                }
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

macro_rules! stats {
    ($number:ty, $add:expr $(, $add_rows:item)?) => {
        impl Aggregate<$number> for Stats {
            type Partial = Tally;
            type Output = Summary;

            fn identity(&self) -> Tally {
                Tally::new()
            }

            fn add(&self, partial: &mut Tally, value: $number) -> Result<()> {
                $add(partial, value);
                Ok(())
            }

            fn merge(&self, into: &mut Tally, later: &Tally) -> Result<()> {
                into.merge(later);
                Ok(())
            }

            fn finish(&self, partial: &Tally) -> Result<Summary> {
                partial.summary()
            }

            $($add_rows)?

            fn byte_len(&self, partial: &Tally) -> usize {
                partial.byte_len()
            }

            fn partial_saved_as(&self) -> Option<String> {
                Some("stats".to_owned())
            }

            fn save_partial(&self, partial: &Tally, out: &mut Vec<u8>) {
                partial.save(out);
            }

            fn load_partial(&self, from: &mut &[u8]) -> Result<Tally> {
                Tally::load(from)
            }
        }
    };
}

stats!(
    Number,
    Tally::add,
    fn add_rows(&self, partials: &mut [Tally], ids: &[u32], values: &NumberColumn) -> Result<()> {
        add_numbers(partials, ids, values, Tally::add_decimal, Tally::add);
        Ok(())
    }
);

macro_rules! integers {
    ($($int:ty),*) => {
        $(stats!($int, |tally: &mut Tally, value| tally.add_decimal(i64::from(value), 0));)*
    };
}

integers!(i8, i16, i32, i64, u16, u32);
