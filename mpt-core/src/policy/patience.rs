//! How long a packet is worth something.

use super::BadPolicy;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// From a packet's first sending to when it is of no use any more, in whole milliseconds: 1 ms to 10 s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClassPatience(u16);

/// Beyond this nothing is kept.
const MOST: u16 = 10_000;

impl ClassPatience {
    /// So many milliseconds, if that is within 1 ms to 10 s.
    #[must_use]
    pub const fn from_millis(millis: u16) -> Option<Self> {
        if millis >= 1 && millis <= MOST { Some(Self(millis)) } else { None }
    }

    /// As milliseconds, 1 to 10 000.
    #[must_use]
    pub const fn millis(self) -> u16 {
        self.0
    }

    /// As a time.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl fmt::Display for ClassPatience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

impl FromStr for ClassPatience {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let bad = |why: &str| {
            BadPolicy(format!("expected a duration such as 80ms or 1s; found `{text}`{why}"))
        };
        let (number, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(number), _) => (number, 1),
            (None, Some(number)) => (number, 1_000),
            (None, None) if text.parse::<u32>().is_ok() => return Err(bad(" without a unit")),
            (None, None) => return Err(bad(" (1ms to 10s)")),
        };
        let number: u16 = number.trim().parse().map_err(|_| bad(" (1ms to 10s)"))?;
        let millis = number.checked_mul(factor).and_then(Self::from_millis);
        millis.ok_or_else(|| bad(" (1ms to 10s)"))
    }
}
