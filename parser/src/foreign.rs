//! Advice for hands that know SQL: what CQL does not have, or has under another name, in one line each.

use crate::error::Expected;
use crate::input::Input;
use crate::lexer::Kind;

/// Advice by the word found, where the end of a SELECT could have stood.
const CLAUSES: [(&[&str], &str); 7] = [
    (
        &["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "NATURAL"],
        "CQL has no JOIN: read each table, or keep one table per query",
    ),
    (
        &["OFFSET", "FETCH", "SKIP"],
        "CQL has no OFFSET: drivers page by themselves, or go on behind the last key that was read",
    ),
    (&["UNION", "INTERSECT", "EXCEPT", "MINUS"], "CQL has no UNION: send one SELECT for each"),
    (&["HAVING"], "CQL has no HAVING: filter the groups in the program"),
    (&["WINDOW", "QUALIFY"], "CQL has no window functions"),
    (&["FOR"], "CQL has no row locks: IF makes a write conditional"),
    (
        &["WHERE", "GROUP", "ORDER", "PER", "LIMIT", "ALLOW", "BYPASS", "USING"],
        "clauses come in the order WHERE, GROUP BY, ORDER BY, PER PARTITION LIMIT, LIMIT, ALLOW FILTERING, \
         BYPASS CACHE, USING",
    ),
];

/// Advice by the word found, behind a column's type.
const COLUMN_CONSTRAINTS: [(&[&str], &str); 6] = [
    (
        &["NOT", "NULL"],
        "CQL has no NOT NULL: columns of the key always have a value, all others may be null",
    ),
    (&["DEFAULT"], "CQL has no DEFAULT: a column that is not written is null"),
    (
        &["UNIQUE"],
        "CQL has no UNIQUE: only the primary key is, and INSERT ... IF NOT EXISTS keeps it",
    ),
    (
        &["REFERENCES", "FOREIGN", "CONSTRAINT", "CHECK"],
        "CQL has no constraints between columns or tables",
    ),
    (
        &["AUTO_INCREMENT", "AUTOINCREMENT", "IDENTITY", "GENERATED"],
        "CQL has no counters for keys: use a uuid, which uuid() or now() makes",
    ),
    (&["UNSIGNED", "COLLATE", "CHARACTER"], "types in CQL have no attributes"),
];

/// Advice by the first word of what is no statement.
const FIRST_WORDS: [(&[&str], &str); 7] = [
    (&["EXPLAIN", "ANALYZE"], "CQL has no EXPLAIN: TRACING ON shows what a statement does"),
    (
        &["START", "COMMIT", "ROLLBACK", "SAVEPOINT"],
        "CQL has no transactions: BEGIN BATCH ... APPLY BATCH applies writes together, IF makes one conditional",
    ),
    (&["SHOW"], "DESCRIBE TABLES, DESCRIBE KEYSPACES and DESCRIBE TABLE name show the schema"),
    (
        &["REPLACE", "UPSERT", "MERGE"],
        "INSERT and UPDATE both write whether the row is there or not",
    ),
    (&["SET"], "CQL has no variables: options go with a statement or a session"),
    (&["WITH"], "CQL has no WITH queries: send one SELECT after the other"),
    (&["CALL", "EXEC", "EXECUTE"], "CQL has no procedures"),
];

/// Advice on the word found.
pub(crate) fn word(found: &Input<'_>, expected: &[Expected]) -> Option<String> {
    let takes = |keyword| expected.contains(&Expected::Keyword(keyword));
    let of = |table: &[(&[&str], &str)]| {
        let is_it = |words: &[&str]| words.iter().any(|word| found.is_word(word));
        table.iter().find(|(words, _)| is_it(words)).map(|(_, advice)| (*advice).to_string())
    };
    let ends = expected.contains(&Expected::End);
    let advice = match () {
        () if expected.contains(&Expected::Statement) => return of(&FIRST_WORDS),
        () if found.is_word("OR") && takes("AND") => {
            "CQL has no OR: use IN, or one statement for each"
        }
        () if ends && takes("BYPASS") => return of(&CLAUSES),
        () if ends && follows(found, &["ADD", "COLUMN", ANY_WORD]) => {
            "leave COLUMN out: ALTER TABLE t ADD c int"
        }
        () if takes("STATIC") || follows(found, &["PRIMARY", "KEY"]) => {
            return of(&COLUMN_CONSTRAINTS);
        }
        () if found.is_word("NULL") && follows(found, &["IS"]) => {
            "CQL has no IS NULL: nulls are not kept, so they can't be asked for"
        }
        () if follows(found, &["(", "DISTINCT"]) => {
            "CQL has no COUNT(DISTINCT x): SELECT DISTINCT lists partition keys; count them in the program"
        }
        () if found.is_word("DATABASE") && takes("KEYSPACE") => {
            "CQL calls a database a keyspace: write KEYSPACE"
        }
        () if found.is_word("VIEW") && takes("MATERIALIZED") => {
            "CQL has no views but MATERIALIZED VIEW, which is a table of its own"
        }
        () if takes("BATCH") && (found.is_word("TRANSACTION") || found.is_word("WORK")) => {
            "CQL has no transactions: BEGIN BATCH ... APPLY BATCH applies writes together, IF makes one conditional"
        }
        () if found.is_word("VALUES") && expected.contains(&Expected::Symbol("(")) => {
            "INSERT names its columns: INSERT INTO table (a, b) VALUES (1, 2)"
        }
        () if ends && found.is_word("ON") && takes("USING") => {
            "INSERT overwrites what is there: IF NOT EXISTS keeps it"
        }
        () if ends && found.is_word("RETURNING") => {
            "writes return nothing: SELECT what was written"
        }
        () if ends && follows(found, &["DROP", "COLUMN"]) => {
            "leave COLUMN out: ALTER TABLE t DROP c"
        }
        () => return forgotten_table(found, expected),
    };
    Some(advice.to_string())
}

/// Advice on the symbol found.
pub(crate) fn symbol(found: &Input<'_>, expected: &[Expected]) -> Option<String> {
    let takes = |keyword| expected.contains(&Expected::Keyword(keyword));
    let ends = expected.contains(&Expected::End);
    if found.is_symbol("-") && !before(found).ends_with(char::is_whitespace) {
        return hyphenated(found);
    }
    let advice = match () {
        () if found.is_symbol("(") && follows(found, &["FOREIGN", "KEY"]) => {
            "CQL has no constraints between columns or tables"
        }
        () if found.is_symbol("(") && follows(found, &["UNIQUE"]) => {
            "CQL has no UNIQUE: only the primary key is, and INSERT ... IF NOT EXISTS keeps it"
        }
        () if found.is_symbol("(") && takes("STATIC") => {
            "types in CQL have no length: text takes any, decimal and varint any number of digits"
        }
        () if found.is_symbol(",") && ends && takes("BYPASS") && takes("WHERE") => {
            "CQL has no JOIN: a SELECT reads one table"
        }
        () if found.is_symbol(",") && ends && takes("BYPASS") && !takes("LIMIT") => {
            "CQL has no OFFSET: LIMIT takes one number"
        }
        () if found.is_symbol(",") && ends && follows(found, &[")"]) => {
            "INSERT writes one row: send one for each, or all in a batch if they share a partition"
        }
        () if found.is_symbol("*") && follows(found, &["DELETE"]) => {
            "DELETE deletes whole rows unless columns are named: DELETE FROM table WHERE ..."
        }
        () => return None,
    };
    Some(advice.to_string())
}

/// A text that was cut in two by an apostrophe, as in `'O'Brien'`.
pub(crate) fn apostrophe(found: &Input<'_>) -> Option<String> {
    let before = before(found).strip_suffix('\'')?;
    let begin = before.get(before.rfind('\'')?..)?;
    let text = format!("{begin}''{}", found.text());
    (text.len() < 40).then(|| format!("a ' inside text is written twice: {text}...'"))
}

/// `DROP users`: what is dropped has been left out, and it is a table more often than not.
fn forgotten_table(found: &Input<'_>, expected: &[Expected]) -> Option<String> {
    let is_object = ["TABLE", "KEYSPACE", "TYPE"]
        .iter()
        .all(|word| expected.contains(&Expected::Keyword(word)));
    if !is_object || !matches!(found.kind(), Kind::Word | Kind::QuotedName) {
        return None;
    }
    let behind = found.next();
    let stands_alone =
        behind.kind() == Kind::End || [";", "."].iter().any(|it| behind.is_symbol(it));
    let is_altered = ["ADD", "DROP", "RENAME", "WITH"].iter().any(|word| behind.is_word(word));
    let verb = match () {
        () if follows(found, &["DROP"]) && stands_alone => "DROP",
        () if follows(found, &["ALTER"]) && is_altered => "ALTER",
        () if follows(found, &["CREATE"]) && behind.is_symbol("(") => "CREATE",
        () => return None,
    };
    let table = found.source.get(found.token.start as usize..)?;
    let end = table.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '"'));
    let table = table.get(..end.unwrap_or(table.len()))?;
    (table.len() < 100).then(|| format!("did you mean `{verb} TABLE {table}`?"))
}

