//! `Number`: decimals kept exactly, of a scale that nobody has to know beforehand.
//!
//! A column has one scale, so that it is a vector of integers, on which kernels run; the rows that
//! do not fit that scale stand in a list beside it. What a number is does not depend on its column:
//! equal texts are equal numbers, and they print alike.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use tidemill_kernels::{BadKind, BadRow, MAX_SCALE, Span, least_decimal, parse_decimal};

use super::quotient::quotient;
use super::saved::{push_signed, take_byte, take_fixed, take_signed, torn};
use super::{Columns, Ordered, Record, Show};
use crate::error::{Error, ErrorKind};

/// A finite number as decimal text has it: exact where its digits without the point fit an `i64`,
/// at most 18 of them after the point, and otherwise the nearest `f64`.
///
/// So all decimals of up to 18 digits are exact, and so are sums of numbers
/// ([`Stats`](crate::Stats), [`Mean`](crate::Mean)). Numbers are compared by value, 1.50 is 1.5,
/// and there is no negative zero.
///
/// ```
/// use tidemill::Number;
///
/// let price: Number = "19.90".parse()?;
/// assert_eq!(price, Number::decimal(199, 1));
/// assert_eq!(price.to_string(), "19.9");
/// assert_eq!(price.to_f64(), 19.9);
/// assert!(Number::from_f64(f64::NAN).is_none());
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// As Arrow, a column of numbers is one of `f64`, each rounded once.
#[derive(Copy, Clone)]
pub struct Number(Kind);

#[derive(Copy, Clone)]
enum Kind {
    /// The mantissa divided by ten to the power of the scale.
    Decimal { mantissa: i64, scale: u8 },
    /// Finite, and none of the decimals.
    Float(f64),
}

/// Powers of ten up to that of the largest scale.
pub(crate) const TENS: [i64; MAX_SCALE as usize + 1] = {
    let mut tens = [1; MAX_SCALE as usize + 1];
    let mut power = 1;
    while power < tens.len() {
        tens[power] = tens[power - 1] * 10;
        power += 1;
    }
    tens
};

impl Number {
    /// Zero.
    pub const ZERO: Number = Number(Kind::Decimal { mantissa: 0, scale: 0 });

    /// The number `mantissa / 10^scale`.
    ///
    /// # Panics
    ///
    /// If the scale is past 18.
    pub const fn decimal(mantissa: i64, scale: u8) -> Number {
        assert!(scale as u32 <= MAX_SCALE, "a decimal has up to 18 digits after the point");
        Number(Kind::Decimal { mantissa, scale })
    }

    /// The number that a float is; none if it is infinite or NaN.
    ///
    /// A float is a binary fraction, so 0.1 becomes what `0.1_f64` is, which is not a tenth.
    pub fn from_f64(value: f64) -> Option<Number> {
        value.is_finite().then(|| exact_decimal(value).unwrap_or(Number(Kind::Float(value))))
    }

    /// The nearest float, rounded once.
    pub fn to_f64(self) -> f64 {
        match self.0 {
            Kind::Decimal { mantissa, scale } => {
                quotient(i128::from(mantissa), TENS[usize::from(scale)] as u128)
            }
            Kind::Float(value) => value,
        }
    }

    /// The mantissa and the scale, the least one, where the number is a decimal.
    pub fn as_decimal(self) -> Option<(i64, u8)> {
        let Kind::Decimal { mut mantissa, mut scale } = self.0 else { return None };
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Some((mantissa, scale))
    }

    /// The mantissa and the scale as they are, or the float.
    pub(crate) fn parts(self) -> Result<(i64, u8), f64> {
        match self.0 {
            Kind::Decimal { mantissa, scale } => Ok((mantissa, scale)),
            Kind::Float(value) => Err(value),
        }
    }

    /// The mantissa at this scale, if the number has one there.
    pub(crate) fn at_scale(self, scale: u8) -> Option<i64> {
        match self.0 {
            Kind::Decimal { mantissa, scale: own } if own <= scale => {
                mantissa.checked_mul(TENS[usize::from(scale - own)])
            }
            Kind::Decimal { mantissa, scale: own } => {
                let unit = TENS[usize::from(own - scale)];
                (mantissa % unit == 0).then_some(mantissa / unit)
            }
            Kind::Float(_) => None,
        }
    }

