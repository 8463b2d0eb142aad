//! The code that makes a struct a record.
//!
//! All paths begin at the root, and no name of a field becomes that of a variable, so nothing that
//! the user called something can be mistaken for something else.
//!
//! Traits that not all fields need have (`Show`, `Key`, …) are implemented under the condition
//! that these fields have them. The compiler refuses a condition on a type without parameters that
//! does not hold, unless it is said for all lifetimes: `for<'field> f64: Key`. Under such a
//! condition it no longer sees what `<f64 as Record>::Ref` is, which is why rows are taken apart
//! (`__members`) where there is none.
//!
//! That a field is a record is such a condition, too, where its name does not say it, and is
//! asserted once: one error for a field that is none, and not one for each line here.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Index, Path, Type};

use crate::input::{Field, Input};
use crate::row;

pub(crate) fn expand(input: &Input) -> TokenStream {
    let code = Code {
        input,
        krate: &input.krate,
        name: &input.name,
        row: &input.named("Ref"),
        columns: &input.named("Columns"),
        fields: input.fields.iter().map(|field| &field.name).collect(),
        records: input.fields.iter().map(|field| &field.record).collect(),
        rows: rows(input),
        gate: gate(input),
    };
    let parts = [
        code.assertions(),
        code.row_struct(),
        code.columns_struct(),
        code.record(),
        code.columns(),
        code.tokens(),
        code.show(),
        code.order(),
        code.key(),
        code.arrow(),
        code.decode(),
        code.table(),
    ];
    quote!(#(#parts)*)
}

struct Code<'a> {
    input: &'a Input,
    krate: &'a Path,
    name: &'a Ident,
    row: &'a Ident,
    columns: &'a Ident,
    fields: Vec<&'a Ident>,
    records: Vec<&'a Type>,
    /// What a row has for each field.
    rows: Vec<TokenStream>,
    /// The conditions under which all fields are records.
    gate: TokenStream,
}

