//! Pauses in what goes by a path, at the sender.
//!
//! A loss shows by what comes behind it on its path. Behind the last packet before a pause nothing comes: of a call, the next one
//! after 20 ms, when it is too late. So on a path that loses packets a message follows, which is counted in the path
//! sequence and says nothing else; two behind a packet that has no time to lose, where one is likely to be lost.

use super::Handling;
use crate::id::MAX_PATHS;
use crate::order::paths_in;
use crate::{PathId, Time};
use std::time::Duration;

/// A path that carried nothing for this long pauses, …
const PAUSE: Duration = Duration::from_millis(5);

/// … and after a packet that has no time to lose already when this has passed.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// The message may be lost as well.
const AGAIN: Duration = Duration::from_millis(5);

/// Which paths' pauses are followed now, and which ones have begun; of one worker.
///
/// Told by [`watch`](Self::watch) which paths lose packets, and of each packet that goes by [`on_sent`](Self::on_sent); drained with
/// [`poll`](Self::poll) when [`poll_timeout`](Self::poll_timeout) has passed.
#[derive(Debug, Default)]
pub struct Pauses {
    watched: u16,
    twice: u16,
    waiting: u16,
    next: [Time; MAX_PATHS],
    left: [u8; MAX_PATHS],
}

impl Pauses {
    /// Pauses of these paths are followed, by bits; on those in `twice` a message is likely to be lost.
    pub const fn watch(&mut self, watched: u16, twice: u16) {
        self.watched = watched;
        self.twice = twice;
        self.waiting &= watched;
    }

    /// A packet goes by `path`, or a copy of one.
    #[inline]
    pub fn on_sent(&mut self, now: Time, path: PathId, handling: Handling) {
        if self.watched & path.bit() != 0 {
            let urgent = handling.is_urgent();
            // Numbers between packets disturb what is known of jitter, so others have one.
            let left = if urgent && self.twice & path.bit() != 0 { 2 } else { 1 };
            let pause = if urgent { SHORT_PAUSE } else { PAUSE };
            (self.next[path.index()], self.left[path.index()]) = (now + pause, left);
            self.waiting |= path.bit();
        }
    }

    /// Something else follows what went by `path`, until it arrives.
    pub const fn on_marker(&mut self, path: PathId) {
        self.waiting &= !path.bit();
    }

    /// A path whose last packet is to be followed now. To be called until there is none.
    #[must_use]
    pub fn poll(&mut self, now: Time) -> Option<PathId> {
        let path = paths_in(self.waiting).find(|p| self.next[p.index()] <= now)?;
        self.next[path.index()] = now + AGAIN;
        self.left[path.index()] -= 1;
        if self.left[path.index()] == 0 {
            self.waiting &= !path.bit();
        }
        Some(path)
    }

    /// When [`poll`](Self::poll) will have something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        paths_in(self.waiting).map(|p| self.next[p.index()]).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PathId = PathId::new(0).unwrap();
    const B: PathId = PathId::new(5).unwrap();

    fn urgent() -> Handling {
        Handling::NONE.twice()
    }

    fn ms(t: u64) -> Time {
        Time::from_millis(t)
    }

    #[test]
    fn what_was_last_before_a_pause_is_followed() {
        let mut pauses = Pauses::default();
        pauses.on_sent(ms(0), A, Handling::NONE);
        assert_eq!(pauses.poll_timeout(), None, "nobody watches");
        pauses.watch(A.bit() | B.bit(), B.bit());
        pauses.on_sent(ms(0), A, Handling::NONE);
        pauses.on_sent(ms(1), A, Handling::NONE);
        assert_eq!(
            (pauses.poll(ms(5)), pauses.poll_timeout()),
            (None, Some(ms(6))),
            "no pause yet"
        );
        pauses.on_sent(ms(4), B, urgent());
        assert_eq!((pauses.poll(ms(6)), pauses.poll(ms(6))), (Some(A), Some(B)));
        assert_eq!((pauses.poll(ms(6)), pauses.poll_timeout()), (None, Some(ms(11))));
        assert_eq!((pauses.poll(ms(11)), pauses.poll(ms(99))), (Some(B), None));
    }

    #[test]
    fn a_marker_or_a_path_that_loses_no_more_ends_it() {
        let mut pauses = Pauses::default();
        pauses.watch(A.bit() | B.bit(), A.bit());
        pauses.on_sent(ms(0), A, urgent());
        pauses.on_sent(ms(0), B, Handling::NONE);
        assert_eq!(pauses.poll(ms(2)), Some(A));
        pauses.on_marker(A);
        pauses.watch(A.bit(), 0);
        assert_eq!((pauses.poll(ms(9)), pauses.poll_timeout()), (None, None));
    }
}
