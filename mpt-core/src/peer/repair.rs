//! Sending again what was lost, and telling the peer what did not arrive. The rules are
//! [`repair`](crate::repair)'s; here they meet paths, sessions and lanes.

use super::association::{ReceiveWorker, SendWorker};
use super::control_out::MAX_CONTROL;
use super::path_entry::outer_headers;
use super::send::send_time;
use super::{Context, Path, Peer};
use crate::control::RepairStatus;
use crate::id::MAX_PATHS;
use crate::path::State;
use crate::repair::{CAPABILITY, Load, Repair, Repairer, Step};
use crate::schedule::{PathView, Rank};
use crate::wire::{Abandon, Arrived, DATA_HEADER_LEN, DataHeader, PathGaps, Report};
use crate::{DropReason, Fragment, Outbox, PacketNumber, PathId, Time, WorkerId};
use std::time::Duration;

/// A path that went down keeps its bit for so long after its last packet: what was under way there is sent
/// again by then, or abandoned.
pub(super) const RESCUE_TIME: Duration = Duration::from_millis(300);

impl Peer {
    /// The session's ends agreed on what they can do.
    pub(super) fn set_repair(&mut self, capabilities: u32, cx: &Context<'_>) {
        let config = cx.config.repair;
        let on = config.is_on() && capabilities & CAPABILITY != 0;
        self.limits.repair = if on { Repair::On } else { Repair::Off };
        let memory = config.memory / self.send_workers.len().max(1);
        for worker in &mut self.send_workers {
            if on != worker.repairer.is_some() {
                let new = || Box::new(Repairer::new(memory, config.max_age, cx.config.max_hold));
                worker.repairer = on.then(new);
            }
        }
    }

    /// Whether both ends repair.
    pub(super) fn repairs(&self) -> bool {
        self.limits.repair == Repair::On
    }

    /// Sends again what was lost, and what is under way on paths that failed.
    pub(super) fn tick_repair(&mut self, now: Time, out: &mut Outbox) {
        let workers = (0..).map_while(WorkerId::new).take(self.send_workers.len());
        workers.clone().for_each(|worker| self.strand(worker));
        self.share_pace(now);
        for worker in workers {
            let mut abandon: Option<Abandon> = None;
            while let Some(step) = self.next_step(now, worker) {
                let given_up = match step {
                    Step::Resend { pn, path } => {
                        if self.send_again_in_parts(now, worker, pn, path, out) {
                            if let Some((pn, distance)) = self.give_up(worker, pn) {
                                let mut alone = Abandon::new(worker);
                                alone.add(pn, distance);
                                self.send_abandon_by(now, path, &alone, out);
                            }
                            continue;
                        }
                        let Err(reason) = self.send_again(now, worker, pn, path, out) else {
                            continue;
                        };
                        self.drops.count(reason);
                        self.give_up(worker, pn)
                    }
                    Step::Abandon { pn, distance } => Some((pn, distance)),
                };
                let Some((pn, distance)) = given_up else { continue };
                let list = abandon.get_or_insert_with(|| Abandon::new(worker));
                if !list.add(pn, distance) {
                    let full = std::mem::replace(list, Abandon::new(worker));
                    list.add(pn, distance);
                    self.send_abandon(now, &full, out);
                }
            }
            if let Some(list) = abandon {
                self.send_abandon(now, &list, out);
            }
        }
    }

    fn give_up(&mut self, worker: WorkerId, pn: PacketNumber) -> Option<(PacketNumber, u16)> {
        self.send_workers[usize::from(worker.get())].repairer.as_mut()?.abandon(pn)
    }

    /// When a rescue goes on, or a gap becomes a loss, though nothing comes.
    pub(super) fn repair_deadline(&self, now: Time) -> Option<Time> {
        let repairers = self.send_workers.iter().filter_map(|w| w.repairer.as_ref());
        let paces = repairers.filter_map(|r| r.poll_timeout());
        if !self.repairs() {
            return None;
        }
        let workers = self.receive_workers.iter().flatten();
        let news = workers.filter_map(|w| w.next_news()).filter(|&at| at > now);
        paces.chain(news).min()
    }

