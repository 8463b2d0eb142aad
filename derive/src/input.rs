//! The struct as it was written: its fields, and all reasons why it cannot be one of columns.

use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Path, Result, Type, Visibility};

use crate::refusal;

/// A struct that can be made of columns.
pub(crate) struct Input {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) fields: Vec<Field>,
    /// The path of tidemill in the crate of the struct.
    pub(crate) krate: Path,
    /// `#[allow(…)]`, which what is made of it needs, too.
    pub(crate) allows: Vec<Attribute>,
    /// Whether the code itself would be warned of what it uses.
    pub(crate) uses_deprecated: bool,
}

/// A field, which becomes a column.
pub(crate) struct Field {
    /// As it was written, `r#type`.
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) record: Type,
    /// The constant of the struct that stands for the column.
    pub(crate) token: Ident,
    /// `#[doc]`, as it was written.
    docs: Vec<Attribute>,
}

impl Input {
    pub(crate) fn new(item: DeriveInput) -> Result<Input> {
        let named = named_fields(&item)?;
        let mut refused = Refused(None);
        if let Some(parameter) = item.generics.params.first() {
            refused.add(
                parameter.span(),
                "a record has no parameters: its columns are of one type each. Write the types \
                 out, or use a tuple, which is a record for any types of its members",
            );
        }
        let krate = krate(&item.attrs).unwrap_or_else(|error| {
            refused.merge(error);
            default_krate()
        });
        let mut uses_deprecated = has(&item.attrs, "deprecated");
        let mut tokens = BTreeMap::new();
        let mut fields = Vec::new();
        for field in named.named {
            let Some(name) = field.ident else { continue };
            if let Some(attribute) = field.attrs.iter().find(|a| a.path().is_ident("record")) {
                refused.add(attribute.span(), "fields take no `#[record]`: it is the struct's");
            }
            if let Err(error) = refusal::check(&item.ident, &name, &field.ty) {
                refused.merge(error);
            }
            uses_deprecated |= has(&field.attrs, "deprecated");
            let token = token(&name);
            if let Some(other) = tokens.insert(token.to_string(), name.clone()) {
                let message = format!(
                    "field `{}`: its column would be `{}::{token}`, which is that of `{}`; \
                     rename one of them",
                    name.unraw(),
                    item.ident,
                    other.unraw(),
                );
                refused.add(name.span(), message);
            }
            let docs = attributes(&field.attrs, "doc");
            let (visibility, record) = (field.vis, field.ty);
            fields.push(Field { name, visibility, record, token, docs });
        }
        if fields.is_empty() {
            refused.add(item.ident.span(), "a record has at least one field: no column, no rows");
        }
        if let Some(error) = refused.0 {
            return Err(error);
        }
        let allows = attributes(&item.attrs, "allow");
        let (name, visibility) = (item.ident, item.vis);
        Ok(Input { name, visibility, fields, krate, allows, uses_deprecated })
    }

    /// The name of what is made of the struct.
    pub(crate) fn named(&self, suffix: &str) -> Ident {
        format_ident!("{}{suffix}", self.name.unraw(), span = made_of(&self.name))
    }
}

impl Field {
    /// The name without `r#`, as people call the field.
    pub(crate) fn called(&self) -> String {
        self.name.unraw().to_string()
    }

    /// The field's documentation, or one that says no more than there is to say.
    pub(crate) fn docs(&self) -> TokenStream {
        let docs = &self.docs;
        let text = format!("The row's `{}`.", self.called());
        let doc = docs.is_empty().then(|| quote!(#[doc = #text]));
        quote!(#doc #(#docs)*)
    }
}

/// All that is wrong, so that the user reads it at once.
struct Refused(Option<Error>);

impl Refused {
    fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.merge(Error::new(span, message));
    }

    fn merge(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }
}

fn named_fields(item: &DeriveInput) -> Result<syn::FieldsNamed> {
    let name = item.ident.unraw();
    let message = match &item.data {
        Data::Struct(data) => match &data.fields {
            syn::Fields::Named(fields) => return Ok(fields.clone()),
            syn::Fields::Unnamed(_) => format!(
                "the columns of a record have names: write `struct {name} {{ … }}` with named \
                 fields, or use a tuple, which is a record of its own"
            ),
            syn::Fields::Unit => format!(
                "a record has at least one field: write `struct {name} {{ … }}`, or use `()`, \
                 which is a record of its own"
            ),
        },
        Data::Enum(_) => format!(
            "an enum has no columns: put `Row<{name}>` in the stream, which carries any value that \
             is `Clone + Send + Sync + 'static`, or write a struct with an `Option<…>` for each \
             variant"
        ),
        Data::Union(_) => format!("a union has no columns: write `struct {name} {{ … }}`"),
    };
    Err(Error::new(item.ident.span(), message))
}

/// `#[record(crate = path)]`.
fn krate(attributes: &[Attribute]) -> Result<Path> {
    let mut krate = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("record")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("only `crate = path` can be set here"));
            }
            krate = Some(meta.value()?.call(Path::parse_mod_style)?);
            Ok(())
        })?;
    }
    Ok(krate.unwrap_or_else(default_krate))
}

fn attributes(all: &[Attribute], name: &str) -> Vec<Attribute> {
    all.iter().filter(|attribute| attribute.path().is_ident(name)).cloned().collect()
}

fn has(all: &[Attribute], name: &str) -> bool {
    all.iter().any(|attribute| attribute.path().is_ident(name))
}

fn default_krate() -> Path {
    syn::parse_quote!(::tidemill)
}

fn token(name: &Ident) -> Ident {
    // A constant is in upper case; no keyword is, but `Self`.
    Ident::new(&name.unraw().to_string().to_uppercase(), made_of(name))
}

/// The place of what is made of a name: editors find the name there, and lints take it for what it
/// is, no code of the user's. To allow them would be an error in a crate that forbids them.
fn made_of(name: &Ident) -> Span {
    Span::call_site().located_at(name.span())
}