    /// The number that a text says. Not a number is [`BadKind::NotANumber`]; infinities, NaN and
    /// what is past the largest float are [`BadKind::OutOfRange`].
    pub(crate) fn parse(text: &[u8]) -> Result<Number, BadKind> {
        match least_decimal(text) {
            Ok((mantissa, scale)) => Ok(Number::decimal(mantissa, scale as u8)),
            Err(BadKind::Empty) => Err(BadKind::Empty),
            Err(_) => {
                let text = str::from_utf8(text).map_err(|_| BadKind::NotANumber)?;
                let float = text.parse().map_err(|_| BadKind::NotANumber)?;
                Number::from_f64(float).ok_or(BadKind::OutOfRange)
            }
        }
    }
}

/// The decimal that has this very value.
fn exact_decimal(value: f64) -> Option<Number> {
    let (mantissa, exponent) = parts(value);
    if mantissa == 0 {
        return Some(Number::ZERO);
    }
    let zeros = mantissa.trailing_zeros();
    let (odd, exponent) = (i128::from(mantissa >> zeros), exponent + zeros as i32);
    // A half is five tenths, and so on.
    let (mantissa, scale) = match exponent {
        0..64 => (odd << exponent, 0),
        -18..0 => (odd * 5i128.pow(-exponent as u32), -exponent as u8),
        _ => return None,
    };
    i64::try_from(mantissa).ok().map(|mantissa| Number::decimal(mantissa, scale))
}

/// A finite float as an integer of up to 53 bits times a power of two.
pub(crate) fn parts(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let field = (bits >> 52 & 0x7FF) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let magnitude = if field == 0 { fraction } else { fraction | 1 << 52 };
    (if value < 0.0 { -magnitude } else { magnitude }, field.max(1) - 1075)
}

impl From<i64> for Number {
    fn from(value: i64) -> Number {
        Number::decimal(value, 0)
    }
}

impl Default for Number {
    fn default() -> Number {
        Number::ZERO
    }
}

impl FromStr for Number {
    type Err = Error;

    /// Reads what `f64` reads, but for infinities and NaN.
    fn from_str(text: &str) -> Result<Number, Error> {
        Number::parse(text.as_bytes()).map_err(|kind| {
            let what = match kind {
                BadKind::OutOfRange => "no finite number",
                _ => "not a number",
            };
            // A message of bounded length, whatever the text.
            let shown: String = text.chars().take(40).collect();
            Error::new(ErrorKind::Decode, format!("{shown:?} is {what}"))
        })
    }
}

impl fmt::Display for Number {
    /// A plain decimal without an exponent or trailing zeros: `-0.05`, `20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((mantissa, scale)) = self.as_decimal() else {
            return fmt::Display::fmt(&self.to_f64(), f);
        };
        let (magnitude, scale) = (mantissa.unsigned_abs(), usize::from(scale));
        let unit = TENS[scale] as u64;
        let (whole, fraction) = (magnitude / unit, magnitude % unit);
        let mut text = whole.to_string();
        if scale > 0 {
            text += &format!(".{fraction:0scale$}");
        }
        f.pad_integral(mantissa >= 0, "", &text)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Ord for Number {
    /// By value, exactly, also of a decimal and a float.
    fn cmp(&self, other: &Number) -> Ordering {
        match (self.0, other.0) {
            (Kind::Float(left), Kind::Float(right)) => left.total_cmp(&right),
            (
                Kind::Decimal { mantissa: left, scale: left_scale },
                Kind::Decimal { mantissa: right, scale: right_scale },
            ) => {
                let scale = left_scale.max(right_scale);
                let raised = |mantissa, from| {
                    i128::from(mantissa) * i128::from(TENS[usize::from(scale - from)])
                };
                raised(left, left_scale).cmp(&raised(right, right_scale))
            }
            (Kind::Decimal { mantissa, scale }, Kind::Float(float)) => {
                order_to_float(*self, mantissa, scale, float)
            }
            (Kind::Float(float), Kind::Decimal { mantissa, scale }) => {
                order_to_float(*other, mantissa, scale, float).reverse()
            }
        }
    }
}