    /// Losses that were found by now are told at once.
    pub(super) fn tick_gaps(&mut self, now: Time) {
        if !self.repairs() {
            return;
        }
        let mut urgent = false;
        for worker in self.receive_workers.iter_mut().flatten() {
            urgent |= worker.has_news(now);
        }
        if urgent {
            self.report_schedule.urgent(now);
        }
    }

    /// What of worker `id` has not arrived, for `report`, which goes out now.
    pub(super) fn arrived(&mut self, now: Time, report: &Report) -> Option<Arrived> {
        let repairs = self.repairs();
        let round_trip = repair_round_trip(&self.views);
        let id = usize::from(report.worker.get());
        let worker = self.receive_workers[id].as_mut().filter(|_| repairs)?;
        worker.reorder.set_round_trip(round_trip);
        let mut arrived = Arrived::new(worker.reorder.patience(), worker.reorder.resolved());
        let mut wanted = [0; MAX_PATHS];
        let mut paths = 0;
        for (path, gaps) in PathId::all().zip(&mut worker.gaps).filter(|(_, g)| g.is_used()) {
            gaps.expire(now);
            wanted[path.index()] = gaps.wanted(now, worker.reorder.extent(path));
            paths += 1;
        }
        let room = MAX_CONTROL - report.encoded_len();
        let most = fair_share(wanted, Arrived::room(room, paths));
        for (path, gaps) in PathId::all().zip(&mut worker.gaps).filter(|(_, g)| g.is_used()) {
            let (extent, room) = (worker.reorder.extent(path), wanted[path.index()].min(most));
            let mut entry = PathGaps::new(path, gaps.settled(now, extent, room), gaps.floor());
            for (n, gap) in gaps.newest(now, extent, room).enumerate() {
                if n == room {
                    entry.end_after(gap.last);
                    break;
                }
                if !entry.add(gap.first, gap.last) {
                    break;
                }
            }
            gaps.mark_told(now, extent, room);
            arrived.add(entry);
        }
        Some(arrived)
    }

    /// The peer told what did not arrive.
    pub(super) fn on_arrived(&mut self, now: Time, worker: WorkerId, arrived: &Arrived) {
        let worker = self.send_workers.get_mut(usize::from(worker.get()));
        let Some(repairer) = worker.and_then(|w| w.repairer.as_mut()) else { return };
        repairer.on_arrived(now, arrived);
        for gaps in arrived.paths() {
            let Some(inner) = repairer.poll_large_loss(gaps.path) else { continue };
            let Some(path) = self.paths[gaps.path.index()].as_mut() else { continue };
            let outer = path.remote.current().as_ref().map_or(0, outer_headers);
            let tag = self.sessions.current().map_or(0, |s| s.session.data_tag_len());
            path.mtu.on_large_loss(inner + DATA_HEADER_LEN + tag + usize::from(outer));
            self.views_dirty = true;
        }
    }

    /// The peer does not send some packets again.
    pub(super) fn on_abandon(&mut self, abandon: &Abandon) {
        if let Some(worker) = self.receive_workers[usize::from(abandon.worker.get())].as_mut() {
            for (pn, distance) in abandon.packets() {
                worker.reorder.on_abandoned(pn, distance);
            }
        }
    }

    pub(super) fn repair_status(&self) -> RepairStatus {
        let all = self.send_workers.iter().filter_map(|w| w.repairer.as_ref()).map(|r| r.stats());
        let (active, pauses) = (self.repairs(), self.pauses_told);
        all.fold(RepairStatus { active, pauses, ..Default::default() }, |a, b| RepairStatus {
            active,
            pauses,
            sent_again: a.sent_again + b.sent_again,
            rescued: a.rescued + b.rescued,
            abandoned: a.abandoned + b.abandoned,
            memory: a.memory + b.memory,
        })
    }

