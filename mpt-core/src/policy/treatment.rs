//! What is done with a packet, as its class and the paths are now.

use super::{ClassPatience, FlowOrder};
use crate::PathId;

/// Where a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Route {
    /// Where the scheduler says.
    #[default]
    Spread,
    /// By the fastest path.
    Fastest,
    /// By the two fastest paths.
    Duplicate,
    /// By this one.
    Pinned(PathId),
}

/// Which packets are protected by parity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protection {
    /// None.
    #[default]
    None,
    /// Those on paths that lose some at random, as far as there is room.
    Lossy,
    /// All.
    All,
}

/// A [`Class`](super::Class) whose path was looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Treatment {
    /// Where it goes.
    pub route: Route,
    /// Whether it is protected by parity.
    pub protection: Protection,
    /// Whether its flow's order is kept.
    pub order: FlowOrder,
    /// How long after its first sending it may still be of use.
    pub patience: Option<ClassPatience>,
}
