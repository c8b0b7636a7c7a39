//! By what is measured: when would a packet arrive, and what does its flow need?
//!
//! **Sparse flows** go where they arrive first: base delay, jitter and predicted queue decide.
//!
//! **Backlogged flows** stay on the fastest path until something stands in its queue. From then on each
//! packet goes to the fastest path whose predicted queue is short, and where there is none, to where the
//! least waits; where that is more than enough everywhere, it waits here if a path lacks nothing but tokens. So
//! a load that one path carries leaves the others nearly idle; more fills one after the other; and too much makes all queues equally long, which spreads it at the paths' delivery rates. Delay
//! differences do not count there: a congestion-controlled flow never queues for as long as a slow
//! path takes, and restored order gives it one steady, longer round trip instead. Weights are a bias: of two
//! paths that are full, the one of twice the weight is kept at twice the queue.
//!
//! **The floor.** A path that is much slower or loses much more than the fastest one may cost a flow more than it
//! brings. Such a path is used when the load is not of the kind that yields (the fastest path has been
//! overflowing for longer than any congestion control keeps that up), or is of the kind that does not
//! mind (a queue stands there and stays short). And whatever the paths, when all of them together deliver less than
//! the best one could alone, it is tried whether more comes while the slowest one [rests](super::floor).
//!
//! **Small and fast.** A path that is faster than the strongest one, but next to nothing beside it, is left to sparse flows.
//!
//! **Flows that nobody answers.** What costs a flow a longer round trip or a loss costs a stream nothing from whose receiver
//! nothing comes back: it has no round trip, and cannot yield. It is spread over any path as soon as the faster ones have
//! something waiting, before anything overflows.

mod admission;
mod follow;
mod lane;

use super::floor::Floor;
use super::flow_table::{FlowTable, Kind};
use super::waits::Waits;
use super::{PathView, Tokens};
use crate::id::MAX_PATHS;
use crate::{PathId, Time};
use lane::Lane;
use std::time::Duration;

/// Once packets were spread, they are until the fastest path alone has sufficed for this long.
const CALM: Duration = Duration::from_millis(300);

/// A predicted queue this many times as long as one that stands is not waited for to be measured.
const BURST: u32 = 4;

/// A call waits for its late packets, and so do those behind them: one in forty comes later by more than so many deviations.
const TAIL: i64 = 2;

/// With so much in its queue a path whose limit is known, or that shows it late as it has jitter, gets nothing more while another one may have
/// something soon: all that those may not have yet would go there, and be lost.
const MORE_THAN_ENOUGH: Duration = Duration::from_millis(60);

/// A path that brings no more than this part of the fastest is not worth that a burst waits for it.
const WEAK_PART: u64 = 3;

/// A burst is no longer than this.
const LONGEST_BURST: Duration = Duration::from_millis(150);

/// What is later by less than this is not.
const NOT_LONGER: Duration = Duration::from_millis(5);

/// A flow is unanswered when nothing came back for so long at least since that is looked for.
const WATCHED: Duration = Duration::from_millis(700);

/// A delay that was measured so long ago is none: clocks drift (100 ppm: 6 ms), and what was taken for the path's own delay
/// may have been a queue that nothing has been sent through since.
const BELIEVED: Duration = Duration::from_secs(60);

/// Of a path that carries much its queue is told anew within this time, …
const OFTEN_TOLD: Duration = Duration::from_millis(40);

/// … of one that carries anything at all within this, …
const TOLD_EACH: Duration = Duration::from_millis(100);

/// … else a probe tells of it after so long at the latest, …
const ASKED_WITHIN: Duration = Duration::from_millis(500);

/// … and again each time before this.
const PROBED_EACH: Duration = Duration::from_secs(5);

/// A round trip takes longer than the shortest one by so many deviations of a way's jitter, without any queue.
const ROUND_TRIP_JITTERS: u32 = 4;

