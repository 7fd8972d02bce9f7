//! Roles and permissions.

use std::fmt;

use crate::ast::access::{
    AlterRole, CreateRole, DropRole, Grant, GrantRole, ListPermissions, ListRoles, Permission,
    Permissions, Resource, Revoke, RevokeRole, RoleOption,
};
use crate::ast::ident::Ident;
use crate::ast::print::{Joined, Quoted, joined, words};

impl fmt::Display for CreateRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE ROLE {}{}", words(self.if_not_exists, "IF NOT EXISTS "), self.name)?;
        role_options(f, &self.options)
    }
}

impl fmt::Display for AlterRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER ROLE {}{}", words(self.if_exists, "IF EXISTS "), self.name)?;
        role_options(f, &self.options)
    }
}

impl fmt::Display for DropRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP ROLE {}{}", words(self.if_exists, "IF EXISTS "), self.name)
    }
}

fn role_options(f: &mut fmt::Formatter<'_>, options: &[RoleOption]) -> fmt::Result {
    if options.is_empty() { Ok(()) } else { write!(f, " WITH {}", Joined(options, " AND ")) }
}

impl fmt::Display for RoleOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleOption::Password(password) => write!(f, "PASSWORD = {}", Quoted(password)),
            RoleOption::HashedPassword(hash) => write!(f, "HASHED PASSWORD = {}", Quoted(hash)),
            RoleOption::Login(login) => write!(f, "LOGIN = {login}"),
            RoleOption::Superuser(superuser) => write!(f, "SUPERUSER = {superuser}"),
            RoleOption::Options(options) => write!(f, "OPTIONS = {options}"),
            RoleOption::AccessToDatacenters(None) => f.write_str("ACCESS TO ALL DATACENTERS"),
            RoleOption::AccessToDatacenters(Some(names)) => {
                f.write_str("ACCESS TO DATACENTERS {")?;
                joined(f, names, ", ", |f, name| Quoted(name).fmt(f))?;
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for GrantRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GRANT {} TO {}", self.role, self.to)
    }
}

impl fmt::Display for RevokeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REVOKE {} FROM {}", self.role, self.from)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GRANT {} ON {} TO {}", self.permissions, self.resource, self.to)
    }
}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REVOKE {} ON {} FROM {}", self.permissions, self.resource, self.from)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Permissions::All => f.write_str("ALL PERMISSIONS"),
            Permissions::Some(permissions) => Joined(permissions, ", ").fmt(f),
        }
    }
}

impl Permission {
    /// All permissions, in the order in which they are listed.
    pub const ALL: [Permission; 10] = [
        Permission::Create,
        Permission::Alter,
        Permission::Drop,
        Permission::Select,
        Permission::Modify,
        Permission::Authorize,
        Permission::Describe,
        Permission::Execute,
        Permission::Unmask,
        Permission::SelectMasked,
    ];

    /// The name as CQL writes it, such as `SELECT_MASKED`.
    pub const fn name(self) -> &'static str {
        match self {
            Permission::Create => "CREATE",
            Permission::Alter => "ALTER",
            Permission::Drop => "DROP",
            Permission::Select => "SELECT",
            Permission::Modify => "MODIFY",
            Permission::Authorize => "AUTHORIZE",
            Permission::Describe => "DESCRIBE",
            Permission::Execute => "EXECUTE",
            Permission::Unmask => "UNMASK",
            Permission::SelectMasked => "SELECT_MASKED",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::AllKeyspaces => f.write_str("ALL KEYSPACES"),
            Resource::Keyspace(keyspace) => write!(f, "KEYSPACE {keyspace}"),
            Resource::AllTables(keyspace) => write!(f, "ALL TABLES IN KEYSPACE {keyspace}"),
            Resource::Table(table) => write!(f, "TABLE {table}"),
            Resource::AllRoles => f.write_str("ALL ROLES"),
            Resource::Role(role) => write!(f, "ROLE {role}"),
            Resource::AllFunctions(None) => f.write_str("ALL FUNCTIONS"),
            Resource::AllFunctions(Some(keyspace)) => {
                write!(f, "ALL FUNCTIONS IN KEYSPACE {keyspace}")
            }
            Resource::Function(function, arguments) => {
                write!(f, "FUNCTION {function}({})", Joined(arguments, ", "))
            }
            Resource::AllMbeans => f.write_str("ALL MBEANS"),
            Resource::Mbean(pattern) => write!(f, "MBEAN {}", Quoted(pattern)),
        }
    }
}

impl fmt::Display for ListRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LIST ROLES")?;
        list_tail(f, &self.of, self.no_recursive)
    }
}

impl fmt::Display for ListPermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LIST {}", self.permissions)?;
        self.resource.iter().try_for_each(|resource| write!(f, " ON {resource}"))?;
        list_tail(f, &self.of, self.no_recursive)
    }
}

fn list_tail(f: &mut fmt::Formatter<'_>, of: &Option<Ident>, no_recursive: bool) -> fmt::Result {
    of.iter().try_for_each(|role| write!(f, " OF {role}"))?;
    f.write_str(words(no_recursive, " NORECURSIVE"))
}