/// `my-table`
fn hyphenated(found: &Input<'_>) -> Option<String> {
    let before = before(found);
    let begin = before.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let first = before.get(begin.map_or(0, |begin| begin + 1)..)?;
    let behind = found.source.get(found.token.end as usize..)?;
    let end = behind.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let second = behind.get(..end.unwrap_or(behind.len()))?;
    let is_name = |word: &str| word.starts_with(|c: char| c.is_alphabetic());
    (is_name(first) && !second.is_empty() && first.len() + second.len() < 60)
        .then(|| format!("a name with - in it goes in double quotes: \"{first}-{second}\""))
}

/// What stands before the token.
fn before<'a>(found: &Input<'a>) -> &'a str {
    found.source.get(..found.token.start as usize).unwrap_or_default()
}

/// In [`follows`]: whatever word stands there.
const ANY_WORD: &str = "";

/// Whether these words or symbols stand before the token, the last one next to it.
fn follows(found: &Input<'_>, words: &[&str]) -> bool {
    let mut rest = before(found);
    words.iter().rev().all(|word| {
        rest = rest.trim_end();
        if *word == ANY_WORD {
            rest = rest.trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '"'));
            return true;
        }
        let start = rest.len().checked_sub(word.len());
        let Some((head, last)) = start.and_then(|start| rest.split_at_checked(start)) else {
            return false;
        };
        let is_whole = !word.starts_with(char::is_alphabetic)
            || !head.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = head;
        is_whole && last.eq_ignore_ascii_case(word)
    })
}
