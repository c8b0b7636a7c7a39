//! What a scheduler sees of a path.

use super::Estimate;
use crate::{PathId, Rate, Weight};
use std::time::Duration;

/// How far a path can be relied on, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rank {
    /// It works.
    Preferred,
    /// It answers, but has failed too often lately.
    HeldDown,
    /// It is suspected: nothing may arrive.
    Suspected,
    /// It does not answer. With nothing better, what is sent there is at least not lost for certain: a
    /// queue full of our own traffic can swallow probes.
    Unanswered,
}

impl Rank {
    /// The last rank to resort to for what does not fit the best paths: rather in parts over a path that works
    /// than whole over one that may not. `None` without paths.
    #[must_use]
    pub fn last_resort(views: &[PathView]) -> Option<Self> {
        views.iter().map(|v| v.rank.max(Self::HeldDown)).min()
    }
}

/// What a path's rate limit says now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Tokens {
    /// A packet may go, or there is no limit.
    #[default]
    Left,
    /// Nothing may go for now.
    Spent,
}

/// A path that can carry something. Paths that cannot are not in the slice.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PathView {
    /// Which one.
    pub id: PathId,
    /// Its share.
    pub weight: Weight,
    /// Its rank with `failover`, lower first.
    pub priority: u16,
    /// How far it can be relied on.
    pub rank: Rank,
    /// Largest inner packet that fits, bytes.
    pub mtu: u16,
    /// Smoothed round-trip time.
    pub srtt: Duration,
    /// The rate of its bottleneck, as far as that is known: the limit in force, configured, wished or estimated.
    pub limit: Option<Rate>,
    /// Whether that limit lets a packet go now.
    pub tokens: Tokens,
    /// How long it takes until it does.
    pub wait: Duration,
    /// The least round-trip time of the last minute.
    pub min_rtt: Duration,
    /// What else is estimated of it.
    pub estimate: Estimate,
}
