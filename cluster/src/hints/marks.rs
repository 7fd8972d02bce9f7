//! Ranges of tokens that were marked, and when: a bounded set. When there would be too many, those that are nearest to
//! each other become one: it may grow to more tokens than were marked, and never loses one.
//!
//! ```text
//! add 10, 12, 900 with room for two:   [10..=12] [900]
//! remove 10..=11:                      [12] [900]
//! ```

use tholos_storage::model::Timestamp;
use tholos_storage::model::token_range::{TokenRanges, TokenSpan};
use tholos_storage::varint::{decode_i64, decode_u64, encode_i64, encode_u64};

/// No mark was made after this, so that there are always later times.
const MAX_TIME: Timestamp = 1 << 60;

/// Marked ranges: they ascend, and no two overlap or touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Vec<Mark>);

/// A marked range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its tokens.
    pub span: TokenSpan,
    /// When the last of it was marked.
    pub at: Timestamp,
}

impl Marks {
    /// The marked ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.0.iter()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is marked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the last mark was made.
    pub fn latest(&self) -> Option<Timestamp> {
        self.0.iter().map(|mark| mark.at).max()
    }

    /// The marked tokens.
    pub fn tokens(&self) -> TokenRanges {
        let spans = self.0.iter().map(|mark| mark.span).collect();
        TokenRanges::of_spans(spans).unwrap_or_else(TokenRanges::all)
    }

    /// Marks a range; there are at most `limit` (at least 1) ranges afterwards.
    pub(super) fn add(&mut self, mark: Mark, limit: usize) {
        let Mark { span: TokenSpan { first, last }, .. } = mark;
        // Those that overlap or touch it become one with it.
        let begin = self.0.partition_point(|other| other.span.last.saturating_add(1) < first);
        let end = self.0.partition_point(|other| other.span.first <= last.saturating_add(1));
        let touched = self.0.get(begin..end).unwrap_or_default();
        let merged = touched.iter().fold(mark, |one, other| joined(one, *other));
        self.0.splice(begin..end.max(begin), [merged]);
        while self.0.len() > limit.max(1) {
            self.join_nearest();
        }
    }

    pub(super) fn add_token(&mut self, token: i64, at: Timestamp, limit: usize) {
        self.add(Mark { span: TokenSpan { first: token, last: token }, at }, limit);
    }

    /// Marks all ranges of another set, at one time.
    pub(super) fn add_all(&mut self, other: &Marks, at: Timestamp, limit: usize) {
        other.0.iter().for_each(|mark| self.add(Mark { at, ..*mark }, limit));
    }

    /// Unmarks those tokens, but in ranges of which something was marked after `up_to`.
    pub(super) fn remove(&mut self, tokens: &TokenRanges, up_to: Timestamp) {
        let mut left = Vec::with_capacity(self.0.len());
        for mark in self.0.drain(..) {
            if mark.at > up_to {
                left.push(mark);
            } else {
                let parts = without(mark.span, tokens).into_iter();
                left.extend(parts.map(|span| Mark { span, ..mark }));
            }
        }
        self.0 = left;
    }

