//! Types: from what is written to types of the catalogue, and which stand in for which ([`assign`]).

pub mod assign;

use std::sync::Arc;

use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::marshal;
use tholos_grammar::types::{CqlType, Native, UserType};

use crate::error::{At, QueryError};
use crate::query::catalogue::Catalogue;

/// The most dimensions a vector may have, as in Cassandra.
const MAX_DIMENSIONS: u32 = 8192;

/// The most levels a type may nest: no deeper value can be decoded.
const MAX_DEPTH: usize = 32;

/// The type that a written type means in a keyspace. Everything inside another type comes out frozen, but for the
/// elements of vectors: those are one cell whatever is said, and stay as they were written.
///
/// # Errors
/// [`QueryError::Invalid`]: an unknown user type, one of another keyspace, a collection inside another without
/// `frozen`, a counter inside anything, a class that is no CQL type.
pub fn resolve_type(
    written: &TypeName,
    keyspace: &Name,
    catalogue: &Catalogue,
) -> Result<CqlType, QueryError> {
    Resolver { keyspace, catalogue }.resolve(written, 0)
}

/// The type with itself and everything in it frozen. Fields of user types stay as their definition has them, elements of
/// vectors as they are.
pub fn freeze(cql_type: CqlType) -> CqlType {
    match cql_type {
        CqlType::List { element, .. } => {
            CqlType::List { element: Box::new(freeze(*element)), frozen: true }
        }
        CqlType::Set { element, .. } => {
            CqlType::Set { element: Box::new(freeze(*element)), frozen: true }
        }
        CqlType::Map { key, value, .. } => CqlType::Map {
            key: Box::new(freeze(*key)),
            value: Box::new(freeze(*value)),
            frozen: true,
        },
        CqlType::Tuple(elements) => CqlType::Tuple(elements.into_iter().map(freeze).collect()),
        CqlType::Udt { definition, .. } => CqlType::Udt { definition, frozen: true },
        as_it_is @ (CqlType::Vector { .. } | CqlType::Native(_)) => as_it_is,
    }
}

struct Resolver<'a> {
    keyspace: &'a Name,
    catalogue: &'a Catalogue,
}

impl Resolver<'_> {
    fn resolve(&self, written: &TypeName, depth: usize) -> Result<CqlType, QueryError> {
        if depth >= MAX_DEPTH {
            return Err(QueryError::invalid(format!("a type may nest {MAX_DEPTH} levels at most")));
        }
        let depth = depth + 1;
        match written {
            TypeName::Native(native) => Ok(CqlType::Native(*native)),
            TypeName::List(element) => Ok(CqlType::List {
                element: Box::new(self.inner(element, "list", depth)?),
                frozen: false,
            }),
            TypeName::Set(element) => {
                let element = self.inner(element, "set", depth)?;
                refuse_duration(&element, "a set's element")?;
                Ok(CqlType::Set { element: Box::new(element), frozen: false })
            }
            TypeName::Map(key, value) => {
                let key = self.inner(key, "map", depth)?;
                refuse_duration(&key, "a map's key")?;
                Ok(CqlType::Map {
                    key: Box::new(key),
                    value: Box::new(self.inner(value, "map", depth)?),
                    frozen: false,
                })
            }
            TypeName::Tuple(elements) => {
                let elements = elements.iter().map(|element| self.frozen(element, "tuple", depth));
                Ok(CqlType::Tuple(elements.collect::<Result<_, _>>()?))
            }
            TypeName::Vector(element, dimensions) => self.vector(element, *dimensions, depth),
            TypeName::Frozen(inner) => self.explicitly_frozen(inner, depth),
            TypeName::User(name) => {
                let keyspace = name.keyspace.as_deref().unwrap_or(self.keyspace);
                let definition = self.user_type(keyspace, &name.name).at(name.span())?;
                Ok(CqlType::Udt { definition, frozen: false })
            }
            TypeName::Custom(class) => self.resolve(&of_class(class)?, depth),
        }
    }

    fn vector(
        &self,
        element: &TypeName,
        dimensions: u32,
        depth: usize,
    ) -> Result<CqlType, QueryError> {
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(QueryError::invalid(format!(
                "a vector has 1 to {MAX_DIMENSIONS} dimensions, not {dimensions}"
            )));
        }
        let element = self.resolve(element, depth)?;
        refuse_counter(&element, "vector")?;
        Ok(CqlType::Vector { element: Box::new(element), dimensions })
    }

    /// `frozen<...>` freezes what is inside it as well, so `frozen<list<set<int>>>` needs no second `frozen`.
    fn explicitly_frozen(&self, inner: &TypeName, depth: usize) -> Result<CqlType, QueryError> {
        if let TypeName::Native(native) = inner {
            return Err(QueryError::Syntax(format!(
                "frozen<> takes a collection, tuple or user type, and {native} is none: leave frozen<> out"
            )));
        }
        self.frozen(inner, "frozen", depth)
    }

    /// The type of a part that is frozen whether it says so or not.
    fn frozen(&self, written: &TypeName, outer: &str, depth: usize) -> Result<CqlType, QueryError> {
        let written = &mark_frozen(written);
        let resolved = match written {
            TypeName::Frozen(inner) => freeze(self.resolve(inner, depth)?),
            other => self.resolve(other, depth)?,
        };
        refuse_counter(&resolved, outer)?;
        Ok(resolved)
    }

    /// The type of an element of a collection: must be frozen when it is itself a collection or user type.
    fn inner(&self, written: &TypeName, outer: &str, depth: usize) -> Result<CqlType, QueryError> {
        let resolved = self.resolve(written, depth)?;
        refuse_counter(&resolved, outer)?;
        if resolved.is_multi_cell() {
            return Err(QueryError::invalid(format!(
                "{resolved} inside a {outer} must be frozen: write frozen<{resolved}>"
            )));
        }
        Ok(resolved)
    }

    fn user_type(&self, keyspace: &Name, name: &Name) -> Result<Arc<UserType>, QueryError> {
        if keyspace != self.keyspace {
            return Err(QueryError::invalid(format!(
                "type {keyspace}.{name} belongs to another keyspace: a table or type of keyspace {} can only use its own",
                self.keyspace
            )));
        }
        let known = self.catalogue.keyspace(keyspace.as_str());
        match known.and_then(|known| known.types.get(name.as_str())) {
            Some(definition) => Ok(Arc::clone(definition)),
            None => Err(QueryError::invalid(format!(
                "unknown type {keyspace}.{name}: it is no CQL type, and the keyspace has no user type of that name"
            ))),
        }
    }
}

