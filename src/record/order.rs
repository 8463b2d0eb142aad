//! The order of records: what least and greatest, sorted and top mean.

use std::cmp::Ordering;

use super::{List, Record, Timestamp};

/// A record whose rows have an order, so that they have a least one and can be sorted.
///
/// Integers, bool, text and bytes are ordered as in Rust; `Option` with `None` first; tuples, lists
/// and structs that derive `Record` member by member; [`Row<T>`](crate::Row) and
/// [`Saved<T>`](crate::Saved) by the `Ord` of `T`. Floats are
/// ordered as numbers with -0.0 before 0.0, and after all numbers comes NaN, whatever its sign: a
/// division gives NaNs of one sign on one processor and of the other sign on another, and
/// `f64::total_cmp` alone would put them at opposite ends.
///
/// ```
/// use std::cmp::Ordering;
/// use tidemill::Ordered;
///
/// assert_eq!(<(String, i64)>::order(("a", 2), ("a", 10)), Ordering::Less);
/// assert_eq!(f64::order(f64::INFINITY, -f64::NAN), Ordering::Less);
/// ```
pub trait Ordered: Record {
    /// Whether two rows of which none is less than the other may still differ, as values of a
    /// Rust type may. Which of them came first then shows in what is made of them, so the engine
    /// keeps the order of their arrival.
    const TIES_SHOW: bool = false;

    /// How two rows compare. It has to be a total order.
    fn order(left: Self::Ref<'_>, right: Self::Ref<'_>) -> Ordering;
}

macro_rules! scalars {
    ($($scalar:ty),*) => {$(
        impl Ordered for $scalar {
            fn order(left: $scalar, right: $scalar) -> Ordering {
                left.cmp(&right)
            }
        }
    )*};
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Ordered for $float {
            fn order(left: $float, right: $float) -> Ordering {
                left.is_nan().cmp(&right.is_nan()).then(left.total_cmp(&right))
            }
        }
    )*};
}

scalars!(i8, i16, i32, i64, u16, u32, u64, bool, (), Timestamp);
floats!(f32, f64);

impl Ordered for String {
    fn order(left: &str, right: &str) -> Ordering {
        left.cmp(right)
    }
}

impl Ordered for Vec<u8> {
    fn order(left: &[u8], right: &[u8]) -> Ordering {
        left.cmp(right)
    }
}

impl<T: Ordered> Ordered for Option<T> {
    const TIES_SHOW: bool = T::TIES_SHOW;

    fn order(left: Option<T::Ref<'_>>, right: Option<T::Ref<'_>>) -> Ordering {
        match (left, right) {
            (Some(left), Some(right)) => T::order(left, right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        }
    }
}

impl<T: Ordered> Ordered for Vec<T> {
    const TIES_SHOW: bool = T::TIES_SHOW;

    fn order(left: List<'_, T>, right: List<'_, T>) -> Ordering {
        let pairs = left.iter().zip(right.iter());
        let mut orders = pairs.map(|(left, right)| T::order(left, right));
        let unlike = orders.find(|order| order.is_ne());
        unlike.unwrap_or_else(|| left.len().cmp(&right.len()))
    }
}

macro_rules! tuples {
    ($(($($member:ident $index:tt),+))*) => {$(
        impl<$($member: Ordered),+> Ordered for ($($member,)+) {
            const TIES_SHOW: bool = $($member::TIES_SHOW)||+;

            fn order(left: Self::Ref<'_>, right: Self::Ref<'_>) -> Ordering {
                Ordering::Equal$(.then_with(|| $member::order(left.$index, right.$index)))+
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
