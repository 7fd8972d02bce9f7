//! Completion inside the maps of `WITH replication = {'class': '...'}` and its like, where the grammar sees only texts.

use crate::lex::{self, Kind, Token};

/// An option whose value is a map: its classes, and the keys beside `class`.
struct MapOption {
    name: &'static str,
    classes: &'static [&'static str],
    keys: &'static [&'static str],
}

const OPTIONS: [MapOption; 4] = [
    MapOption {
        name: "replication",
        classes: &["NetworkTopologyStrategy", "SimpleStrategy"],
        keys: &["class", "replication_factor"],
    },
    MapOption {
        name: "compaction",
        classes: &[
            "LeveledCompactionStrategy",
            "SizeTieredCompactionStrategy",
            "TimeWindowCompactionStrategy",
            "UnifiedCompactionStrategy",
        ],
        keys: &[
            "class",
            "compaction_window_size",
            "compaction_window_unit",
            "enabled",
            "fanout_size",
            "max_threshold",
            "min_sstable_size",
            "min_threshold",
            "scaling_parameters",
            "sstable_size_in_mb",
            "target_sstable_size",
            "tombstone_compaction_interval",
            "tombstone_threshold",
        ],
    },
    MapOption {
        name: "compression",
        classes: &["DeflateCompressor", "LZ4Compressor", "SnappyCompressor", "ZstdCompressor"],
        keys: &[
            "chunk_length_in_kb",
            "class",
            "compression_level",
            "enabled",
            "min_compress_ratio",
        ],
    },
    MapOption { name: "caching", classes: &[], keys: &["keys", "rows_per_partition"] },
];

/// What can stand at the end of `statement`, and where it begins, if that is inside such a map or right before one.
pub(super) fn complete(statement: &str) -> Option<(usize, Vec<String>)> {
    let tokens: Vec<Token> = lex::tokens(statement)
        .into_iter()
        .filter(|token| !matches!(token.kind, Kind::Blank | Kind::Comment))
        .collect();
    let text = |index: usize| {
        tokens.get(index).and_then(|token| statement.get(token.span.clone())).unwrap_or_default()
    };
    let last = tokens.len().checked_sub(1)?;
    let find = |name: &str| OPTIONS.iter().find(|option| option.name.eq_ignore_ascii_case(name));
    if text(last) == "=" {
        find(text(last.checked_sub(1)?))?;
        let blank = if statement.ends_with('=') { " " } else { "" };
        return Some((statement.len(), vec![format!("{blank}{{'")]));
    }
    let open = (0..tokens.len()).rev().find(|&index| text(index) == "{")?;
    let closed = (open..tokens.len()).any(|index| text(index) == "}");
    let option = find(text(open.checked_sub(2)?)).filter(|_| !closed && text(open - 1) == "=")?;
    let token = tokens.get(last).filter(|token| token.kind == Kind::Text && !token.is_closed)?;
    let typed = text(last).trim_start_matches('\'');
    let start = token.span.start + 1;
    let (choices, end) = match text(last - 1) {
        "{" | "," => (option.keys, "': "),
        ":" if text(last.checked_sub(2)?).eq_ignore_ascii_case("'class'") => (option.classes, "'"),
        _ => return None,
    };
    let fitting = choices.iter().filter(|choice| super::starts_with(choice, typed));
    Some((start, fitting.map(|choice| format!("{choice}{end}")).collect()))
}
