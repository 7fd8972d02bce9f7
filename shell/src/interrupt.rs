//! Ctrl-C: the signal, and what it cancels.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::client::Canceller;

/// The state that the thread that waits for signals shares with the shell.
#[derive(Debug, Default)]
struct Shared {
    raised: AtomicBool,
    target: Mutex<Option<Arc<Canceller>>>,
}

/// A process has one set of signals, so there is one state and one thread, from the first shell on.
static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();

/// Notes interrupts, and cancels the request under way when one comes.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    shared: Arc<Shared>,
}

/// While this lives, an interrupt cancels the request.
#[derive(Debug)]
pub(crate) struct Armed {
    shared: Arc<Shared>,
}

impl Interrupts {
    /// Takes SIGINT over for the rest of the process. Handlers that others registered still run.
    pub(crate) fn install() -> io::Result<Interrupts> {
        if let Some(shared) = SHARED.get() {
            return Ok(Interrupts { shared: Arc::clone(shared) });
        }
        let mut signals = Signals::new([SIGINT])?;
        let shared = Arc::clone(SHARED.get_or_init(Arc::default));
        let raised = Arc::clone(&shared);
        thread::Builder::new().name("interrupts".to_string()).spawn(move || {
            for _ in signals.forever() {
                raised.raise();
            }
        })?;
        Ok(Interrupts { shared })
    }

    /// Whether an interrupt came since the last [`Interrupts::clear`].
    pub(crate) fn is_raised(&self) -> bool {
        self.shared.raised.load(Ordering::Acquire)
    }

    /// Forgets the interrupt: something new begins.
    pub(crate) fn clear(&self) {
        self.shared.raised.store(false, Ordering::Release);
    }

    /// From here on, until the guard is dropped, an interrupt cancels with `canceller`.
    pub(crate) fn arm(&self, canceller: &Arc<Canceller>) -> Armed {
        self.shared.aim(Some(Arc::clone(canceller)));
        if self.is_raised() {
            self.shared.raise();
        }
        Armed { shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(target) = target {
            // A socket that can't be shut down is closed already.
            let _ = target.cancel();
        }
    }

    fn aim(&self, canceller: Option<Arc<Canceller>>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = canceller;
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.shared.aim(None);
    }
}
