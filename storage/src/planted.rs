//! Rules broken on purpose, so that the tests can show that they would notice.
//!
//! Only with the feature `planted-bugs`, which nothing but tests turns on: without it [`planted!`] is
//! `false` and no code of it is left. What is planted holds for the calling thread alone, so that tests beside it are
//! not disturbed; a test must drive the engine in its own thread.

/// A rule of the reconciliation spec, or of durability, that can be broken.
#[cfg(feature = "planted-bugs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// 4.2: a tombstone is purged although a memtable holds something older that it deletes.
    IgnoreMemtablesWhenPurging,
    /// 2.1: of a tombstone and a value of one timestamp the value stays.
    TieKeepsLiveCell,
    /// 3.5: a reverse walk forgets the range deletion in force where it starts.
    ReverseDropsOpenDeletion,
    /// 6.2: a replay applies records that are in SSTables, or void by a truncation.
    ReplayBelowFlushed,
    /// 2.3: a compaction makes a tombstone of an expired cell.
    ExpiredCellBecomesTombstone,
    /// 4.1: a tombstone is purged before its grace is over.
    PurgeWithoutGrace,
    /// 6.3: a compaction removes its inputs in an edit of its own, before that which adds its outputs.
    RemoveInputsFirst,
    /// The log says that it is durable before it is synced.
    AcknowledgeBeforeSync,
    /// An SSTable counts as finished before it is synced.
    FinishWithoutSync,
    /// The name of a finished SSTable is not made durable.
    FinishWithoutNames,
    /// A start acts on what a process that was killed may not have synced.
    TrustWhatIsRead,
    /// The log goes on after a failed sync as if it had not failed.
    RetryFailedSync,
    /// Paxos: an acceptor does not know after a restart what it promised.
    ForgetPromise,
    /// Paxos: an acceptor does not say what it accepted when it promises.
    ForgetAccepted,
    /// Paxos: an acceptor answers before its state is durable.
    AnswerBeforeSync,
    /// Paxos: one acceptor is enough to decide.
    MinorityDecides,
    /// Metadata log: who proposes an entry is told that it is decided when it is proposed.
    AnswerBeforeDecided,
    /// Metadata log: a ballot counts for members that did not promise it.
    KeepBallotTooLong,
    /// Metadata log: a snapshot counts whatever its epoch.
    OlderSnapshotReplaces,
    /// A hint that there is no room for is forgotten.
    HintLostOnOverflow,
    /// A start does not look into the hints that the last run was writing when it ended.
    HintsLostOnRestart,
    /// A hint that is too old is passed over, and nobody is told.
    HintExpiresUnnoticed,
    /// A hint is taken for one of the table of the hint before it.
    HintOfAnotherTable,
    /// Hints count as delivered when they are sent.
    HintDeliveredWhenSent,
    /// A hint counts as durable before it is synced.
    HintDurableBeforeSync,
    /// What a damaged segment of hints had is not marked.
    DamagedHintsUnnoticed,
    /// A block that does not match its checksum is read all the same.
    IgnoreChecksums,
    /// 4.2: a tombstone is purged although what it deletes may still be on its way in.
    IgnorePurgeHolds,
    /// What several replicas say of keys up to which not all of them got counts too.
    RowsBeyondTheLeastKey,
    /// 4.7: a replica tells of no tombstones, not even of those that others may lack.
    TombstonesLeftOutOfPages,
    /// A replica that was told a limit of rows says that this is all there is; and filters are applied after limits.
    LimitsBeforeFilter,
    /// A replica whose work became too much says that this is all there is.
    SpentPagesAreWhole,
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Planted>> = const { std::cell::Cell::new(None) };
}

/// Breaks a rule in what this thread does from now on; `None` mends it.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Planted>) {
    PLANTED.set(bug);
}

/// Whether this thread is to break that rule.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(bug: Planted) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether to break a rule here: `planted!(TieKeepsLiveCell)`.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_planted($crate::planted::Planted::$bug)
    };
}

/// Whether to break a rule here: never, without the feature.
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

pub(crate) use planted;