/// Whether a written type is a class name that makes a clustering column descending.
pub fn is_reversed(written: &TypeName) -> bool {
    matches!(written, TypeName::Custom(class) if marshal::is_reversed(class))
}

/// A type by the name of its class, as old schemas and drivers write it.
fn of_class(class: &str) -> Result<TypeName, QueryError> {
    let known = marshal::parse_known_class(class).map_err(|error| {
        QueryError::Syntax(format!(
            "'{class}' is no class name of a type: {error}; use a CQL type such as int, text or a user type, or blob for other bytes"
        ))
    })?;
    Ok(written(&known))
}

/// A type as a statement would write it.
fn written(cql_type: &CqlType) -> TypeName {
    let boxed = |inner: &CqlType| Box::new(written(inner));
    let (name, frozen) = match cql_type {
        CqlType::Native(native) => (TypeName::Native(*native), false),
        CqlType::List { element, frozen } => (TypeName::List(boxed(element)), *frozen),
        CqlType::Set { element, frozen } => (TypeName::Set(boxed(element)), *frozen),
        CqlType::Map { key, value, frozen } => (TypeName::Map(boxed(key), boxed(value)), *frozen),
        CqlType::Tuple(elements) => {
            (TypeName::Tuple(elements.iter().map(written).collect()), false)
        }
        CqlType::Udt { definition, frozen } => {
            let keyspace = Some(definition.keyspace.clone().into());
            let name = definition.name.clone().into();
            (TypeName::User(QualifiedName { keyspace, name }), *frozen)
        }
        CqlType::Vector { element, dimensions } => {
            (TypeName::Vector(boxed(element), *dimensions), false)
        }
    };
    if frozen { TypeName::Frozen(Box::new(name)) } else { name }
}

/// Puts `frozen<>` around every collection and user type in a written type, so that nested ones resolve.
fn mark_frozen(written: &TypeName) -> TypeName {
    let boxed = |inner: &TypeName| Box::new(mark_frozen(inner));
    let frozen = |inner: TypeName| TypeName::Frozen(Box::new(inner));
    match written {
        TypeName::List(element) => frozen(TypeName::List(boxed(element))),
        TypeName::Set(element) => frozen(TypeName::Set(boxed(element))),
        TypeName::Map(key, value) => frozen(TypeName::Map(boxed(key), boxed(value))),
        TypeName::User(name) => frozen(TypeName::User(name.clone())),
        TypeName::Frozen(inner) => mark_frozen(inner),
        TypeName::Tuple(_) | TypeName::Vector(..) | TypeName::Native(_) | TypeName::Custom(_) => {
            written.clone()
        }
    }
}

fn refuse_counter(cql_type: &CqlType, outer: &str) -> Result<(), QueryError> {
    if cql_type.is_counter() {
        return Err(QueryError::invalid(format!(
            "counter can't stand inside a {outer}: counters are columns of their own"
        )));
    }
    Ok(())
}