/// With nothing known at all a path takes 10 Mbit/s, bytes a second.
const UNKNOWN: u64 = 1_250_000;

/// By what is measured; how, is said at the top of its file.
#[derive(Clone, Debug, Default)]
pub struct Adaptive {
    flows: FlowTable,
    lanes: [Lane; MAX_PATHS],
    /// Backlogged flows are spread until then, if nothing more passes the fastest path by.
    spread_until: Time,
    /// The path where a packet arrives first while nothing waits.
    fastest: Option<PathId>,
    /// The paths known, and those that may be spread over, by bits.
    known: u16,
    eligible: u16,
    /// Those of them that bring little.
    minor: u16,
    /// Those that are fast, but too small for backlogged flows.
    small: u16,
    /// Since when answers have been looked for, while some paths are not for everybody.
    watching_since: Option<Time>,
    /// Since when the fastest path's queue has been standing and short.
    modest_since: Option<Time>,
    delivered: u64,
    /// Some path was in others' way until a moment before this.
    costly_until: Time,
    floor: Floor,
    waits: Waits,
}

/// What a flow is spread over.
#[derive(Clone, Copy, Debug)]
struct Over {
    /// By bits.
    paths: u16,
    /// Those of them that only get what would not arrive later by them.
    minor: u16,
    /// Whether it slows down for what waits.
    yields: bool,
    /// Whether it has only begun: what it waits for the fastest path counts against that.
    young: bool,
}

