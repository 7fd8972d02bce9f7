//! Rules broken on purpose, so that the tests can show that they would notice: those of
//! [`tholos_storage::planted`], as this crate asks for them. Without the feature `planted-bugs` no code of it is left.

/// Whether to break a rule here: `planted!(HintLostOnOverflow)`.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($bug:ident) => {
        tholos_storage::planted::is_planted(tholos_storage::planted::Planted::$bug)
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
