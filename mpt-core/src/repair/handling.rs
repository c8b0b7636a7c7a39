//! What a packet's class asks of repair.

use crate::policy::ClassPatience;
use std::time::Duration;

/// Two bytes beside each packet that is kept: until when it is worth sending again, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Handling(u16);

/// Milliseconds of patience; 0 is no wish.
const PATIENCE: u16 = 0x3fff;
const TWICE: u16 = 0x4000;
const STAYS: u16 = 0x8000;

impl Handling {
    /// Nothing special.
    pub const NONE: Self = Self(0);

    /// What is not at the receiver by then is of no use.
    #[must_use]
    pub fn within(patience: Option<ClassPatience>) -> Self {
        Self(patience.map_or(0, |p| p.millis().min(PATIENCE)))
    }

    /// Sent again, it goes on two paths.
    #[must_use]
    pub const fn twice(self) -> Self {
        Self(self.0 | TWICE)
    }

    /// Sent again, it goes by the path that lost it while that is of use.
    #[must_use]
    pub const fn stays(self) -> Self {
        Self(self.0 | STAYS)
    }

    /// Whether it goes on two paths.
    #[must_use]
    pub const fn is_twice(self) -> bool {
        self.0 & TWICE != 0
    }

    /// Whether it stays on its path.
    #[must_use]
    pub const fn is_staying(self) -> bool {
        self.0 & STAYS != 0
    }

    /// Whether a packet that arrives so long after its first sending is of use.
    #[must_use]
    pub fn allows(self, age: Duration) -> bool {
        match self.0 & PATIENCE {
            0 => true,
            millis => age <= Duration::from_millis(u64::from(millis)),
        }
    }
}