/// How a decimal compares with a float.
fn order_to_float(decimal: Number, mantissa: i64, scale: u8, float: f64) -> Ordering {
    // Rounding keeps the order of what it does not make equal. Where it does, the two are so near
    // that both products below have less than 127 bits: the float is then no larger than an i64,
    // and no smaller than 10^-18, which is more than 2^-60.
    let rounded = decimal.to_f64().total_cmp(&float);
    if rounded.is_ne() {
        return rounded;
    }
    let (left, right) = (i128::from(mantissa), i128::from(TENS[usize::from(scale)]));
    let (bits, exponent) = parts(float);
    let right = right * i128::from(bits);
    if exponent < 0 { (left << -exponent).cmp(&right) } else { left.cmp(&(right << exponent)) }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A float is no decimal, so the two need not agree.
        match self.as_decimal() {
            Some(decimal) => decimal.hash(state),
            None => self.to_f64().to_bits().hash(state),
        }
    }
}

impl Ordered for Number {
    fn order(left: Number, right: Number) -> Ordering {
        left.cmp(&right)
    }
}

impl Show for Number {
    fn show(row: Number, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&row, f)
    }
}

impl Record for Number {
    type Ref<'a> = Number;
    type Columns = NumberColumn;

    fn to_ref(&self) -> Number {
        *self
    }

    fn from_ref(row: Number) -> Number {
        row
    }

    fn saved_as() -> Option<String> {
        Some("number".to_owned())
    }

    fn save(row: Number, out: &mut Vec<u8>) {
        match row.0 {
            Kind::Decimal { mantissa, scale } => {
                out.push(scale);
                push_signed(mantissa, out);
            }
            Kind::Float(value) => {
                out.push(FLOAT);
                out.extend(value.to_le_bytes());
            }
        }
    }

    fn load(from: &mut &[u8]) -> Result<Number, Error> {
        match take_byte(from)? {
            FLOAT => Number::from_f64(f64::from_le_bytes(take_fixed(from)?)).ok_or_else(torn),
            scale if u32::from(scale) <= MAX_SCALE => {
                Ok(Number::decimal(take_signed(from)?, scale))
            }
            _ => Err(torn()),
        }
    }
}

/// Stands in the place of a saved scale where the number is a float.
const FLOAT: u8 = u8::MAX;

/// A column of [`Number`]s: integers in units of the column's scale, and a list of what is none.
///
/// The scale rises with what comes in, as long as all that is there stays in range, and is kept
/// when the column is cleared: the next chunk of a stream is likely to be like this one.
#[derive(Clone, Debug)]
pub struct NumberColumn {
    scale: u8,
    /// The largest scale that may still be in reach, so that a row that asks for more costs
    /// nothing. A search for a scale raises the one or lowers the other, so there are few of them.
    scale_max: u8,
    /// One for each row, zero for those in the list.
    mantissas: Vec<i64>,
    /// Rows that have no mantissa at the scale, in order.
    others: Vec<(u32, Number)>,
}

/// Rows that are parsed before what is wrong with them is looked at: few, because the scale that is
/// nobody's guess at first may be wrong for all of them.
const PIECE: usize = 1_024;

/// Where more than one row in so many is in the list, the scale is not worth keeping.
const OTHERS_SHARE: usize = 16;

impl Default for NumberColumn {
    fn default() -> NumberColumn {
        NumberColumn {
            scale: 0,
            scale_max: MAX_SCALE as u8,
            mantissas: Vec::new(),
            others: Vec::new(),
        }
    }
}

impl NumberColumn {
    /// The digits after the point that the column's integers stand for.
    pub fn scale(&self) -> u8 {
        self.scale
    }

    /// One integer for each row, in units of the scale; zero for the rows in the list.
    pub(crate) fn mantissas(&self) -> &[i64] {
        &self.mantissas
    }

    /// The rows that have no integer at the scale, in order.
    pub(crate) fn others(&self) -> &[(u32, Number)] {
        &self.others
    }