fn refuse_duration(cql_type: &CqlType, what: &str) -> Result<(), QueryError> {
    if holds_duration(cql_type) {
        return Err(QueryError::invalid(format!(
            "{cql_type} can't be {what}: durations have no order"
        )));
    }
    Ok(())
}

/// Whether a type is or holds `duration`, which has no order and so can be no key.
pub(crate) fn holds_duration(cql_type: &CqlType) -> bool {
    match cql_type {
        CqlType::Native(native) => *native == Native::Duration,
        CqlType::List { element, .. }
        | CqlType::Set { element, .. }
        | CqlType::Vector { element, .. } => holds_duration(element),
        CqlType::Map { key, value, .. } => holds_duration(key) || holds_duration(value),
        CqlType::Tuple(elements) => elements.iter().any(holds_duration),
        CqlType::Udt { definition, .. } => {
            definition.fields.iter().any(|(_, ty)| holds_duration(ty))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// The types of a table's columns, as the schema tables show them.
    fn types(columns: &str) -> Vec<(String, String, String)> {
        let mut bench = Bench::new();
        bench.run(&format!("CREATE TYPE u (a int, b text); CREATE TABLE t ({columns})"));
        let rows = bench.select(
            "SELECT column_name, type, clustering_order FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't'",
        );
        let column = |row: Vec<String>| match row.as_slice() {
            [name, ty, order] => (name.clone(), ty.clone(), order.clone()),
            _ => panic!("{row:?}"),
        };
        rows.into_iter().map(column).collect()
    }

    /// As Cassandra 5.0.9 shows them.
    #[test]
    fn nested_types_are_as_written_in_vectors_and_frozen_elsewhere() {
        let cases = [
            ("vector<set<float>, 2>", "vector<set<float>, 2>"),
            ("vector<frozen<set<float>>, 2>", "vector<frozen<set<float>>, 2>"),
            ("vector<u, 2>", "vector<u, 2>"),
            ("vector<map<int, frozen<list<int>>>, 2>", "vector<map<int, frozen<list<int>>>, 2>"),
            (
                "vector<tuple<int, list<int>>, 1>",
                "vector<frozen<tuple<int, frozen<list<int>>>>, 1>",
            ),
            ("vector<vector<list<int>, 1>, 1>", "vector<vector<list<int>, 1>, 1>"),
            ("frozen<list<vector<list<int>, 1>>>", "frozen<list<vector<list<int>, 1>>>"),
            ("frozen<vector<list<int>, 1>>", "vector<list<int>, 1>"),
            ("tuple<list<int>, u>", "frozen<tuple<frozen<list<int>>, frozen<u>>>"),
            ("frozen<map<int, list<u>>>", "frozen<map<int, frozen<list<frozen<u>>>>>"),
            ("list<tuple<int, list<int>>>", "list<frozen<tuple<int, frozen<list<int>>>>>"),
        ];
        for (written, shown) in cases {
            let types = types(&format!("a {written}, k int PRIMARY KEY"));
            assert_eq!(types[0].1, shown, "{written}");
        }
        let mut bench = Bench::new();
        bench.run("CREATE TYPE u (a int)");
        let error =
            bench.refusal("CREATE TABLE t (k int PRIMARY KEY, a vector<list<list<int>>, 1>)");
        assert!(error.contains("list<int> inside a list must be frozen"), "{error}");
    }

    #[test]
    fn types_by_class_name() {
        let marshal = "org.apache.cassandra.db.marshal";
        let columns = format!(
            "a '{marshal}.UTF8Type', b 'ReversedType(Int32Type)', c 'ListType(Int32Type)',
             d 'FrozenType(ListType({marshal}.LongType))', e 'TupleType(Int32Type,UTF8Type)', f list<'DateType'>,
             g 'UserType(ks,75,61:Int32Type)', h 'VectorType(FloatType, 3)', PRIMARY KEY (a, b)"
        );
        let shown: Vec<String> =
            types(&columns).into_iter().map(|(_, ty, order)| format!("{ty} {order}")).collect();
        let expected = [
            "text none",
            "int desc",
            "list<int> none",
            "frozen<list<bigint>> none",
            "frozen<tuple<int, text>> none",
            "list<timestamp> none",
            "u none",
            "vector<float, 3> none",
        ];
        assert_eq!(shown, expected);
        let mut bench = Bench::new();
        for (class, expected) in [
            ("FooType", "\"FooType\" is no class of a CQL type"),
            ("com.example.Point", "or blob for other bytes"),
            ("CompositeType(Int32Type,UTF8Type)", "\"CompositeType\" is no class of a CQL type"),
            ("ListType", "the class name of a custom type is malformed"),
            ("UserType(ks,78,61:Int32Type)", "unknown type ks.x"),
        ] {
            let error = bench.refusal(&format!("CREATE TABLE t (k int PRIMARY KEY, v '{class}')"));
            assert!(error.contains(expected), "{class}: {error}");
        }
    }
}
