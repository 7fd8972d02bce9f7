//! `Display` of the syntax tree: canonical CQL, on one line, in the fixed order of clauses.
//!
//! One file per file of the tree. Invariant: parsing what is printed here gives the same tree again. Two things keep
//! that true: names print in double quotes wherever a bare word would read as something else, and operands print in
//! parentheses wherever precedence would regroup them.

mod access;
mod describe;
mod modify;
mod relation;
mod schema;
mod select;
mod term;
mod type_name;

use std::borrow::Cow;
use std::fmt;

use crate::ast::access::{AlterRole, CreateRole, RoleOption};
use crate::ast::{QualifiedName, Statement};

/// What stands in for a password in a redacted statement.
const REDACTED: &str = "*****";

impl Statement {
    /// The statement as it may be logged or kept in a history: passwords and their hashes are replaced by stars.
    pub fn redacted(&self) -> Cow<'_, Statement> {
        let hide = |options: &[RoleOption]| options.iter().map(redact_option).collect();
        match self {
            Statement::CreateRole(create) => {
                let options = hide(&create.options);
                Cow::Owned(Statement::CreateRole(CreateRole { options, ..create.clone() }))
            }
            Statement::AlterRole(alter) => {
                let options = hide(&alter.options);
                Cow::Owned(Statement::AlterRole(AlterRole { options, ..alter.clone() }))
            }
            other => Cow::Borrowed(other),
        }
    }
}

fn redact_option(option: &RoleOption) -> RoleOption {
    match option {
        RoleOption::Password(_) => RoleOption::Password(REDACTED.to_string()),
        RoleOption::HashedPassword(_) => RoleOption::HashedPassword(REDACTED.to_string()),
        other => other.clone(),
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Select(it) => it.fmt(f),
            Statement::Insert(it) => it.fmt(f),
            Statement::Update(it) => it.fmt(f),
            Statement::Delete(it) => it.fmt(f),
            Statement::Batch(it) => it.fmt(f),
            Statement::Truncate(table) => write!(f, "TRUNCATE TABLE {table}"),
            Statement::Use(keyspace) => write!(f, "USE {keyspace}"),
            Statement::CreateKeyspace(it) => it.fmt(f),
            Statement::AlterKeyspace(it) => it.fmt(f),
            Statement::DropKeyspace(it) => it.fmt(f),
            Statement::CreateTable(it) => it.fmt(f),
            Statement::AlterTable(it) => it.fmt(f),
            Statement::DropTable(it) => write!(f, "DROP TABLE {it}"),
            Statement::CreateType(it) => it.fmt(f),
            Statement::AlterType(it) => it.fmt(f),
            Statement::DropType(it) => write!(f, "DROP TYPE {it}"),
            Statement::CreateIndex(it) => it.fmt(f),
            Statement::DropIndex(it) => write!(f, "DROP INDEX {it}"),
            Statement::CreateView(it) => it.fmt(f),
            Statement::AlterView(it) => it.fmt(f),
            Statement::DropView(it) => write!(f, "DROP MATERIALIZED VIEW {it}"),
            Statement::CreateFunction(it) => it.fmt(f),
            Statement::DropFunction(it) => write!(f, "DROP FUNCTION {it}"),
            Statement::CreateAggregate(it) => it.fmt(f),
            Statement::DropAggregate(it) => write!(f, "DROP AGGREGATE {it}"),
            Statement::CreateTrigger(it) => it.fmt(f),
            Statement::DropTrigger(it) => it.fmt(f),
            Statement::CreateRole(it) => it.fmt(f),
            Statement::AlterRole(it) => it.fmt(f),
            Statement::DropRole(it) => it.fmt(f),
            Statement::GrantRole(it) => it.fmt(f),
            Statement::RevokeRole(it) => it.fmt(f),
            Statement::Grant(it) => it.fmt(f),
            Statement::Revoke(it) => it.fmt(f),
            Statement::ListRoles(it) => it.fmt(f),
            Statement::ListUsers => f.write_str("LIST USERS"),
            Statement::ListPermissions(it) => it.fmt(f),
            Statement::Describe(it) => it.fmt(f),
        }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(keyspace) = &self.keyspace {
            write!(f, "{keyspace}.")?;
        }
        self.name.fmt(f)
    }
}

/// Text in single quotes, with those inside doubled.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        let mut parts = self.0.split('\'');
        f.write_str(parts.next().unwrap_or_default())?;
        for part in parts {
            write!(f, "''{part}")?;
        }
        f.write_str("'")
    }
}

/// Items with a separator between them.
struct Joined<'a, T>(&'a [T], &'static str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, self.0, self.1, |f, item| item.fmt(f))
    }
}

/// Writes items by `write`, with a separator between them.
fn joined<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// `words` and a space where `present`, else nothing.
fn words(present: bool, words: &'static str) -> &'static str {
    if present { words } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::ident::Ident;
    use crate::name::Name;

    #[test]
    fn redacted_statements_show_no_password() {
        let options = || {
            let secret = || "it's secret".to_string();
            vec![
                RoleOption::Password(secret()),
                RoleOption::Login(true),
                RoleOption::HashedPassword(secret()),
            ]
        };
        let name = Ident::from(Name::exact("bob"));
        let create = Statement::CreateRole(CreateRole {
            if_not_exists: true,
            name: name.clone(),
            options: options(),
        });
        assert_eq!(
            create.redacted().to_string(),
            "CREATE ROLE IF NOT EXISTS bob WITH PASSWORD = '*****' AND LOGIN = true AND HASHED PASSWORD = '*****'"
        );
        let alter = Statement::AlterRole(AlterRole {
            if_exists: false,
            name: name.clone(),
            options: options(),
        });
        assert!(alter.to_string().contains("'it''s secret'"));
        assert!(!alter.redacted().to_string().contains("secret"));
        let other = Statement::Use(name);
        assert_eq!(other.redacted().as_ref(), &other);
    }
}
