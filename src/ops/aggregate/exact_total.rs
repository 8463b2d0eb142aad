//! The exact sum of numbers: an integer at a scale, and a wider one for what does not fit that.

use super::exact_sum::{ExactSum, decimal};
use crate::error::Result;
use crate::record::saved::{push_wide, take_byte, take_wide, torn};
use crate::record::{Number, NumberColumn, Record, TENS, quotient};

/// The exact sum of a key's [`Number`]s, in whatever order they come.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// What there is of decimals, in units of the scale, wrapped around at the range of `i64`.
    wrapped: i64,
    /// How often it did, less how often it came back: hardly ever touched.
    carries: i64,
    /// The rest of it; most keys have none.
    wide: Option<Box<ExactSum>>,
    scale: u8,
}

/// Integers of 64 bits, 2^63 of them, can be added to a sum up to here without leaving 128 bits.
const ROOM: u128 = 1 << 126;

impl Total {
    #[inline]
    pub(super) fn scale(&self) -> u8 {
        self.scale
    }

    /// Adds a decimal of the total's own scale.
    #[inline]
    pub(super) fn add_mantissa(&mut self, mantissa: i64) {
        let (sum, is_wrapped) = self.wrapped.overflowing_add(mantissa);
        self.wrapped = sum;
        if is_wrapped {
            // Two numbers of one sign: theirs.
            self.carries += if mantissa < 0 { -1 } else { 1 };
        }
    }

    /// The part at the scale.
    fn units(&self) -> i128 {
        i128::from(self.wrapped) + (i128::from(self.carries) << 64)
    }

    fn set_units(&mut self, sum: i128) {
        self.wrapped = sum as i64;
        self.carries = ((sum - i128::from(self.wrapped)) >> 64) as i64;
    }

    /// Adds a decimal of any scale.
    #[inline]
    pub(super) fn add_decimal(&mut self, mantissa: i64, scale: u8) {
        if scale != self.scale {
            self.add_sum(i128::from(mantissa), scale);
        } else {
            self.add_mantissa(mantissa);
        }
    }

    pub(super) fn add(&mut self, number: Number) {
        match number.parts() {
            Ok((mantissa, scale)) => self.add_decimal(mantissa, scale),
            Err(float) => self.wide().add_float(float),
        }
    }

    /// Makes the scale no less than this one.
    pub(super) fn raise(&mut self, scale: u8) {
        if scale <= self.scale {
            return;
        }
        let (sum, own) = (self.units(), self.scale);
        let raised = at_scale(sum, own, scale).filter(|sum| sum.unsigned_abs() <= ROOM);
        if raised.is_none() {
            self.wide().add_decimal(sum, own);
        }
        self.set_units(raised.unwrap_or(0));
        self.scale = scale;
    }

    #[cold]
    fn add_sum(&mut self, sum: i128, scale: u8) {
        self.raise(scale);
        let added = at_scale(sum, scale, self.scale).and_then(|sum| self.units().checked_add(sum));
        match added {
            Some(all) if all.unsigned_abs() <= ROOM => self.set_units(all),
            _ => {
                // Both go where there is room.
                let (own, own_scale) = (self.units(), self.scale);
                self.set_units(0);
                self.wide().add_decimal(own, own_scale);
                self.wide().add_decimal(sum, scale);
            }
        }
    }

    fn wide(&mut self) -> &mut ExactSum {
        self.wide.get_or_insert_with(|| Box::new(ExactSum::new()))
    }

    pub(super) fn merge(&mut self, other: &Total) {
        self.add_sum(other.units(), other.scale);
        if let Some(other) = &other.wide {
            self.wide().merge(other);
        }
    }

    pub(super) fn unmerge(&mut self, other: &Total) {
        self.add_sum(-other.units(), other.scale);
        if let Some(other) = &other.wide {
            self.wide().unmerge(other);
        }
    }

    /// The exact sum divided by `count`, rounded once; NaN for none.
    pub(super) fn mean(&self, count: i64) -> f64 {
        match self.all_wide() {
            Some(all) if count > 0 => all.quotient(count as u64),
            Some(_) => f64::NAN,
            None => quotient(self.units(), count as u128 * TENS[usize::from(self.scale)] as u128),
        }
    }

    /// The sum: exact if it is a decimal, and otherwise the nearest float, which may be infinite.
    pub(super) fn sum(&self) -> Result<Number, f64> {
        let (exact, nearest) = match self.all_wide() {
            Some(all) => (all.decimal(), all.quotient(1)),
            None => (decimal(self.units(), self.scale), self.mean(1)),
        };
        exact.or_else(|| Number::from_f64(nearest)).ok_or(nearest)
    }

    /// All of it as a wide sum, if a part is.
    fn all_wide(&self) -> Option<ExactSum> {
        let mut all = ExactSum::clone(self.wide.as_ref()?);
        all.add_decimal(self.units(), self.scale);
        Some(all)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.push(self.scale);
        push_wide(self.units(), out);
        bool::save(self.wide.is_some(), out);
        if let Some(wide) = &self.wide {
            wide.save(out);
        }
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<Total> {
        let scale = take_byte(from)?;
        let units = take_wide(from)?;
        // What is a little past the room comes of rows that were added one by one.
        if usize::from(scale) >= TENS.len() || units.unsigned_abs() > ROOM + ROOM / 2 {
            return Err(torn());
        }
        let wide = if bool::load(from)? { Some(Box::new(ExactSum::load(from)?)) } else { None };
        let mut total = Total { scale, wide, ..Total::default() };
        total.set_units(units);
        Ok(total)
    }

    /// Bytes elsewhere.
    pub(super) fn heap_len(&self) -> usize {
        if self.wide.is_some() { size_of::<ExactSum>() } else { 0 }
    }
}

/// Takes a number of values that as many as there will ever be can be added to.
pub(super) fn take_count(from: &mut &[u8]) -> Result<i64> {
    let count = i64::load(from)?;
    if (0..1 << 62).contains(&count) { Ok(count) } else { Err(torn()) }
}

fn at_scale(sum: i128, from: u8, to: u8) -> Option<i128> {
    sum.checked_mul(i128::from(TENS[usize::from(to.checked_sub(from)?)]))
}

/// Adds the rows of a column of numbers: integers at a scale, and here and there one of the list.
#[inline(always)]
pub(super) fn add_numbers<P>(
    partials: &mut [P],
    ids: &[u32],
    values: &NumberColumn,
    add_mantissa: impl Fn(&mut P, i64, u8),
    add: impl Fn(&mut P, Number),
) {
    let (mut ids, mut mantissas) = (ids, values.mantissas());
    assert_eq!(ids.len(), mantissas.len(), "one id for each value");
    let mut first = 0;
    for &(row, number) in values.others() {
        let before = row as usize - first;
        add_mantissas(
            partials,
            &ids[..before],
            &mantissas[..before],
            values.scale(),
            &add_mantissa,
        );
        add(&mut partials[ids[before] as usize], number);
        (ids, mantissas) = (&ids[before + 1..], &mantissas[before + 1..]);
        first = row as usize + 1;
    }
    add_mantissas(partials, ids, mantissas, values.scale(), &add_mantissa);
}

#[inline(always)]
fn add_mantissas<P>(
    partials: &mut [P],
    ids: &[u32],
    mantissas: &[i64],
    scale: u8,
    add_mantissa: impl Fn(&mut P, i64, u8),
) {
    for (&id, &mantissa) in ids.iter().zip(mantissas) {
        add_mantissa(&mut partials[id as usize], mantissa, scale);
    }
}
