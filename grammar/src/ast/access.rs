//! Roles and permissions. `USER` statements read as the `ROLE` statements they abbreviate.

use crate::ast::ident::Ident;
use crate::ast::schema::OptionValue;
use crate::ast::type_name::TypeName;
use crate::ast::{QualifiedName, TableName};

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
    pub if_not_exists: bool,
    /// The role: case is kept where it was quoted.
    pub name: Ident,
    /// WITH
    pub options: Vec<RoleOption>,
}

/// `ALTER ROLE`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterRole {
    pub if_exists: bool,
    /// The role.
    pub name: Ident,
    /// WITH
    pub options: Vec<RoleOption>,
}

/// `DROP ROLE`
#[derive(Clone, Debug, PartialEq)]
pub struct DropRole {
    pub if_exists: bool,
    /// The role.
    pub name: Ident,
}

/// `GRANT role TO role`
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    /// What is granted.
    pub role: Ident,
    /// Who gets it.
    pub to: Ident,
}

/// `REVOKE role FROM role`
#[derive(Clone, Debug, PartialEq)]
pub struct RevokeRole {
    /// What is revoked.
    pub role: Ident,
    /// Who loses it.
    pub from: Ident,
}

/// `GRANT permission ON resource TO role`
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub permissions: Permissions,
    /// On what.
    pub resource: Resource,
    /// Who gets it.
    pub to: Ident,
}

/// `REVOKE permission ON resource FROM role`
#[derive(Clone, Debug, PartialEq)]
pub struct Revoke {
    pub permissions: Permissions,
    /// On what.
    pub resource: Resource,
    /// Who loses it.
    pub from: Ident,
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
    AllKeyspaces,
    /// KEYSPACE k
    Keyspace(Ident),
    /// ALL TABLES IN KEYSPACE k
    AllTables(Ident),
    /// `[TABLE] t`
    Table(TableName),
    AllRoles,
    /// ROLE r
    Role(Ident),
    /// `ALL FUNCTIONS [IN KEYSPACE k]`
    AllFunctions(Option<Ident>),
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
    pub of: Option<Ident>,
    /// NORECURSIVE
    pub no_recursive: bool,
}

/// `LIST permissions [ON resource] [OF role] [NORECURSIVE]`
#[derive(Clone, Debug, PartialEq)]
pub struct ListPermissions {
    pub permissions: Permissions,
    /// ON
    pub resource: Option<Resource>,
    pub of: Option<Ident>,
    /// NORECURSIVE
    pub no_recursive: bool,
}
