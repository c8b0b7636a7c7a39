//! The MTU of the TUN device: it follows the paths, slowly.

use crate::Time;
use std::time::Duration;

/// IPv6 is gone from a device whose MTU falls below this, and does not come back (RFC 8200 §5).
const LEAST: u16 = 1_280;

/// A smaller value must stand this long: a path that is being verified or replaced is not followed.
const LOWER_AFTER: Duration = Duration::from_secs(1);

/// A larger one this long: connections that found the smaller one do not profit at once, and each
/// change disturbs.
const RAISE_AFTER: Duration = Duration::from_secs(10);

/// The tunnel's MTU: the least of what the paths carry, with a hold-down, never under 1 280. Larger
/// packets than a path carries go over another, or in [parts](crate::parts).
#[derive(Clone, Copy, Default, Debug)]
pub struct TunnelMtu {
    current: Option<u16>,
    wish: Option<Wish>,
}

/// What the paths have been asking for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    mtu: u16,
    /// Since when it is on the same side of the present value.
    since: Time,
}

impl TunnelMtu {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest inner packet that all paths in use carry is `least`; `None` when none is in use,
    /// which changes nothing. Returns the tunnel's MTU, `None` before the first word. The first
    /// word counts at once.
    pub fn update(&mut self, now: Time, least: Option<u16>) -> Option<u16> {
        let Some(least) = least.map(|mtu| mtu.max(LEAST)) else {
            self.wish = None;
            return self.current;
        };
        let current = *self.current.get_or_insert(least);
        if least == current {
            self.wish = None;
            return self.current;
        }
        let wish = match self.wish {
            Some(w) if (w.mtu < current) == (least < current) => Wish {
                // What stood all the time: when raising, the least of it.
                mtu: if least < current { least } else { least.min(w.mtu) },
                since: w.since,
            },
            _ => Wish { mtu: least, since: now },
        };
        self.wish = Some(wish);
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.current = Some(wish.mtu);
            self.wish = None;
        }
        self.current
    }

    /// When [`update`](Self::update) should be called again although nothing changed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let (wish, current) = (self.wish?, self.current?);
        Some(wish.since + if wish.mtu < current { LOWER_AFTER } else { RAISE_AFTER })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn the_first_word_counts_then_lower_after_1_s_and_raise_after_10_s() {
        let mut mtu = TunnelMtu::new();
        assert_eq!(mtu.update(at(0), None), None);
        assert_eq!(mtu.update(at(0), Some(1_436)), Some(1_436));
        assert_eq!(mtu.update(at(10), Some(1_400)), Some(1_436));
        assert_eq!(mtu.poll_timeout(), Some(at(1_010)));
        assert_eq!(mtu.update(at(1_009), Some(1_392)), Some(1_436));
        assert_eq!(mtu.update(at(1_010), Some(1_392)), Some(1_392));
        assert_eq!(mtu.poll_timeout(), None);
        assert_eq!(mtu.update(at(2_000), Some(1_436)), Some(1_392));
        assert_eq!(mtu.update(at(5_000), Some(1_420)), Some(1_392));
        assert_eq!(mtu.update(at(11_999), Some(1_436)), Some(1_392));
        assert_eq!(mtu.update(at(12_000), Some(1_436)), Some(1_420), "the least of ten seconds");
    }

    #[test]
    fn blips_and_paths_that_are_too_small_do_not_move_it() {
        let mut mtu = TunnelMtu::new();
        mtu.update(at(0), Some(1_436));
        for i in 0..100 {
            let least = if i % 2 == 0 { 1_300 } else { 1_436 };
            assert_eq!(mtu.update(at(i * 900), Some(least)), Some(1_436));
        }
        mtu.update(at(100_000), Some(500));
        mtu.update(at(100_500), None);
        assert_eq!(mtu.update(at(101_000), Some(500)), Some(1_436));
        assert_eq!(mtu.update(at(102_000), Some(500)), Some(1_280));
        assert_eq!(mtu.update(at(102_000), Some(700)), Some(1_280));
        assert_eq!(mtu.poll_timeout(), None, "1280 is what 700 asks for, too");
    }
}
