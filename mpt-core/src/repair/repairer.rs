//! What one sending worker sends again, and what it abandons.

use super::{
    Budget, Content, Fate, Flight, Kept, LargeLoss, Load, Pace, Sent, SentStore, Stored, Stranded,
    Yielding,
};
use crate::control::RepairStatus;
use crate::id::MAX_PATHS;
use crate::inner::Split;
use crate::schedule::{PathView, Rank};
use crate::wire::Arrived;
use crate::{PacketNumber, PathId, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// A packet is sealed at most so often: the copy number has four bits, and no nonce may come twice.
const LAST_COPY: u8 = 15;

/// What the receiver has patience for before it said so.
const INITIAL_PATIENCE: Duration = Duration::from_millis(150);

/// The path that lost a packet gets it again if it is this part of the patience ahead of the others, …
const AHEAD: f64 = 0.6;

/// … or by a round trip of its own and so much at least: it could lose the packet again, and be no later. But what a full queue or a policer lost
/// is not for them: with so much in its queue, or so much loss, it gets nothing again, nor what it lost twice.
const LEAST_AHEAD: Duration = Duration::from_millis(40);
const CLEAR: Duration = Duration::from_millis(15);
const LOSES_LITTLE: f32 = 0.03;

/// Lost packets that wait for a path; more were lost for good.
const MOST_WAITING: usize = 1 << 14;

/// What is to be done about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Seal it again, onto this path.
    Resend {
        /// The packet.
        pn: PacketNumber,
        /// Where.
        path: PathId,
    },
    /// Tell the receiver not to wait for it.
    Abandon {
        /// The packet.
        pn: PacketNumber,
        /// How far back its predecessor is.
        distance: u16,
    },
}

/// The sending side of repair, of one worker.
///
/// Fed with [`on_sent`](Self::on_sent) and [`on_copy`](Self::on_copy) for every seal, with
/// [`on_arrived`](Self::on_arrived) for every report, and [`on_path_failed`](Self::on_path_failed) while a path
/// is of no use; drained with [`poll`](Self::poll) until nothing comes, and again when
/// [`poll_timeout`](Self::poll_timeout) says so or the paths change.
#[derive(Debug)]
pub struct Repairer {
    store: SentStore,
    flights: [Flight; MAX_PATHS],
    large: [LargeLoss; MAX_PATHS],
    budget: Budget,
    yielding: Yielding,
    pace: Pace,
    /// Packets lost by the way, with the path that lost them.
    lost: VecDeque<(u64, PathId)>,
    /// Packets that were under way on a path that failed.
    stranded: Stranded,
    /// A packet that was sent again just now goes on this path as well.
    second: Option<(u64, PathId)>,
    /// Nothing is rescued that was sent longer ago.
    deadline: Duration,
    patience: Duration,
    waits_for_pace: bool,
    /// The load was not told since something was stranded.
    wants_load: bool,
    stats: RepairStatus,
}

impl Repairer {
    /// Nothing sent yet. At most `memory` bytes are kept, for `max_age`; what waits for longer than
    /// `deadline` at the receiver is not rescued.
    #[must_use]
    pub fn new(memory: usize, max_age: Duration, deadline: Duration) -> Self {
        Self {
            store: SentStore::new(memory, max_age),
            flights: Default::default(),
            large: Default::default(),
            budget: Budget::default(),
            yielding: Yielding::default(),
            pace: Pace::default(),
            lost: VecDeque::new(),
            stranded: Stranded::default(),
            second: None,
            deadline: deadline.min(max_age),
            patience: INITIAL_PATIENCE,
            waits_for_pace: false,
            wants_load: false,
            stats: RepairStatus::default(),
        }
    }

    /// Packet `pn` was sealed for the first time.
    #[inline]
    pub fn on_sent(
        &mut self,
        now: Time,
        path: PathId,
        seq: u32,
        pn: PacketNumber,
        kept: Kept,
        content: Content<'_>,
    ) {
        let len = content.len();
        self.budget.earn(now, len);
        let unrepaired = self.is_congested_for(len);
        self.store.push(now, pn, path, kept, unrepaired, content);
        self.flights[path.index()].push(seq, pn.0);
    }

    /// Packet `pn` was sealed again.
    pub fn on_copy(&mut self, path: PathId, seq: u32, pn: PacketNumber) {
        let Some(sent) = self.store.get_mut(pn.0) else { return };
        sent.copy += 1;
        sent.under_way += 1;
        sent.path = path;
        self.flights[path.index()].push(seq, pn.0);
    }

