//! USING of a modification: TIMESTAMP, TTL, TIMEOUT and CONSISTENCY.

use tholos_grammar::ast::modify::{Using, UsingTerm};
use tholos_grammar::consistency::Consistency;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;
use tholos_storage::model::{CellState, Deletion, Liveness, Seconds, Timestamp};
use tholos_storage::schema::Table;

use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::column::ColumnSpec;
use crate::query::expression::{Binder, Evaluated, Expr};
use crate::query::functions::CallContext;
use crate::query::values::Bound;

/// The longest time to live: 20 years, as in Cassandra.
pub const MAX_TTL: i32 = 20 * 365 * 24 * 60 * 60;

/// The last second at which anything can expire: files keep it in 32 bits (2106-02-07T06:28:13Z).
pub const MAX_EXPIRY: Seconds = 4_294_967_293;

/// USING, planned.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attributes {
    /// TIMESTAMP: microseconds, `bigint`.
    pub timestamp: Option<Expr>,
    /// TTL: seconds, `int`.
    pub ttl: Option<Expr>,
    /// TIMEOUT: `duration`.
    pub timeout: Option<Expr>,
    /// CONSISTENCY.
    pub consistency: Option<Consistency>,
}

/// When what one statement writes was written, and until when it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteTime {
    /// Timestamp of everything written.
    pub timestamp: Timestamp,
    /// Time to live in seconds; 0 for none.
    pub ttl: u32,
    /// Seconds since 1970 at the request.
    pub now: Seconds,
}

impl Attributes {
    /// Binds the attributes in the order of their text.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] when one is no value of its type.
    pub fn bind(
        using: &Using,
        receiver: &ColumnSpec,
        binder: &mut Binder<'_>,
    ) -> Result<Attributes, QueryError> {
        let mut attributes = Attributes { consistency: using.consistency, ..Attributes::default() };
        for (which, term) in using.terms() {
            let (slot, name, native) = match which {
                UsingTerm::Timestamp => (&mut attributes.timestamp, "[timestamp]", Native::Bigint),
                UsingTerm::Ttl => (&mut attributes.ttl, "[ttl]", Native::Int),
                UsingTerm::Timeout => (&mut attributes.timeout, "[timeout]", Native::Duration),
            };
            *slot = Some(binder.bind(term, &receiver.part(name, CqlType::Native(native)))?);
        }
        Ok(attributes)
    }

    /// As [`Attributes::bind`], for a statement about one table.
    ///
    /// # Errors
    /// Also [`QueryError::Invalid`] for a timestamp or TTL of counters.
    pub fn bind_for(
        using: &Using,
        table: &Table,
        binder: &mut Binder<'_>,
    ) -> Result<Attributes, QueryError> {
        let receiver = ColumnSpec {
            keyspace: table.keyspace.clone(),
            table: table.name.clone(),
            name: String::new(),
            cql_type: CqlType::Native(Native::Bigint),
        };
        let attributes = Attributes::bind(using, &receiver, binder)?;
        if table.is_counter() && (attributes.timestamp.is_some() || attributes.ttl.is_some()) {
            return Err(QueryError::invalid(format!(
                "cannot provide custom timestamp or TTL for counter updates: {}.{} is a counter table",
                table.keyspace, table.name
            )));
        }
        Ok(attributes)
    }