    /// What is under way on paths that bring nothing goes by another one.
    fn strand(&mut self, worker: WorkerId) {
        let Some(repairer) = self.send_workers[usize::from(worker.get())].repairer.as_mut() else {
            return;
        };
        let works = self.views.iter().any(|v| v.rank < Rank::Suspected);
        for id in PathId::all() {
            let state = self.paths[id.index()].as_ref().map(|p| p.health.state());
            match state {
                Some(State::Up | State::Disabled) => repairer.on_path_back(id),
                Some(_) => repairer.on_path_out(id),
                None => {}
            }
            let failed = match state {
                // What is under way on a path that an operator took out of use arrives all the same.
                Some(State::Disabled) => false,
                Some(State::Up) => self.views.iter().all(|v| v.id != id),
                Some(_) => works || self.views.iter().all(|v| v.id != id),
                None => true,
            };
            if failed {
                repairer.on_path_failed(id);
            }
        }
    }

    /// The workers that rescue something do so at one pace together.
    fn share_pace(&mut self, now: Time) {
        let repairers = self.send_workers.iter_mut().filter_map(|w| w.repairer.as_mut());
        let mut rescuing: Vec<_> = repairers.filter(|r| r.is_rescuing()).collect();
        let count = rescuing.len();
        for repairer in &mut rescuing {
            if repairer.wants_load() {
                repairer.set_load(load(now, &self.paths, &self.views));
            }
            repairer.share_pace(count);
        }
    }

    fn next_step(&mut self, now: Time, worker: WorkerId) -> Option<Step> {
        self.send_workers[usize::from(worker.get())].repairer.as_mut()?.poll(now, &self.views)
    }

    /// Seals packet `pn` once more, onto `path_id`.
    fn send_again(
        &mut self,
        now: Time,
        worker: WorkerId,
        pn: PacketNumber,
        path_id: PathId,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let slot = self.sessions.current().filter(|s| !s.session.expired(now));
        let slot = slot.ok_or(DropReason::NoSession)?;
        let SendWorker { repairer, open_paths, pauses, .. } =
            &mut self.send_workers[usize::from(worker.get())];
        let repairer = repairer.as_mut().ok_or(DropReason::NoPath)?;
        let (sent, packet) = repairer.packet(pn).ok_or(DropReason::NoPath)?;
        let path = self.paths[path_id.index()].as_mut().ok_or(DropReason::NoPath)?;
        let remote = path.remote.current().ok_or(DropReason::NoPath)?;
        let len = DATA_HEADER_LEN + packet.len() + slot.session.data_tag_len();
        let mut key = path.lane(self.id, remote).ok_or(DropReason::NoPath)?;
        let view = self.views.iter().find(|v| v.id == path_id);
        if view.is_some_and(|v| usize::from(v.mtu + path.mtu.withheld()) < packet.len()) {
            key.fragment = Fragment::Allow;
        }
        if !path.remote.may_send(remote, len) {
            return Err(DropReason::NoPath);
        }
        let (copy, handling) = (sent.copy + 1, sent.handling);
        let sequence = open_paths.on_copy(path_id);
        let header = DataHeader {
            flags: sent.flags,
            worker,
            copy,
            send_time: send_time(now),
            index: slot.session.remote_index(path_id),
            pn: pn.low(),
            distance: sent.distance,
            open_paths: sent.open_paths,
            sequence,
        };
        let lane = out.lane(key);
        let datagram = out.push_at(lane, path.tos(inner_tos(packet.head())), len);
        header.encode(datagram);
        packet.write(&mut datagram[DATA_HEADER_LEN..][..packet.len()]);
        match slot.session.seal_later(path_id, worker, copy, pn) {
            Ok(seal) => out.seal_last(lane, seal),
            Err(_) => out.spoil_last(lane),
        }
        repairer.on_copy(path_id, sequence, pn);
        pauses.on_sent(now, path_id, handling);
        path.count_data_sent(now, worker, sequence, len);
        Ok(())
    }
}

