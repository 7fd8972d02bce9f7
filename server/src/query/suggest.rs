//! "Did you mean": the known name that a wrong one is nearest to.

/// `, did you mean x`, if one of the names is near enough to be what was meant; else nothing.
pub fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let lower = written.to_lowercase();
    let scored =
        known.into_iter().map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name));
    let best = scored.filter(|(score, _)| *score >= 0.8).max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((_, name)) => format!(", did you mean {name}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["compaction", "compression", "comment"];
        assert_eq!(nearest("compresion", known), ", did you mean compression");
        assert_eq!(nearest("zzz", known), "");
    }
}
