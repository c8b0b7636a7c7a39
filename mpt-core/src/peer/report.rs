//! Reports to the peer: when they are due, what they say, and by which path they go.

use super::Peer;
use crate::wire::Report;
use crate::{Outbox, PacketNumber, PathId, Time, WorkerId};
use std::time::Duration;

impl Peer {
    /// After a part of a batch: the report that should not wait for the end of it.
    pub fn report_early(&mut self, now: Time, out: &mut Outbox) {
        if self.report_deadline().is_some_and(|at| at <= now) {
            self.tick_reports(now, out);
        }
    }

    /// Sends the report that is due: by the path that answers soonest, and by the next one too when it
    /// tells of a loss.
    pub(super) fn tick_reports(&mut self, now: Time, out: &mut Outbox) {
        self.tick_gaps(now);
        let Some(first) = self.report_path(now, None) else { return };
        let srtt = self.srtt(first);
        if !self.report_schedule.due(now, srtt) {
            return;
        }
        let interval = self.report_schedule.interval();
        // Even if there is nothing to tell.
        self.report_schedule.on_sent(now, 0);
        let second = self.report_path(now, Some(first));
        let (first, second) = self.take_turns(now, first, second);
        for worker in (0..16).filter_map(WorkerId::new) {
            let Some(report) = self.report(now, worker, interval) else { continue };
            let arrived = self.arrived(now, &report);
            self.send_report(now, first, &report, arrived.as_ref(), out);
            for entry in report.paths() {
                let ours = self.remote_paths[entry.path.index()];
                if let Some(path) = ours.and_then(|p| self.paths[p.index()].as_mut()) {
                    path.loss_down.update(now, worker, entry.highest_seq, entry.packets);
                }
            }
            let missing = report.paths().map(missing).sum();
            let worker = self.receive_workers[worker.get() as usize].as_mut();
            let loss = worker.is_some_and(|w| {
                w.arrivals.begin_report();
                w.arrivals.note_missing(missing)
            });
            if let Some(second) = second.filter(|_| loss) {
                self.send_report(now, second, &report, arrived.as_ref(), out);
            }
        }
    }

    /// Reports are cumulative, so they may take turns on two paths that are about as good: where one of
    /// them has failed, without a word, every other report still tells of it at once.
    fn take_turns(
        &mut self,
        now: Time,
        first: PathId,
        second: Option<PathId>,
    ) -> (PathId, Option<PathId>) {
        self.report_turn = self.report_turn.wrapping_add(1);
        let lately = now.before(HEARD_LATELY);
        let Some(other) = second.filter(|_| self.report_turn % 2 == 1) else {
            return (first, second);
        };
        let heard = self.paths[other.index()].as_ref().is_some_and(|p| p.heard_since(lately));
        match (self.srtt(first), self.srtt(other)) {
            (Some(a), Some(b)) if heard && b <= a * 2 + TURN_SLACK => (other, Some(first)),
            _ => (first, second),
        }
    }

    /// When the next report is due.
    pub(super) fn report_deadline(&self) -> Option<Time> {
        self.report_schedule.poll_timeout().filter(|_| !self.views.is_empty())
    }

    fn srtt(&self, path: PathId) -> Option<Duration> {
        self.paths[path.index()].as_ref()?.health.rtt().smoothed()
    }

    fn report(&self, now: Time, id: WorkerId, interval: Duration) -> Option<Report> {
        let worker = self.receive_workers[id.get() as usize].as_ref();
        if worker.is_none() && id != WorkerId::default() {
            return None;
        }
        let unusable = self
            .paths
            .iter()
            .flatten()
            .filter(|p| p.health.is_unusable_here())
            .fold(0, |bits, p| bits | p.id.bit());
        let Some(worker) = worker else {
            // Nothing came from the peer so far, but it is to know which paths are of no use.
            return Some(Report::new(id, unusable, interval, PacketNumber(0)));
        };
        let mut report = Report::new(id, unusable, interval, worker.highest());
        for entry in worker.arrivals.report(now, |path| worker.reorder.marker_ack(path)) {
            report.add(entry);
        }
        Some(report)
    }

    /// The best path but `other`: first those by which the peer was heard lately, for a dead path tells
    /// nothing of its death, and a report that goes there makes the peer suspect the others too; then by
    /// rank and round-trip time.
    pub(super) fn report_path(&self, now: Time, other: Option<PathId>) -> Option<PathId> {
        let (just_now, lately) = (now.before(HEARD_NOW), now.before(HEARD_LATELY));
        self.paths
            .iter()
            .flatten()
            .filter(|p| Some(p.id) != other)
            .filter_map(|p| {
                let silent = (!p.heard_since(lately), !p.heard_since(just_now));
                Some((silent, p.rank(now)?, p.health.rtt().smoothed(), p.id))
            })
            .min()
            .map(|(.., id)| id)
    }
}

/// While data comes by a path, something is heard at least this often, and so are the echoes of our own probes.
const HEARD_LATELY: Duration = Duration::from_millis(120);

/// A path that brings data is heard this often under any load that matters.
const HEARD_NOW: Duration = Duration::from_millis(30);

/// A report may come so much later, beyond twice the best path's round trip, for taking turns.
const TURN_SLACK: Duration = Duration::from_millis(10);

/// Packets of a path that had not arrived when a later one had.
fn missing(p: &crate::wire::PathReport) -> u64 {
    // Sequences wrap, counts do not.
    u64::try_from(p.highest_seq.wrapping_sub(p.packets as u32) as i32).unwrap_or(0)
}
