//! How rows are printed: as Spark prints them, `(word,2)`, text without quotes, lists in brackets.

use std::fmt;

use super::{List, Record, Timestamp};

/// A record that `print` can write.
pub trait Show: Record {
    /// Writes the row as Spark would.
    fn show(row: Self::Ref<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A row that can be formatted with `{}`.
pub fn shown<T: Show>(row: T::Ref<'_>) -> impl fmt::Display {
    struct Shown<'a, T: Show>(T::Ref<'a>);
    impl<T: Show> fmt::Display for Shown<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            T::show(self.0, f)
        }
    }
    Shown::<T>(row)
}

macro_rules! display {
    ($($scalar:ty),*) => {$(
        impl Show for $scalar {
            fn show(row: $scalar, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&row, f)
            }
        }
    )*};
}

display!(i8, i16, i32, i64, u16, u32, u64, bool, Timestamp);

macro_rules! float {
    ($($scalar:ty),*) => {$(
        impl Show for $scalar {
            fn show(row: $scalar, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // `1.0`, not `1`: the reader sees that it is a float.
                fmt::Debug::fmt(&row, f)
            }
        }
    )*};
}

float!(f32, f64);

impl Show for () {
    fn show(_: (), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("()")
    }
}

impl Show for String {
    fn show(row: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(row)
    }
}

impl Show for Vec<u8> {
    fn show(row: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", row.escape_ascii())
    }
}

impl<T: Show> Show for Option<T> {
    fn show(row: Option<T::Ref<'_>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match row {
            Some(value) => write!(f, "Some({})", shown::<T>(value)),
            None => f.write_str("None"),
        }
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(row: List<'_, T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, item) in row.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            T::show(item, f)?;
        }
        f.write_str("]")
    }
}

macro_rules! tuples {
    ($(($first:ident 0 $(, $member:ident $index:tt)*))*) => {$(
        impl<$first: Show $(, $member: Show)*> Show for ($first, $($member,)*) {
            fn show(row: Self::Ref<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("(")?;
                $first::show(row.0, f)?;
                $(
                    f.write_str(",")?;
                    $member::show(row.$index, f)?;
                )*
                f.write_str(")")
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
