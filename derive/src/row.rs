//! The type by which a field comes out of its column: `&str` for a `String`.
//!
//! `<String as Record>::Ref<'_>` would always do. But a struct of such cannot be shortened, as
//! `&'a str` can be where two rows meet, and no reader of its documentation learns what is in it;
//! so types whose names say what they are get theirs.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Lifetime, Path, Type, TypePath};

use crate::refusal::{argument, is_primitive};

/// Types that come by value.
const SCALARS: [&str; 10] = ["i8", "i16", "i32", "i64", "u16", "u32", "u64", "f32", "f64", "bool"];

/// What a row has for a field of this type.
pub(crate) fn row(krate: &Path, record: &Type) -> TokenStream {
    let span = record.span();
    match record {
        Type::Group(group) => row(krate, &group.elem),
        Type::Paren(paren) => row(krate, &paren.elem),
        Type::Tuple(tuple) => {
            let members = tuple.elems.iter().map(|member| row(krate, member));
            quote_spanned!(span=> (#(#members,)*))
        }
        Type::Path(path) => by_name(krate, path).unwrap_or_else(|| projected(krate, record)),
        _ => projected(krate, record),
    }
}

/// The row of any record.
pub(crate) fn projected(krate: &Path, record: &Type) -> TokenStream {
    quote_spanned!(record.span()=> <#record as #krate::Record>::Ref<'row>)
}

/// Whether a row of this type borrows nothing.
pub(crate) fn is_by_value(record: &Type) -> bool {
    match record {
        Type::Group(group) => is_by_value(&group.elem),
        Type::Paren(paren) => is_by_value(&paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_by_value),
        Type::Path(path) => is_scalar(path) || argument(path, "Option").is_some_and(is_by_value),
        _ => false,
    }
}

/// What has to hold for the type to be a record, as far as its name does not say it.
pub(crate) fn conditions(krate: &Path, record: &Type) -> Vec<TokenStream> {
    let (span, lifetime) = (record.span(), any_lifetime());
    match record {
        Type::Group(group) => conditions(krate, &group.elem),
        Type::Paren(paren) => conditions(krate, &paren.elem),
        Type::Tuple(tuple) => {
            tuple.elems.iter().flat_map(|member| conditions(krate, member)).collect()
        }
        Type::Path(path) if is_scalar(path) || path.path.is_ident("String") => Vec::new(),
        Type::Path(path) => match (argument(path, "Row"), item(path)) {
            (Some(value), _) => vec![quote_spanned! {span=>
                for<#lifetime> #value: ::core::clone::Clone
                    + ::core::marker::Send + ::core::marker::Sync + 'static
            }],
            _ if is_bytes(path) => Vec::new(),
            (None, Some(item)) => conditions(krate, item),
            (None, None) => vec![quote_spanned!(span=> for<#lifetime> #record: #krate::Record)],
        },
        _ => vec![quote_spanned!(span=> for<#lifetime> #record: #krate::Record)],
    }
}

/// What makes a condition one that may not hold. It is nothing that the user wrote, so no lint
/// finds it unused.
pub(crate) fn any_lifetime() -> Lifetime {
    Lifetime::new("'field", Span::call_site())
}

fn is_scalar(path: &TypePath) -> bool {
    path.path.get_ident().is_some_and(|name| SCALARS.iter().any(|scalar| name == scalar))
}

/// What an option or a list is of.
fn item(path: &TypePath) -> Option<&Type> {
    argument(path, "Option").or_else(|| argument(path, "Vec"))
}

fn is_bytes(path: &TypePath) -> bool {
    argument(path, "Vec").is_some_and(|item| is_primitive(item, "u8"))
}

fn by_name(krate: &Path, path: &TypePath) -> Option<TokenStream> {
    let span = path.span();
    if is_scalar(path) {
        return Some(quote_spanned!(span=> #path));
    }
    if path.path.is_ident("String") {
        return Some(quote_spanned!(span=> &'row ::core::primitive::str));
    }
    if is_bytes(path) {
        return Some(quote_spanned!(span=> &'row [::core::primitive::u8]));
    }
    if let Some(item) = argument(path, "Vec") {
        return Some(quote_spanned!(span=> #krate::List<'row, #item>));
    }
    if let Some(value) = argument(path, "Row") {
        return Some(quote_spanned!(span=> &'row #value));
    }
    let value = row(krate, argument(path, "Option")?);
    Some(quote_spanned!(span=> ::core::option::Option<#value>))
}