impl Adaptive {
    /// Picks among those of `all` paths that `fit` one for a packet of `len` outer bytes.
    #[inline]
    pub(super) fn pick<'v>(
        &mut self,
        now: Time,
        all: impl Iterator<Item = &'v PathView> + Clone,
        fit: impl Fn(&PathView) -> bool + Copy,
        flow: u64,
        len: usize,
    ) -> Option<PathId> {
        let news = |v: &PathView| {
            self.known & v.id.bit() == 0 || self.lanes[v.id.index()].at != v.estimate.at
        };
        let is_fastest = |s: &Self, v: &&PathView| s.fastest == Some(v.id);
        if all.clone().any(news) || !all.clone().any(|v| is_fastest(self, &v)) {
            self.follow(now, all.clone());
        }
        let paths = all.filter(|v| fit(v));
        let fastest = paths.clone().find(|v| is_fastest(self, v));
        let fastest = fastest.or_else(|| paths.clone().min_by_key(|v| self.cost(v)))?;
        let kind = self.flows.kind(now, flow, len, self.watches(now));
        let stood = match kind {
            Kind::Sparse => Duration::ZERO,
            _ => self.waits.on_tokens(now, fastest.tokens == Tokens::Left),
        };
        let picked = if kind == Kind::Sparse {
            let tail = |v: &PathView| match now.since(v.estimate.at) < BELIEVED {
                true => micros(v.estimate.jitter) * TAIL,
                false => 0,
            };
            let arrives = |v: &&PathView| {
                self.cost(v) + tail(v) + micros(self.queue(now, v) + self.until_tokens(now, v, len))
            };
            paths.clone().min_by_key(arrives)?.id
        } else if fastest.tokens == Tokens::Left
            && (now >= self.spread_until || kind == Kind::Young)
            && !self.bursts(now, fastest)
        {
            fastest.id
        } else {
            let over = match kind {
                Kind::Unanswered => {
                    Over { paths: self.known, minor: 0, yields: false, young: false }
                }
                // It may be over before a slower path has delivered anything.
                Kind::Young => {
                    let others = self.eligible & !fastest.id.bit();
                    Over { paths: self.eligible, minor: others, yields: true, young: true }
                }
                _ => Over { paths: self.eligible, minor: self.minor, yields: true, young: false },
            };
            let sooner = kind == Kind::Busy
                && fastest.tokens == Tokens::Spent
                && stood.max(self.waits.of_this(now)) < self.longer(paths.clone(), fastest);
            match sooner {
                true => fastest.id,
                false => self.spread(now, paths.clone(), fastest, (over, len)),
            }
        };
        // What is to wait will be asked for again.
        if paths.clone().any(|v| v.id == picked && v.tokens == Tokens::Spent) {
            return Some(picked);
        }
        self.flows.count(now, flow, len);
        let lane = &mut self.lanes[picked.index()];
        let byte = if lane.byte == 0 { 256_000_000_000 / UNKNOWN } else { lane.byte };
        lane.idle_at = lane.idle_at.max(now) + Duration::from_nanos((len as u64 * byte) >> 8);
        Some(picked)
    }

    /// Whether answers make a difference, so that they are to be told.
    pub(super) const fn wants_answers(&self) -> bool {
        self.watching_since.is_some()
    }

    /// A packet whose turn it is has been waiting for so long.
    #[inline]
    pub(super) fn on_wait(&mut self, now: Time, waited: Duration, spread: bool) {
        self.waits.on_wait(now, waited, spread);
    }

    /// Whether the flow needs little.
    pub(super) fn is_sparse(&self, now: Time, flow: u64) -> bool {
        self.flows.kind(now, flow, 0, false) == Kind::Sparse
    }

    /// When a packet sent now by this path would arrive, microseconds, beside the other paths.
    pub(super) fn arrives(&self, now: Time, v: &PathView) -> i64 {
        self.lanes[v.id.index()].delay + micros(self.queue(now, v))
    }

    /// A packet came back, of the flow whose hash that way is `flow`.
    pub(super) fn on_answer(&mut self, now: Time, flow: u64) {
        self.flows.on_answer(now, flow);
    }

    /// Whether answers were looked for long enough to miss one.
    fn watches(&self, now: Time) -> bool {
        self.watching_since.is_some_and(|since| now.since(since) >= WATCHED)
    }

    /// The paths over which backlogged flows are spread, by bits: a queue there is theirs.
    pub(super) const fn spreads_over(&self) -> u16 {
        self.eligible & !self.minor
    }

    fn cost(&self, v: &PathView) -> i64 {
        self.lanes[v.id.index()].cost
    }

    fn queue(&self, now: Time, v: &PathView) -> Duration {
        self.lanes[v.id.index()].idle_at.since(now).max(foreign(now, v))
    }

    /// How long the packet whose turn it is would wait for a path without tokens: for its own and what is owed at least, and the longer, the longer it
    /// has been waiting: what a limit is too small for goes by another path.
    fn until_tokens(&self, now: Time, v: &PathView, len: usize) -> Duration {
        let Some(limit) = v.limit.filter(|_| v.tokens == Tokens::Spent) else {
            return Duration::ZERO;
        };
        let bits = len as u64 * 8;
        let own = Duration::from_nanos(
            bits.saturating_mul(1_000_000_000) / limit.bits_per_second().max(1),
        );
        self.waits.of_this(now) + own.max(v.wait)
    }

    /// Whether the fastest path was given far too much at once, by what it is known to deliver.
    fn bursts(&mut self, now: Time, fastest: &PathView) -> bool {
        let e = &fastest.estimate;
        let ours = self.lanes[fastest.id.index()].idle_at.since(now);
        let bursts = e.measured && ours > e.threshold * BURST;
        if bursts {
            self.spread_until = now + CALM;
        }
        bursts
    }

    /// How much longer than by the fastest path a flow waits at least for what goes by another one, where the others bring little beside it. A
    /// burst that the fastest has sent within that time is all there sooner if none of it goes elsewhere: a flow that had to wait for
    /// something comes in such bursts.
    fn longer<'v>(
        &self,
        paths: impl Iterator<Item = &'v PathView>,
        fastest: &PathView,
    ) -> Duration {
        let mut least = micros(LONGEST_BURST);
        for v in paths.filter(|v| v.id != fastest.id && self.eligible & v.id.bit() != 0) {
            let (a, b) = (&fastest.estimate, &v.estimate);
            if !a.measured || !b.measured || b.capacity > a.capacity / WEAK_PART {
                return Duration::ZERO;
            }
            least = least.min(self.cost(v) - self.cost(fastest) + micros(b.jitter) * TAIL);
        }
        let least = Duration::from_micros(least.max(0).unsigned_abs());
        if least < NOT_LONGER { Duration::ZERO } else { least }
    }

    /// Of the paths `over` the fastest of those where next to nothing waits; else where the least does, unless that is more than enough. Then
    /// a flow that can wait does so for a path without tokens, if it comes no later by that; others go where the least waits all the same.
    fn spread<'v>(
        &mut self,
        now: Time,
        paths: impl Iterator<Item = &'v PathView>,
        fastest: &PathView,
        (over, len): (Over, usize),
    ) -> PathId {
        let waits = match over.young {
            true => self.until_tokens(now, fastest, len),
            false => Duration::ZERO,
        };
        let at_fastest = self.cost(fastest) + micros(self.queue(now, fastest) + waits);
        let mut quick: Option<(i64, PathId)> = None;
        let mut spent: Option<(i64, PathId)> = None;
        let mut short: Option<(u64, PathId)> = None;
        let mut full: Option<(u64, PathId)> = None;
        let mut at_full = i64::MAX;
        let eligible = |v: &&PathView| over.paths & v.id.bit() != 0;
        for v in paths.filter(eligible) {
            let (queue, e) = (self.queue(now, v), &v.estimate);
            let arrives = self.cost(v) + micros(queue);
            if over.minor & v.id.bit() != 0 && arrives > at_fastest {
                continue;
            }
            if v.tokens == Tokens::Spent {
                if spent.is_none_or(|(least, _)| self.cost(v) < least) {
                    spent = Some((self.cost(v), v.id));
                }
                continue;
            }
            let level = queue.as_nanos() as u64 / u64::from(v.weight.get());
            let less = |best: Option<(u64, PathId)>| best.is_none_or(|(least, _)| level < least);
            if (e.measured || e.jittery) && queue > e.threshold + MORE_THAN_ENOUGH {
                if less(full) {
                    (full, at_full) = (Some((level, v.id)), arrives);
                }
                continue;
            }
            if queue < e.threshold && quick.is_none_or(|(least, _)| self.cost(v) < least) {
                quick = Some((self.cost(v), v.id));
            }
            if less(short) {
                short = Some((level, v.id));
            }
        }
        let waits = |(cost, _): &(i64, PathId)| full.is_none() || over.yields && *cost <= at_full;
        let id = |(_, id): (u64, PathId)| id;
        let picked = quick.map(|(_, id)| id).or(short.map(id));
        let picked = picked.or(spent.filter(waits).map(|(_, id)| id)).or(full.map(id));
        let picked = picked.unwrap_or(fastest.id);
        if picked != fastest.id {
            self.spread_until = self.spread_until.max(now + CALM);
        }
        picked
    }
}

/// What stands in a path where little or nothing of ours goes: what others put there does not leave for that. It is what was told last;
/// where nothing is told any more, as long as probes take longer, too, which tell of the way back as well.
fn foreign(now: Time, v: &PathView) -> Duration {
    let e = &v.estimate;
    let quiet = now.since(e.at);
    if quiet < OFTEN_TOLD || e.standing <= e.threshold {
        return Duration::ZERO;
    }
    let stands = match e.probed {
        Some((sent, longer)) if sent > e.at + TOLD_EACH && now.since(sent) < PROBED_EACH => {
            e.standing.min(longer.saturating_sub(e.jitter * ROUND_TRIP_JITTERS))
        }
        _ if quiet < ASKED_WITHIN => e.standing,
        _ => return Duration::ZERO,
    };
    stands.saturating_sub(e.threshold)
}

fn micros(d: Duration) -> i64 {
    d.as_micros() as i64
}

#[cfg(test)]
mod tests;
