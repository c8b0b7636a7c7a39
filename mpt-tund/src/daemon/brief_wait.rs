//! Waiting where the next packet is near.
//!
//! The runtime looks after each descriptor before it sleeps and when it wakes. Between packets that follow each other closely that is
//! some part of what they cost, and of how long they take. So there the loop asks the kernel itself, and the runtime, with all that is
//! not packets, has its turn when none came for a moment, or after the time of a moment.

use mpt_core::Time;
use std::os::fd::RawFd;
use std::time::Duration;

/// A packet is near if the last two were no further apart, and the runtime waits no longer than this for its turn.
const MOMENT: Duration = Duration::from_millis(5);

/// The kernel asks each descriptor in turn. With more than so many the runtime is as fast.
const MOST: usize = 10;

/// Decides where to wait, and waits.
#[derive(Debug)]
pub(super) struct BriefWait {
    asked: Vec<libc::pollfd>,
    /// The last packets came at this time, shortly after those before them, and nobody has waited since.
    near: Option<Time>,
    /// When the runtime had its turn.
    runtime: Time,
}

impl BriefWait {
    pub(super) fn new(now: Time) -> Self {
        Self { asked: Vec::with_capacity(MOST + 1), near: None, runtime: now }
    }

    /// Packets came at `now`; those before them at `before`.
    pub(super) fn on_packets(&mut self, before: Time, now: Time) {
        self.near = (now.since(before) <= MOMENT).then_some(now);
    }

    /// Whether to wait here, this once.
    pub(super) fn is_due(&mut self) -> bool {
        let near = self.near.take();
        let due = near.is_some_and(|now| now.since(self.runtime) < MOMENT);
        if !due {
            self.runtime = near.unwrap_or(self.runtime).max(self.runtime);
        }
        due
    }

    /// Sleeps until one of them is readable, or has an error to tell: which ones. `None` when none was, or something else came.
    pub(super) fn wait(
        &mut self,
        fds: impl Iterator<Item = RawFd>,
    ) -> Option<impl Iterator<Item = bool> + '_> {
        self.asked.clear();
        let ask = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        self.asked.extend(fds.take(MOST + 1).map(ask));
        let count = self.asked.len();
        if count > MOST {
            return None;
        }
        // SAFETY: pointer and length describe `asked`; the kernel writes their `revents` only.
        let n = unsafe {
            libc::poll(self.asked.as_mut_ptr(), count as libc::nfds_t, MOMENT.as_millis() as _)
        };
        (n > 0).then(|| self.asked.iter().map(|fd| fd.revents != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    fn at(ms: u64) -> Time {
        Time::from_millis(1_000 + ms)
    }

    #[test]
    fn it_waits_while_packets_follow_each_other_closely() {
        let mut brief = BriefWait::new(at(0));
        brief.on_packets(at(0), at(20));
        assert!(!brief.is_due(), "a call");
        brief.on_packets(at(20), at(21));
        assert!(!brief.is_due(), "the runtime had no turn for 20 ms");
        brief.on_packets(at(21), at(22));
        assert!(brief.is_due());
        assert!(!brief.is_due(), "nothing came: the runtime's turn");
    }

    #[test]
    fn the_runtime_has_its_turn_all_the_same() {
        let mut brief = BriefWait::new(at(0));
        let mut turns = 0;
        for ms in 1..=1_000 {
            brief.on_packets(at(ms - 1), at(ms));
            turns += u32::from(!brief.is_due());
        }
        assert!((150..=250).contains(&turns), "{turns}");
    }

    #[test]
    fn it_tells_which_is_readable() {
        let mut brief = BriefWait::new(at(0));
        let ((mut a, mut b), (_c, d)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let fds = [d.as_raw_fd(), b.as_raw_fd()];
        assert!(brief.wait(fds.into_iter()).is_none(), "within a moment");
        a.write_all(&[1]).unwrap();
        let ready: Vec<bool> = brief.wait(fds.into_iter()).unwrap().collect();
        assert_eq!(ready, [false, true]);
        b.read_exact(&mut [0]).unwrap();
        drop(a);
        let ready: Vec<bool> = brief.wait(fds.into_iter()).unwrap().collect();
        assert_eq!(ready, [false, true], "closed");
        assert!(brief.wait(std::iter::repeat_n(d.as_raw_fd(), MOST + 1)).is_none());
    }
}
