//! Word of pauses, to the peer and from it. The rules are [`repair`](crate::repair)'s.

use super::association::ReceiveWorker;
use super::cover::has_room;
use super::{Path, Peer};
use crate::repair::{Novelty, PAUSES_CAPABILITY};
use crate::wire::Pause;
use crate::{Outbox, PathId, Time, WorkerId};

/// A path that lost this share of its packets lately, and so many, loses some; a single one may be late.
const LOSES: f64 = 0.002;
const SOME: u64 = 2;

/// Of a path that loses this share word of a pause is likely to be lost as well.
const LOSES_MUCH: f64 = 0.01;

impl Peer {
    /// Both ends know pauses, or not.
    pub(super) fn set_pauses(&mut self, capabilities: u32) {
        self.knows_pauses = capabilities & PAUSES_CAPABILITY != 0;
        if !self.knows_pauses {
            self.send_workers.iter_mut().for_each(|w| w.pauses.watch(0, 0));
        }
    }

    /// A report came: which paths lose packets.
    pub(super) fn watch_pauses(&mut self, now: Time) {
        if !self.knows_pauses {
            return;
        }
        let (mut watched, mut twice) = (0, 0);
        for path in self.paths.iter().flatten() {
            let loss = loss(now, path);
            watched |= if loss >= LOSES { path.id.bit() } else { 0 };
            twice |= if loss >= LOSES_MUCH { path.id.bit() } else { 0 };
        }
        self.send_workers.iter_mut().for_each(|w| w.pauses.watch(watched, twice));
    }

    /// Tells of pauses on paths that lose packets, unless those are full: then everybody waits there anyway.
    pub(super) fn tick_pauses(&mut self, now: Time, out: &mut Outbox) {
        for worker in (0..).map_while(WorkerId::new).take(self.send_workers.len()) {
            let i = usize::from(worker.get());
            while let Some(id) = self.send_workers[i].pauses.poll(now) {
                let view = self.views.iter().find(|v| v.id == id);
                let Some((path, view)) = self.paths[id.index()].as_mut().zip(view) else {
                    continue;
                };
                if !has_room(now, path, view) {
                    continue;
                }
                let seq = self.send_workers[i].open_paths.on_copy(id);
                path.health.on_sent_data(now, worker, seq, 0);
                path.model.on_sent(now, worker, seq, 0);
                let sent = self.send_pause(now, id, Pause { worker, seq }, out);
                self.pauses_told += u64::from(sent > 0);
            }
        }
    }

    /// When the next pause has lasted long enough.
    pub(super) fn pauses_deadline(&self) -> Option<Time> {
        self.send_workers.iter().filter_map(|w| w.pauses.poll_timeout()).min()
    }

    /// The peer tells of a pause.
    pub(super) fn on_pause(&mut self, now: Time, theirs: PathId, pause: &Pause) {
        let slot = &mut self.receive_workers[usize::from(pause.worker.get())];
        let worker = slot.get_or_insert_with(|| Box::new(ReceiveWorker::new(self.limits)));
        if worker.gaps[theirs.index()].on_number(now, pause.seq) != Novelty::Known {
            worker.arrivals.on_marker(now, theirs, pause.seq);
            worker.reorder.on_pause(now, theirs, pause.seq);
        }
        // The sender expects to hear of all that has a number.
        self.report_schedule.on_received(now, 0);
    }
}

/// The share that is lost. Where there is jitter much is missing that is only late, so that the model has to tell; else it need not, and it does
/// not know paths that carry but copies.
fn loss(now: Time, path: &Path) -> f64 {
    if path.model.estimate().jittery {
        path.model.losses(now).0
    } else if path.loss_up.lost(now) < SOME {
        0.0
    } else {
        path.loss_up.loss(now).unwrap_or_default()
    }
}