fn gate(input: &Input) -> TokenStream {
    let fields = input.fields.iter();
    let conditions = fields.flat_map(|field| row::conditions(&input.krate, &field.record));
    quote!(where #(#conditions,)*)
}

fn rows(input: &Input) -> Vec<TokenStream> {
    let all = input.fields.iter();
    let mut rows: Vec<_> = all.map(|field| row::row(&input.krate, &field.record)).collect();
    // The lifetime has to be used by something.
    if input.fields.iter().all(|field| row::is_by_value(&field.record)) {
        rows[0] = row::projected(&input.krate, &input.fields[0].record);
    }
    rows
}

impl Code<'_> {
    fn assertions(&self) -> TokenStream {
        let krate = self.krate;
        let unsure = self.records.iter().filter(|r| !row::conditions(krate, r).is_empty());
        let assertions = unsure.map(|record| {
            quote_spanned!(record.span()=> const _: () = #krate::__derive::is_record::<#record>();)
        });
        quote!(#(#assertions)*)
    }

    fn row_struct(&self) -> TokenStream {
        let Code { input, krate, name, row, fields, records, rows, gate, .. } = self;
        let (visibility, allows, deprecated) = self.attributes();
        let doc = format!("A row of [`{name}`]s: its fields by value or by reference.");
        let docs = input.fields.iter().map(Field::docs);
        let visibilities = input.fields.iter().map(|field| &field.visibility);
        let called = input.fields.iter().map(Field::called);
        let title = row.to_string();
        quote! {
            #[doc = #doc]
            #[derive(::core::clone::Clone, ::core::marker::Copy)]
            #(#allows)* #deprecated
            #visibility struct #row<'row>
            #gate
            {
                #(#docs #visibilities #fields: #rows,)*
            }

            #[automatically_derived]
            #deprecated
            impl<'row> #row<'row>
            #gate
            {
                #[inline]
                fn __members(self) -> (#(<#records as #krate::Record>::Ref<'row>,)*) {
                    (#(self.#fields,)*)
                }
            }

            #[automatically_derived]
            #deprecated
            impl<'row> ::core::fmt::Debug for #row<'row>
            #gate #(#rows: ::core::fmt::Debug,)*
            {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::fmt::Formatter::debug_struct(f, #title)
                        #(.field(#called, &self.#fields))*
                        .finish()
                }
            }
        }
    }

    fn columns_struct(&self) -> TokenStream {
        let Code { krate, name, columns, fields, records, gate, .. } = self;
        let (visibility, allows, _) = self.attributes();
        let doc = format!("Many [`{name}`]s: a column for each field.");
        let title = format!("{columns}({{}} rows)");
        let types = records
            .iter()
            .map(|record| quote_spanned!(record.span()=> <#record as #krate::Record>::Columns));
        quote! {
            #[doc = #doc]
            #[derive(::core::default::Default)]
            #(#allows)*
            #visibility struct #columns
            #gate
            {
                #(#fields: #types,)*
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for #columns
            #gate
            {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.write_fmt(::core::format_args!(#title, #krate::Columns::len(self)))
                }
            }
        }
    }

    fn record(&self) -> TokenStream {
        let Code { input, krate, name, row, columns, fields, records, gate, .. } = self;
        let (_, _, deprecated) = self.attributes();
        let called = input.fields.iter().map(Field::called);
        quote! {
            #[automatically_derived]
            #deprecated
            impl #krate::Record for #name
            #gate
            {
                type Ref<'row> = #row<'row>;
                type Columns = #columns;

                #[inline]
                fn to_ref(&self) -> #row<'_> {
                    #row { #(#fields: <#records as #krate::Record>::to_ref(&self.#fields),)* }
                }

                #[inline]
                fn from_ref(row: #row<'_>) -> Self {
                    #name { #(#fields: <#records as #krate::Record>::from_ref(row.#fields),)* }
                }

                fn byte_len(row: #row<'_>) -> usize {
                    0 #(+ <#records as #krate::Record>::byte_len(row.#fields))*
                }

                fn saved_as() -> ::core::option::Option<::std::string::String> {
                    #krate::__derive::saved_fields([
                        #((#called, <#records as #krate::Record>::saved_as()),)*
                    ])
                }

                fn save(row: #row<'_>, out: &mut ::std::vec::Vec<::core::primitive::u8>) {
                    #(<#records as #krate::Record>::save(row.#fields, out);)*
                }

                fn load(from: &mut &[::core::primitive::u8]) -> #krate::Result<Self> {
                    ::core::result::Result::Ok(#name {
                        #(#fields: <#records as #krate::Record>::load(from)?,)*
                    })
                }
            }
        }
    }

    fn columns(&self) -> TokenStream {
        let Code { krate, name, row, columns, fields, gate, .. } = self;
        let (_, _, deprecated) = self.attributes();
        let (first, trait_) = (fields[0], quote!(#krate::Columns));
        quote! {
            #[automatically_derived]
            #deprecated
            impl #trait_ for #columns
            #gate
            {
                type Record = #name;

                #[inline]
                fn len(&self) -> usize {
                    #trait_::len(&self.#first)
                }

                #[inline]
                fn get(&self, row: usize) -> #row<'_> {
                    #row { #(#fields: #trait_::get(&self.#fields, row),)* }
                }

                fn prefetch(&self, row: usize) {
                    #(#trait_::prefetch(&self.#fields, row);)*
                }

                fn prefetch_place(&self, row: usize) {
                    #(#trait_::prefetch_place(&self.#fields, row);)*
                }

                #[inline]
                fn push(&mut self, row: #row<'_>) {
                    #(#trait_::push(&mut self.#fields, row.#fields);)*
                }

                #[inline]
                fn push_owned(&mut self, value: #name) {
                    #(#trait_::push_owned(&mut self.#fields, value.#fields);)*
                }

                fn append(&mut self, other: &Self) {
                    #(#trait_::append(&mut self.#fields, &other.#fields);)*
                }

                fn copy_from(&mut self, other: &Self) {
                    #(#trait_::copy_from(&mut self.#fields, &other.#fields);)*
                }

                fn gather(&self, rows: &[u32]) -> Self {
                    #columns { #(#fields: #trait_::gather(&self.#fields, rows),)* }
                }

                fn clear(&mut self) {
                    #(#trait_::clear(&mut self.#fields);)*
                }

                fn freeze(&mut self) {
                    #(#trait_::freeze(&mut self.#fields);)*
                }

                fn is_borrowed(&self) -> bool {
                    false #(|| #trait_::is_borrowed(&self.#fields))*
                }

                fn byte_len(&self) -> usize {
                    0 #(+ #trait_::byte_len(&self.#fields))*
                }
            }
        }
    }

    fn tokens(&self) -> TokenStream {
        let Code { input, krate, name, fields, records, gate, .. } = self;
        let tokens = input.fields.iter().map(|field| &field.token);
        let visibilities = input.fields.iter().map(|field| &field.visibility);
        let called: Vec<_> = input.fields.iter().map(Field::called).collect();
        let docs = called.iter().map(|called| format!("The column of `{called}`."));
        let indexes = 0..fields.len();
        quote! {
            impl #name
            #gate
            {
                #(
                    #[doc = #docs]
                    #visibilities const #tokens: #krate::Column<#name, #records> =
                        #krate::Column::<#name, #records>::new(#called, #indexes, |columns| {
                            &columns.#fields
                        });
                )*
            }
        }
    }

    fn show(&self) -> TokenStream {
        let Code { krate, name, records, .. } = self;
        let show = quote!(#krate::Show);
        let conditions = self.conditions(&show);
        let indexes = indexes(records.len());
        let open = (0..records.len()).map(|index| match index {
            0 => format!("{}(", name.unraw()),
            _ => ",".to_owned(),
        });
        quote! {
            #[automatically_derived]
            impl #show for #name #conditions {
                fn show(
                    row: Self::Ref<'_>,
                    f: &mut ::core::fmt::Formatter<'_>,
                ) -> ::core::fmt::Result {
                    let members = row.__members();
                    #(
                        f.write_str(#open)?;
                        <#records as #show>::show(members.#indexes, f)?;
                    )*
                    f.write_str(")")
                }
            }
        }
    }

    fn order(&self) -> TokenStream {
        let Code { krate, name, records, .. } = self;
        let ordered = quote!(#krate::Ordered);
        let conditions = self.conditions(&ordered);
        let indexes = indexes(records.len());
        quote! {
            #[automatically_derived]
            impl #ordered for #name #conditions {
                const TIES_SHOW: bool = false #(|| <#records as #ordered>::TIES_SHOW)*;

                fn order(
                    left: Self::Ref<'_>,
                    right: Self::Ref<'_>,
                ) -> ::core::cmp::Ordering {
                    let (left, right) = (left.__members(), right.__members());
                    ::core::cmp::Ordering::Equal #(.then_with(|| {
                        <#records as #ordered>::order(left.#indexes, right.#indexes)
                    }))*
                }
            }
        }
    }

    fn key(&self) -> TokenStream {
        let Code { krate, name, records, .. } = self;
        let key = quote!(#krate::Key);
        let conditions = self.conditions(&key);
        let indexes = indexes(records.len());
        quote! {
            #[automatically_derived]
            impl #key for #name #conditions {
                type Groups = #krate::HashGroups<#name>;
                type Store = #krate::ColumnKeys<#name>;

                fn hash_ref<__H: ::core::hash::Hasher>(key: Self::Ref<'_>, state: &mut __H) {
                    let members = key.__members();
                    #(<#records as #key>::hash_ref(members.#indexes, state);)*
                }

                fn same(left: Self::Ref<'_>, right: Self::Ref<'_>) -> bool {
                    let (left, right) = (left.__members(), right.__members());
                    true #(&& <#records as #key>::same(left.#indexes, right.#indexes))*
                }
            }
        }
    }

    fn arrow(&self) -> TokenStream {
        let Code { input, krate, name, fields, records, .. } = self;
        let arrow = quote!(#krate::ArrowRecord);
        let conditions = self.conditions(&arrow);
        let called = input.fields.iter().map(Field::called);
        quote! {
            #[automatically_derived]
            impl #arrow for #name #conditions {
                fn to_arrow(columns: &Self::Columns) -> #krate::__derive::ArrowArray {
                    #krate::__derive::struct_array([
                        #((#called, <#records as #arrow>::to_arrow(&columns.#fields)),)*
                    ])
                }
            }
        }
    }

    fn decode(&self) -> TokenStream {
        let Code { input, krate, name, columns, fields, records, .. } = self;
        let decode = quote!(#krate::Decode);
        let fill = quote!(#krate::__derive::Fill);
        let conditions = self.conditions(&decode);
        let called = input.fields.iter().map(Field::called);
        let indexes = 0..fields.len();
        quote! {
            #[automatically_derived]
            impl #decode for #name #conditions {
                fn fill(columns: &mut Self::Columns) -> &mut dyn #fill {
                    columns
                }
            }

            #[automatically_derived]
            impl #fill for #columns #conditions {
                fn members(&self) -> &'static [&'static ::core::primitive::str] {
                    &[#(#called),*]
                }

                fn member(&mut self, index: ::core::primitive::usize) -> &mut dyn #fill {
                    match index {
                        #(#indexes => <#records as #decode>::fill(&mut self.#fields),)*
                        _ => ::core::unreachable!(),
                    }
                }
            }
        }
    }

    fn table(&self) -> TokenStream {
        let Code { input, krate, name, fields, records, .. } = self;
        let tabular = quote!(#krate::table::Tabular);
        let conditions = self.conditions(&tabular);
        let called: Vec<_> = input.fields.iter().map(Field::called).collect();
        quote! {
            #[automatically_derived]
            impl #tabular for #name #conditions {
                fn fields() -> ::std::vec::Vec<#krate::table::Field> {
                    #krate::__derive::member_fields([
                        #((#called, <#records as #tabular>::fields()),)*
                    ])
                }

                fn series(
                    columns: &Self::Columns,
                ) -> #krate::Result<::std::vec::Vec<#krate::table::Series>> {
                    #krate::__derive::member_series([
                        #((#called, <#records as #tabular>::series(&columns.#fields)),)*
                    ])
                }
            }
        }
    }

    /// Holds where all fields have the trait.
    fn conditions(&self, needed: &TokenStream) -> TokenStream {
        let (gate, lifetime) = (&self.gate, row::any_lifetime());
        let conditions = self
            .records
            .iter()
            .map(|record| quote_spanned!(record.span()=> for<#lifetime> #record: #needed));
        quote!(#gate #(#conditions,)*)
    }

    fn attributes(&self) -> (&syn::Visibility, &[syn::Attribute], Option<TokenStream>) {
        let deprecated = self.input.uses_deprecated.then(|| quote!(#[allow(deprecated)]));
        (&self.input.visibility, &self.input.allows, deprecated)
    }
}

fn indexes(len: usize) -> Vec<Index> {
    (0..len).map(Index::from).collect()
}
