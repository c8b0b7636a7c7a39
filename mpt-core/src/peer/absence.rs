//! A path that went may be back in a moment.
//!
//! A flow that filled all paths has a window for all of them. Were it made to fit those that are left, it would take seconds until
//! it fills the one that comes back. So for a while more of it may wait.

use crate::Time;
use std::time::Duration;

/// What is away for longer is not waited for, …
const REMEMBERED: Duration = Duration::from_secs(6);

/// … and until then flows may wait for so much longer.
const MORE_WAITS: Duration = Duration::from_millis(60);

/// Watches how many paths are in use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Absence {
    in_use: usize,
    since: Option<Time>,
}

impl Absence {
    /// So many paths are in use now. For how much longer flows may wait.
    pub(super) fn follow(&mut self, now: Time, in_use: usize) -> Duration {
        match in_use.cmp(&std::mem::replace(&mut self.in_use, in_use)) {
            std::cmp::Ordering::Less => self.since = Some(now),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.since = None,
        }
        let lately = self.since.is_some_and(|since| now.since(since) < REMEMBERED);
        if lately { MORE_WAITS } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_waits_until_the_path_is_back_or_forgotten() {
        let mut absence = Absence::default();
        let mut at =
            |second: u64, in_use| absence.follow(Time::from_millis(second * 1_000), in_use);
        assert_eq!([at(1, 1), at(2, 3), at(3, 3)], [Duration::ZERO; 3]);
        assert_eq!([at(4, 2), at(5, 2), at(9, 2)], [MORE_WAITS; 3]);
        assert_eq!([at(10, 2), at(11, 2)], [Duration::ZERO; 2], "forgotten");
        assert_eq!([at(12, 1), at(13, 2), at(14, 2)], [MORE_WAITS, Duration::ZERO, Duration::ZERO]);
    }
}