    /// The packet as it was read, and what its header says, with the copy number of its last seal.
    #[must_use]
    pub fn packet(&self, pn: PacketNumber) -> Option<(&Sent, Stored<'_>)> {
        let sent = self.store.get(pn.0)?;
        Some((sent, self.store.content(pn.0)?))
    }

    /// See [`SentStore::wants`].
    pub fn wants(&mut self, now: Time, len: usize, buffer: usize) -> bool {
        self.store.wants(now, len, buffer)
    }

    /// See [`SentStore::adopt`].
    pub fn adopt(
        &mut self,
        buffer: &mut Box<[u8]>,
        place: (usize, usize),
        split: Split,
        size: usize,
    ) {
        self.store.adopt(buffer, place, split, size);
    }

    /// A report came: a long queue stands, with the time in which a flow reacts to a loss there, or none.
    /// Before [`on_arrived`](Self::on_arrived).
    pub fn on_queue(&mut self, now: Time, long_queue: Option<Duration>) {
        self.yielding.on_report(now, long_queue);
    }

    /// A report came.
    pub fn on_arrived(&mut self, now: Time, arrived: &Arrived) {
        self.patience = arrived.patience;
        for gaps in arrived.paths() {
            let index = gaps.path.index();
            let mut flight = std::mem::take(&mut self.flights[index]);
            flight.settle(gaps, |pn, count, fate| match fate {
                Fate::Lost => self.on_lost(now, (pn, count), gaps.path, arrived.resolved),
                Fate::Swallowed => self.on_swallowed((pn, count), arrived.resolved),
                Fate::Arrived => {
                    let large = &mut self.large[index];
                    self.store.change(pn, count, |_, sent| {
                        sent.under_way = sent.under_way.saturating_sub(1);
                        sent.done = true;
                        large.on_arrived(sent.len().into(), u32::from(sent.count()));
                    });
                }
                Fate::Unknown => self.store.change(pn, count, |_, sent| {
                    sent.under_way = sent.under_way.saturating_sub(1);
                }),
            });
            self.flights[index] = flight;
        }
        self.store.forget_through(arrived.resolved.0);
        for flight in &mut self.flights {
            flight.forget_before(self.store.first());
        }
    }

    /// Of `count` packets from `pn` on a seal was lost on `path`; the receiver waits for nothing up to `resolved`.
    fn on_lost(
        &mut self,
        now: Time,
        (pn, count): (u64, u32),
        path: PathId,
        resolved: PacketNumber,
    ) {
        let Self { store, budget, yielding, lost, stats, large, .. } = self;
        let large = &mut large[path.index()];
        // So that all of an entry are given up, or none.
        store.part(resolved.0.saturating_add(1));
        store.change(pn, count, |pn, sent| {
            large.on_lost(now, sent.len().into(), u32::from(sent.count()));
            sent.under_way = sent.under_way.saturating_sub(1);
            if sent.under_way > 0 || sent.done {
                return;
            }
            let (given_up, count) = (pn <= resolved.0, sent.count());
            if given_up && sent.handling.is_protected() && !sent.unrepaired {
                // Made again from parity: the receiver would have waited for it longer than for this report. It
                // cost nothing here, and tells of no congestion.
                sent.done = true;
                return;
            }
            if given_up || sent.unrepaired {
                for _ in 0..count {
                    yielding.on_lost(now);
                    // When it goes on like that it is congestion.
                    budget.charge(now);
                }
            }
            if budget.is_congested_for(sent.len().into()) || given_up {
                // The receiver knows, and does not wait.
                (0..count).for_each(|_| budget.on_lost());
                sent.done = true;
                stats.abandoned += u64::from(count);
            } else {
                let room = MOST_WAITING.saturating_sub(lost.len());
                sent.mark_lost(now);
                lost.extend((pn..).take(usize::from(count).min(room)).map(|pn| (pn, path)));
            }
        });
    }

    /// Of `count` packets from `pn` on a seal was lost to an outage: that is no congestion.
    fn on_swallowed(&mut self, (pn, count): (u64, u32), resolved: PacketNumber) {
        let Self { store, stranded, wants_load, stats, .. } = self;
        store.part(resolved.0.saturating_add(1));
        store.change(pn, count, |pn, sent| {
            sent.under_way = sent.under_way.saturating_sub(1);
            if sent.under_way > 0 || sent.done {
                return;
            }
            if pn <= resolved.0 {
                sent.done = true;
                stats.abandoned += u64::from(sent.count());
            } else {
                stranded.add(pn, sent.count(), sent.len().into());
                *wants_load = true;
            }
        });
    }

