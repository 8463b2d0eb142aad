//! The names and types of a table's columns.

use std::fmt;

use super::DataType;
use crate::error::{Error, ErrorKind, Result};

/// The name and the type of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    data_type: DataType,
}

/// The columns of a table, in order. No two have the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
}

impl Field {
    /// A column of this name and type.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Field {
        Field { name: name.into(), data_type }
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its values.
    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// The same column as a member of a struct: `street` in `place` is `place.street`.
    pub(crate) fn within(&self, member: &str) -> Field {
        let name = match self.name.as_str() {
            "" => member.to_owned(),
            name => format!("{member}.{name}"),
        };
        Field { name, data_type: self.data_type }
    }
}

impl Schema {
    /// These columns; an error if two have the same name.
    pub fn new(fields: impl IntoIterator<Item = Field>) -> Result<Schema> {
        let fields: Vec<Field> = fields.into_iter().collect();
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|before| before.name == field.name) {
                let message = format!("two columns are named {:?}", field.name);
                return Err(Error::new(ErrorKind::Schema, message));
            }
        }
        Ok(Schema { fields })
    }

    /// All columns, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The position of a column; the error lists those that there are.
    pub fn index_of(&self, name: &str) -> Result<usize> {
        let found = self.fields.iter().position(|field| field.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.fields.iter().map(Field::name).collect();
            let message =
                format!("there is no column {name:?}; the columns are {}", names.join(", "));
            Error::new(ErrorKind::Schema, message)
        })
    }
}

impl fmt::Display for Schema {
    /// `station: text, celsius: f64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.fields.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}: {}", field.name, field.data_type)?;
        }
        Ok(())
    }
}
