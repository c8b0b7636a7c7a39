//! The receiver's ordering of one sending worker.

use super::clock_offset::ClockOffset;
use super::deadlines::Deadlines;
use super::frontier::Frontier;
use super::held::{HeldBudget, HeldStore};
use super::lost::Lost;
use super::open_paths::Marker;
use super::path_progress::PathProgress;
use super::paths_in;
use super::ring::{Ring, State};
use crate::control::ReorderStatus;
use crate::id::MAX_PATHS;
use crate::inner::Checksum;
use crate::repair::{Patience, Repair};
use crate::{PacketNumber, PathId, Time};
use hdrhistogram::Histogram;
use std::time::Duration;

mod arrival;
mod lost_and_repaired;
mod place;
mod release;

pub use arrival::{Arrival, Disposition, Remade, ReorderLimits};

/// What a packet waits beyond the delays' difference before anybody asks whether it waits in vain. The
/// frontier releases long before; a tight bound only reorders.
const PATIENCE: Duration = Duration::from_millis(50);

/// A path that brought something within this time (or 4 jitters) is not stalled.
const ALIVE: Duration = Duration::from_millis(50);

/// When the paths are alive though a deadline passed: look again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Buffers of held packets are given back when nothing was held for this long.
const TRIM_AFTER: Duration = Duration::from_secs(1);

/// No sender comes so far; one that claims to must not make sums overflow.
const LAST_PN: u64 = u64::MAX / 2;

/// Gives one sending worker's packets back in order, flow by flow.
///
/// To be driven so: for every data packet that was authenticated and is no replay,
/// [`on_data`](Self::on_data); for every marker, [`on_marker`](Self::on_marker); when all sockets are
/// drained, and at the time of [`poll_timeout`](Self::poll_timeout),
/// [`on_batch_end`](Self::on_batch_end). After that, [`marker_ack`](Self::marker_ack) tells what is to
/// be confirmed to the sender. Time must not go back. Before it is dropped: [`flush`](Self::flush).
#[derive(Debug)]
pub struct Reorder {
    limits: ReorderLimits,
    ring: Ring,
    held: HeldStore,
    deadlines: Deadlines,
    frontier: Frontier,
    paths: [PathProgress; MAX_PATHS],
    clocks: ClockOffset,
    /// Delay and 4 jitters of the slowest open path, in microseconds, at the end of the last batch;
    /// infinite while that is not known.
    slowest: f64,
    /// Paths with a marker that is not confirmed.
    markers: u16,
    /// Whether the sender ever sent a packet twice.
    copies: bool,
    /// The sender sends nothing again for now.
    unrepaired: bool,
    /// With repair: what is lost and waited for.
    lost: Lost,
    patience: Patience,
    /// Packets that the sender does not send again, with their distances; to be judged in order of numbers.
    abandoned: Vec<(u64, u16)>,
    /// The oldest of them.
    abandoned_from: u64,
    last_held: Time,
    /// When the last batch ended.
    now: Time,
    holds: Histogram<u32>,
    stats: ReorderStatus,
}

/// Why held packets are released though their predecessor did not come.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Lost,
    Deadline,
    Full,
}

impl Reorder {
    /// Nothing came so far; the first number expected is 1.
    #[must_use]
    pub fn new(limits: ReorderLimits) -> Self {
        Self {
            limits,
            ring: Ring::new(limits.slots),
            held: HeldStore::new(limits.held_bytes),
            deadlines: Deadlines::default(),
            frontier: Frontier::default(),
            paths: std::array::from_fn(|_| PathProgress::default()),
            clocks: ClockOffset::default(),
            slowest: 0.0,
            markers: 0,
            copies: false,
            unrepaired: false,
            lost: Lost::default(),
            patience: Patience::default(),
            abandoned: Vec::new(),
            abandoned_from: u64::MAX,
            last_held: Time::ZERO,
            now: Time::ZERO,
            holds: Histogram::new_with_bounds(1, 10_000_000, 2)
                .expect("a microsecond to ten seconds are bounds that fit"),
            stats: ReorderStatus::default(),
        }
    }

    /// A data packet came on `path`. It, and who waited for it, goes to `deliver` in order, or is
    /// copied and held.
    #[allow(clippy::too_many_arguments, reason = "the packet, its header, and where it may go")]
    pub fn on_data(
        &mut self,
        now: Time,
        path: PathId,
        arrival: Arrival,
        packet: &[u8],
        budget: &mut HeldBudget,
        deliver: &mut dyn FnMut(&[u8], Checksum),
    ) -> Disposition {
        if arrival.pn.0 > LAST_PN {
            return Disposition::Duplicate;
        }
        self.note(now, path, arrival);
        self.place(now, path, arrival, packet, budget, deliver)
    }

