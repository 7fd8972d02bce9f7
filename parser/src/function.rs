//! CREATE and DROP of functions and aggregates.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{CreateAggregate, CreateFunction, DropFunction};
use tholos_grammar::ast::type_name::TypeName;

use crate::input::{Input, Parsed};
use crate::term::{ARGUMENTS, function_name, term};
use crate::token::{
    enclosed, expected_one_of, if_exists, if_not_exists, keyword, keywords, name, symbol, text,
};
use crate::type_name::type_name;

/// Behind `CREATE [OR REPLACE] FUNCTION`.
pub(crate) fn create_function(input: Input<'_>, or_replace: bool) -> Parsed<'_, CreateFunction> {
    let (input, (if_not_exists, name)) = (if_not_exists, function_name).parse(input)?;
    let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, argument)?;
    let (input, called_on_null) = called_on_null(input)?;
    let (input, (_, returns, _, language, _, body)) = (
        keyword("RETURNS"),
        type_name,
        keyword("LANGUAGE"),
        crate::token::name("a language"),
        keyword("AS"),
        text("the function's body in quotes"),
    )
        .parse(input)?;
    let function = CreateFunction {
        or_replace,
        if_not_exists,
        name,
        arguments,
        called_on_null,
        returns,
        language,
        body,
    };
    Ok((input, function))
}

fn argument(input: Input<'_>) -> Parsed<'_, (Ident, TypeName)> {
    (name("an argument name"), type_name).parse(input)
}

/// `CALLED ON NULL INPUT` or `RETURNS NULL ON NULL INPUT`
fn called_on_null(input: Input<'_>) -> Parsed<'_, bool> {
    if input.is_word("CALLED") {
        return keywords(input, &["CALLED", "ON", "NULL", "INPUT"])
            .map(|(input, ())| (input, true));
    }
    if input.is_word("RETURNS") {
        return keywords(input, &["RETURNS", "NULL", "ON", "NULL", "INPUT"])
            .map(|(input, ())| (input, false));
    }
    expected_one_of(input, &["CALLED", "RETURNS"])
}

/// Behind `DROP FUNCTION` or `DROP AGGREGATE`.
pub(crate) fn drop_function(input: Input<'_>) -> Parsed<'_, DropFunction> {
    let (input, (if_exists, name)) = (if_exists, function_name).parse(input)?;
    if !input.is_symbol("(") {
        let (input, _) = opt(symbol("(")).parse(input)?;
        return Ok((input, DropFunction { if_exists, name, arguments: None }));
    }
    let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, type_name)?;
    Ok((input, DropFunction { if_exists, name, arguments: Some(arguments) }))
}

/// Behind `CREATE [OR REPLACE] AGGREGATE`.
pub(crate) fn create_aggregate(input: Input<'_>, or_replace: bool) -> Parsed<'_, CreateAggregate> {
    let (input, (if_not_exists, name)) = (if_not_exists, function_name).parse(input)?;
    let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, type_name)?;
    let function = crate::token::name("a function name");
    let (input, (_, state_function, _, state_type)) =
        (keyword("SFUNC"), function, keyword("STYPE"), type_name).parse(input)?;
    let (input, final_function) = match opt(keyword("FINALFUNC")).parse(input)? {
        (input, Some(())) => function_or_none(input)?,
        (input, None) => (input, None),
    };
    let (input, initial) = match opt(keyword("INITCOND")).parse(input)? {
        (input, Some(())) => term(input).map(|(input, term)| (input, Some(term)))?,
        (input, None) => (input, None),
    };
    let aggregate = CreateAggregate {
        or_replace,
        if_not_exists,
        name,
        arguments,
        state_function,
        state_type,
        final_function,
        initial,
    };
    Ok((input, aggregate))
}

fn function_or_none(input: Input<'_>) -> Parsed<'_, Option<Ident>> {
    name("a function name").parse(input).map(|(input, name)| (input, Some(name)))
}
