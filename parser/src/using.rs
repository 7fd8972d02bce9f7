//! `USING a AND b`: attributes of a statement, in any order, each at most once.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::modify::{Using, UsingTerm};
use tholos_grammar::consistency::Consistency;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::term::{duration_or_marker, integer_or_marker, integer_or_null_or_marker};
use crate::token::keyword;

/// What USING can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Timestamp,
    Ttl,
    Timeout,
    Consistency,
}

impl Attribute {
    const ALL: [Attribute; 4] =
        [Attribute::Timestamp, Attribute::Ttl, Attribute::Timeout, Attribute::Consistency];

    fn term(self) -> Option<UsingTerm> {
        match self {
            Attribute::Timestamp => Some(UsingTerm::Timestamp),
            Attribute::Ttl => Some(UsingTerm::Ttl),
            Attribute::Timeout => Some(UsingTerm::Timeout),
            Attribute::Consistency => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Attribute::Timestamp => "TIMESTAMP",
            Attribute::Ttl => "TTL",
            Attribute::Timeout => "TIMEOUT",
            Attribute::Consistency => "CONSISTENCY",
        }
    }
}

/// USING, or nothing. `allowed` is what may stand in this kind of `statement`.
pub(crate) fn attributes<'a>(
    input: Input<'a>,
    statement: &str,
    allowed: &[Attribute],
) -> Parsed<'a, Using> {
    let mut using = Using::default();
    let (mut input, Some(())) = opt(keyword("USING")).parse(input)? else {
        return Ok((input, using));
    };
    loop {
        let (behind, attribute) = attribute(input, statement, allowed)?;
        if is_given(&using, attribute) {
            return input.refuse(format!("{} is given twice", attribute.word()));
        }
        let (behind, ()) = value(behind, attribute, &mut using)?;
        using.order.extend(attribute.term());
        match opt(keyword("AND")).parse(behind)? {
            (behind, Some(())) => input = behind,
            (behind, None) => {
                if using.order.is_sorted() {
                    using.order.clear();
                }
                return Ok((behind, using));
            }
        }
    }
}

fn attribute<'a>(
    input: Input<'a>,
    statement: &str,
    allowed: &[Attribute],
) -> Parsed<'a, Attribute> {
    let Some(found) = Attribute::ALL.into_iter().find(|attribute| input.is_word(attribute.word()))
    else {
        allowed.iter().for_each(|attribute| input.expect(Expected::Keyword(attribute.word())));
        return Err(nom::Err::Error(crate::input::Failed));
    };
    if !allowed.contains(&found) {
        return input.refuse(format!("{statement} takes no {}", found.word()));
    }
    Ok((input.next(), found))
}

fn is_given(using: &Using, attribute: Attribute) -> bool {
    match attribute {
        Attribute::Timestamp => using.timestamp.is_some(),
        Attribute::Ttl => using.ttl.is_some(),
        Attribute::Timeout => using.timeout.is_some(),
        Attribute::Consistency => using.consistency.is_some(),
    }
}

fn value<'a>(input: Input<'a>, attribute: Attribute, using: &mut Using) -> Parsed<'a, ()> {
    let (input, ()) = match attribute {
        Attribute::Timestamp => integer_or_marker(input, "a timestamp in microseconds")
            .map(|(input, term)| (input, using.timestamp = Some(term)))?,
        Attribute::Ttl => integer_or_null_or_marker(input, "a number of seconds")
            .map(|(input, term)| (input, using.ttl = Some(term)))?,
        Attribute::Timeout => {
            duration_or_marker(input).map(|(input, term)| (input, using.timeout = Some(term)))?
        }
        Attribute::Consistency => {
            consistency(input).map(|(input, level)| (input, using.consistency = Some(level)))?
        }
    };
    Ok((input, ()))
}

fn consistency(input: Input<'_>) -> Parsed<'_, Consistency> {
    if input.kind() == Kind::Word
        && let Ok(level) = input.text().parse()
    {
        return Ok((input.next(), level));
    }
    Consistency::ALL.iter().for_each(|level| input.expect(Expected::Keyword(level.name())));
    Err(nom::Err::Error(crate::input::Failed))
}