    /// What is as long as this, bytes of an inner packet, does not seem to pass `path`, while shorter packets do; told once.
    pub fn poll_large_loss(&mut self, path: PathId) -> Option<usize> {
        self.large[path.index()].poll()
    }

    /// The path is suspected or worse, though what is under way there may have to wait for one that works.
    pub const fn on_path_out(&mut self, path: PathId) {
        self.flights[path.index()].begin_outage();
    }

    /// The path is up.
    pub fn on_path_back(&mut self, path: PathId) {
        self.flights[path.index()].end_outage();
    }

    /// The path brings nothing: what is under way there is to go by another one.
    pub fn on_path_failed(&mut self, path: PathId) {
        self.large[path.index()] = LargeLoss::default();
        let flight = &mut self.flights[path.index()];
        // Of what nobody remembers there may be much, if the peer never told what arrived.
        flight.forget_before(self.store.first());
        while let Some((pn, count)) = flight.pop() {
            // Whole entries: there may be tens of thousands of packets.
            self.store.change(pn, count, |pn, sent| {
                sent.under_way = sent.under_way.saturating_sub(1);
                if !sent.done && sent.under_way == 0 {
                    self.stranded.add(pn, sent.count(), sent.len().into());
                    self.wants_load = true;
                }
            });
        }
    }

    /// Whether something is to be rescued.
    #[must_use]
    pub fn is_rescuing(&self) -> bool {
        !self.stranded.is_empty()
    }

    /// Whether [`set_load`](Self::set_load) is to be called.
    #[must_use]
    pub const fn wants_load(&self) -> bool {
        self.wants_load
    }

    /// The load when something was stranded.
    pub fn set_load(&mut self, load: Load) {
        self.wants_load = false;
        self.pace.set_load(load);
    }

    /// So many workers rescue something.
    pub fn share_pace(&mut self, workers: usize) {
        self.pace.share_among(workers);
    }

    /// What is to be done next. After [`Step::Resend`], [`on_copy`](Self::on_copy) has to follow.
    #[must_use]
    pub fn poll(&mut self, now: Time, views: &[PathView]) -> Option<Step> {
        self.waits_for_pace = false;
        if let Some((pn, path)) = self.second.take()
            && self.store.get(pn).is_some_and(|sent| !sent.done && sent.copy < LAST_COPY)
        {
            return Some(Step::Resend { pn: PacketNumber(pn), path });
        }
        if self.lost.is_empty() && self.stranded.is_empty() {
            self.store.trim(now);
            return None;
        }
        self.poll_lost(now, views).or_else(|| self.poll_stranded(now, views))
    }

    /// Packet `pn` could not be sent again. The receiver is to be told, with its distance.
    pub fn abandon(&mut self, pn: PacketNumber) -> Option<(PacketNumber, u16)> {
        let sent = self.store.get_mut(pn.0).filter(|s| !s.done)?;
        match abandon(pn.0, sent, &mut self.stats) {
            Step::Abandon { pn, distance } => Some((pn, distance)),
            Step::Resend { .. } => None,
        }
    }

