//! Whether a path may be used for backlogged flows, beside the fastest one.

use super::{Adaptive, TAIL, micros};
use crate::Time;
use crate::schedule::PathView;
use std::time::Duration;

/// A path this much slower than the fastest is used for loads only that do not yield, microseconds.
pub(super) const FAR: i64 = 150_000;

/// So is one that loses so much more. What is lost beyond that is seldom all repaired.
pub(super) const LOSSY: f32 = 0.04;

/// One that was tried because nobody knew whether it still does is left alone again when it is found to within so long.
const DOUBTED: Duration = Duration::from_secs(2);

/// No congestion control lets a queue overflow for longer than this.
const UNYIELDING: Duration = Duration::from_millis(1_200);

/// A path once spread over stays so for this long after the last time that packets were spread at all.
const ADMITTED: Duration = Duration::from_secs(5);

/// One that stands, but stays below `SHORT` for `MODEST`, is that of a sender which measures the path and does not
/// mind a loss.
const MODEST: Duration = Duration::from_millis(1_000);

/// See [`MODEST`].
pub(super) const SHORT: Duration = Duration::from_millis(50);

/// A flow whose packets wait for this much longer than another path is in arrears has outgrown the fastest, microseconds.
const OUTGROWN: i64 = 20_000;

impl Adaptive {
    /// Whether packets wait here for longer than `v` is longer than the fastest path, its jitter counted.
    pub(super) fn is_outgrown(&self, now: Time, v: &PathView, fastest: &PathView) -> bool {
        let longer = self.cost(v) - self.cost(fastest) + micros(v.estimate.jitter) * TAIL;
        micros(self.waits.longest(now)) > longer + OUTGROWN
    }

    /// A path rests as it would make a flow's round trips longer. Where its packets wait for longer than that by themselves, that is no reason
    /// any more: a window that outgrew the fastest path is not to be cut for want of another one.
    pub(super) fn end_rests<'v>(
        &mut self,
        now: Time,
        paths: impl Iterator<Item = &'v PathView>,
        fastest: &PathView,
    ) {
        for v in paths.filter(|v| v.id != fastest.id) {
            let i = v.id.index();
            if !self.lanes[i].rest.is_over(now) && self.is_outgrown(now, v, fastest) {
                self.lanes[i].rest.end(now);
                self.lanes.iter_mut().for_each(|lane| lane.rest.forget_trial());
                self.floor.call_off();
            }
        }
    }

    /// Whether backlogged flows may be spread over `v` too.
    pub(super) fn helps(&mut self, now: Time, v: &PathView, fastest: &PathView) -> bool {
        let i = v.id.index();
        let lane = &mut self.lanes[i];
        if v.estimate.is_loss_doubted(now) && v.estimate.random_loss > LOSSY {
            lane.doubted = Some(now);
        }
        if lane.doubted.is_some_and(|at| now.since(at) < DOUBTED) && is_lossy(now, v, fastest) {
            // It was tried, and is as it was.
            (lane.doubted, lane.admitted_until) = (None, now);
        }
        let admitted = now < lane.admitted_until;
        if admitted && now < self.spread_until || self.is_admitted(now, v, fastest) {
            self.lanes[i].admitted_until = now + ADMITTED;
            return true;
        }
        admitted
    }

    /// Whether there is reason now to spread over `v`.
    fn is_admitted(&self, now: Time, v: &PathView, fastest: &PathView) -> bool {
        if fastest.estimate.overflowing_since.is_some_and(|at| now.since(at) >= UNYIELDING) {
            return true;
        }
        if !self.lanes[v.id.index()].rest.is_over(now)
            || self.lanes[v.id.index()].delay > self.lanes[fastest.id.index()].delay + FAR
        {
            return false;
        }
        !is_lossy(now, v, fastest)
            || self.modest_since.is_some_and(|since| now.since(since) >= MODEST)
    }
}

fn is_lossy(now: Time, v: &PathView, fastest: &PathView) -> bool {
    v.estimate.loss(now) > fastest.estimate.loss(now) + LOSSY
}
