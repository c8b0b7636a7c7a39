//! Which of an endpoint's workers is at work.

use crate::WorkerId;
use crate::config::WorkerCount;

/// One worker, of so many.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub(super) worker: WorkerId,
    pub(super) of: WorkerCount,
}

impl Share {
    /// Whether it restores the order of the peer's worker `theirs`.
    pub fn serves(self, theirs: usize) -> bool {
        theirs % usize::from(self.of.get()) == usize::from(self.worker.get())
    }
}
