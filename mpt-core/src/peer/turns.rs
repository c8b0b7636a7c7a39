//! Processes of the peer that take turns.

use crate::Time;
use std::time::Duration;

/// A standby takes over now and then; two machines with one key throw each other out all the time: so often …
const OFTEN: u32 = 4;

/// … within so long.
const WITHIN: Duration = Duration::from_secs(30);

/// How often an earlier process of the peer came back of late.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns {
    since: Time,
    count: u32,
}

impl Turns {
    /// One is back. Whether that happens all the time.
    pub fn on_turn(&mut self, now: Time) -> bool {
        if now.since(self.since) >= WITHIN {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count == OFTEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_no_second_machine() {
        let at = Time::from_millis;
        let mut turns = Turns::default();
        assert!(!(1..100u64).any(|n| turns.on_turn(at(n * 10_000))));
        let told: Vec<bool> = (0..6).map(|n| turns.on_turn(at(2_000_000 + n * 400))).collect();
        assert_eq!(told, [false, false, false, true, false, false]);
    }
}
