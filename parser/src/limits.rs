//! Limits on what one statement may be. Each is refused with an error that names it.

/// Bytes of a statement: the largest body of a frame that Cassandra takes by default.
pub const MAX_STATEMENT_BYTES: usize = 16 * 1024 * 1024;

/// How deep terms, selectors, types and parentheses may nest.
pub const MAX_NESTING: u16 = 64;

/// Operators, subscripts and fields in one expression. Each of them makes the tree one level higher.
pub const MAX_OPERATORS: u32 = 256;

/// Relations of one WHERE, or conditions of one IF.
pub const MAX_RELATIONS: usize = 1_000;

/// Elements of a collection literal or of an IN list, and arguments of a function.
pub const MAX_ELEMENTS: usize = 65_535;

/// Statements of a batch.
pub const MAX_BATCH_STATEMENTS: usize = 65_535;

/// Columns of a table, of an INSERT or of a select list.
pub const MAX_COLUMNS: usize = 65_535;