    /// A packet was made from others, the last of which came on `path`. It says nothing about any path's
    /// progress; it is delivered, held or known already, as if it had come.
    pub fn on_remade(
        &mut self,
        now: Time,
        path: PathId,
        remade: Remade,
        packet: &[u8],
        budget: &mut HeldBudget,
        deliver: &mut dyn FnMut(&[u8], Checksum),
    ) -> Disposition {
        let Remade { pn, distance, checksum } = remade;
        if pn.0 > LAST_PN {
            return Disposition::Duplicate;
        }
        self.copies = true;
        let arrival = Arrival {
            pn,
            distance,
            bitmap: 0,
            seq: 0,
            send_time: 0,
            copy: 1,
            duplicate: true,
            checksum,
        };
        self.place(now, path, arrival, packet, budget, deliver)
    }

    /// Nothing follows on `path` just now; that took the number `seq`.
    pub fn on_pause(&mut self, now: Time, path: PathId, seq: u32) {
        self.paths[path.index()].on_copy(now, seq);
    }

    /// A marker came on `path`.
    pub fn on_marker(&mut self, now: Time, path: PathId, marker: Marker) {
        self.paths[path.index()].on_marker(now, marker);
        self.markers |= path.bit();
    }

    /// All that had arrived was taken in, or the time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn on_batch_end(
        &mut self,
        now: Time,
        budget: &mut HeldBudget,
        deliver: &mut dyn FnMut(&[u8], Checksum),
    ) {
        self.now = now;
        let mut exit = Exit { now, budget, deliver };
        self.refresh_paths(now);
        match self.limits.repair {
            Repair::Off if self.ring.base() <= self.ring.head() => {
                self.give_up_through(self.frontier_at(now), Cause::Lost, &mut exit);
            }
            Repair::Off => {}
            Repair::On => self.judge_lost(&mut exit),
        }
        self.deadlines.prune(|pn| matches!(self.ring.state(pn), State::Held(_)));
        while let Some((path, deadline)) = self.deadlines.due(now) {
            self.judge(path, deadline.pn, &mut exit);
            self.deadlines.prune(|pn| matches!(self.ring.state(pn), State::Held(_)));
        }
        if self.held.len() == 0 && self.held.has_spare() && self.last_held + TRIM_AFTER <= now {
            self.held.trim();
            self.deadlines.clear();
        }
    }

    /// When [`on_batch_end`](Self::on_batch_end) wants to be called though nothing comes: a path vouches
    /// for more by time alone, a deadline passes, a marker may be confirmed, or memory is to be given back.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let now = self.now;
        let markers =
            paths_in(self.markers).filter_map(|p| self.paths[p.index()].marker_settles_at()).min();
        let packets = if self.held.len() > 0 {
            let blocking = self.frontier.open().min_by_key(|&p| self.vouched(now, p));
            let matures = blocking.and_then(|p| self.paths[p.index()].next_vouched_at(now));
            matures.into_iter().chain(self.deadlines.next()).min()
        } else {
            self.held.has_spare().then_some(self.last_held + TRIM_AFTER)
        };
        let due = self.abandoned_from <= self.ring.head();
        let lost = if due { Some(now) } else { self.lost.next() };
        markers.into_iter().chain(packets).chain(lost).min()
    }

    /// Everything up to this number was delivered or given up.
    #[must_use]
    pub const fn resolved(&self) -> PacketNumber {
        PacketNumber(self.ring.base() - 1)
    }

    /// Bytes held now.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Not more than `limit` bytes are held from now on.
    pub const fn set_held_limit(&mut self, limit: usize) {
        self.held.set_limit(limit);
    }

    /// How long a packet is waited for that is known to be lost.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience.get().min(self.limits.max_hold)
    }

    /// The round trip of the path by which what is lost is likely to come.
    pub const fn set_round_trip(&mut self, round_trip: Duration) {
        self.patience.set_round_trip(round_trip);
    }

    /// The newest epoch of `path` whose marker may be acknowledged: all that was sent before it has come,
    /// or will not come any more. To be repeated in every report, it costs nothing.
    #[must_use]
    pub const fn marker_ack(&self, path: PathId) -> Option<u16> {
        self.paths[path.index()].acknowledged()
    }

    /// Delivers all that is held, in order of packet numbers: the sender was restarted or is gone.
    pub fn flush(
        &mut self,
        now: Time,
        budget: &mut HeldBudget,
        deliver: &mut dyn FnMut(&[u8], Checksum),
    ) {
        let mut exit = Exit { now, budget, deliver };
        self.give_up_through(self.ring.head(), Cause::Lost, &mut exit);
    }

    /// The highest packet number that came; 0 before the first. A header's low half is expanded by it.
    #[must_use]
    pub const fn highest(&self) -> PacketNumber {
        PacketNumber(self.ring.head())
    }

    /// How far `path` has come.
    #[must_use]
    pub const fn progress(&self, path: PathId) -> &PathProgress {
        &self.paths[path.index()]
    }

    /// How much later than newer packets one of `path` may come.
    #[must_use]
    pub const fn extent(&self, path: PathId) -> Duration {
        self.paths[path.index()].extent()
    }

    /// Counters, and the hold times so far.
    #[must_use]
    pub fn stats(&self) -> ReorderStatus {
        let quantile = |q| self.holds.value_at_quantile(q) as f64 / 1e6;
        let (hold_p50, hold_p99) =
            if self.holds.is_empty() { (0.0, 0.0) } else { (quantile(0.5), quantile(0.99)) };
        ReorderStatus {
            held_now: self.held.len() as u64,
            held_bytes: self.held.bytes() as u64,
            held_bytes_peak: self.held.peak() as u64,
            hold_p50,
            hold_p99,
            ring_slots: self.ring.slots() as u64,
            ..self.stats
        }
    }

    /// What the header tells about the paths.
    fn note(&mut self, now: Time, path: PathId, arrival: Arrival) {
        let pn = arrival.pn.0;
        let progress = &mut self.paths[path.index()];
        let first = progress.last_arrival().is_none();
        let opened = if arrival.copy == 0 {
            let delay = self.clocks.delay(now, arrival.send_time);
            progress.on_original(now, pn, arrival.seq, delay);
            self.frontier.on_packet(pn, arrival.bitmap | path.bit())
        } else {
            self.copies = true;
            progress.on_copy(now, arrival.seq);
            self.frontier.on_packet(pn, arrival.bitmap)
        };
        if opened || first {
            self.measure_slowest();
        }
    }

    /// A packet came again.
    pub const fn on_duplicate(&mut self) -> Disposition {
        self.stats.duplicates += 1;
        Disposition::Duplicate
    }

    fn refresh_paths(&mut self, now: Time) {
        for path in self.frontier.open() {
            self.paths[path.index()].refresh(now);
        }
        self.measure_slowest();
        for path in paths_in(self.markers) {
            let p = &mut self.paths[path.index()];
            p.settle_marker(now);
            if p.marker_settles_at().is_none() {
                self.markers &= !path.bit();
            }
        }
    }

    /// A path that is open and has never brought anything may be as slow as any.
    fn measure_slowest(&mut self) {
        self.slowest = self.frontier.open().fold(f64::MIN, |slowest, path| {
            let p = &self.paths[path.index()];
            let delay = p.relative_delay() + 4e6 * p.jitter().as_secs_f64();
            slowest.max(if p.last_arrival().is_some() { delay } else { f64::INFINITY })
        });
    }

    /// Everything missing at or below this number is lost.
    fn frontier_at(&self, now: Time) -> u64 {
        self.frontier.open().map(|p| self.vouched(now, p)).min().unwrap_or(0)
    }

    fn vouched(&self, now: Time, path: PathId) -> u64 {
        self.paths[path.index()].vouched(now).max(self.frontier.closed_through(path))
    }

    /// The first packet of `path` that is held is past its deadline: gives up what it waits for, unless
    /// the paths that may still bring it are alive, and the frontier will tell soon.
    fn judge(&mut self, path: PathId, pn: u64, exit: &mut Exit<'_>) {
        let State::Held(held) = self.ring.state(pn) else { return };
        let last_call = self.held.get(held).since + self.limits.max_hold;
        let mut root = self.ring.predecessor(pn);
        while matches!(self.ring.state(root), State::Held(_)) {
            root = self.ring.predecessor(root);
        }
        if exit.now < last_call && self.may_still_bring(root, exit.now) {
            self.deadlines.defer(path, last_call.min(exit.now + LOOK_AGAIN));
            return;
        }
        // What was sent before it had as much time and more. A packet of the same flow may wait there, with
        // a later deadline of its own: nothing links it to this one, for what was between them is missing.
        self.give_up_through(root, Cause::Deadline, exit);
    }

    fn may_still_bring(&self, pn: u64, now: Time) -> bool {
        self.frontier.open().filter(|&p| self.vouched(now, p) < pn).all(|path| {
            let p = &self.paths[path.index()];
            let silence = ALIVE.max(p.jitter() * 4) + p.extent();
            p.last_arrival().is_some_and(|last| now.since(last) <= silence)
        })
    }
}

/// Where released packets go: when, whose memory is given back, and to whom.
struct Exit<'a> {
    now: Time,
    budget: &'a mut HeldBudget,
    deliver: &'a mut dyn FnMut(&[u8], Checksum),
}
