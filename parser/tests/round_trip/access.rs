//! Roles, permissions and DESCRIBE.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tholos_grammar::ast::Statement;
use tholos_grammar::ast::access::{
    AlterRole, CreateRole, DropRole, Grant, GrantRole, ListPermissions, ListRoles, Permission,
    Permissions, Resource, Revoke, RevokeRole, RoleOption,
};
use tholos_grammar::ast::describe::{Describe, Described};

use crate::schema::option_value;
use crate::term::{name, qualified_name, text, type_name};

fn role_option() -> BoxedStrategy<RoleOption> {
    prop_oneof![
        text().prop_map(RoleOption::Password),
        text().prop_map(RoleOption::HashedPassword),
        any::<bool>().prop_map(RoleOption::Login),
        any::<bool>().prop_map(RoleOption::Superuser),
        option_value().prop_map(RoleOption::Options),
        option::of(vec(text(), 0..3)).prop_map(RoleOption::AccessToDatacenters),
    ]
    .boxed()
}

fn permissions() -> BoxedStrategy<Permissions> {
    let several = vec(select(&Permission::ALL[..]), 1..4).prop_map(Permissions::Some);
    prop_oneof![Just(Permissions::All), several].boxed()
}

fn resource() -> BoxedStrategy<Resource> {
    prop_oneof![
        Just(Resource::AllKeyspaces),
        name().prop_map(Resource::Keyspace),
        name().prop_map(Resource::AllTables),
        qualified_name().prop_map(Resource::Table),
        Just(Resource::AllRoles),
        name().prop_map(Resource::Role),
        option::of(name()).prop_map(Resource::AllFunctions),
        (qualified_name(), vec(type_name(), 0..3))
            .prop_map(|(name, types)| Resource::Function(name, types)),
        Just(Resource::AllMbeans),
        text().prop_map(Resource::Mbean),
    ]
    .boxed()
}

pub(crate) fn statement() -> BoxedStrategy<Statement> {
    let options = || vec(role_option(), 0..3);
    prop_oneof![
        (any::<bool>(), name(), options()).prop_map(|(if_not_exists, name, options)| {
            Statement::CreateRole(CreateRole { if_not_exists, name, options })
        }),
        (any::<bool>(), name(), options()).prop_map(|(if_exists, name, options)| {
            Statement::AlterRole(AlterRole { if_exists, name, options })
        }),
        (any::<bool>(), name())
            .prop_map(|(if_exists, name)| Statement::DropRole(DropRole { if_exists, name })),
        (name(), name()).prop_map(|(role, to)| Statement::GrantRole(GrantRole { role, to })),
        (name(), name()).prop_map(|(role, from)| Statement::RevokeRole(RevokeRole { role, from })),
        (permissions(), resource(), name()).prop_map(|(permissions, resource, to)| {
            Statement::Grant(Grant { permissions, resource, to })
        }),
        (permissions(), resource(), name()).prop_map(|(permissions, resource, from)| {
            Statement::Revoke(Revoke { permissions, resource, from })
        }),
        Just(Statement::ListUsers),
        (option::of(name()), any::<bool>())
            .prop_map(|(of, no_recursive)| Statement::ListRoles(ListRoles { of, no_recursive })),
        (permissions(), option::of(resource()), option::of(name()), any::<bool>()).prop_map(
            |(permissions, resource, of, no_recursive)| {
                Statement::ListPermissions(ListPermissions {
                    permissions,
                    resource,
                    of,
                    no_recursive,
                })
            }
        ),
    ]
    .boxed()
}

pub(crate) fn describe() -> BoxedStrategy<Describe> {
    let plain = [
        Described::Cluster,
        Described::Keyspaces,
        Described::Tables,
        Described::Types,
        Described::Functions,
        Described::Aggregates,
    ];
    let what = prop_oneof![
        2 => select(plain.to_vec()),
        1 => any::<bool>().prop_map(|full| Described::Schema { full }),
        1 => (any::<bool>(), option::of(name())).prop_map(|(only, name)| Described::Keyspace { only, name }),
        1 => qualified_name().prop_map(Described::Table),
        1 => qualified_name().prop_map(Described::Type),
        1 => qualified_name().prop_map(Described::Function),
        1 => qualified_name().prop_map(Described::Aggregate),
        1 => qualified_name().prop_map(Described::Index),
        1 => qualified_name().prop_map(Described::View),
        3 => qualified_name().prop_map(Described::Any),
    ];
    (what, any::<bool>())
        .prop_map(|(what, with_internals)| Describe { what, with_internals })
        .boxed()
}
