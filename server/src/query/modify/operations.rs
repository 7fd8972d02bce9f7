//! What a modification writes to each column: SET of UPDATE, the targets of DELETE, the values of INSERT.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::modify::Assignment;
use tholos_grammar::ast::relation::ColumnPath;
use tholos_grammar::ast::term::Term;
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native, UserType};
use tholos_storage::model::ColumnId;
use tholos_storage::schema::{Column, ColumnKind, Table};

use crate::error::{At, QueryError};
use crate::query::column::ColumnSpec;
use crate::query::expression::{Binder, Expr};
use crate::query::suggest::defined;

/// What is written to one column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnWrite {
    /// The column's id: writes are sorted by it.
    pub id: ColumnId,
    /// Its name, for messages and display.
    pub name: Name,
    /// Its type.
    pub cql_type: CqlType,
    /// What is written.
    pub write: Write,
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The whole value; null deletes it.
    Value(Expr),
    /// DELETE of the whole column.
    Delete,
    /// Some elements of a multi-cell column, in the order of the text.
    Elements(Vec<ElementWrite>),
    /// `c = c + n`: a counter's increments and decrements.
    Count(Vec<Count>),
}

/// One change of a counter.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// How much.
    pub by: Expr,
    /// `c = c - n`
    pub negative: bool,
}

/// What is written to some elements.
#[derive(Clone, Debug, PartialEq)]
pub enum ElementWrite {
    /// `c += {...}`: elements added to a set, entries put into a map, elements appended to a list.
    Add(Expr),
    /// `l = [...] + l`
    Prepend(Expr),
    /// `c -= {...}`: elements of a set or keys of a map, as a set; a list's elements by value, as a list.
    Remove(Expr),
    /// `m[k] = v`; null deletes the entry.
    Put {
        /// The key.
        key: Expr,
        /// The value.
        value: Expr,
    },
    /// `l[i] = v`; null deletes the element.
    PutAt {
        /// Which element, from 0.
        index: Expr,
        /// The value.
        value: Expr,
    },
    /// `DELETE m[k]`, `DELETE s[e]`
    RemoveKey(Expr),
    /// `DELETE l[i]`
    RemoveAt(Expr),
    /// `u.f = v`; null deletes the field.
    Field {
        /// The field's number in the type.
        position: u16,
        /// Its value.
        value: Expr,
    },
}

impl ColumnWrite {
    /// Whether the current value must be read first.
    pub fn reads(&self) -> bool {
        let is_list = matches!(self.cql_type, CqlType::List { .. });
        match &self.write {
            Write::Value(_) | Write::Delete => false,
            Write::Count(_) => true,
            Write::Elements(elements) => elements.iter().any(|element| match element {
                ElementWrite::PutAt { .. } | ElementWrite::RemoveAt(_) => true,
                ElementWrite::Remove(_) => is_list,
                _ => false,
            }),
        }
    }
}

/// The writes of one statement, by column.
#[derive(Debug, Default)]
pub struct Writes {
    /// To static columns.
    pub statics: BTreeMap<ColumnId, ColumnWrite>,
    /// To regular columns.
    pub regulars: BTreeMap<ColumnId, ColumnWrite>,
}

impl Writes {
    /// Adds what is written to a column. Element writes to one column come together, and deleting all of it is all
    /// there is to do.
    ///
    /// # Errors
    /// [`QueryError::Syntax`], as in Cassandra, when the column is set as a whole and something else besides.
    pub fn add(&mut self, column: &Column, write: Write) -> Result<(), QueryError> {
        let writes = match column.kind {
            ColumnKind::Static => &mut self.statics,
            _ => &mut self.regulars,
        };
        let known = match writes.entry(column.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                free.insert(ColumnWrite {
                    id: column.id,
                    name: column.name.clone(),
                    cql_type: column.cql_type.clone(),
                    write,
                });
                return Ok(());
            }
        };
        match (&mut known.write, write) {
            (Write::Elements(known), Write::Elements(more)) => {
                known.extend(more);
                Ok(())
            }
            (Write::Count(known), Write::Count(more)) => {
                known.extend(more);
                Ok(())
            }
            (known, Write::Delete) => {
                *known = Write::Delete;
                Ok(())
            }
            (Write::Delete, _) => Ok(()),
            _ => Err(QueryError::Syntax(format!(
                "multiple incompatible settings of column {}: set it once",
                column.name
            ))),
        }
    }

    /// Those to static columns and those to regular ones, in the order in which rows are encoded.
    pub fn sorted(self) -> (Vec<ColumnWrite>, Vec<ColumnWrite>) {
        (self.statics.into_values().collect(), self.regulars.into_values().collect())
    }
}

/// Plans one assignment of UPDATE's SET.
///
/// # Errors
/// [`QueryError::Invalid`]: the column is unknown, part of the key, or its type has no such operation.
/// [`QueryError::Syntax`]: it is set twice.
pub fn assign(
    written: &Assignment,
    table: &Table,
    binder: &mut Binder<'_>,
    writes: &mut Writes,
) -> Result<(), QueryError> {
    let at = match written {
        Assignment::Set(path, _) => name_of(path).span,
        Assignment::Add(name, _) | Assignment::Subtract(name, _) | Assignment::Prepend(name, _) => {
            name.span
        }
    };
    let (column, write) = assignment(written, table, binder).at(at)?;
    writes.add(&column, write).at(at)
}

