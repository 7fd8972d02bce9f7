//! How many files the process may have open: as many as the system lets it, and which of them are for SSTables.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beside connections and SSTables: the log, what is being written, ports.
const RESERVED: usize = 256;
/// With fewer SSTables open than this, reads of many files open and close them all the time.
const FEW_FILES: usize = 1_024;
/// More are of no use, and each takes some memory of the system.
const MANY_FILES: usize = 1 << 16;

/// Raises the limit of this process as far as it may be raised by itself. How many SSTables may then be open at once,
/// beside so many connections.
pub(crate) fn for_sstables(max_connections: usize) -> usize {
    let limit = raised();
    let wanted = max_connections.saturating_add(RESERVED + FEW_FILES);
    if limit < wanted {
        tracing::warn!(
            limit,
            wanted,
            "few files may be open at once: connections may be refused, and SSTables are closed and opened again. Raise \
             the hard limit (`ulimit -Hn`, or LimitNOFILE of the service), or lower limits.max_connections"
        );
    }
    share(limit)
}

/// Half of what may be open: the rest is for connections and what is written.
fn share(limit: usize) -> usize {
    (limit / 2).clamp(1, MANY_FILES)
}

/// The soft limit, once it is the hard one.
fn raised() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised to the hard limit");
            current
        }
    };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        raised();
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }

    #[test]
    fn half_of_it_is_for_sstables() {
        assert_eq!([1_024, 2, 0, usize::MAX].map(share), [512, 1, 1, MANY_FILES]);
    }
}
