//! One safe body, compiled once per instruction set, because a body that is not compiled inside a
//! `target_feature` function loses the wide instructions; the choice is made once per call.

/// Defines `fn name(…)` at [`Level::current`](crate::Level::current) and `fn name_at(level, …)`.
///
/// The body stands in three functions that differ by the instructions the compiler may use.
/// `isa` names, inside the body, the module of [`crate::isa`] that belongs to the level.
macro_rules! multiversion {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident / $name_at:ident
        ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?, $isa:ident => $body:block
    ) => {
        $(#[$meta])*
        #[inline]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            $name_at($crate::Level::current(), $($arg),*)
        }

        #[doc = concat!("[`", stringify!($name), "`] at `level`, or at the best below it that ")]
        #[doc = "the machine has: for tests and benches."]
        $vis fn $name_at(level: $crate::Level, $($arg: $ty),*) $(-> $ret)? {
            $crate::multiversion::multiversion!(
                @dispatch level, [] ($($arg: $ty),*) $(-> $ret)?, $isa => $body
            )
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis fn $name_at:ident $([$($generic:tt)*])?
        ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?, $isa:ident => $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name_at $(<$($generic)*>)? (level: $crate::Level, $($arg: $ty),*) $(-> $ret)? {
            $crate::multiversion::multiversion!(
                @dispatch level, [$($($generic)*)?] ($($arg: $ty),*) $(-> $ret)?, $isa => $body
            )
        }
    };
    (
        @dispatch $level:ident, [$($generic:tt)*] ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?,
        $isa:ident => $body:block
    ) => {{
        #[allow(clippy::redundant_closure, reason = "a `target_feature` function is no `Fn`")]
        fn scalar<$($generic)*>($($arg: $ty),*) $(-> $ret)? {
            #[allow(unused_imports, reason = "not every body needs the level's own primitives")]
            use $crate::isa::scalar as $isa;
            $body
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn avx2<$($generic)*>($($arg: $ty),*) $(-> $ret)? {
            #[allow(unused_imports, reason = "not every body needs the level's own primitives")]
            use $crate::isa::avx2 as $isa;
            $body
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")]
        fn avx512<$($generic)*>($($arg: $ty),*) $(-> $ret)? {
            #[allow(unused_imports, reason = "not every body needs the level's own primitives")]
            use $crate::isa::avx512 as $isa;
            $body
        }

        match $level.supported() {
            // SAFETY: `Level::supported` lowered the level to what the machine was found to have.
            #[cfg(target_arch = "x86_64")]
            $crate::Level::Avx512 => unsafe { avx512($($arg),*) },
            // SAFETY: `Level::supported` lowered the level to what the machine was found to have.
            #[cfg(target_arch = "x86_64")]
            $crate::Level::Avx2 => unsafe { avx2($($arg),*) },
            _ => scalar($($arg),*),
        }
    }};
}

pub(crate) use multiversion;