fn name_of(path: &ColumnPath) -> &Ident {
    let (ColumnPath::Column(name) | ColumnPath::Element(name, _) | ColumnPath::Field(name, _)) =
        path;
    name
}

fn assignment(
    assignment: &Assignment,
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<(Column, Write), QueryError> {
    match assignment {
        Assignment::Set(ColumnPath::Column(name), term) => {
            let column = settable(table, name)?;
            refuse_counter_value(&column)?;
            let value = binder.bind(term, &ColumnSpec::of(table, &column))?;
            Ok((column, Write::Value(value)))
        }
        Assignment::Set(ColumnPath::Element(name, key), term) => {
            let column = settable(table, name)?;
            let element = set_element(table, &column, key, term, binder)?;
            Ok((column, Write::Elements(vec![element])))
        }
        Assignment::Set(ColumnPath::Field(name, field), term) => {
            let column = settable(table, name)?;
            let (position, cql_type) = field_of(&column, field)?;
            let spec = ColumnSpec::of(table, &column)
                .part(format!("{}.{}", name.as_str(), field.as_str()), cql_type);
            let value = binder.bind(term, &spec)?;
            Ok((column, Write::Elements(vec![ElementWrite::Field { position, value }])))
        }
        Assignment::Add(name, term) => {
            let column = settable(table, name)?;
            if let Some(count) = count(table, &column, term, false, binder)? {
                return Ok((column, count));
            }
            check_adds(&column, "+")?;
            let value = binder.bind(term, &ColumnSpec::of(table, &column))?;
            Ok((column, Write::Elements(vec![ElementWrite::Add(value)])))
        }
        Assignment::Subtract(name, term) => {
            let column = settable(table, name)?;
            if let Some(count) = count(table, &column, term, true, binder)? {
                return Ok((column, count));
            }
            check_adds(&column, "-")?;
            let value = binder.bind(term, &removed_spec(table, &column))?;
            Ok((column, Write::Elements(vec![ElementWrite::Remove(value)])))
        }
        Assignment::Prepend(name, term) => prepend(table, name, term, binder),
    }
}

/// Plans one target of DELETE.
///
/// # Errors
/// As [`assign`].
pub fn delete(
    target: &ColumnPath,
    table: &Table,
    binder: &mut Binder<'_>,
    writes: &mut Writes,
) -> Result<(), QueryError> {
    let at = name_of(target).span;
    let (column, write) = deletion(target, table, binder).at(at)?;
    writes.add(&column, write).at(at)
}

fn deletion(
    target: &ColumnPath,
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<(Column, Write), QueryError> {
    let name = name_of(target);
    let column = defined(table, name)?.clone();
    if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
        return Err(QueryError::invalid(format!(
            "invalid identifier {name} for deletion (should not be a PRIMARY KEY part): name it in WHERE"
        )));
    }
    let write = match target {
        ColumnPath::Column(_) => Write::Delete,
        ColumnPath::Element(_, key) => {
            Write::Elements(vec![delete_element(table, &column, key, binder)?])
        }
        ColumnPath::Field(_, field) => {
            let (position, cql_type) = field_of(&column, field)?;
            Write::Elements(vec![ElementWrite::Field { position, value: Expr::null(cql_type) }])
        }
    };
    Ok((column, write))
}

/// `c = n + c` on a counter is an increment; on a list, elements go before those that are there.
fn prepend(
    table: &Table,
    name: &Ident,
    term: &Term,
    binder: &mut Binder<'_>,
) -> Result<(Column, Write), QueryError> {
    let column = settable(table, name)?;
    if let Some(count) = count(table, &column, term, false, binder)? {
        return Ok((column, count));
    }
    check_adds(&column, "+")?;
    let value = binder.bind(term, &ColumnSpec::of(table, &column))?;
    let element = match column.cql_type {
        CqlType::List { .. } => ElementWrite::Prepend(value),
        _ => ElementWrite::Add(value),
    };
    Ok((column, Write::Elements(vec![element])))
}

/// A counter's change, if the column is one.
fn count(
    table: &Table,
    column: &Column,
    term: &Term,
    negative: bool,
    binder: &mut Binder<'_>,
) -> Result<Option<Write>, QueryError> {
    if !column.cql_type.is_counter() {
        return Ok(None);
    }
    let by = binder.bind(term, &ColumnSpec::of(table, column))?;
    Ok(Some(Write::Count(vec![Count { by, negative }])))
}

fn set_element(
    table: &Table,
    column: &Column,
    key: &Term,
    term: &Term,
    binder: &mut Binder<'_>,
) -> Result<ElementWrite, QueryError> {
    let name = &column.name;
    let spec = ColumnSpec::of(table, column);
    match &column.cql_type {
        CqlType::Map { key: key_type, value: value_type, frozen: false } => {
            let key = binder.bind(key, &spec.part(format!("key({name})"), (**key_type).clone()))?;
            let value =
                binder.bind(term, &spec.part(format!("value({name})"), (**value_type).clone()))?;
            Ok(ElementWrite::Put { key, value })
        }
        CqlType::List { element, frozen: false } => {
            let index = binder.bind(key, &index_spec(&spec))?;
            let value =
                binder.bind(term, &spec.part(format!("value({name})"), (**element).clone()))?;
            Ok(ElementWrite::PutAt { index, value })
        }
        CqlType::Set { frozen: false, .. } => Err(QueryError::invalid(format!(
            "{name} is a set, whose elements can't be set: add with {name} = {name} + {{...}}"
        ))),
        other => Err(no_elements(name, other)),
    }
}

fn delete_element(
    table: &Table,
    column: &Column,
    key: &Term,
    binder: &mut Binder<'_>,
) -> Result<ElementWrite, QueryError> {
    let name = &column.name;
    let spec = ColumnSpec::of(table, column);
    match &column.cql_type {
        CqlType::Map { key: of, frozen: false, .. } => {
            let spec = spec.part(format!("key({name})"), (**of).clone());
            Ok(ElementWrite::RemoveKey(binder.bind(key, &spec)?))
        }
        CqlType::Set { element, frozen: false } => {
            let spec = spec.part(format!("value({name})"), (**element).clone());
            Ok(ElementWrite::RemoveKey(binder.bind(key, &spec)?))
        }
        CqlType::List { frozen: false, .. } => {
            Ok(ElementWrite::RemoveAt(binder.bind(key, &index_spec(&spec))?))
        }
        other => Err(no_elements(name, other)),
    }
}

fn index_spec(column: &ColumnSpec) -> ColumnSpec {
    column.part(format!("idx({})", column.name), CqlType::Native(Native::Int))
}

/// What `c - term` takes: for a map, the set of keys to remove.
fn removed_spec(table: &Table, column: &Column) -> ColumnSpec {
    let spec = ColumnSpec::of(table, column);
    match &column.cql_type {
        CqlType::Map { key, .. } => {
            let keys = CqlType::Set { element: key.clone(), frozen: true };
            spec.part(spec.name.clone(), keys)
        }
        _ => spec,
    }
}

fn check_adds(column: &Column, operator: &str) -> Result<(), QueryError> {
    let name = &column.name;
    match &column.cql_type {
        cql_type if cql_type.is_collection() && cql_type.is_multi_cell() => Ok(()),
        cql_type if cql_type.is_collection() => Err(QueryError::invalid(format!(
            "invalid operation ({name} = {name} {operator} ...) for frozen collection column {name}: assign it as a whole"
        ))),
        cql_type => Err(QueryError::invalid(format!(
            "invalid operation ({name} = {name} {operator} ...) for non counter column {name} of type {cql_type}: only counters and collections can be added to"
        ))),
    }
}

/// The number and type of a field of a user-type column that is not frozen.
fn field_of(column: &Column, field: &Name) -> Result<(u16, CqlType), QueryError> {
    let CqlType::Udt { definition, frozen } = &column.cql_type else {
        return Err(QueryError::invalid(format!(
            "{} has type {}, which has no fields",
            column.name, column.cql_type
        )));
    };
    if *frozen {
        return Err(QueryError::invalid(format!(
            "{} is frozen: assign it as a whole, fields can't be set one by one",
            column.name
        )));
    }
    let position = definition.fields.iter().position(|(name, _)| name == field);
    match position.and_then(|at| Some((u16::try_from(at).ok()?, definition.fields.get(at)?))) {
        Some((position, (_, cql_type))) => Ok((position, cql_type.clone())),
        None => Err(unknown_field(column, definition, field)),
    }
}

fn unknown_field(column: &Column, definition: &UserType, field: &Name) -> QueryError {
    let names: Vec<String> = definition.fields.iter().map(|(name, _)| name.to_string()).collect();
    QueryError::invalid(format!(
        "{} has type {}, which has no field {field}: it has {}",
        column.name,
        definition.name,
        names.join(", ")
    ))
}

/// The column, which must not be part of the primary key.
fn settable(table: &Table, name: &Ident) -> Result<Column, QueryError> {
    let column = defined(table, name)?;
    if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
        return Err(QueryError::invalid(format!(
            "PRIMARY KEY part {name} found in SET part: a row's key can't be changed, name it in WHERE"
        )));
    }
    Ok(column.clone())
}

fn refuse_counter_value(column: &Column) -> Result<(), QueryError> {
    if column.cql_type.is_counter() {
        return Err(QueryError::invalid(format!(
            "cannot set the value of counter column {} (counters can only be incremented/decremented, not set): write {} = {} + 1",
            column.name, column.name, column.name
        )));
    }
    Ok(())
}

fn no_elements(name: &Name, cql_type: &CqlType) -> QueryError {
    if cql_type.is_collection() {
        return QueryError::invalid(format!(
            "{name} is a frozen collection: assign it as a whole, elements can't be set or deleted one by one"
        ));
    }
    QueryError::invalid(format!("{name} has type {cql_type}, which has no elements"))
}
