//! Why a packet is treated as it is.

use serde::{Deserialize, Serialize};

/// What becomes of a packet, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// The packet, in full.
    pub packet: String,
    /// The peer it goes to; none when nobody's `allowed_ips` hold its destination.
    pub peer: Option<String>,
    /// The policies in the order in which they are asked; the last one takes the packet.
    pub tried: Vec<Tried>,
    /// What happens to it now, a line each.
    pub happens: Vec<String>,
}

/// A policy that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// Its number from 1, of those that have one.
    pub number: Option<usize>,
    /// Its name.
    pub name: Option<String>,
    /// As it is written.
    pub policy: String,
    /// Whether it is there without being asked for.
    pub built_in: bool,
    /// Whether it takes the packet.
    pub takes: bool,
    /// Why not, or why.
    pub why: String,
}