/// The TOS or traffic class of a packet that was parsed before.
fn inner_tos(packet: &[u8]) -> u8 {
    match packet {
        [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
        [_, tos, ..] => *tos,
        _ => 0,
    }
}

impl ReceiveWorker {
    fn has_news(&self, now: Time) -> bool {
        let paths = PathId::all().zip(&self.gaps).filter(|(_, g)| !g.is_empty());
        paths.into_iter().any(|(p, g)| g.has_news(now, self.reorder.extent(p)))
    }

    fn next_news(&self) -> Option<Time> {
        let paths = PathId::all().zip(&self.gaps).filter(|(_, g)| !g.is_empty());
        paths.filter_map(|(p, g)| g.next_news(self.reorder.extent(p))).min()
    }

    /// Whether the path's sequence lacks this number.
    pub(super) fn lacks(&self, path: PathId, sequence: u32) -> bool {
        self.gaps[path.index()].is_new(sequence)
    }
}

/// The load, and what the paths that work can take.
fn load(now: Time, paths: &[Option<Box<Path>>], views: &[PathView]) -> Load {
    let working = || views.iter().filter(|v| v.rank < Rank::Suspected);
    let limits = working().map(|v| v.limit.map(crate::Rate::bytes_per_second));
    Load {
        traffic: paths.iter().flatten().map(|p| p.data_up.rate(now).bytes).sum(),
        capacity: working().map(|v| v.estimate).filter(|e| e.measured).map(|e| e.rate).sum(),
        most: limits.sum::<Option<u64>>().filter(|&most| most > 0),
    }
}

/// The most that each of those who want so many gets of `room`, so that nobody gets less for another's sake than that one has.
fn fair_share(mut wanted: [usize; MAX_PATHS], room: usize) -> usize {
    wanted.sort_unstable();
    let mut left = room;
    for (i, &want) in wanted.iter().enumerate() {
        let share = left / (MAX_PATHS - i);
        if want > share {
            return share;
        }
        left -= want;
    }
    usize::MAX
}

/// The round trip of the path by which a lost packet comes: the second fastest's, if the fastest one lost it. Zero where it is not known.
fn repair_round_trip(views: &[PathView]) -> Duration {
    let best = views.iter().map(|v| v.rank).min();
    let known = views.iter().filter(|v| Some(v.rank) == best && !v.srtt.is_zero()).map(|v| v.srtt);
    let (mut first, mut second) = (Duration::MAX, Duration::MAX);
    for srtt in known {
        second = second.min(first.max(srtt));
        first = first.min(srtt);
    }
    [second, first].into_iter().find(|&trip| trip < Duration::MAX).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weight;
    use crate::schedule::{Estimate, Tokens};

    #[test]
    fn gaps_have_room_by_what_paths_want() {
        let wanted = |some: &[usize]| std::array::from_fn(|i| some.get(i).copied().unwrap_or(0));
        assert_eq!(fair_share(wanted(&[24, 24]), 48), usize::MAX);
        assert_eq!(fair_share(wanted(&[24, 3, 10]), 17), 7);
        assert_eq!(fair_share([24; MAX_PATHS], 17), 1);
        // What 16 paths leave in a report is one for each at least, and more where few of them lose something.
        let report = 15 + MAX_PATHS * 48;
        let room = Arrived::room(MAX_CONTROL - report, MAX_PATHS);
        assert!(fair_share([24; MAX_PATHS], room) >= 1 && fair_share(wanted(&[24]), room) > 10);
    }

    #[test]
    fn a_repair_takes_the_second_fastest_path_that_is_known() {
        let views = |srtts: &[u64]| -> Vec<PathView> {
            let view = |(&ms, id)| PathView {
                id,
                weight: Weight::DEFAULT,
                priority: 0,
                rank: Rank::Preferred,
                mtu: 1_400,
                srtt: Duration::from_millis(ms),
                limit: None,
                tokens: Tokens::Left,
                wait: Duration::ZERO,
                min_rtt: Duration::from_millis(ms),
                estimate: Estimate::default(),
            };
            srtts.iter().zip(PathId::all()).map(view).collect()
        };
        for (srtts, expected) in [
            (&[][..], 0),
            (&[0], 0),
            (&[70], 70),
            (&[70, 20], 70),
            (&[90, 0, 30], 90),
            (&[50, 90, 30], 50),
        ] {
            let trip = repair_round_trip(&views(srtts));
            assert_eq!(trip, Duration::from_millis(expected), "{srtts:?}");
        }
    }
}
