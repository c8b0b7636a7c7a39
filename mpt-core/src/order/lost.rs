//! Numbers that are known to be lost, and waited for all the same: they may be sent again.

use crate::Time;
use std::collections::VecDeque;

/// Lost numbers in order, as runs that were found lost at the same time.
#[derive(Debug, Default)]
pub(super) struct Lost {
    runs: VecDeque<Run>,
    /// Everything up to here was looked at.
    seen_through: u64,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    last: u64,
    since: Time,
    give_up_at: Time,
}

impl Lost {
    /// Everything missing up to `through` is lost; `missing` says what is.
    pub(super) fn note(
        &mut self,
        now: Time,
        from: u64,
        through: u64,
        give_up_at: Time,
        missing: impl Fn(u64) -> bool,
    ) {
        // Not given up while an older one is waited for.
        let give_up_at = self.runs.back().map_or(give_up_at, |r| r.give_up_at.max(give_up_at));
        for pn in (self.seen_through + 1).max(from)..=through {
            if !missing(pn) {
                continue;
            }
            match self.runs.back_mut() {
                Some(run) if run.last + 1 == pn && run.since == now => run.last = pn,
                _ => self.runs.push_back(Run { first: pn, last: pn, since: now, give_up_at }),
            }
        }
        self.seen_through = self.seen_through.max(through);
    }

    /// Since when this number is known to be lost.
    pub(super) fn since(&self, pn: u64) -> Option<Time> {
        let i = self.runs.partition_point(|r| r.last < pn);
        self.runs.get(i).filter(|r| r.first <= pn).map(|r| r.since)
    }

    /// Up to which number what is lost is to be given up by now.
    pub(super) fn expired(&mut self, now: Time) -> Option<u64> {
        let mut through = None;
        while let Some(run) = self.runs.front().filter(|r| r.give_up_at <= now) {
            through = Some(run.last);
            self.runs.pop_front();
        }
        through
    }

    /// Forgets runs at the front that are resolved: all below `base`.
    pub(super) fn prune(&mut self, base: u64) {
        while self.runs.front().is_some_and(|r| r.last < base) {
            self.runs.pop_front();
        }
        if self.runs.is_empty() && self.runs.capacity() > 1_024 {
            self.runs = VecDeque::new();
        }
    }

    /// When [`expired`](Self::expired) will have something.
    pub(super) fn next(&self) -> Option<Time> {
        self.runs.front().map(|r| r.give_up_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(t: u64) -> Time {
        Time::from_millis(t)
    }

    #[test]
    fn lost_numbers_are_waited_for_in_order() {
        let mut lost = Lost::default();
        lost.note(ms(1), 1, 10, ms(31), |pn| [3, 4, 7].contains(&pn));
        lost.note(ms(2), 1, 12, ms(20), |pn| [3, 4, 7, 12].contains(&pn));
        assert_eq!(
            (lost.since(4), lost.since(5), lost.since(12)),
            (Some(ms(1)), None, Some(ms(2)))
        );
        assert_eq!((lost.expired(ms(30)), lost.next()), (None, Some(ms(31))));
        lost.prune(5);
        assert_eq!(lost.since(4), None);
        assert_eq!(
            (lost.expired(ms(31)), lost.next()),
            (Some(12), None),
            "not before an older one"
        );
    }
}
