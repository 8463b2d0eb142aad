//! Exact sums and means against sums written out, digit by digit, and Rust's own `parse` of them.

use tidemill::prelude::*;
use tidemill::{Aggregate, ErrorKind, Number, NumberColumn, Stats, Summary};

use crate::check::{In, Out, check_bag};
use crate::random::{Random, seeds};

/// Digits after the point; the smallest float has 1074.
const FRACTION: usize = 1_100;
/// Digits in all.
const DIGITS: usize = FRACTION + 330;

/// The very sum of numbers divided by their count, as text with a last digit that says whether
/// there is more.
fn naive_quotient(numbers: &[Number], count: u128) -> String {
    let mut digits = [0i64; DIGITS];
    for number in numbers {
        let text = match number.as_decimal() {
            Some(_) => number.to_string(),
            None => format!("{:.FRACTION$}", number.to_f64()),
        };
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let text = text.trim_start_matches('-');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let first = DIGITS - FRACTION - whole.len();
        for (digit, character) in
            digits[first..].iter_mut().zip(whole.chars().chain(fraction.chars()))
        {
            *digit += sign * i64::from(character.to_digit(10).unwrap());
        }
    }
    let carry = |digits: &mut [i64; DIGITS]| {
        for at in (1..DIGITS).rev() {
            digits[at - 1] += digits[at].div_euclid(10);
            digits[at] = digits[at].rem_euclid(10);
        }
    };
    carry(&mut digits);
    let is_negative = digits[0] < 0;
    if is_negative {
        digits.iter_mut().for_each(|digit| *digit = -*digit);
        carry(&mut digits);
    }
    let mut text = if is_negative { "-" } else { "" }.to_owned();
    let mut rest = 0;
    for (at, &digit) in digits.iter().enumerate() {
        let part = rest * 10 + digit as u128;
        text.extend(char::from_digit((part / count) as u32, 10));
        rest = part % count;
        if at + 1 == DIGITS - FRACTION {
            text.push('.');
        }
    }
    text.push(if rest == 0 { '0' } else { '1' });
    text
}

fn bits(value: f64) -> u64 {
    // No negative zero comes out of an exact sum.
    (value + 0.0).to_bits()
}

/// Checks what the aggregates say of these numbers.
#[track_caller]
fn check_numbers(numbers: &[Number]) {
    let mut column = NumberColumn::default();
    numbers.iter().for_each(|&number| column.push(number));
    let ids = vec![0; numbers.len()];
    fn of<A: Aggregate<Number>>(aggregate: &A, ids: &[u32], column: &NumberColumn) -> A::Output {
        let mut partials = vec![aggregate.identity()];
        aggregate.add_rows(&mut partials, ids, column).unwrap();
        aggregate.finish(&partials[0]).unwrap()
    }
    let summary = of(&Stats, &ids, &column);
    let (sum, mean) = (naive_quotient(numbers, 1), naive_quotient(numbers, numbers.len() as u128));
    let (float, mean): (f64, f64) = (sum.parse().unwrap(), mean.parse().unwrap());
    let min = *numbers.iter().min().unwrap();
    let max = *numbers.iter().max().unwrap();
    assert_eq!(bits(summary.mean), bits(mean), "{numbers:?}");
    let expected = Summary { count: numbers.len() as i64, min, mean, max, sum: float };
    assert_eq!(summary, expected, "{numbers:?}");
    assert_eq!(bits(of(&Mean, &ids, &column)), bits(mean), "{numbers:?}");
    if float.is_finite() {
        // The text has zeros enough to be read as a decimal if it is one.
        assert_eq!(of(&Sum, &ids, &column), sum.parse().unwrap(), "{numbers:?}");
    }
}

#[test]
fn the_exact_mean_is_rounded_once() {
    for seed in seeds(40) {
        let mut random = Random::new(seed);
        for _ in 0..10 {
            let kinds = [1, 2, 4][random.below(3)];
            let scale = random.below(19) as u8;
            let count = 1 + random.below(12);
            let mut numbers: Vec<Number> = (0..count)
                .map(|_| {
                    let any = (random.next() as i64) >> random.below(64);
                    match random.below(kinds) {
                        0 => Number::decimal(any, scale),
                        1 => Number::decimal(any, random.below(19) as u8),
                        2 => Number::from_f64(f64::from_bits(random.next())).unwrap_or_default(),
                        // Near one, with all bits.
                        _ => Number::from_f64(1.0 + (random.next() >> 11) as f64 * 2f64.powi(-53))
                            .unwrap(),
                    }
                })
                .collect();
            // What cancels leaves only small things.
            if random.below(3) == 0 {
                let negated = |number: &Number| match number.as_decimal() {
                    Some((mantissa, scale)) => Number::decimal(mantissa.saturating_neg(), scale),
                    None => Number::from_f64(-number.to_f64()).unwrap(),
                };
                numbers.extend(numbers.iter().skip(1).map(negated).collect::<Vec<_>>());
            }
            check_numbers(&numbers);
        }
    }
}