    fn join_nearest(&mut self) {
        let gap = |pair: &[Mark]| match pair {
            [one, other] => other.span.first.wrapping_sub(one.span.last) as u64,
            _ => u64::MAX,
        };
        let nearest = (0..self.0.len() - 1).min_by_key(|at| gap(&self.0[*at..*at + 2]));
        if let Some(at) = nearest {
            let removed = self.0.remove(at + 1);
            self.0[at] = joined(self.0[at], removed);
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_u64(out, self.0.len() as u64);
        for Mark { span, at } in &self.0 {
            [span.first, span.last, *at].into_iter().for_each(|number| encode_i64(out, number));
        }
    }

    pub(super) fn decode(input: &mut &[u8]) -> Option<Marks> {
        let count = decode_u64(input)?;
        let mut marks = Vec::new();
        for _ in 0..count {
            let span = TokenSpan { first: decode_i64(input)?, last: decode_i64(input)? };
            let at = decode_i64(input).filter(|at| *at <= MAX_TIME)?;
            marks.push(Mark { span, at });
        }
        let spans = marks.iter().map(|mark: &Mark| mark.span).collect();
        TokenRanges::of_spans(spans).map(|_| Marks(marks))
    }
}

fn joined(one: Mark, other: Mark) -> Mark {
    let first = one.span.first.min(other.span.first);
    let last = one.span.last.max(other.span.last);
    Mark { span: TokenSpan { first, last }, at: one.at.max(other.at) }
}

/// What is left of a span without some tokens.
fn without(span: TokenSpan, tokens: &TokenRanges) -> Vec<TokenSpan> {
    let mut left = Vec::new();
    let mut first = Some(span.first);
    for gone in tokens.spans() {
        let Some(from) = first.filter(|from| *from <= span.last) else { break };
        if gone.last < from || gone.first > span.last {
            continue;
        }
        if let Some(before) = gone.first.checked_sub(1).filter(|before| *before >= from) {
            left.push(TokenSpan { first: from, last: before });
        }
        first = gone.last.checked_add(1);
    }
    if let Some(from) = first.filter(|from| *from <= span.last) {
        left.push(TokenSpan { first: from, last: span.last });
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tholos_storage::model::token_range::TokenRange;

    use super::*;

    fn token() -> impl Strategy<Value = i64> {
        prop_oneof![Just(i64::MIN), -9..10_i64, Just(i64::MAX - 1), Just(i64::MAX)]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(i64, i64),
        Remove(Vec<(i64, i64)>, i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (token(), token()).prop_map(|(a, b)| Step::Add(a.min(b), a.max(b))),
            1 => (prop::collection::vec((token(), token()), 0..3), 0..30_i64)
                .prop_map(|(ranges, up_to)| Step::Remove(ranges, up_to)),
        ]
    }

    proptest! {
        #[test]
        fn no_mark_is_lost_but_those_that_are_removed_in_time(
            steps in prop::collection::vec(step(), 0..20),
            limit in 1..5_usize,
            probe in token(),
        ) {
            let mut marks = Marks::default();
            // When the probed token was marked last, if it still must be.
            let mut marked = None;
            for (step, now) in steps.into_iter().zip(0..) {
                match step {
                    Step::Add(first, last) => {
                        marks.add(Mark { span: TokenSpan { first, last }, at: now }, limit);
                        prop_assert!(marks.len() <= limit);
                        if first <= probe && probe <= last {
                            marked = Some(now);
                        }
                    }
                    Step::Remove(ranges, up_to) => {
                        let ranges = ranges.into_iter().map(|(start, end)| TokenRange { start, end });
                        let tokens = TokenRanges::of(ranges);
                        marks.remove(&tokens, up_to);
                        if tokens.contains(probe) && marks.latest().is_none_or(|at| at <= up_to) {
                            prop_assert!(!marks.tokens().contains(probe));
                        }
                        if tokens.contains(probe) && marked.is_some_and(|at| at <= up_to) {
                            marked = None;
                        }
                    }
                }
                prop_assert!(marked.is_none() || marks.tokens().contains(probe));
                let mut bytes = Vec::new();
                marks.encode(&mut bytes);
                let mut input = bytes.as_slice();
                prop_assert_eq!(Marks::decode(&mut input), Some(marks.clone()));
                prop_assert!(input.is_empty());
            }
        }

        #[test]
        fn any_bytes_are_marks_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            Marks::decode(&mut bytes.as_slice());
        }
    }

    #[test]
    fn only_what_was_marked_is_marked_while_there_is_room() {
        let mut marks = Marks::default();
        [10, 12, 900, 11].into_iter().for_each(|token| marks.add_token(token, 7, 2));
        let spans: Vec<(i64, i64)> =
            marks.iter().map(|mark| (mark.span.first, mark.span.last)).collect();
        assert_eq!(spans, [(10, 12), (900, 900)]);
        let range = TokenRange { start: 9, end: 11 };
        marks.remove(&TokenRanges::of([range]), 6);
        assert!(marks.tokens().contains(10), "it was marked again since");
        marks.remove(&TokenRanges::of([range]), 7);
        assert!(!marks.tokens().contains(11) && marks.tokens().contains(12));
    }
}
