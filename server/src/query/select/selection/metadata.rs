//! What the select list asks of cells and keys instead of values: `writetime`, `maxwritetime`, `ttl` and `token`.

use tholos_grammar::ast::select::Selector;
use tholos_grammar::ast::term::Term;
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::ColumnKind;

use super::super::plan::{Part, Place, Selected};
use super::super::pseudo_column;
use super::{Item, Planner, Typed, aggregate_part, show_term};
use crate::error::QueryError;
use crate::query::expression::assignable;
use crate::query::plan::ColumnSpec;

impl Planner<'_, '_, '_> {
    /// `writetime`, `maxwritetime` and `ttl`.
    pub(super) fn metadata(
        &mut self,
        function: &str,
        arguments: &[Selector],
    ) -> Result<Typed, QueryError> {
        let column = match arguments {
            [Selector::Column(name)] => self.column(name)?,
            [Selector::Element(of, key)] => return self.element_metadata(function, of, key),
            [Selector::Field(of, field)] => return self.field_metadata(function, of, field),
            [Selector::Slice(..)] => {
                return Err(QueryError::NotSupportedYet(format!(
                    "{function}() of a slice; take it of one element, or of the whole column"
                )));
            }
            _ => {
                return Err(QueryError::invalid(format!("{function}() takes one column")));
            }
        };
        if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
            return Err(QueryError::invalid(format!(
                "Cannot use selection function {function} on PRIMARY KEY part {}: only other columns have one",
                column.name
            )));
        }
        let several = column.cql_type.is_multi_cell() && function != "maxwritetime";
        let single: CqlType =
            if function == "ttl" { Native::Int.into() } else { Native::Bigint.into() };
        let cql_type = match several {
            true => CqlType::List { element: Box::new(single), frozen: true },
            false => single,
        };
        let name = format!("{function}({})", column.name.as_str());
        let slot = self.slots.of(column);
        let selected = match function {
            "ttl" => Selected::Ttl(slot),
            "maxwritetime" => Selected::MaxWritetime(slot),
            _ => Selected::Writetime(slot),
        };
        Ok(Typed { item: Item::Row(selected), cql_type, name })
    }

    /// `writetime` and `ttl` of `column[key]`.
    fn element_metadata(
        &mut self,
        function: &str,
        of: &Selector,
        key: &Term,
    ) -> Result<Typed, QueryError> {
        let (selected, _, name, key_type, _) = self.collection(of)?;
        let receiver = pseudo_column(self.table, &format!("key({name})"), key_type);
        let name = format!("{name}[{}]", show_term(key));
        let part = Part::Element(self.binder.bind(key, &receiver)?);
        self.part_metadata(function, selected, part, &name)
    }

    /// `writetime` and `ttl` of `column.field`.
    fn field_metadata(
        &mut self,
        function: &str,
        of: &Selector,
        field: &Name,
    ) -> Result<Typed, QueryError> {
        let typed = self.field(of, field)?;
        let Item::Row(Selected::Field { of, index }) = typed.item else {
            return Err(aggregate_part(&typed.name));
        };
        let part = Part::Field(u16::try_from(index).unwrap_or(u16::MAX));
        self.part_metadata(function, *of, part, &typed.name)
    }

    fn part_metadata(
        &self,
        function: &str,
        of: Selected,
        part: Part,
        name: &str,
    ) -> Result<Typed, QueryError> {
        let slot = match of {
            Selected::Column(slot) => slot,
            _ => {
                return Err(QueryError::invalid(format!(
                    "{function}() takes a column or a part of one, and {name} is further inside"
                )));
            }
        };
        let place = self.slots.as_slice().get(slot).map(|slot| slot.place);
        if matches!(place, Some(Place::PartitionKey(_) | Place::Clustering(_))) {
            return Err(QueryError::invalid(format!(
                "Cannot use selection function {function} on PRIMARY KEY part {name}: only other columns have one"
            )));
        }
        let ttl = function == "ttl";
        let cql_type = if ttl { Native::Int.into() } else { Native::Bigint.into() };
        let item = Item::Row(Selected::OfPart { ttl, slot, part });
        Ok(Typed { item, cql_type, name: format!("{function}({name})") })
    }

    pub(super) fn token(&mut self, arguments: &[Selector]) -> Result<Typed, QueryError> {
        let key = &self.table.partition_key;
        let whole_key = arguments.len() == key.len()
            && arguments
                .iter()
                .zip(key)
                .all(|(argument, column)| matches!(argument, Selector::Column(name) if *name == column.name));
        let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
        if !whole_key {
            return self.token_of(arguments);
        }
        Ok(Typed {
            item: Item::Row(Selected::Token),
            cql_type: Native::Bigint.into(),
            name: format!("system.token({})", names.join(", ")),
        })
    }

    /// `token()` of anything that could be the key.
    fn token_of(&mut self, arguments: &[Selector]) -> Result<Typed, QueryError> {
        let table = self.table;
        let key = &table.partition_key;
        let types: Vec<String> = key.iter().map(|column| column.cql_type.to_string()).collect();
        let wrong = |what: &str| {
            let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
            QueryError::invalid(format!(
                "token() takes the partition key ({}), or values of its types ({}), not {what}",
                names.join(", "),
                types.join(", ")
            ))
        };
        if arguments.len() != key.len() {
            return Err(wrong(&format!("{} values", arguments.len())));
        }
        let mut values = Vec::with_capacity(key.len());
        let mut names = Vec::with_capacity(key.len());
        for (argument, column) in arguments.iter().zip(key) {
            names.push(self.name(argument));
            values.push(match argument {
                Selector::Term(term) => {
                    let expr = self.binder.bind(term, &ColumnSpec::of(table, column))?;
                    Selected::Term(expr)
                }
                _ => {
                    let typed = self.selector(argument)?;
                    match typed.item {
                        Item::Row(selected) if assignable(&typed.cql_type, &column.cql_type) => {
                            selected
                        }
                        _ => return Err(wrong(&format!("{} {}", typed.cql_type, typed.name))),
                    }
                }
            });
        }
        Ok(Typed {
            item: Item::Row(Selected::TokenOf(values)),
            cql_type: Native::Bigint.into(),
            name: format!("system.token({})", names.join(", ")),
        })
    }
}