    /// When [`poll`](Self::poll) wants to be asked again though nothing changed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.waits_for_pace.then(|| self.pace.next())
    }

    /// Whether nothing is sent again for now, as too much is lost or a long queue stands: headers tell, and the
    /// receiver does not wait for what is lost.
    #[must_use]
    pub const fn is_congested(&self) -> bool {
        self.budget.is_congested() || self.yielding.is_on()
    }

    /// The same for a packet of `len` bytes.
    #[must_use]
    pub const fn is_congested_for(&self, len: usize) -> bool {
        self.budget.is_congested_for(len) || self.yielding.is_on()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> RepairStatus {
        RepairStatus { memory: self.store.memory() as u64, ..self.stats }
    }

    fn poll_lost(&mut self, now: Time, views: &[PathView]) -> Option<Step> {
        while let Some(&(pn, path)) = self.lost.front() {
            let Some(sent) = self.store.get_mut(pn).filter(|s| !s.done && s.under_way == 0) else {
                self.lost.pop_front();
                continue;
            };
            let works = |v: &&PathView| v.id == path && v.rank < Rank::Suspected;
            let same = if sent.handling.is_staying() { views.iter().find(works) } else { None };
            let target = same.or_else(|| {
                target(views, (path, sent.copy), usize::from(sent.len()), self.patience)
            })?;
            self.lost.pop_front();
            // The report took a part of a round trip, the copy will take half of one.
            let elapsed = sent.lost_for(now) + target.srtt * 3 / 4;
            let age = now.since(sent.at);
            let in_time = !sent.unrepaired
                && !sent.is_gone()
                && elapsed <= self.patience
                && age <= self.deadline
                && sent.handling.allows(age + target.srtt / 2);
            if in_time && sent.copy < LAST_COPY && self.budget.spend(now, sent.len().into()) {
                self.stats.sent_again += 1;
                if sent.handling.is_twice() {
                    self.second = second(views, target, sent.len()).map(|path| (pn, path));
                }
                return Some(Step::Resend { pn: PacketNumber(pn), path: target.id });
            }
            return Some(abandon(pn, sent, &mut self.stats));
        }
        None
    }

    fn poll_stranded(&mut self, now: Time, views: &[PathView]) -> Option<Step> {
        while let Some(pn) = self.stranded.front() {
            let Some(sent) = self.store.get_mut(pn).filter(|s| !s.done && s.under_way == 0) else {
                self.stranded.pop_front();
                continue;
            };
            let len = usize::from(sent.len());
            let works = views.iter().filter(|v| v.rank < Rank::Suspected);
            let target = works.min_by_key(|v| (v.rank, usize::from(v.mtu) < len, v.srtt));
            let transit = target.map_or(Duration::ZERO, |t| t.srtt / 2);
            let age = now.since(sent.at) + transit;
            let in_time = age <= self.deadline && sent.handling.allows(age);
            if !in_time || sent.is_gone() || sent.copy >= LAST_COPY {
                self.stranded.pop_front();
                return Some(abandon(pn, sent, &mut self.stats));
            }
            let target = target?;
            if !self.pace.spend(now, len) {
                self.waits_for_pace = true;
                return None;
            }
            self.stranded.pop_front();
            self.stats.rescued += 1;
            self.yielding.on_rescue(now);
            return Some(Step::Resend { pn: PacketNumber(pn), path: target.id });
        }
        None
    }
}

fn abandon(pn: u64, sent: &mut Sent, stats: &mut RepairStatus) -> Step {
    sent.done = true;
    stats.abandoned += 1;
    Step::Abandon { pn: PacketNumber(pn), distance: sent.distance }
}

/// Where a packet goes that `loser` lost, which was its copy of this number: by the best other path, unless `loser` is faster by so much that it
/// may lose it once more.
fn target(
    views: &[PathView],
    (loser, copy): (PathId, u8),
    len: usize,
    patience: Duration,
) -> Option<&PathView> {
    let best = views.iter().map(|v| v.rank).min()?;
    let fits = |v: &PathView| usize::from(v.mtu) >= len;
    let any = views.iter().any(|v| v.rank == best && fits(v));
    let mut ranked = views.iter().filter(|v| v.rank == best && (!any || fits(v)));
    let other = ranked.clone().filter(|v| v.id != loser).min_by_key(|v| v.srtt);
    let same = ranked.find(|v| v.id == loser);
    match (same, other) {
        (Some(same), Some(other)) => {
            let ahead = (other.srtt / 2).saturating_sub(same.srtt / 2);
            let e = &same.estimate;
            let known = e.at > Time::ZERO && copy == 0;
            let clear = known && e.standing < CLEAR && e.random_loss < LOSES_LITTLE;
            // By paths that are empty: what waits on the other one may be ours.
            let longer = (other.min_rtt / 2).saturating_sub(same.min_rtt / 2);
            let again = clear && longer > same.srtt.max(LEAST_AHEAD);
            Some(if again || ahead > patience.mul_f64(AHEAD) { same } else { other })
        }
        (same, other) => same.or(other),
    }
}

/// Where a packet goes besides, that is to go on two paths.
fn second(views: &[PathView], first: &PathView, len: u16) -> Option<PathId> {
    let may = |v: &&PathView| v.id != first.id && v.rank < Rank::Suspected && v.mtu >= len;
    let others = views.iter().filter(may);
    others.min_by_key(|v| (v.rank, v.srtt)).map(|v| v.id)
}

#[cfg(test)]
mod tests;
