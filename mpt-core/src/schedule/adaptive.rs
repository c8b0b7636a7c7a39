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

use super::floor::{Cost, Floor, Rest};
use super::flow_table::{FlowTable, Kind};
use super::waits::Waits;
use super::{PathView, Tokens};
use crate::id::MAX_PATHS;
use crate::path::difference;
use crate::{PathId, Time};
use std::time::Duration;

/// Once packets were spread, they are until the fastest path alone has sufficed for this long.
const CALM: Duration = Duration::from_millis(300);

/// A predicted queue this many times as long as one that stands is not waited for to be measured.
const BURST: u32 = 4;

/// Another path becomes the fastest when it is better by this, microseconds.
const STAY: i64 = 2_000;

/// What a backlogged flow sends at once, bytes: of two paths that are about as long the one of the greater rate is the
/// faster for it.
const BURST_BYTES: u64 = 20_000;

/// To lose all packets is as bad as to have them so much later, microseconds: what is lost is sent again, and comes
/// later by a round trip or two with whoever waits for it. One in a hundred is worth 5 ms.
const LOSS_COST: f64 = 5e5;

/// A call waits for its late packets, and so do those behind them: one in forty comes later by more than so many deviations.
const TAIL: i64 = 2;

/// A path this much slower than the fastest is used for loads only that do not yield, microseconds.
const FAR: i64 = 150_000;

/// So is one that loses so much more. What is lost beyond that is seldom all repaired.
const LOSSY: f32 = 0.04;

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
const SHORT: Duration = Duration::from_millis(50);

/// A path whose limit was not seen yet is taken for this part of the fastest at least.
const UNKNOWN_PART: u64 = 24;

/// With so much in its queue a path whose limit is known, or that shows it late as it has jitter, gets nothing more while another one may have
/// something soon: all that those may not have yet would go there, and be lost.
const MORE_THAN_ENOUGH: Duration = Duration::from_millis(60);

/// A path that brings less than this part of the fastest is worth no waiting: it gets what would not arrive later by it.
const MINOR_PART: u64 = 6;

/// A path that brings less than this part of the strongest, and is faster, is left to sparse flows: a backlogged one would take its round trip
/// for its own, and its losses, for a few per cent more. Once it was, it is until it brings half as much more.
const SMALL_PART: u64 = 9;

/// A flow whose packets wait for this much longer than another path is in arrears has outgrown the fastest, microseconds.
const OUTGROWN: i64 = 20_000;

/// A flow is unanswered when nothing came back for so long at least since that is looked for.
const WATCHED: Duration = Duration::from_millis(700);

/// A delay that was measured so long ago is none: clocks drift (100 ppm: 6 ms), and what was taken for the path's own delay
/// may have been a queue that nothing has been sent through since.
const BELIEVED: Duration = Duration::from_secs(60);

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
}

/// A path's queue as predicted.
#[derive(Clone, Copy, Default, Debug)]
struct Lane {
    /// Of the estimate this began from.
    at: Time,
    /// When all it was given will have left.
    idle_at: Time,
    /// Nanoseconds for a byte, times 256.
    byte: u64,
    delivered: u64,
    /// Spread over until then, if nothing gives more reason for it.
    admitted_until: Time,
    /// When it was spread over last because nobody knew whether it still loses what it lost.
    doubted: Option<Time>,
    /// One-way delay when empty beyond that of the fastest, microseconds.
    delay: i64,
    /// That, and what its losses are worth.
    cost: i64,
    rest: Rest,
}

