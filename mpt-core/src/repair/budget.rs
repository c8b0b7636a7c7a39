//! How much may be sent again, so that repair does not feed congestion.

/// Parts of a token that each packet earns, of [`WHOLE`]: one packet in ten may be sent again. That is
/// above the loss of any path worth using, and what is lost beyond it is lost to congestion.
const EARNED: u32 = 10;

/// A packet sent again costs this much.
const WHOLE: u32 = 100;

/// Packets that may be sent again at once: a burst of losses, or what a short stall swallowed.
const BURST: u32 = 200;

/// A bucket of tokens that fills with what is sent.
#[derive(Clone, Copy, Debug)]
pub struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(BURST * WHOLE)
    }
}

impl Budget {
    /// A packet was sent for the first time.
    #[inline]
    pub fn earn(&mut self) {
        self.0 = (self.0 + EARNED).min(BURST * WHOLE);
    }

    /// Whether one may be sent again; it is paid for then.
    pub fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(WHOLE);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_in_ten() {
        let mut b = Budget::default();
        assert_eq!((0..1_000).filter(|_| b.spend()).count(), 200);
        let repaired = (0..10_000).filter(|_| {
            b.earn();
            b.spend()
        });
        assert_eq!(repaired.count(), 1_000);
    }
}
