//! Roles and permissions. `USER` statements read as the `ROLE` statements they abbreviate.

use crate::ast::schema::OptionValue;
use crate::ast::type_name::TypeName;
use crate::ast::{QualifiedName, TableName};
use crate::name::Name;

/// What WITH says of a role.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleOption {
    /// `PASSWORD = '...'`
    Password(String),
    /// `HASHED PASSWORD = '...'`
    HashedPassword(String),
    /// `LOGIN = true`
    Login(bool),
    /// `SUPERUSER = true`
    Superuser(bool),
    /// `OPTIONS = {...}`
    Options(OptionValue),
    /// `ACCESS TO DATACENTERS {...}`; `None` is ALL.
    AccessToDatacenters(Option<Vec<String>>),
}

/// `CREATE ROLE`; `CREATE USER` is a role with LOGIN.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateRole {
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// The role: case is kept where it was quoted.
    pub name: Name,
    /// WITH
    pub options: Vec<RoleOption>,
}

/// `ALTER ROLE`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterRole {
    /// IF EXISTS
    pub if_exists: bool,
    /// The role.
    pub name: Name,
    /// WITH
    pub options: Vec<RoleOption>,
}

/// `DROP ROLE`
#[derive(Clone, Debug, PartialEq)]
pub struct DropRole {
    /// IF EXISTS
    pub if_exists: bool,
    /// The role.
    pub name: Name,
}

/// `GRANT role TO role`
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    /// What is granted.
    pub role: Name,
    /// Who gets it.
    pub to: Name,
}

/// `REVOKE role FROM role`
#[derive(Clone, Debug, PartialEq)]
pub struct RevokeRole {
    /// What is revoked.
    pub role: Name,
    /// Who loses it.
    pub from: Name,
}

/// `GRANT permission ON resource TO role`
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Which permissions.
    pub permissions: Permissions,
    /// On what.
    pub resource: Resource,
    /// Who gets it.
    pub to: Name,
}

/// `REVOKE permission ON resource FROM role`
#[derive(Clone, Debug, PartialEq)]
pub struct Revoke {
    /// Which permissions.
    pub permissions: Permissions,
    /// On what.
    pub resource: Resource,
    /// Who loses it.
    pub from: Name,
}

/// Permissions of GRANT, REVOKE and LIST.
#[derive(Clone, Debug, PartialEq)]
pub enum Permissions {
    /// `ALL [PERMISSIONS]`
    All,
    /// One or more by name.
    Some(Vec<Permission>),
}

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Permission {
    Create,
    Alter,
    Drop,
    Select,
    Modify,
    Authorize,
    Describe,
    Execute,
    Unmask,
    SelectMasked,
}

/// What a permission is on.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// ALL KEYSPACES
    AllKeyspaces,
    /// KEYSPACE k
    Keyspace(Name),
    /// ALL TABLES IN KEYSPACE k
    AllTables(Name),
    /// `[TABLE] t`
    Table(TableName),
    /// ALL ROLES
    AllRoles,
    /// ROLE r
    Role(Name),
    /// `ALL FUNCTIONS [IN KEYSPACE k]`
    AllFunctions(Option<Name>),
    /// FUNCTION f(types)
    Function(QualifiedName, Vec<TypeName>),
    /// ALL MBEANS: parsed so that it can be refused well.
    AllMbeans,
    /// MBEAN '...': parsed so that it can be refused well.
    Mbean(String),
}

/// `LIST ROLES [OF role] [NORECURSIVE]`
#[derive(Clone, Debug, PartialEq)]
pub struct ListRoles {
    /// OF
    pub of: Option<Name>,
    /// NORECURSIVE
    pub no_recursive: bool,
}

/// `LIST permissions [ON resource] [OF role] [NORECURSIVE]`
#[derive(Clone, Debug, PartialEq)]
pub struct ListPermissions {
    /// Which permissions.
    pub permissions: Permissions,
    /// ON
    pub resource: Option<Resource>,
    /// OF
    pub of: Option<Name>,
    /// NORECURSIVE
    pub no_recursive: bool,
}
