//! How executing a statement ends before it has a result.
//!
//! A request of which nothing was done yet, and which is to be carried out elsewhere or later, has not failed: no client is
//! told of it. So it is no [`QueryError`], and what can only fail says so in its type.
//!
//! ```text
//! plan, bind, change the schema    Result<_, QueryError>
//! evaluate, read, write            Result<_, Halt>
//! the session's steps              Ok(Step::PutOff { .. }) or Err(Failure { error: QueryError, .. })
//! ```

use tholos_grammar::token::Token;
use tholos_storage::StorageError;

use crate::error::QueryError;

/// Why a statement has no result.
#[derive(Debug)]
pub enum Halt {
    /// It failed, as the client is told.
    Failed(QueryError),
    /// Nothing was done: the request is to be carried out elsewhere or later.
    PutOff(PutOff),
}

/// Why a request, of which nothing was done, is to be carried out elsewhere or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOff {
    /// It has to wait for the disk.
    Disk,
    /// It is too long for a thread that serves connections.
    Long,
    /// Memory is full of what is to be flushed.
    NoRoom,
    /// There is no memory for it unpacked, or for its answer, beside others of its client.
    NoMemory,
    /// Another request has a lock that it needs.
    Locked(Token),
}

// Every value of every row comes in a result with one of them.
const _: () = assert!(size_of::<Halt>() == size_of::<QueryError>());

impl Halt {
    /// The error of a request that can't be put off (any more).
    #[must_use]
    pub fn refused(self) -> QueryError {
        match self {
            Halt::Failed(error) => error,
            Halt::PutOff(why) => why.refused(),
        }
    }
}

impl PutOff {
    /// The error of a request that was put off for as long as it may take.
    #[must_use]
    pub fn refused(self) -> QueryError {
        let what = match self {
            PutOff::Disk | PutOff::Long => {
                "no thread was free for the request within the time it may take: nothing was done; send less at a time"
            }
            PutOff::NoRoom => {
                "flushes do not keep up with writes, and there was no room within the time the request may take: nothing was written; slow down and send it again"
            }
            PutOff::NoMemory => {
                "there is no memory for this request and its answer now (memory.requests_mib): nothing was done; read in pages, send less at a time, or try again later"
            }
            PutOff::Locked(_) => {
                "other requests changed the same partition for as long as the request may take: nothing was written; send fewer changes of one partition at a time"
            }
        };
        QueryError::Overloaded(what.to_string())
    }
}

impl From<QueryError> for Halt {
    fn from(error: QueryError) -> Self {
        Halt::Failed(error)
    }
}

impl From<PutOff> for Halt {
    fn from(why: PutOff) -> Self {
        Halt::PutOff(why)
    }
}

impl From<StorageError> for Halt {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::WouldWait { .. } => Halt::PutOff(PutOff::Disk),
            StorageError::WouldTakeLong => Halt::PutOff(PutOff::Long),
            error => Halt::Failed(QueryError::Storage(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_wait_is_put_off_and_what_failed_is_not() {
        let waits = StorageError::WouldWait { file: "t/1.sst".into() };
        assert!(matches!(Halt::from(waits), Halt::PutOff(PutOff::Disk)));
        assert!(matches!(Halt::from(StorageError::WouldTakeLong), Halt::PutOff(PutOff::Long)));
        let failed = StorageError::Unusable("the log".to_string());
        assert!(matches!(Halt::from(failed), Halt::Failed(QueryError::Storage(_))));
    }

    #[test]
    fn a_request_that_was_put_off_for_too_long_is_overload() {
        let causes = [
            PutOff::Disk,
            PutOff::Long,
            PutOff::NoRoom,
            PutOff::NoMemory,
            PutOff::Locked(Token(7)),
        ];
        for why in causes {
            assert!(matches!(Halt::from(why).refused(), QueryError::Overloaded(_)), "{why:?}");
        }
        let failed = Halt::from(QueryError::invalid("no such table"));
        assert!(matches!(failed.refused(), QueryError::Invalid(_)));
    }
}
