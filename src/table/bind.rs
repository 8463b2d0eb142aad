//! Expressions checked against the columns of a table: names become positions, and every type is
//! known. What is wrong with an expression shows here, before any row is looked at.

use memchr::memmem::Finder;

use super::expr::{Binary, Literal, Match, Node, Unary};
use super::{DataType, Evaluated, Expr, Field, IntoExpr, Schema, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Timestamp;

/// An expression that can be evaluated on tables of one schema.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) kind: Kind,
    pub(crate) data_type: DataType,
    /// As it was written, for errors.
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Column(usize),
    Literal(Literal),
    Unary(Unary, Box<Bound>),
    /// Both sides are of one type.
    Binary(Binary, Box<[Bound; 2]>),
    IsIn(Box<Bound>, Vec<Literal>),
    Matches(Match, Box<Bound>, Box<Finder<'static>>),
    Cast(Box<Bound>),
}

impl Bound {
    /// Checks an expression; an error says which part of it does not fit, and why.
    pub(crate) fn new(expr: &Expr, schema: &Schema) -> Result<Bound> {
        let (kind, data_type) = match &expr.node {
            Node::Column(name) => {
                let index = schema.index_of(name)?;
                (Kind::Column(index), schema.fields()[index].data_type())
            }
            Node::Literal(literal) => (Kind::Literal(literal.clone()), literal.data_type()),
            Node::Unary(operator, of) => {
                let of = Bound::new(of, schema)?;
                let data_type = unary_type(*operator, of.data_type);
                let data_type = data_type.ok_or_else(|| misfit(expr, &[of.data_type]))?;
                (Kind::Unary(*operator, Box::new(of)), data_type)
            }
            Node::Binary(operator, sides) => {
                let (left, right) =
                    (Bound::new(&sides[0], schema)?, Bound::new(&sides[1], schema)?);
                let (left, right) = (left.beside(&right)?, right.beside(&left)?);
                let types = [left.data_type, right.data_type];
                let (side, data_type) =
                    binary_type(*operator, types).ok_or_else(|| misfit(expr, &types))?;
                let sides = Box::new([left.cast(side)?, right.cast(side)?]);
                (Kind::Binary(*operator, sides), data_type)
            }
            Node::IsIn(of, values) => {
                let of = Bound::new(of, schema)?;
                let mut literals = Vec::with_capacity(values.len());
                for value in values {
                    let value = Bound::new(value, schema)?;
                    let types = [of.data_type, value.data_type];
                    let same =
                        binary_type(Binary::Eq, types).ok_or_else(|| misfit(expr, &types))?;
                    // A float among integers is compared with them as one.
                    if same.0 != of.data_type {
                        return Err(misfit(expr, &types));
                    }
                    match value.cast(same.0)?.kind {
                        Kind::Literal(literal) => literals.push(literal),
                        _ => return Err(schema_error(format!("{expr}: is_in takes literals"))),
                    }
                }
                (Kind::IsIn(Box::new(of), literals), DataType::Bool)
            }
            Node::Matches(place, of, pattern) => {
                let of = Bound::new(of, schema)?;
                if of.data_type != DataType::Text {
                    return Err(misfit(expr, &[of.data_type]));
                }
                let finder = Box::new(Finder::new(pattern).into_owned());
                (Kind::Matches(*place, Box::new(of), finder), DataType::Bool)
            }
            Node::Cast(of, to) => {
                let of = Bound::new(of, schema)?;
                if !can_cast(of.data_type, *to) {
                    return Err(misfit(expr, &[of.data_type]));
                }
                return of.cast(*to);
            }
            Node::Alias(of, _) => return Bound::new(of, schema),
        };
        Bound { kind, data_type, text: expr.to_string() }.folded()
    }

    /// An expression that has to be true or false.
    pub(crate) fn predicate(expr: &Expr, schema: &Schema) -> Result<Bound> {
        let bound = Bound::new(expr, schema)?;
        if bound.data_type != DataType::Bool {
            let message = format!("filter({expr}): it is {}, but must be bool", bound.data_type);
            return Err(schema_error(message));
        }
        Ok(bound)
    }

    /// Columns that are chosen, and the schema that they give.
    pub(crate) fn select<E: IntoExpr>(
        expressions: impl IntoIterator<Item = E>,
        schema: &Schema,
    ) -> Result<(Schema, Vec<Bound>)> {
        let (mut fields, mut all) = (Vec::new(), Vec::new());
        for expr in expressions {
            let expr = expr.into_expr();
            let bound = Bound::new(&expr, schema)?;
            fields.push(Field::new(expr.name(), bound.data_type));
            all.push(bound);
        }
        Ok((Schema::new(fields)?, all))
    }

    /// All columns, and one more or another one of that name.
    pub(crate) fn with_column(
        name: String,
        value: Expr,
        schema: &Schema,
    ) -> Result<(Schema, Vec<Bound>)> {
        let mut all: Vec<Expr> =
            schema.fields().iter().map(|field| super::col(field.name())).collect();
        match schema.fields().iter().position(|field| field.name() == name) {
            Some(index) => all[index] = value.alias(name),
            None => all.push(value.alias(name)),
        }
        Bound::select(all, schema)
    }

    /// A text that stands beside a timestamp is one itself.
    fn beside(&self, other: &Bound) -> Result<Bound> {
        let kind = match (&self.kind, other.data_type) {
            (Kind::Literal(Literal::Text(text)), DataType::Timestamp) => {
                let time = text.parse::<Timestamp>();
                Literal::Timestamp(time.map_err(|error| schema_error(error.to_string()))?)
            }
            _ => return Ok(self.clone()),
        };
        let (kind, data_type) = (Kind::Literal(kind), DataType::Timestamp);
        Ok(Bound { kind, data_type, text: self.text.clone() })
    }

    /// The same as values of this type.
    fn cast(self, to: DataType) -> Result<Bound> {
        if self.data_type == to {
            return Ok(self);
        }
        let text = self.text.clone();
        Bound { kind: Kind::Cast(Box::new(self)), data_type: to, text }.folded()
    }

    /// What does not depend on the row is computed here, once.
    fn folded(self) -> Result<Bound> {
        let is_literal = |bound: &Bound| matches!(bound.kind, Kind::Literal(_));
        let is_constant = match &self.kind {
            Kind::Column(_) | Kind::Literal(_) => false,
            Kind::Unary(_, of) | Kind::IsIn(of, _) | Kind::Matches(_, of, _) | Kind::Cast(of) => {
                is_literal(of)
            }
            Kind::Binary(_, sides) => sides.iter().all(is_literal),
        };
        if !is_constant {
            return Ok(self);
        }
        match self.evaluate(&Table::default())? {
            Evaluated::Literal(literal) => Ok(Bound { kind: Kind::Literal(literal), ..self }),
            Evaluated::Series(_) => Ok(self),
        }
    }
}

fn can_cast(from: DataType, to: DataType) -> bool {
    match (from, to) {
        (DataType::Text, to) => to == DataType::Text,
        (DataType::Timestamp, to) => !matches!(to, DataType::F64 | DataType::Bool),
        (from, DataType::Timestamp) => from == DataType::I64,
        _ => true,
    }
}

fn unary_type(operator: Unary, of: DataType) -> Option<DataType> {
    match operator {
        Unary::Not => (of == DataType::Bool).then_some(DataType::Bool),
        Unary::Negative => of.is_number().then_some(of),
        Unary::IsNull | Unary::IsNotNull => Some(DataType::Bool),
        Unary::Length => (of == DataType::Text).then_some(DataType::I64),
        Unary::Lower | Unary::Upper => (of == DataType::Text).then_some(DataType::Text),
    }
}

/// The type that both sides become, and the type of the result.
fn binary_type(operator: Binary, [left, right]: [DataType; 2]) -> Option<(DataType, DataType)> {
    let are_numbers = left.is_number() && right.is_number();
    let same = match left == right {
        true => Some(left),
        false => are_numbers.then_some(DataType::F64),
    };
    match operator {
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Remainder => {
            same.filter(|_| are_numbers).map(|same| (same, same))
        }
        Binary::Divide => are_numbers.then_some((DataType::F64, DataType::F64)),
        Binary::And | Binary::Or => {
            same.filter(|same| *same == DataType::Bool).map(|same| (same, same))
        }
        _ => same.map(|same| (same, DataType::Bool)),
    }
}

fn misfit(expr: &Expr, types: &[DataType]) -> Error {
    let types: Vec<String> = types.iter().map(DataType::to_string).collect();
    schema_error(format!("{expr}: that cannot be done with {}", types.join(" and ")))
}

fn schema_error(message: String) -> Error {
    Error::new(ErrorKind::Schema, message)
}
