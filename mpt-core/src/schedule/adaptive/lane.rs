//! One path as the scheduler sees it.

use crate::Time;
use crate::schedule::floor::Rest;

/// A path's queue as predicted.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Lane {
    /// Of the estimate this began from.
    pub(super) at: Time,
    /// When all it was given will have left.
    pub(super) idle_at: Time,
    /// Nanoseconds for a byte, times 256.
    pub(super) byte: u64,
    pub(super) delivered: u64,
    /// Spread over until then, if nothing gives more reason for it.
    pub(super) admitted_until: Time,
    /// When it was spread over last because nobody knew whether it still loses what it lost.
    pub(super) doubted: Option<Time>,
    /// One-way delay when empty beyond that of the fastest, microseconds.
    pub(super) delay: i64,
    /// That, and what its losses are worth.
    pub(super) cost: i64,
    pub(super) rest: Rest,
}
