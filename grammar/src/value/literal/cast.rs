//! Scalars as CAST AS text shows them: the forms of Cassandra, which are those of Java.
//!
//! ```text
//! float, double   1.0E10, 0.001, 1.0E-4      an exponent below 10^-3 and from 10^7 on, always a digit behind the point
//! inet            0:0:0:0:0:0:0:1            nothing left out; IPv6 addresses that hold an IPv4 one are that one
//! timestamp       2016-10-01T01:02:03.004Z   of any year
//! others          as Value::text has them
//! ```
//!
//! JSON has the same forms, but for a space in timestamps: [`crate::value::json`].

use std::fmt::LowerExp;
use std::net::IpAddr;
use std::str::FromStr;

use super::time;
use crate::types::CqlType;
use crate::value::Value;

impl Value {
    /// The text that CAST makes of this value of type `ty`; parts of collections are as in [`Value::text`].
    pub fn cast_text(&self, ty: &CqlType) -> String {
        match self {
            Value::Float(number) if number.is_finite() => {
                float(*number, (1e-3..1e7).contains(&number.abs()) || *number == 0.0)
            }
            Value::Double(number) if number.is_finite() => {
                float(*number, (1e-3..1e7).contains(&number.abs()) || *number == 0.0)
            }
            Value::Inet(address) => inet(address.to_canonical()),
            Value::Timestamp(ms) => format!("{}Z", time::format_instant(*ms, 'T')),
            other => other.text(ty),
        }
    }
}

/// The shortest digits that read back as the number; of two digits those next to it, where one would do.
fn float<T: LowerExp + std::fmt::Debug + FromStr + PartialEq>(number: T, plain: bool) -> String {
    if plain {
        return format!("{number:?}");
    }
    let shortest = format!("{number:e}");
    let two_digits = format!("{number:.1e}");
    let text =
        if two_digits.parse().is_ok_and(|same: T| same == number) { two_digits } else { shortest };
    text.replace('e', "E")
}

fn inet(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:x}")).join(":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Native;
    use crate::value::literal::parse_text;

    /// What Cassandra 5.0.9 answers.
    #[test]
    fn texts_are_those_of_cassandra() {
        let cases = [
            (Native::Float, "1e10", "1.0E10"),
            (Native::Float, "0.001", "0.001"),
            // Shortest, as Java prints it since 19; earlier ones append a 2.
            (Native::Float, "123456789", "1.2345679E8"),
            (Native::Float, "9999999", "9999999.0"),
            (Native::Float, "1.4e-45", "1.4E-45"),
            (Native::Float, "3.4e38", "3.4E38"),
            (Native::Float, "NaN", "NaN"),
            (Native::Double, "-0.0", "-0.0"),
            (Native::Double, "1e-5", "1.0E-5"),
            (Native::Double, "1e7", "1.0E7"),
            (Native::Double, "4.9e-324", "4.9E-324"),
            (Native::Double, "2.2250738585072014E-308", "2.2250738585072014E-308"),
            (Native::Double, "-Infinity", "-Infinity"),
            (Native::Decimal, "1e3", "1E+3"),
            (Native::Inet, "::1", "0:0:0:0:0:0:0:1"),
            (Native::Inet, "fe80::1:0:0:1", "fe80:0:0:0:1:0:0:1"),
            (Native::Inet, "::ffff:1.2.3.4", "1.2.3.4"),
            (Native::Inet, "127.0.0.1", "127.0.0.1"),
            (Native::Timestamp, "1475283723004", "2016-10-01T01:02:03.004Z"),
            (Native::Timestamp, "253402300800000", "+10000-01-01T00:00:00.000Z"),
            (Native::Timestamp, "9223372036854775807", "+292278994-08-17T07:12:55.807Z"),
            (Native::Date, "0", "-5877641-06-23"),
            (Native::Date, "4294967295", "+5881580-07-11"),
            (Native::Time, "1:2:3", "01:02:03.000000000"),
        ];
        for (native, text, expected) in cases {
            let ty = native.into();
            assert_eq!(parse_text(&ty, text).unwrap().cast_text(&ty), expected, "{native} {text}");
        }
        let before_christ = Value::Timestamp(-62_198_755_200_000);
        let text = before_christ.cast_text(&Native::Timestamp.into());
        assert_eq!(text, "-0001-01-01T00:00:00.000Z", "Cassandra leaves the era out");
    }
}