    /// Appends a row for each span. One that says no finite number is appended to `bad`, by its
    /// number among the spans, and zero in its place: as [`BadKind::OutOfRange`] if it is a number
    /// but not finite.
    pub(crate) fn parse(&mut self, text: &[u8], spans: &[Span], bad: &mut Vec<BadRow>) {
        let mut misfits = Vec::new();
        for (index, piece) in spans.chunks(PIECE).enumerate() {
            let first = self.mantissas.len();
            parse_decimal(text, piece, self.scale.into(), &mut self.mantissas, &mut misfits);
            for BadRow { row, .. } in misfits.drain(..) {
                match Number::parse(&text[piece[row as usize].range()]) {
                    Ok(number) => {
                        let mantissa = self.fit(number, first + row as usize);
                        self.mantissas[first + row as usize] = mantissa;
                    }
                    Err(kind) => bad.push(BadRow { row: (index * PIECE) as u32 + row, kind }),
                }
            }
        }
    }

    /// The mantissa of a number, raising the scale if need be; zero if there is none, and then the
    /// number is put into the list, as this row.
    fn fit(&mut self, number: Number, row: usize) -> i64 {
        if let Some(mantissa) = number.at_scale(self.scale) {
            return mantissa;
        }
        let wanted = number.as_decimal().map(|(_, scale)| scale);
        if wanted.is_some_and(|scale| scale > self.scale && self.raise(scale)) {
            return number.at_scale(self.scale).expect("a decimal has a mantissa at its own scale");
        }
        self.others.push((row as u32, number));
        0
    }

    /// Raises the scale, if all mantissas stay in range.
    fn raise(&mut self, scale: u8) -> bool {
        if scale > self.scale_max {
            return false;
        }
        let largest = self.mantissas.iter().fold(0, |largest, m| m.unsigned_abs().max(largest));
        let room = (i64::MAX as u64).checked_div(largest).unwrap_or(u64::MAX);
        let digits = TENS[1..].iter().take_while(|&&ten| ten as u64 <= room).count();
        self.scale_max = (usize::from(self.scale) + digits).min(MAX_SCALE as usize) as u8;
        if scale > self.scale_max {
            return false;
        }
        let factor = TENS[usize::from(scale - self.scale)];
        self.mantissas.iter_mut().for_each(|mantissa| *mantissa *= factor);
        self.scale = scale;
        true
    }

    /// The number of a row that is in the list.
    #[cold]
    fn other(&self, row: usize) -> Option<Number> {
        let found = self.others.binary_search_by_key(&(row as u32), |&(row, _)| row);
        found.ok().map(|at| self.others[at].1)
    }
}

impl Columns for NumberColumn {
    type Record = Number;

    fn len(&self) -> usize {
        self.mantissas.len()
    }

    fn get(&self, row: usize) -> Number {
        let number = Number::decimal(self.mantissas[row], self.scale);
        if self.others.is_empty() { number } else { self.other(row).unwrap_or(number) }
    }

    fn push(&mut self, row: Number) {
        let mantissa = self.fit(row, self.mantissas.len());
        self.mantissas.push(mantissa);
    }

    fn append(&mut self, other: &Self) {
        if self.mantissas.is_empty() {
            self.scale = other.scale;
        }
        if self.scale != other.scale {
            (0..other.len()).for_each(|row| self.push(other.get(row)));
            return;
        }
        let first = self.mantissas.len() as u32;
        self.mantissas.extend_from_slice(&other.mantissas);
        self.others.extend(other.others.iter().map(|&(row, number)| (first + row, number)));
    }

    fn gather(&self, rows: &[u32]) -> Self {
        let mut gathered = NumberColumn { scale: self.scale, ..NumberColumn::default() };
        gathered.mantissas.extend(rows.iter().map(|&row| self.mantissas[row as usize]));
        if !self.others.is_empty() {
            let numbers =
                (0..).zip(rows).filter_map(|(to, &row)| Some((to, self.other(row as usize)?)));
            gathered.others.extend(numbers);
        }
        gathered
    }

    fn clear(&mut self) {
        if self.others.len() > self.mantissas.len() / OTHERS_SHARE {
            self.scale = 0;
        }
        self.scale_max = MAX_SCALE as u8;
        self.mantissas.clear();
        self.others.clear();
    }

    fn byte_len(&self) -> usize {
        size_of_val(self.mantissas.as_slice()) + size_of_val(self.others.as_slice())
    }
}
