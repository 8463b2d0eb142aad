//! What must compile without a word, whatever the lints and the names around it.

#![deny(warnings, missing_docs, unreachable_pub, unused, nonstandard_style, future_incompatible)]
#![deny(rust_2018_idioms, missing_debug_implementations, unused_qualifications, unused_lifetimes)]
#![deny(single_use_lifetimes, let_underscore, unnameable_types, trivial_casts)]
#![forbid(unsafe_code)]

/// Places on a map.
pub mod places {
    #![forbid(dead_code, private_bounds, private_interfaces, missing_docs)]

    use tidemill::Record;
    use tidemill::prelude::Row;

    /// Where something is.
    #[derive(Debug, Record)]
    pub struct Place {
        /// The street, without a number.
        pub street: String,
        pub(crate) number: u32,
        extent: Extent,
        handler: Row<for<'a> fn(&'a str) -> &'a str>,
    }

    #[derive(Debug, Record)]
    struct Extent {
        width: f64,
        height: f64,
    }

    /// Two numbers.
    #[derive(Debug, Record)]
    pub struct Numbers {
        /// The first.
        pub first: i64,
        /// The second.
        pub second: Option<(i64, bool)>,
    }

    impl Place {
        /// The house number.
        pub fn number(&self) -> u32 {
            self.number
        }
    }
}

/// Names that the generated code could take for those of the standard library.
pub mod names {
    #![allow(dead_code)]

    struct Option;
    struct Result;
    struct Vec;
    struct Box;
    struct Default;
    struct Clone;
    struct Copy;
    struct Formatter;
    struct Hasher;
    struct Ordering;
    struct Column;
    struct Columns;
    struct List;
    struct HashGroups;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    mod core {}
    mod std {}
    mod tidemill {}
    macro_rules! write {
        () => {};
    }
    macro_rules! format_args {
        () => {};
    }
    fn drop() {
        write!();
        format_args!();
    }

    /// Fields by the names of arguments, methods and keywords.
    #[derive(::std::fmt::Debug, ::tidemill::Record)]
    pub struct Fields {
        /// A keyword.
        pub r#type: String,
        /// Another one.
        pub r#fn: ::std::option::Option<::std::vec::Vec<i64>>,
        /// An argument.
        pub row: i64,
        /// Another one.
        pub f: f64,
        /// The state of a hasher.
        pub state: String,
        /// Methods of columns.
        pub len: u32,
        /// And of rows.
        pub __members: ::std::vec::Vec<u8>,
        /// A constant of integers.
        pub max: (i64, ()),
        /// Nothing to see.
        pub _hidden: bool,
        /// Not ASCII.
        pub größe: i8,
    }

    /// By a raw name.
    #[allow(non_camel_case_types, non_snake_case)]
    #[derive(::std::fmt::Debug, ::tidemill::Record)]
    pub struct r#struct {
        /// Warned of where it is used.
        #[deprecated = "use another one"]
        pub old: i64,
        /// In another style.
        pub camelCase: i64,
    }
}

/// A struct that is nobody else's.
pub fn local() -> &'static str {
    #[derive(tidemill::Record)]
    struct Local {
        value: i64,
    }
    let local = Local { value: 1 };
    let _: i64 = local.value;
    Local::VALUE.name()
}