#[test]
fn sums_at_the_limits() {
    let (most, least) = (Number::from(i64::MAX), Number::from(i64::MIN));
    let tiny = Number::decimal(1, 18);
    let float = |value| Number::from_f64(value).unwrap();
    check_numbers(&[Number::ZERO]);
    check_numbers(&[tiny]);
    check_numbers(&[most; 40]);
    check_numbers(&[[most; 40], [tiny; 40]].concat());
    check_numbers(&[[tiny; 40], [least; 40]].concat());
    check_numbers(
        &[[least; 20], [tiny; 20], [least; 20], [Number::decimal(i64::MAX, 9); 20]].concat(),
    );
    check_numbers(&[float(f64::MAX); 3]);
    check_numbers(&[float(f64::MAX), float(f64::MAX), float(f64::MIN)]);
    check_numbers(&[float(5e-324); 3]);
    check_numbers(&[float(5e-324), Number::ZERO]);
    check_numbers(&[float(5e-324), float(5e-324), float(5e-324), Number::ZERO]);
    check_numbers(&[float(5e-324), float(-5e-324)]);
    check_numbers(&[float(1e300), float(-1e300), Number::decimal(15, 1)]);
    check_numbers(&[float(2.2250738585072014e-308), float(-5e-324)]);
    // Just past half way between two floats, by what is far below.
    check_numbers(&[Number::from(1 << 53 | 1), Number::from(1 << 53), float(5e-324)]);
    check_numbers(&[Number::from(1 << 53 | 1), Number::from(1 << 53), float(-5e-324)]);
    let mut past = Aggregate::<Number>::identity(&Sum);
    for value in [f64::MAX; 2] {
        Aggregate::<Number>::add(&Sum, &mut past, float(value)).unwrap();
    }
    let error = Aggregate::<Number>::finish(&Sum, &past).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overflow);
    assert_eq!(error.to_string(), "the sum of a key is inf, past the largest f64");
}

/// Of integers past 2^53, the sum was rounded and then the quotient once more.
#[test]
fn means_of_integers_are_rounded_once() {
    for seed in seeds(40) {
        let mut random = Random::new(seed);
        let integers: Vec<i64> =
            (0..1 + random.below(9)).map(|_| (random.next() as i64) >> random.below(20)).collect();
        let mut partial = Aggregate::<i64>::identity(&Mean);
        integers
            .iter()
            .for_each(|&value| Aggregate::<i64>::add(&Mean, &mut partial, value).unwrap());
        let numbers: Vec<Number> = integers.iter().map(|&value| value.into()).collect();
        let expected: f64 = naive_quotient(&numbers, numbers.len() as u128).parse().unwrap();
        assert_eq!(Aggregate::<i64>::finish(&Mean, &partial).unwrap(), expected, "{integers:?}");
    }
}

#[test]
fn stats_by_key() {
    let rows = [("ebb", "0.1"), ("flow", "-7"), ("ebb", "0.25"), ("ebb", "1e300"), ("flow", "8")];
    let rows = rows.map(|(key, text)| (key.to_owned(), text.parse::<Number>().unwrap()));
    let number = |text: &str| text.parse::<Number>().unwrap();
    let ebb = Summary {
        count: 3,
        min: number("0.1"),
        mean: 1e300 / 3.0,
        max: number("1e300"),
        sum: 1e300,
    };
    let flow = Summary { count: 2, min: number("-7"), mean: 0.5, max: number("8"), sum: 1.0 };
    let halves = In::Partitions(vec![rows[..3].to_vec(), rows[3..].to_vec()]);
    check_bag(
        |rows: &DStream<(String, Number)>| rows.aggregate_by_key(Stats),
        &[halves],
        &[Out::Rows(vec![("ebb".into(), ebb), ("flow".into(), flow)])],
    );
    let integers = [("ebb".to_owned(), i64::MAX), ("ebb".to_owned(), i64::MAX)];
    let most = Number::from(i64::MAX);
    let mean = i64::MAX as f64;
    let summary = Summary { count: 2, min: most, mean, max: most, sum: 2.0 * mean };
    check_bag(
        |rows: &DStream<(String, i64)>| rows.aggregate_by_key(Stats),
        &[In::Partitions(vec![integers.to_vec()])],
        &[Out::Rows(vec![("ebb".into(), summary)])],
    );
}