impl Adaptive {
    /// Picks among `paths` one for a packet of `len` outer bytes.
    #[inline]
    pub(super) fn pick<'v>(
        &mut self,
        now: Time,
        paths: impl Iterator<Item = &'v PathView> + Clone,
        flow: u64,
        len: usize,
    ) -> Option<PathId> {
        let news = |v: &PathView| {
            self.known & v.id.bit() == 0 || self.lanes[v.id.index()].at != v.estimate.at
        };
        let is_fastest = |s: &Self, v: &&PathView| s.fastest == Some(v.id);
        if paths.clone().any(news) || !paths.clone().any(|v| is_fastest(self, &v)) {
            self.follow(now, paths.clone());
        }
        let fastest = paths.clone().find(|v| is_fastest(self, v))?;
        let kind = self.flows.kind(now, flow, len);
        let picked = if kind == Kind::Sparse {
            let tail = |v: &PathView| match now.since(v.estimate.at) < BELIEVED {
                true => micros(v.estimate.jitter) * TAIL,
                false => 0,
            };
            paths.clone().min_by_key(|v| self.cost(v) + tail(v) + micros(self.queue(now, v)))?.id
        } else if fastest.tokens == Tokens::Left
            && now >= self.spread_until
            && !self.bursts(now, fastest)
        {
            fastest.id
        } else {
            let unanswered = kind == Kind::Unanswered && self.watches(now);
            let over = match unanswered {
                true => Over { paths: self.known, minor: 0, yields: false },
                false => Over { paths: self.eligible, minor: self.minor, yields: true },
            };
            self.spread(now, paths.clone(), fastest, over)
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
    pub(super) fn on_wait(&mut self, now: Time, waited: Duration) {
        self.waits.on_wait(now, waited);
    }

    /// Whether the flow needs little.
    pub(super) fn is_sparse(&self, now: Time, flow: u64) -> bool {
        self.flows.kind(now, flow, 0) == Kind::Sparse
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
        self.lanes[v.id.index()].idle_at.since(now)
    }

    /// Whether the fastest path was given far too much at once, by what it is known to deliver.
    fn bursts(&mut self, now: Time, fastest: &PathView) -> bool {
        let e = &fastest.estimate;
        let bursts = e.measured && self.queue(now, fastest) > e.threshold * BURST;
        if bursts {
            self.spread_until = now + CALM;
        }
        bursts
    }

    /// Of the paths `over` the fastest of those where next to nothing waits; else where the least does, unless that is more than enough. Then
    /// a flow that can wait does so for a path without tokens, if it comes no later by that; others go where the least waits all the same.
    fn spread<'v>(
        &mut self,
        now: Time,
        paths: impl Iterator<Item = &'v PathView>,
        fastest: &PathView,
        over: Over,
    ) -> PathId {
        let at_fastest = self.cost(fastest) + micros(self.queue(now, fastest));
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

    /// New estimates: once a report, not once a packet.
    #[cold]
    fn follow<'v>(&mut self, now: Time, paths: impl Iterator<Item = &'v PathView> + Clone) {
        self.follow_delays(now, paths.clone());
        let small = self.small_paths(now, paths.clone());
        self.small = small;
        // Two that are about as fast do not take turns.
        let cost = |v: &&PathView| {
            let burst = if v.estimate.measured {
                BURST_BYTES * 1_000_000 / v.estimate.rate.max(1)
            } else {
                0
            };
            self.cost(v) + burst as i64 - STAY * i64::from(self.fastest == Some(v.id))
        };
        let large = paths.clone().filter(|v| small & v.id.bit() == 0);
        let Some(fastest) = large.min_by_key(cost) else { return };
        self.fastest = Some(fastest.id);
        let least_rate = fastest.estimate.rate / UNKNOWN_PART;
        let mut best = 0;
        for v in paths.clone() {
            let (lane, e) = (&mut self.lanes[v.id.index()], &v.estimate);
            if e.measured {
                best = best.max(e.rate);
            }
            if lane.at == e.at {
                continue;
            }
            let rate = match e.measured {
                true => e.rate,
                false => e.rate.max(least_rate),
            };
            self.delivered += e.delivered.saturating_sub(lane.delivered);
            lane.delivered = e.delivered;
            (lane.at, lane.idle_at) = (e.at, e.idle_at);
            lane.byte = 256_000_000_000 / rate.max(1);
        }
        let e = &fastest.estimate;
        let stands = e.standing > e.threshold;
        if stands && e.standing < SHORT {
            self.modest_since.get_or_insert(now);
        } else if e.standing >= SHORT {
            self.modest_since = None;
        }
        if stands {
            self.spread_until = self.spread_until.max(now + CALM);
        }
        let spread = now < self.spread_until;
        if !spread {
            self.modest_since = None;
        }
        if let Some(tried) = self.floor.tried(now, self.delivered) {
            self.lanes.iter_mut().for_each(|lane| lane.rest.on_tried(now, tried));
        }
        // What arrives no later by a path is not in anybody's way.
        let costly = self.eligible & !self.minor & !fastest.id.bit();
        let alone = if e.measured { e.rate } else { 0 };
        let spread = spread && costly != 0;
        let costs = self.floor.costs(now, self.delivered, spread, (alone as f64, best as f64));
        if let Some(cost) = costs {
            let strongest = paths
                .clone()
                .filter(|v| v.estimate.measured && cost == Cost::Strongest)
                .max_by_key(|v| v.estimate.rate)
                .map(|v| v.id);
            let others = paths.clone().filter(|v| Some(v.id) != strongest);
            let slowest = others.filter(|v| costly & v.id.bit() != 0).max_by_key(|v| self.cost(v));
            if let Some(v) = slowest.filter(|v| !self.is_outgrown(now, v, fastest)) {
                self.floor.begin_trial(now);
                self.lanes[v.id.index()].rest.begin(now);
                self.lanes[v.id.index()].admitted_until = now;
            }
        }
        self.end_rests(now, paths.clone(), fastest);
        self.eligible = fastest.id.bit();
        self.minor = 0;
        let minor = fastest.estimate.rate / MINOR_PART;
        for v in paths.filter(|v| v.id != fastest.id && small & v.id.bit() == 0) {
            if self.helps(now, v, fastest) {
                self.eligible |= v.id.bit();
                let little =
                    fastest.estimate.measured && v.estimate.measured && v.estimate.rate < minor;
                self.minor |= if little { v.id.bit() } else { 0 };
            }
        }
        if self.spreads_over() == self.known {
            self.watching_since = None;
        } else {
            self.watching_since.get_or_insert(now);
        }
    }

    /// Those that are faster than the strongest path, but next to nothing beside it, by bits. One that is far or loses much makes none small.
    fn small_paths<'v>(&self, now: Time, paths: impl Iterator<Item = &'v PathView> + Clone) -> u16 {
        let least = paths.clone().map(|v| self.lanes[v.id.index()].delay).min().unwrap_or(0);
        let good = |v: &&PathView| {
            let delay = self.lanes[v.id.index()].delay;
            delay <= least + FAR && v.estimate.loss(now) < LOSSY
        };
        let Some(strongest) = paths.clone().filter(good).max_by_key(|v| v.estimate.rate) else {
            return 0;
        };
        let small = |v: &PathView| {
            let was = self.small & v.id.bit() != 0;
            let part = if was { SMALL_PART * 2 / 3 } else { SMALL_PART };
            v.estimate.measured
                && self.cost(v) < self.cost(strongest)
                && v.estimate.rate < strongest.estimate.rate / part
        };
        paths.filter(|v| small(v)).fold(0, |bits, v| bits | v.id.bit())
    }

    /// Delays from those that were measured of late; where one was not, from half the round trips.
    fn follow_delays<'v>(&mut self, now: Time, paths: impl Iterator<Item = &'v PathView> + Clone) {
        let known = |v: &PathView| v.estimate.delay.filter(|_| now.since(v.estimate.at) < BELIEVED);
        // Any of them is as good an origin: the least is taken off below.
        let origin = paths.clone().find_map(|v| Some((known(v)?, v.srtt, v.min_rtt)));
        let delay = |v: &PathView| match (origin, known(v)) {
            (Some((origin, rtt, _)), Some(delay)) => difference((delay, v.srtt), (origin, rtt)),
            (Some((_, _, rtt)), None) => (micros(v.min_rtt) - micros(rtt)) / 2,
            (None, _) => micros(v.min_rtt) / 2,
        };
        let least = paths.clone().map(&delay).min().unwrap_or(0);
        self.known = 0;
        for v in paths {
            self.known |= v.id.bit();
            let lane = &mut self.lanes[v.id.index()];
            lane.delay = delay(v) - least;
            lane.cost = lane.delay + (f64::from(v.estimate.loss(now)) * LOSS_COST) as i64;
        }
    }

    /// Whether packets wait here for longer than `v` is longer than the fastest path, its jitter counted.
    fn is_outgrown(&self, now: Time, v: &PathView, fastest: &PathView) -> bool {
        let longer = self.cost(v) - self.cost(fastest) + micros(v.estimate.jitter) * TAIL;
        micros(self.waits.longest(now)) > longer + OUTGROWN
    }

    /// A path rests as it would make a flow's round trips longer. Where its packets wait for longer than that by themselves, that is no reason
    /// any more: a window that outgrew the fastest path is not to be cut for want of another one.
    fn end_rests<'v>(
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
    fn helps(&mut self, now: Time, v: &PathView, fastest: &PathView) -> bool {
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

fn micros(d: Duration) -> i64 {
    d.as_micros() as i64
}

#[cfg(test)]
mod tests;
