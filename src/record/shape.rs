//! What a type looks like to serde: the names and types of its fields, as a text that is another
//! one where bytes of the one type could be read as the other.
//!
//! The type is asked to be read from a source that notes what it is asked for, and answers with
//! zeros and one item of everything. A type that refuses those is known as far as it went.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::{Error, U32Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// Bytes after which a text goes no further: types that hold themselves have no end.
const TEXT_MAX: usize = 400;

/// How deep it looks into lists, options and enums.
const DEPTH_MAX: usize = 4;

/// The type as a text, as far as it can be known.
pub(super) fn shape_of<T: DeserializeOwned>() -> String {
    let mut shape = Shape { text: String::new(), depth: 0 };
    // What comes of it is nobody's, nor is a panic at values that the type has not reckoned with.
    drop(catch_unwind(AssertUnwindSafe(|| T::deserialize(&mut shape).is_ok())));
    shape.text
}

struct Shape {
    text: String,
    depth: usize,
}

impl Shape {
    fn write(&mut self, text: &str) -> Result<(), Error> {
        if self.text.len() > TEXT_MAX {
            return Err(Error::custom("what follows is not looked at"));
        }
        self.text.push_str(text);
        Ok(())
    }

    /// Looks at what stands between two brackets.
    fn within<T>(
        &mut self,
        brackets: [&str; 2],
        look: impl FnOnce(&mut Shape) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write(brackets[0])?;
        self.depth += 1;
        let seen = look(self);
        self.depth -= 1;
        self.write(brackets[1])?;
        seen
    }

    fn is_deep(&self) -> bool {
        self.depth >= DEPTH_MAX
    }
}

/// What is asked for next: of one struct by their names.
struct Items<'a> {
    shape: &'a mut Shape,
    names: &'static [&'static str],
    index: usize,
    len: usize,
}

impl<'a> Items<'a> {
    fn new(shape: &'a mut Shape, len: usize) -> Items<'a> {
        Items { shape, names: &[], index: 0, len }
    }

    fn named(shape: &'a mut Shape, names: &'static [&'static str]) -> Items<'a> {
        Items { shape, names, index: 0, len: names.len() }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if self.index == self.len {
            return Ok(None);
        }
        self.shape.write(if self.index > 0 { ", " } else { "" })?;
        if let Some(name) = self.names.get(self.index) {
            self.shape.write(name)?;
            self.shape.write(": ")?;
        }
        self.index += 1;
        seed.deserialize(&mut *self.shape).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.shape.write(" => ")?;
        seed.deserialize(&mut *self.shape)
    }
}

impl<'de> EnumAccess<'de> for &mut Shape {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let first: U32Deserializer<Error> = 0u32.into_deserializer();
        Ok((seed.deserialize(first)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Shape {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        self.within(["(", ")"], |shape| seed.deserialize(shape))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}

macro_rules! plain {
    ($($deserialize:ident $name:literal $visit:ident $value:expr;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.write($name)?;
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Shape {
    type Error = Error;

    plain! {
        deserialize_bool "bool" visit_bool false;
        deserialize_i8 "i8" visit_i8 0;
        deserialize_i16 "i16" visit_i16 0;
        deserialize_i32 "i32" visit_i32 0;
        deserialize_i64 "i64" visit_i64 0;
        deserialize_i128 "i128" visit_i128 0;
        deserialize_u8 "u8" visit_u8 0;
        deserialize_u16 "u16" visit_u16 0;
        deserialize_u32 "u32" visit_u32 0;
        deserialize_u64 "u64" visit_u64 0;
        deserialize_u128 "u128" visit_u128 0;
        deserialize_f32 "f32" visit_f32 0.0;
        deserialize_f64 "f64" visit_f64 0.0;
        deserialize_char "char" visit_char ' ';
        deserialize_str "text" visit_str "";
        deserialize_string "text" visit_str "";
        deserialize_bytes "bytes" visit_bytes &[];
        deserialize_byte_buf "bytes" visit_bytes &[];
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.write("()")?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.write(name)?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.write(name)?;
        self.within(["(", ")"], |shape| visitor.visit_newtype_struct(shape))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_deep() {
            return visitor.visit_none();
        }
        self.within(["", "?"], |shape| visitor.visit_some(shape))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let len = usize::from(!self.is_deep());
        self.within(["[", "]"], |shape| visitor.visit_seq(Items::new(shape, len)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.within(["(", ")"], |shape| visitor.visit_seq(Items::new(shape, len)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.write(name)?;
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let len = usize::from(!self.is_deep());
        self.within(["{", "}"], |shape| visitor.visit_map(Items::new(shape, len)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.write(name)?;
        self.within([" {", "}"], |shape| visitor.visit_seq(Items::named(shape, fields)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.write(name)?;
        self.write(" <")?;
        self.write(&variants.join(" | "))?;
        self.write(">")?;
        if self.is_deep() {
            return Err(Error::custom("what is in it is not looked at"));
        }
        self.within(["", ""], |shape| visitor.visit_enum(shape))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("the format does not know what comes"))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    /// As postcard's, so that types that are written in two ways show the one that is saved.
    fn is_human_readable(&self) -> bool {
        false
    }
}
