//! What the grammar's parsers run on: a place in the token stream, and a trace of what was expected there.
//!
//! [`Input`] is a small copyable value, so looking ahead is parsing a copy. The current token is lexed once and kept in
//! it. Parsers commit by the first word wherever they can; where one fails, [`Trace`] has what every attempt at the
//! furthest place expected, and that is the error. The nom error itself ([`Failed`]) is therefore empty.

use std::cell::{Cell, RefCell};

use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult};
use smallvec::SmallVec;
use tholos_grammar::span::Span;

use crate::error::{Class, Expected};
use crate::lexer::{Kind, Token, token_at};
use crate::limits::MAX_NESTING;

/// What a parser returns.
pub(crate) type Parsed<'a, O> = IResult<Input<'a>, O, Failed>;

/// A parser failed; the trace knows where and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

impl ParseError<Input<'_>> for Failed {
    fn from_error_kind(_: Input<'_>, _: ErrorKind) -> Self {
        Failed
    }

    fn append(_: Input<'_>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What has been expected at the furthest place, over all attempts.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    furthest: Cell<u32>,
    expected: RefCell<SmallVec<[Expected; 16]>>,
    refusal: RefCell<Option<Refusal>>,
    operators: Cell<u32>,
    steps: Cell<u64>,
}

/// Something that is well-formed but not allowed, so that no other reading is tried.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) class: Class,
}

impl Trace {
    /// Takes the refusal, if there was one.
    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// The furthest place at which something was expected, and what.
    pub(crate) fn furthest(&self) -> (u32, Vec<Expected>) {
        (self.furthest.get(), self.expected.borrow().to_vec())
    }

    /// Tokens lexed so far.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }
}

/// A place in the token stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// The whole source, up to the end of what may be read.
    pub(crate) source: &'a str,
    /// The current token.
    pub(crate) token: Token,
    /// Where the token before it ends.
    behind: u32,
    trace: &'a Trace,
    depth: u16,
    /// Whether terms may name columns here.
    columns: bool,
}

impl<'a> Input<'a> {
    /// The place of the first token at or behind `offset`.
    pub(crate) fn new(source: &'a str, offset: u32, trace: &'a Trace) -> Self {
        trace.steps.set(trace.steps.get() + 1);
        Input {
            source,
            token: token_at(source, offset),
            behind: offset,
            trace,
            depth: 0,
            columns: false,
        }
    }

    /// The current token's kind.
    pub(crate) fn kind(&self) -> Kind {
        self.token.kind
    }

    /// The current token's text.
    pub(crate) fn text(&self) -> &'a str {
        self.source.get(self.token.start as usize..self.token.end as usize).unwrap_or_default()
    }

    /// The place behind the current token.
    pub(crate) fn next(self) -> Self {
        self.trace.steps.set(self.trace.steps.get() + 1);
        Input { token: token_at(self.source, self.token.end), behind: self.token.end, ..self }
    }

    /// Whether terms may name columns here.
    pub(crate) fn has_columns(&self) -> bool {
        self.columns
    }

    /// Runs a parser where terms may name columns, or may not.
    pub(crate) fn with_columns<O>(
        self,
        columns: bool,
        parser: impl FnOnce(Input<'a>) -> Parsed<'a, O>,
    ) -> Parsed<'a, O> {
        let (rest, output) = parser(Input { columns, ..self })?;
        Ok((Input { columns: self.columns, ..rest }, output))
    }

    /// The current token's place in the source.
    pub(crate) fn span(&self) -> Span {
        Span::new(self.token.start, self.token.end)
    }

    /// From the current token to the last one before `end`.
    pub(crate) fn span_to(&self, end: &Input<'_>) -> Span {
        Span::new(self.token.start, end.behind.max(self.token.start))
    }

    /// Whether the current token is this keyword. Looking is no expectation.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.token.kind == Kind::Word && self.text().eq_ignore_ascii_case(word)
    }

    /// Whether the current token is this symbol.
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token.kind, Kind::Symbol(found) if found == symbol)
    }

    /// Whether the next tokens are these keywords.
    pub(crate) fn are_words(self, words: &[&str]) -> bool {
        let mut input = self;
        words.iter().all(|word| {
            let found = input.is_word(word);
            if found {
                input = input.next();
            }
            found
        })
    }

    /// Notes that `expected` could have stood here, without failing.
    pub(crate) fn expect(&self, expected: Expected) {
        let (place, trace) = (self.token.start, self.trace);
        if place < trace.furthest.get() {
            return;
        }
        let mut noted = trace.expected.borrow_mut();
        if place > trace.furthest.get() {
            trace.furthest.set(place);
            noted.clear();
        }
        if !noted.contains(&expected) {
            noted.push(expected);
        }
    }

    /// Fails since `expected` does not stand here.
    pub(crate) fn fail<O>(&self, expected: Expected) -> Parsed<'a, O> {
        self.expect(expected);
        Err(Err::Error(Failed))
    }

    /// Fails for good: what stands at the current token may not.
    pub(crate) fn refuse<O>(&self, message: impl Into<String>) -> Parsed<'a, O> {
        self.refuse_with(message, None)
    }

    /// As [`Input::refuse`], with advice.
    pub(crate) fn refuse_with<O>(
        &self,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Parsed<'a, O> {
        self.refuse_class(message.into(), hint, Class::Syntax)
    }

    /// As [`Input::refuse_with`], for what is CQL and makes no sense whatever the schema: [`Class::Meaning`].
    pub(crate) fn refuse_meaning<O>(
        &self,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Parsed<'a, O> {
        self.refuse_class(message.into(), hint, Class::Meaning)
    }

    fn refuse_class<O>(&self, message: String, hint: Option<&str>, class: Class) -> Parsed<'a, O> {
        let hint = hint.map(str::to_string);
        let (start, end) = (self.token.start, self.token.end);
        self.trace.refusal.replace(Some(Refusal { start, end, message, hint, class }));
        Err(Err::Failure(Failed))
    }

    /// Runs a parser one level deeper, or refuses.
    pub(crate) fn nested<O>(
        self,
        parser: impl FnOnce(Input<'a>) -> Parsed<'a, O>,
    ) -> Parsed<'a, O> {
        if self.depth == 0 {
            self.trace.operators.set(0);
        }
        if self.depth >= MAX_NESTING {
            return self.refuse(format!("nested more than {MAX_NESTING} levels deep"));
        }
        let (rest, output) = parser(Input { depth: self.depth + 1, ..self })?;
        Ok((Input { depth: self.depth, ..rest }, output))
    }

    /// Operators counted so far in the current expression. What stands beside each other in a list does not add up, so
    /// lists put the count back before each element and keep the highest.
    pub(crate) fn operators(&self) -> u32 {
        self.trace.operators.get()
    }

    /// Puts the count of operators back.
    pub(crate) fn set_operators(&self, count: u32) {
        self.trace.operators.set(count);
    }

    /// Counts an operator of the current expression, or refuses.
    pub(crate) fn count_operator(self) -> Parsed<'a, ()> {
        let count = self.trace.operators.get() + 1;
        self.trace.operators.set(count);
        if count > crate::limits::MAX_OPERATORS {
            let limit = crate::limits::MAX_OPERATORS;
            return self.refuse(format!("more than {limit} operators in one expression"));
        }
        Ok((self, ()))
    }
}
