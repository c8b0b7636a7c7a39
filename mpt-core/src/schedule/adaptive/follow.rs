//! What new estimates change: which path is the fastest, and which ones backlogged flows are spread over.

use super::admission::{FAR, LOSSY, SHORT};
use super::{Adaptive, BELIEVED, CALM, micros};
use crate::Time;
use crate::path::difference;
use crate::schedule::PathView;
use crate::schedule::floor::{Cost, Spread};
use std::time::Duration;

/// Another path becomes the fastest when it is better by this, microseconds.
const STAY: i64 = 2_000;

/// What a backlogged flow sends at once, bytes: of two paths that are about as long the one of the greater rate is the
/// faster for it.
const BURST_BYTES: u64 = 20_000;

/// To lose all packets is as bad as to have them so much later, microseconds: what is lost is sent again, and comes
/// later by a round trip or two with whoever waits for it. One in a hundred is worth 5 ms.
const LOSS_COST: f64 = 5e5;

/// A path whose limit was not seen yet is taken for this part of the fastest at least.
const UNKNOWN_PART: u64 = 24;

/// A path that brings less than this part of the fastest is worth no waiting: it gets what would not arrive later by it. Once it was, it does until
/// it brings a fifth more.
const MINOR_PART: u64 = 6;
const NOT_MINOR_PART: u64 = 5;

/// A path that brings less than this part of the strongest, and is faster, is left to sparse flows: a backlogged one would take its round trip
/// for its own, and its losses, for a few per cent more. Once it was, it is until it brings half as much more.
const SMALL_PART: u64 = 9;

/// Between two bursts of a flow no packet is spread for up to so long.
const LULL: Duration = Duration::from_secs(1);

impl Adaptive {
    /// New estimates: once a report, not once a packet.
    #[cold]
    pub(super) fn follow<'v>(
        &mut self,
        now: Time,
        paths: impl Iterator<Item = &'v PathView> + Clone,
    ) {
        self.follow_delays(now, paths.clone());
        let small = self.small_paths(now, paths.clone());
        self.small = small;
        // Two that are about as fast do not take turns.
        let cost = |v: &&PathView| {
            let burst = if v.estimate.measured {
                BURST_BYTES * 1_000_000 / v.estimate.brings().max(1)
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
                best = best.max(e.capacity);
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
        let alone = if e.measured { e.capacity } else { 0 };
        // A flow that has to wait for a slow path comes in bursts.
        if costly != 0 {
            self.costly_until = now + LULL;
        }
        let spread = match spread {
            _ if now >= self.costly_until => Spread::No,
            true => Spread::Now,
            false if now < self.spread_until + LULL => Spread::Lately,
            false => Spread::No,
        };
        let costs = self.floor.costs(now, self.delivered, spread, (alone as f64, best as f64));
        if let Some(cost) = costs {
            let strongest = paths
                .clone()
                .filter(|v| v.estimate.measured && cost == Cost::Strongest)
                .max_by_key(|v| v.estimate.capacity)
                .map(|v| v.id);
            let others =
                paths.clone().filter(|v| Some(v.id) != strongest && costly & v.id.bit() != 0);
            let slowest = others.clone().max_by_key(|v| self.cost(v));
            if let Some(v) = slowest.filter(|v| !self.is_outgrown(now, v, fastest)) {
                self.floor.begin_trial(now);
                // With it those that are more like it than like the fastest: one after the other would take long.
                let like_it = (self.cost(v) + self.cost(fastest)) / 2;
                let costs = self.lanes.map(|lane| lane.cost);
                for v in others.filter(|v| costs[v.id.index()] >= like_it) {
                    let lane = &mut self.lanes[v.id.index()];
                    lane.rest.begin(now);
                    lane.admitted_until = now;
                }
            }
        }
        self.end_rests(now, paths.clone(), fastest);
        self.eligible = fastest.id.bit();
        let was_minor = std::mem::take(&mut self.minor);
        for v in paths.filter(|v| v.id != fastest.id && small & v.id.bit() == 0) {
            if self.helps(now, v, fastest) {
                self.eligible |= v.id.bit();
                let (a, b) = (&fastest.estimate, &v.estimate);
                let part = if was_minor & v.id.bit() == 0 { MINOR_PART } else { NOT_MINOR_PART };
                let little = a.measured && b.measured && b.capacity < a.capacity / part;
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
        let Some(strongest) = paths.clone().filter(good).max_by_key(|v| v.estimate.brings()) else {
            return 0;
        };
        let small = |v: &PathView| {
            let was = self.small & v.id.bit() != 0;
            let part = if was { SMALL_PART * 2 / 3 } else { SMALL_PART };
            v.estimate.measured
                && self.cost(v) < self.cost(strongest)
                && v.estimate.capacity < strongest.estimate.brings() / part
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
}
