//! The progress of all sending workers on a path: each counts a path sequence of its own.

use super::Rtt;
use super::progress::Progress;
use crate::{Time, WorkerId};
use std::time::Duration;

/// What each worker sent over a path, and what of it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkersProgress {
    /// By worker; as many as have sent something.
    workers: Vec<Progress>,
}

impl WorkersProgress {
    /// See [`Progress::on_sent`].
    #[inline]
    pub(super) fn on_sent(&mut self, now: Time, worker: WorkerId, seq: u32) {
        let i = usize::from(worker.get());
        while self.workers.len() <= i {
            self.workers.push(Progress::new());
        }
        self.workers[i].on_sent(now, seq);
    }

    /// See [`Progress::on_report`].
    pub(super) fn on_report(
        &mut self,
        now: Time,
        worker: WorkerId,
        highest: u32,
        interval: Duration,
    ) -> Option<Time> {
        self.workers.get_mut(usize::from(worker.get()))?.on_report(now, highest, interval)
    }

    /// See [`Progress::write_off`].
    pub(super) fn write_off(&mut self, when: Time) {
        self.workers.iter_mut().for_each(|p| p.write_off(when));
    }

    /// Everything starts afresh: the peer counts from nothing.
    pub(super) fn reset(&mut self) {
        self.workers.iter_mut().for_each(Progress::reset);
    }

    /// Whether something was sent that is not known to have arrived.
    pub(super) fn outstanding(&self) -> bool {
        self.workers.iter().any(Progress::outstanding)
    }

    /// When the lack of some worker's progress becomes suspicious, if nothing more is heard.
    pub(super) fn suspicious_at(&self, rtt: &Rtt) -> Option<Time> {
        self.workers.iter().filter_map(|p| p.suspicious_at(rtt)).min()
    }
}
