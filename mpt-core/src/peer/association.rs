//! What lives as long as the same two processes talk: packet numbers, order, replay windows.
//!
//! Keys change every two minutes without touching any of this. When the peer is restarted its
//! instance id changes, and all of it starts fresh under the first keys of the new instance.

use super::arrivals::Arrivals;
use crate::PacketNumber;
use crate::id::MAX_PATHS;
use crate::order::{OpenPaths, Predecessors, Reorder, ReorderLimits};
use crate::protect::{Protector, Recoverer};
use crate::repair::{Gaps, Pauses, Repairer};
use crate::session::{DATA_WINDOW_WORDS, ReplayWindow};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

/// The random ids of the two processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instances {
    /// Ours.
    pub local: u64,
    /// The peer's.
    pub remote: u64,
}

/// The sending side of one of our workers.
pub struct SendWorker {
    /// Numbers and predecessors.
    pub predecessors: Predecessors,
    /// Which paths may have packets in flight.
    pub open_paths: OpenPaths,
    /// What is kept to be sent again, where both ends repair.
    pub repairer: Option<Box<Repairer>>,
    /// What follows the last packets before pauses, on paths that lose some.
    pub pauses: Pauses,
    /// The block of protected packets, once there was one.
    pub protector: Option<Box<Protector>>,
}

// Up to 16 of each a peer, beside what they allocate as it is needed.
const _: () = assert!(size_of::<SendWorker>() <= 1_280);
const _: () = assert!(size_of::<ReceiveWorker>() <= 16 * 1_024);

impl SendWorker {
    /// Nothing sent yet.
    pub fn new(rng: &mut ChaCha20Rng) -> Self {
        Self {
            predecessors: Predecessors::new(rng.next_u64()),
            open_paths: OpenPaths::new(),
            repairer: None,
            pauses: Pauses::default(),
            protector: None,
        }
    }
}

/// The receiving side of one of the peer's workers.
pub struct ReceiveWorker {
    /// Refuses what was opened before.
    pub replay: ReplayWindow<DATA_WINDOW_WORDS>,
    /// Restores the order.
    pub reorder: Reorder,
    /// What reports tell.
    pub arrivals: Arrivals,
    /// By the peer's path: what has not arrived.
    pub gaps: [Gaps; MAX_PATHS],
    /// Makes lost packets again, once there were protected ones.
    pub recoverer: Option<Box<Recoverer>>,
}

impl ReceiveWorker {
    /// Nothing came yet.
    pub fn new(limits: ReorderLimits) -> Self {
        Self {
            replay: ReplayWindow::new(),
            reorder: Reorder::new(limits),
            arrivals: Arrivals::default(),
            gaps: Default::default(),
            recoverer: None,
        }
    }

    /// The highest packet number that came.
    pub fn highest(&self) -> PacketNumber {
        self.reorder.highest()
    }
}
