//! `#[derive(Record)]` of tidemill, which gives it on and documents it.
//!
//! `input` reads the struct and refuses what cannot be one of columns; `refusal` says which types
//! of fields cannot, and what to write; `row` gives the type by which a field comes out of its
//! column; `expand` writes the code.

mod expand;
mod input;
mod refusal;
mod row;

use proc_macro::TokenStream;

use crate::input::Input;

#[expect(missing_docs, reason = "tidemill documents it, where it can be shown at work")]
#[proc_macro_derive(Record, attributes(record))]
pub fn record(item: TokenStream) -> TokenStream {
    let input = syn::parse(item).and_then(Input::new);
    input.map_or_else(|error| error.into_compile_error(), |input| expand::expand(&input)).into()
}
