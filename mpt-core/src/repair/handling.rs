//! What a packet's class asks of repair.

use crate::policy::ClassPatience;
use std::time::Duration;

/// Two bytes beside each packet that is kept: until when it is worth sending again, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Handling(u16);

/// Patience in units of two milliseconds; 0 is no wish.
const PATIENCE: u16 = 0x1fff;
const PARITY: u16 = 0x2000;
const TWICE: u16 = 0x4000;
const STAYS: u16 = 0x8000;

impl Handling {
    /// Nothing special.
    pub const NONE: Self = Self(0);

    /// What is not at the receiver by then is of no use.
    #[must_use]
    pub fn within(patience: Option<ClassPatience>) -> Self {
        Self(patience.map_or(0, |p| p.millis().div_ceil(2).min(PATIENCE)))
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

    /// A parity covers it.
    #[must_use]
    pub const fn protected(self) -> Self {
        Self(self.0 | PARITY)
    }

    /// None does.
    #[must_use]
    pub const fn unprotected(self) -> Self {
        Self(self.0 & !PARITY)
    }

    /// Whether a parity covers it.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        self.0 & PARITY != 0
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

    /// Whether it has no time to lose: with patience, or on two paths.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        self.0 & (PATIENCE | TWICE) != 0
    }

    /// Whether a packet that arrives so long after its first sending is of use.
    #[must_use]
    pub fn allows(self, age: Duration) -> bool {
        match self.0 & PATIENCE {
            0 => true,
            twos => age <= Duration::from_millis(2 * u64::from(twos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_do_not_disturb_one_another() {
        for millis in [1, 2, 79, 10_000] {
            let patience = ClassPatience::from_millis(millis);
            let all = Handling::within(patience).twice().stays().protected();
            assert!(all.is_twice() && all.is_staying() && all.is_protected());
            let alone = Handling::within(patience);
            assert!(all.is_urgent() && alone.is_urgent() && !Handling::NONE.stays().is_urgent());
            assert!(!alone.is_twice() && !alone.is_staying() && !alone.is_protected());
            let limit = Duration::from_millis(u64::from(millis));
            assert!(all.allows(limit) && !all.allows(limit + Duration::from_millis(2)));
        }
        assert!(Handling::NONE.protected().allows(Duration::MAX));
        assert_eq!(Handling::NONE.protected().unprotected(), Handling::NONE);
    }
}
