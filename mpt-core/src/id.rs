//! Newtypes for the things that are numbered.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most paths one peer may have; a path's id fits four bits and a bitmap of 16.
pub const MAX_PATHS: usize = 16;

/// A path of one peer, 0 to 15, in the numbering of the end that sends on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathId(u8);

impl PathId {
    /// Path `id`, or nothing when it is 16 or more.
    #[must_use]
    pub const fn new(id: u8) -> Option<Self> {
        if (id as usize) < MAX_PATHS { Some(Self(id)) } else { None }
    }

    /// All 16 ids.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..MAX_PATHS as u8).map(Self)
    }

    /// As an index into a table of [`MAX_PATHS`] entries.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// This path's bit in a bitmap of paths.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << self.0
    }

    /// As it stands on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A peer of this endpoint, by order of configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u32);

/// A UDP socket of the daemon, named by the daemon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u16);

/// A sending worker of one end, 0 to 15; it owns a packet-number space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WorkerId(u8);

impl WorkerId {
    /// Worker `id`, or nothing when it is 16 or more.
    #[must_use]
    pub const fn new(id: u8) -> Option<Self> {
        if id < 16 { Some(Self(id)) } else { None }
    }

    /// As it stands on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The number of a data packet in its sending worker's space; the first is 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PacketNumber(pub u64);

impl PacketNumber {
    /// The low half, as it stands in the data header.
    #[must_use]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// The number nearest to `self` whose low half is `low`.
    #[must_use]
    pub const fn expand(self, low: u32) -> Self {
        let delta = low.wrapping_sub(self.0 as u32) as i32;
        match self.0.checked_add_signed(delta as i64) {
            Some(n) => Self(n),
            None => Self(low as u64),
        }
    }
}

impl fmt::Display for PacketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A path's share relative to the other paths' weights, 1 to 10 000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Weight(u16);

/// A weight outside 1 to 10 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a weight is a whole number from 1 to 10000, not {0}; {remedy}",
    remedy = match .0 {
        0 => "use `enabled: false` or `mpt-cli path disable` to take a path out of use",
        _ => "only proportions count: 2 and 1 divide as 20000 and 10000 would",
    }
)]
pub struct WeightError(pub u64);

impl Weight {
    /// The weight of a path that was given none.
    pub const DEFAULT: Self = Self(1);

    /// Weight `w`.
    ///
    /// # Errors
    /// When it is 0 or above 10 000.
    pub fn new(w: u64) -> Result<Self, WeightError> {
        match u16::try_from(w) {
            Ok(v @ 1..=10_000) => Ok(Self(v)),
            _ => Err(WeightError(w)),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for Weight {
    type Error = WeightError;
    fn try_from(w: u64) -> Result<Self, WeightError> {
        Self::new(w)
    }
}

impl From<Weight> for u64 {
    fn from(w: Weight) -> Self {
        Self::from(w.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_number_expands_to_the_nearest() {
        let n = |x| PacketNumber(x);
        assert_eq!(n(0).expand(1), n(1));
        assert_eq!(n(0xffff_fff0).expand(5), n(0x1_0000_0005));
        assert_eq!(n(0x1_0000_0005).expand(0xffff_fff0), n(0xffff_fff0));
        assert_eq!(n(3).expand(0xffff_ffff), n(0xffff_ffff), "there is nothing before zero");
    }
}
