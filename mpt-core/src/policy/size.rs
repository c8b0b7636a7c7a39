//! Packet sizes.

use super::BadPolicy;
use std::fmt;
use std::str::FromStr;

/// Sizes of inner IP packets in bytes, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeRange {
    least: u16,
    most: u16,
}

impl SizeRange {
    /// Up to `most` bytes.
    #[must_use]
    pub const fn up_to(most: u16) -> Self {
        Self { least: 0, most }
    }

    /// From `least` to `most` bytes; nothing when that is the wrong way round.
    #[must_use]
    pub const fn new(least: u16, most: u16) -> Option<Self> {
        if least <= most { Some(Self { least, most }) } else { None }
    }

    /// Whether a packet of `bytes` is one of them.
    #[must_use]
    pub const fn contains(self, bytes: u16) -> bool {
        self.least <= bytes && bytes <= self.most
    }

    /// Whether there are packets of so many bytes or more among them.
    #[must_use]
    pub const fn reaches(self, bytes: u16) -> bool {
        bytes <= self.most
    }
}

impl fmt::Display for SizeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => least.fmt(f),
            (0, most) => write!(f, "..{most}"),
            (least, u16::MAX) => write!(f, "{least}.."),
            (least, most) => write!(f, "{least}..{most}"),
        }
    }
}

impl FromStr for SizeRange {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let bad = |why: &str| {
            BadPolicy(format!(
                "expected bytes of a packet such as ..200, 100..500 or 1000..; found `{text}`{why}"
            ))
        };
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let bytes = |part: &str, default| match part {
            "" if text.contains("..") => Ok(default),
            _ => part.trim().parse().map_err(|_| bad(" (0 to 65535)")),
        };
        let (least, most) = (bytes(least, 0)?, bytes(most, u16::MAX)?);
        Self::new(least, most).ok_or_else(|| bad(&format!("; write {most}..{least}")))
    }
}