    /// When the statement writes: `default_timestamp` is that of the request or batch.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a timestamp or time to live out of range.
    pub fn write_time(
        &self,
        table: &Table,
        default_timestamp: Timestamp,
        values: &[Bound<'_>],
        context: CallContext<'_>,
    ) -> Result<WriteTime, Halt> {
        let timestamp = self.timestamp(values, context)?.unwrap_or(default_timestamp);
        let now = context.time.seconds;
        let ttl = self.ttl(table, values, context)?;
        if ttl > 0 && now + Seconds::from(ttl) > MAX_EXPIRY {
            return Err(QueryError::invalid(format!(
                "a write to {}.{} with a TTL of {ttl} seconds would expire after 2106-02-07T06:28:13Z, which can't be kept: use a shorter TTL",
                table.keyspace, table.name
            )).into());
        }
        self.check_timeout(values, context)?;
        Ok(WriteTime { timestamp, ttl, now })
    }

    /// USING TIMESTAMP, if it is given and set.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for null and for a timestamp out of range.
    pub fn timestamp(
        &self,
        values: &[Bound<'_>],
        context: CallContext<'_>,
    ) -> Result<Option<Timestamp>, Halt> {
        let Some(expr) = &self.timestamp else { return Ok(None) };
        match expr.evaluate(values, context)? {
            Evaluated::Unset => Ok(None),
            Evaluated::Null => Err(QueryError::invalid(
                "the timestamp of USING TIMESTAMP is null: give microseconds since 1970",
            )
            .into()),
            Evaluated::Bytes(bytes) => match bytes.as_ref().try_into().map(i64::from_be_bytes) {
                Ok(Timestamp::MIN) => Err(QueryError::invalid(format!(
                    "timestamp {} is out of bounds: use {} to {}",
                    Timestamp::MIN,
                    Timestamp::MIN + 1,
                    Timestamp::MAX
                ))
                .into()),
                Ok(timestamp) => {
                    Ok(Some(context.timestamps.check(timestamp, context.time.micros)?))
                }
                Err(_) => Err(QueryError::invalid(
                    "the timestamp of USING TIMESTAMP is empty: give microseconds since 1970",
                )
                .into()),
            },
        }
    }

    /// The time to live: USING TTL where given and set, else the table's default.
    fn ttl(
        &self,
        table: &Table,
        values: &[Bound<'_>],
        context: CallContext<'_>,
    ) -> Result<u32, Halt> {
        let default = u32::try_from(table.options.default_time_to_live).unwrap_or(0);
        let Some(expr) = &self.ttl else { return Ok(default) };
        let ttl = match expr.evaluate(values, context)? {
            Evaluated::Unset => return Ok(default),
            Evaluated::Null => return Ok(0),
            Evaluated::Bytes(bytes) => bytes.as_ref().try_into().map(i32::from_be_bytes),
        };
        match ttl {
            Ok(ttl @ 0..=MAX_TTL) => Ok(ttl as u32),
            Ok(ttl) if ttl < 0 => Err(QueryError::invalid(format!(
                "a TTL must be greater or equal to 0, but was {ttl}"
            ))
            .into()),
            Ok(ttl) => Err(QueryError::invalid(format!(
                "ttl is too large: requested ({ttl}) maximum ({MAX_TTL}), which is 20 years"
            ))
            .into()),
            Err(_) => {
                Err(QueryError::invalid("the TTL of USING TTL is empty: give seconds").into())
            }
        }
    }

    /// Checks USING TIMEOUT, if it is given and set.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for one that is not positive, or has days or months.
    pub fn check_timeout(
        &self,
        values: &[Bound<'_>],
        context: CallContext<'_>,
    ) -> Result<(), Halt> {
        let Some(expr) = &self.timeout else { return Ok(()) };
        let duration = match expr.evaluate(values, context)? {
            Evaluated::Unset => return Ok(()),
            Evaluated::Null => None,
            Evaluated::Bytes(bytes) => Value::decode(&expr.cql_type, &bytes).ok(),
        };
        match duration {
            Some(Value::Duration(duration))
                if duration.months == 0
                    && duration.days == 0
                    && duration.nanoseconds >= 1_000_000 =>
            {
                Ok(())
            }
            _ => Err(QueryError::invalid(
                "the timeout of USING TIMEOUT must be at least 1ms and use no days or months, such as 500ms or 2s",
            ).into()),
        }
    }
}

impl WriteTime {
    /// The state of a cell with a value.
    pub fn state(&self) -> CellState {
        match self.ttl {
            0 => CellState::Live,
            ttl => CellState::Expiring { expires_at: self.now + Seconds::from(ttl), ttl },
        }
    }

    /// The state of a cell that is deleted.
    pub fn tombstone(&self) -> CellState {
        CellState::Tombstone { deleted_at: self.now }
    }

    /// The liveness of a row that is inserted.
    pub fn liveness(&self) -> Liveness {
        let expires_at = if self.ttl == 0 { 0 } else { self.now + Seconds::from(self.ttl) };
        Liveness { timestamp: self.timestamp, ttl: self.ttl, expires_at }
    }

    /// A deletion of rows, columns or partitions.
    pub fn deletion(&self) -> Deletion {
        Deletion { timestamp: self.timestamp, deleted_at: self.now }
    }

    /// The deletion of earlier elements when a multi-cell column is assigned as a whole: just before the new ones.
    pub fn overwrite(&self) -> Deletion {
        Deletion { timestamp: self.timestamp.saturating_sub(1), deleted_at: self.now }
    }
}
