//! Roles and permissions. `USER` statements read as the `ROLE` statements they abbreviate.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::Statement;
use tholos_grammar::ast::access::{
    AlterRole, CreateRole, DropRole, Grant, GrantRole, ListPermissions, ListRoles, Permission,
    Permissions, Resource, Revoke, RevokeRole, RoleOption,
};
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::name::Name;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::option::option_value;
use crate::term::{ARGUMENTS, function_name};
use crate::token::{
    Limit, comma_separated, enclosed, expected_one_of, flag, if_exists, if_not_exists, is_name,
    keyspace_name, keyword, keywords, name, separated, symbol, table_name, text,
};
use crate::type_name::type_name;

const ROLE_OPTIONS: Limit = Limit(100, "options");
const PERMISSIONS: Limit = Limit(100, "permissions");
const DATACENTERS: Limit = Limit(1_000, "datacenters");

/// A role: a name, or text in quotes, whose case is kept.
fn role_name(input: Input<'_>) -> Parsed<'_, Ident> {
    match input.kind() {
        Kind::Text | Kind::DollarText => {
            let (behind, role) = text("a role").parse(input)?;
            if role.is_empty() {
                input.refuse("a name can't be empty")
            } else {
                Ok((behind, Ident::new(Name::exact(&role), input.span())))
            }
        }
        _ => name("a role").parse(input),
    }
}

/// Behind `CREATE ROLE`.
pub(crate) fn create_role(input: Input<'_>) -> Parsed<'_, CreateRole> {
    let (input, (if_not_exists, name, options)) =
        (if_not_exists, role_name, role_options).parse(input)?;
    Ok((input, CreateRole { if_not_exists, name, options }))
}

/// Behind `ALTER ROLE`.
pub(crate) fn alter_role(input: Input<'_>) -> Parsed<'_, AlterRole> {
    let (input, (if_exists, name, options)) = (if_exists, role_name, role_options).parse(input)?;
    Ok((input, AlterRole { if_exists, name, options }))
}

/// Behind `DROP ROLE` or `DROP USER`.
pub(crate) fn drop_role(input: Input<'_>) -> Parsed<'_, DropRole> {
    let (input, (if_exists, name)) = (if_exists, role_name).parse(input)?;
    Ok((input, DropRole { if_exists, name }))
}

/// Behind `CREATE USER`.
pub(crate) fn create_user(input: Input<'_>) -> Parsed<'_, CreateRole> {
    let (input, (if_not_exists, name, mut options)) =
        (if_not_exists, role_name, user_options).parse(input)?;
    options.push(RoleOption::Login(true));
    Ok((input, CreateRole { if_not_exists, name, options }))
}

/// Behind `ALTER USER`.
pub(crate) fn alter_user(input: Input<'_>) -> Parsed<'_, AlterRole> {
    let (input, (if_exists, name, options)) = (if_exists, role_name, user_options).parse(input)?;
    Ok((input, AlterRole { if_exists, name, options }))
}

/// `[WITH [HASHED] PASSWORD '...'] [SUPERUSER | NOSUPERUSER]`
fn user_options(input: Input<'_>) -> Parsed<'_, Vec<RoleOption>> {
    let mut options = Vec::new();
    let (mut input, with) = flag(input, &["WITH"])?;
    if with {
        let (behind, hashed) = flag(input, &["HASHED"])?;
        let (behind, (_, password)) =
            (keyword("PASSWORD"), text("a password in quotes")).parse(behind)?;
        options.push(if hashed {
            RoleOption::HashedPassword(password)
        } else {
            RoleOption::Password(password)
        });
        input = behind;
    }
    for (word, superuser) in [("SUPERUSER", true), ("NOSUPERUSER", false)] {
        if let (behind, true) = flag(input, &[word])? {
            options.push(RoleOption::Superuser(superuser));
            return Ok((behind, options));
        }
    }
    Ok((input, options))
}

/// `WITH a AND b`, or nothing.
fn role_options(input: Input<'_>) -> Parsed<'_, Vec<RoleOption>> {
    match opt(keyword("WITH")).parse(input)? {
        (input, Some(())) => separated(input, keyword("AND"), ROLE_OPTIONS, role_option),
        (input, None) => Ok((input, Vec::new())),
    }
}

fn role_option(input: Input<'_>) -> Parsed<'_, RoleOption> {
    let password = |input| {
        (symbol("="), text("a password in quotes")).parse(input).map(|(i, (_, text))| (i, text))
    };
    let switch = |input| (symbol("="), boolean).parse(input).map(|(i, (_, value))| (i, value));
    let behind = input.next();
    if input.is_word("PASSWORD") {
        return password(behind).map(|(input, text)| (input, RoleOption::Password(text)));
    }
    if input.is_word("HASHED") {
        let (input, ()) = keyword("PASSWORD").parse(behind)?;
        return password(input).map(|(input, text)| (input, RoleOption::HashedPassword(text)));
    }
    if input.is_word("LOGIN") {
        return switch(behind).map(|(input, login)| (input, RoleOption::Login(login)));
    }
    if input.is_word("SUPERUSER") {
        return switch(behind).map(|(input, superuser)| (input, RoleOption::Superuser(superuser)));
    }
    if input.is_word("OPTIONS") {
        let (input, (_, options)) = (symbol("="), option_value).parse(behind)?;
        return Ok((input, RoleOption::Options(options)));
    }
    if input.is_word("ACCESS") {
        return access(input);
    }
    expected_one_of(input, &["PASSWORD", "HASHED", "LOGIN", "SUPERUSER", "OPTIONS", "ACCESS"])
}

fn boolean(input: Input<'_>) -> Parsed<'_, bool> {
    for (word, value) in [("true", true), ("false", false)] {
        if input.is_word(word) {
            return Ok((input.next(), value));
        }
    }
    input.fail(Expected::Thing("true or false"))
}

/// `ACCESS TO ALL DATACENTERS` or `ACCESS TO DATACENTERS {...}`
fn access(input: Input<'_>) -> Parsed<'_, RoleOption> {
    let (input, ()) = keywords(input, &["ACCESS", "TO"])?;
    if let (input, true) = flag(input, &["ALL", "DATACENTERS"])? {
        return Ok((input, RoleOption::AccessToDatacenters(None)));
    }
    let (input, ()) = keyword("DATACENTERS").parse(input)?;
    let datacenter = |input| text("a datacenter in quotes").parse(input);
    let (input, names) = enclosed(input, ("{", "}"), DATACENTERS, datacenter)?;
    Ok((input, RoleOption::AccessToDatacenters(Some(names))))
}

/// `GRANT ...`
pub(crate) fn grant(input: Input<'_>) -> Parsed<'_, Statement> {
    let (input, ()) = keyword("GRANT").parse(input)?;
    if !is_permission(&input) || input.next().is_word("TO") {
        let (input, (role, _, to)) = (role_name, keyword("TO"), role_name).parse(input)?;
        return Ok((input, Statement::GrantRole(GrantRole { role, to })));
    }
    let (input, (permissions, _, resource)) =
        (permissions, keyword("ON"), resource).parse(input)?;
    let (input, (_, to)) = (keyword("TO"), role_name).parse(input)?;
    Ok((input, Statement::Grant(Grant { permissions, resource, to })))
}

/// `REVOKE ...`
pub(crate) fn revoke(input: Input<'_>) -> Parsed<'_, Statement> {
    let (input, ()) = keyword("REVOKE").parse(input)?;
    if !is_permission(&input) || input.next().is_word("FROM") {
        let (input, (role, _, from)) = (role_name, keyword("FROM"), role_name).parse(input)?;
        return Ok((input, Statement::RevokeRole(RevokeRole { role, from })));
    }
    let (input, (permissions, _, resource)) =
        (permissions, keyword("ON"), resource).parse(input)?;
    let (input, (_, from)) = (keyword("FROM"), role_name).parse(input)?;
    Ok((input, Statement::Revoke(Revoke { permissions, resource, from })))
}

/// `LIST ...`
pub(crate) fn list(input: Input<'_>) -> Parsed<'_, Statement> {
    let (input, ()) = keyword("LIST").parse(input)?;
    if input.is_word("USERS") {
        return Ok((input.next(), Statement::ListUsers));
    }
    if input.is_word("ROLES") {
        let (input, (of, no_recursive)) = list_tail(input.next())?;
        return Ok((input, Statement::ListRoles(ListRoles { of, no_recursive })));
    }
    ["USERS", "ROLES"].iter().for_each(|word| input.expect(Expected::Keyword(word)));
    let (input, permissions) = permissions(input)?;
    let (input, resource) = match opt(keyword("ON")).parse(input)? {
        (input, Some(())) => resource(input).map(|(input, resource)| (input, Some(resource)))?,
        (input, None) => (input, None),
    };
    let (input, (of, no_recursive)) = list_tail(input)?;
    Ok((
        input,
        Statement::ListPermissions(ListPermissions { permissions, resource, of, no_recursive }),
    ))
}

/// `[OF role] [NORECURSIVE]`
fn list_tail(input: Input<'_>) -> Parsed<'_, (Option<Ident>, bool)> {
    let (input, of) = match opt(keyword("OF")).parse(input)? {
        (input, Some(())) => role_name(input).map(|(input, role)| (input, Some(role)))?,
        (input, None) => (input, None),
    };
    let (input, no_recursive) = flag(input, &["NORECURSIVE"])?;
    Ok((input, (of, no_recursive)))
}

fn known_permission(input: &Input<'_>) -> Option<Permission> {
    Permission::ALL.into_iter().find(|permission| input.is_word(permission.name()))
}

fn is_permission(input: &Input<'_>) -> bool {
    input.is_word("ALL") || known_permission(input).is_some()
}

/// `ALL [PERMISSIONS]`, or permissions by name with commas.
fn permissions(input: Input<'_>) -> Parsed<'_, Permissions> {
    if input.is_word("ALL") {
        let (input, _) = flag(input.next(), &["PERMISSIONS"])?;
        return Ok((input, Permissions::All));
    }
    input.expect(Expected::Keyword("ALL"));
    let (input, permissions) = comma_separated(input, PERMISSIONS, permission)?;
    Ok((input, Permissions::Some(permissions)))
}

fn permission(input: Input<'_>) -> Parsed<'_, Permission> {
    match known_permission(&input) {
        Some(permission) => {
            flag(input.next(), &["PERMISSION"]).map(|(input, _)| (input, permission))
        }
        None => expected_one_of(input, &Permission::ALL.map(Permission::name)),
    }
}

/// What a permission is on. The words of this list are no keywords elsewhere: `ON role TO bob` is a table.
fn resource(input: Input<'_>) -> Parsed<'_, Resource> {
    let behind = input.next();
    let named = is_name(&behind) || behind.kind() == Kind::Text;
    if input.is_word("ALL") && named {
        return all_of(behind);
    }
    if input.is_word("KEYSPACE") {
        return keyspace_name(behind)
            .map(|(input, keyspace)| (input, Resource::Keyspace(keyspace)));
    }
    if input.is_word("ROLE") && named {
        return role_name(behind).map(|(input, role)| (input, Resource::Role(role)));
    }
    if input.is_word("FUNCTION") && (named || behind.is_word("token")) {
        let (input, function) = function_name(behind)?;
        let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, type_name)?;
        return Ok((input, Resource::Function(function, arguments)));
    }
    if input.is_word("MBEAN") && behind.kind() == Kind::Text {
        return text("an MBean in quotes")
            .parse(behind)
            .map(|(input, bean)| (input, Resource::Mbean(bean)));
    }
    ["ALL", "KEYSPACE", "ROLE", "FUNCTION"]
        .iter()
        .for_each(|word| input.expect(Expected::Keyword(word)));
    let (input, _) = flag(input, &["TABLE"])?;
    table_name(input).map(|(input, table)| (input, Resource::Table(table)))
}

/// Behind ALL.
fn all_of(input: Input<'_>) -> Parsed<'_, Resource> {
    let behind = input.next();
    if input.is_word("KEYSPACES") {
        return Ok((behind, Resource::AllKeyspaces));
    }
    if input.is_word("ROLES") {
        return Ok((behind, Resource::AllRoles));
    }
    if input.is_word("MBEANS") {
        return Ok((behind, Resource::AllMbeans));
    }
    if input.is_word("TABLES") {
        let (input, ()) = keywords(behind, &["IN", "KEYSPACE"])?;
        return keyspace_name(input)
            .map(|(input, keyspace)| (input, Resource::AllTables(keyspace)));
    }
    if input.is_word("FUNCTIONS") {
        return match flag(behind, &["IN", "KEYSPACE"])? {
            (input, true) => keyspace_name(input)
                .map(|(input, keyspace)| (input, Resource::AllFunctions(Some(keyspace)))),
            (input, false) => Ok((input, Resource::AllFunctions(None))),
        };
    }
    expected_one_of(input, &["KEYSPACES", "TABLES", "ROLES", "FUNCTIONS", "MBEANS"])
}
