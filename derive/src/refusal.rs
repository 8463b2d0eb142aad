//! Types of fields that can be seen to be no records, and what to write instead.
//!
//! Whether another type is one only the compiler knows; the trait itself says what to do then.

use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, Ident, PathArguments, Result, Type, TypePath};

/// As many members as a tuple may have.
const TUPLE_MAX: usize = 6;

/// Refuses a type that is no record, on its own or within options, lists and tuples.
pub(crate) fn check(owner: &Ident, field: &Ident, record: &Type) -> Result<()> {
    let check = |part: &Type| check(owner, field, part);
    let Some(advice) = advice(owner, record) else { return check_parts(check, record) };
    Err(Error::new(record.span(), format!("field `{}`: {advice}", field.unraw())))
}

fn check_parts(check: impl Fn(&Type) -> Result<()>, record: &Type) -> Result<()> {
    match record {
        Type::Group(group) => check(&group.elem),
        Type::Paren(paren) => check(&paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(check),
        Type::Path(path) => match argument(path, "Vec").or_else(|| argument(path, "Option")) {
            Some(item) if is_primitive(item, "u8") && argument(path, "Vec").is_some() => Ok(()),
            Some(item) => check(item),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// What to write instead of this type, if it is none for a field.
fn advice(owner: &Ident, record: &Type) -> Option<String> {
    let advice = match record {
        Type::Path(path) if path.path.is_ident(owner) => {
            return Some(format!(
                "a record cannot hold itself, as its columns would have no end: write \
                 `Row<Vec<{owner}>>` or `Row<Box<{owner}>>`"
            ));
        }
        Type::Path(path) => return path.path.get_ident().and_then(primitive),
        Type::Reference(reference) if is_primitive(&reference.elem, "str") => {
            "a record owns its text: write `String`"
        }
        Type::Reference(_) => {
            "a record owns what it is made of: write the type without `&`, a list as `Vec<T>`"
        }
        Type::Array(_) | Type::Slice(_) => {
            "an array is no record: write `Vec<T>` for a list, `Vec<u8>` for bytes, a tuple, or \
             `Row<[T; N]>` to keep it as it is"
        }
        Type::Tuple(tuple) if tuple.elems.len() > TUPLE_MAX => {
            "a tuple in a record has up to six members: write a struct of its own, with \
             `#[derive(Record)]`, for these"
        }
        Type::Ptr(_) => "a pointer is no record: it cannot go from thread to thread",
        Type::FnPtr(_) => "a function is no record: write `Row<fn(…)>` to keep it as it is",
        Type::Never(_) => "there are no values of this type",
        Type::ImplTrait(_) | Type::TraitObject(_) => {
            "a column is of one type: write it, or `Row<Arc<dyn …>>` to keep a value as it is"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn primitive(name: &Ident) -> Option<String> {
    let name = name.to_string();
    let advice = match name.as_str() {
        "u8" => "write `u16` or `i8` for numbers, `Vec<u8>` for bytes",
        "usize" => "write `u64` or `u32`, as wide on every machine",
        "isize" => "write `i64` or `i32`, as wide on every machine",
        "u128" | "i128" => "write `u64` or `i64`, `(u64, u64)`, or `Vec<u8>` for its bytes",
        "char" => "write `String` for text, `u32` for its number",
        "str" => return Some("a record owns its text: write `String`".to_owned()),
        _ => return None,
    };
    Some(format!("`{name}` is no record: {advice}, or `Row<{name}>` to keep it as it is"))
}

pub(crate) fn is_primitive(record: &Type, name: &str) -> bool {
    matches!(record, Type::Path(path) if path.path.is_ident(name))
}

/// The `T` of `Option<T>`, when the name is that.
pub(crate) fn argument<'a>(path: &'a TypePath, name: &str) -> Option<&'a Type> {
    let segments = &path.path.segments;
    let (first, last) = (segments.first()?, segments.last()?);
    // `Vec` alone, or by its full name; somebody else's `mine::Vec` may be anything.
    let is_known = segments.len() == 1
        || ["std", "alloc", "core", "tidemill"].iter().any(|known| first.ident == known);
    if path.qself.is_some() || !is_known || last.ident != name {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(argument) if arguments.args.len() == 1 => Some(argument),
        _ => None,
    }
}
