//! What a mistyped word was meant to be.

/// The candidate that `text` may have been meant to be: close, and closer than the others.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = text.to_ascii_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    candidates
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_ascii_lowercase()), name))
        // A name of one letter is close to every other such name.
        .filter(|(distance, _)| *distance > 0 && *distance <= limit && *distance < wanted.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The end of a message that suggests `hint`.
pub(crate) fn suggestion(hint: Option<&String>) -> String {
    hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default()
}
