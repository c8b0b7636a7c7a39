//! When to look whether a held packet waits in vain.

use super::paths_in;
use crate::id::MAX_PATHS;
use crate::{PathId, Time};
use std::collections::VecDeque;

/// The deadlines of held packets: one queue per path on which they came. Within a path patience
/// changes slowly, so a queue is in order (where it is not, the later deadline counts).
///
/// Packets that were released stay until they come to the front; a queue has at most as many entries
/// as the ring has slots.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queues: [VecDeque<Deadline>; MAX_PATHS],
    /// Paths whose queues have entries.
    waiting: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Time,
    pub(super) pn: u64,
}

impl Deadlines {
    pub(super) fn push(&mut self, path: PathId, at: Time, pn: u64) {
        let queue = &mut self.queues[path.index()];
        let at = queue.back().map_or(at, |last| last.at.max(at));
        queue.push_back(Deadline { at, pn });
        self.waiting |= path.bit();
    }

    /// The first deadline at or before `now`.
    pub(super) fn due(&self, now: Time) -> Option<(PathId, Deadline)> {
        paths_in(self.waiting)
            .filter_map(|p| self.queues[p.index()].front().map(|&d| (p, d)))
            .filter(|(_, d)| d.at <= now)
            .min_by_key(|(_, d)| d.at)
    }

    /// The first deadline of `path` is moved to `at`.
    pub(super) fn defer(&mut self, path: PathId, at: Time) {
        if let Some(first) = self.queues[path.index()].front_mut() {
            first.at = at;
        }
    }

    /// Forgets packets at the front that are not held any more.
    pub(super) fn prune(&mut self, is_held: impl Fn(u64) -> bool) {
        for path in paths_in(self.waiting) {
            let queue = &mut self.queues[path.index()];
            while queue.front().is_some_and(|d| !is_held(d.pn)) {
                queue.pop_front();
            }
            if queue.is_empty() {
                self.waiting &= !path.bit();
            }
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        paths_in(self.waiting).filter_map(|p| self.queues[p.index()].front().map(|d| d.at)).min()
    }

    /// Gives back memory, when nothing is held.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
