//! Ranges of tokens, as the ring has them: after one token, up to another, and around its end.

use crate::model::position::token_prefix;

/// The tokens after `start` up to and with `end`; from `start` to the end of the ring and from its beginning to `end`
/// if `end` is not greater. Of two equal tokens it is the whole ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRange {
    /// The last token that is not in it.
    pub start: i64,
    /// The last token that is.
    pub end: i64,
}

/// A set of tokens: no two of its spans overlap or touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRanges(Vec<TokenSpan>);

/// Tokens from one to another, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenSpan {
    /// The first.
    pub first: i64,
    /// The last; not before the first.
    pub last: i64,
}

impl TokenRanges {
    /// Every token.
    pub fn all() -> TokenRanges {
        TokenRanges(vec![TokenSpan { first: i64::MIN, last: i64::MAX }])
    }

    /// All tokens of some ranges, in whatever order they come and overlap.
    pub fn of(ranges: impl IntoIterator<Item = TokenRange>) -> TokenRanges {
        let mut spans: Vec<TokenSpan> = ranges.into_iter().flat_map(TokenRange::spans).collect();
        spans.sort_unstable();
        let mut merged: Vec<TokenSpan> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(span.last);
                }
                _ => merged.push(span),
            }
        }
        TokenRanges(merged)
    }

    /// Spans that ascend and neither overlap nor touch; `None` for others.
    pub fn of_spans(spans: Vec<TokenSpan>) -> Option<TokenRanges> {
        let apart = |pair: &[TokenSpan]| match pair {
            [a, b] => a.last.checked_add(1).is_some_and(|after| after < b.first),
            _ => true,
        };
        let sound = spans.iter().all(|span| span.first <= span.last) && spans.windows(2).all(apart);
        sound.then_some(TokenRanges(spans))
    }

    /// Its spans, ascending.
    pub fn spans(&self) -> &[TokenSpan] {
        &self.0
    }

    /// Whether there is no token in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token is in it.
    pub fn contains(&self, token: i64) -> bool {
        let after = self.0.partition_point(|span| span.last < token);
        self.0.get(after).is_some_and(|span| span.first <= token)
    }

    /// Whether any token from `first` to `last`, both inclusive, is in it.
    pub fn touches(&self, first: i64, last: i64) -> bool {
        let after = self.0.partition_point(|span| span.last < first);
        self.0.get(after).is_some_and(|span| span.first <= last)
    }
}

impl TokenSpan {
    /// The keys that have these tokens: `lower..upper`, to the last key if there is no upper bound.
    pub fn keys(self) -> ([u8; 8], Option<[u8; 8]>) {
        (token_prefix(self.first), self.last.checked_add(1).map(token_prefix))
    }
}

impl TokenRange {
    fn spans(self) -> impl Iterator<Item = TokenSpan> {
        let TokenRange { start, end } = self;
        let first = start.checked_add(1);
        let (upper, lower) = if start < end {
            (first.map(|first| TokenSpan { first, last: end }), None)
        } else {
            let upper = first.map(|first| TokenSpan { first, last: i64::MAX });
            (upper, Some(TokenSpan { first: i64::MIN, last: end }))
        };
        upper.into_iter().chain(lower)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> impl Strategy<Value = i64> {
        prop_oneof![
            Just(i64::MIN),
            Just(i64::MIN + 1),
            -3..4_i64,
            Just(i64::MAX - 1),
            Just(i64::MAX)
        ]
    }

    fn is_in(range: TokenRange, token: i64) -> bool {
        let TokenRange { start, end } = range;
        if start < end { start < token && token <= end } else { token > start || token <= end }
    }

    proptest! {
        #[test]
        fn a_set_has_the_tokens_of_its_ranges(
            ranges in prop::collection::vec((tokens(), tokens()), 0..4),
            token in tokens(),
            other in tokens(),
        ) {
            let ranges: Vec<TokenRange> =
                ranges.into_iter().map(|(start, end)| TokenRange { start, end }).collect();
            let set = TokenRanges::of(ranges.iter().copied());
            let expected = ranges.iter().any(|range| is_in(*range, token));
            prop_assert_eq!(set.contains(token), expected);
            prop_assert_eq!(set.touches(token, token), expected);
            prop_assert!(!set.touches(token.min(other), token.max(other)) || !set.is_empty());
            prop_assert_eq!(TokenRanges::of_spans(set.spans().to_vec()), Some(set.clone()));
            let key = token_prefix(token);
            let by_keys = set.spans().iter().any(|span| {
                let (lower, upper) = span.keys();
                lower <= key && upper.is_none_or(|upper| key < upper)
            });
            prop_assert_eq!(by_keys, expected);
        }
    }

    #[test]
    fn equal_ends_are_the_whole_ring() {
        for token in [i64::MIN, 0, i64::MAX] {
            let range = TokenRange { start: token, end: token };
            assert_eq!(TokenRanges::of([range]), TokenRanges::all());
        }
        let touching = vec![TokenSpan { first: 0, last: 1 }, TokenSpan { first: 2, last: 3 }];
        assert_eq!(TokenRanges::of_spans(touching), None);
    }
}
