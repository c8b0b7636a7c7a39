//! Control datagrams from the peer.

use super::association::ReceiveWorker;
use super::sessions::{SessionId, Standing};
use super::{Context, DatagramMeta, Path, Peer};
use crate::order;
use crate::path::Freshness;
use crate::repair::Novelty;
use crate::schedule::PathView;
use crate::wire::{
    Abandon, Arrived, Close, ControlHeader, Echo, Marker, MessageType, Parity, Pause, Probe, Report,
};
use crate::{DropReason, Outbox, PathId, Time};
use std::time::Duration;

/// What nobody told of for so long carries nothing, and has no queue.
const TOLD: Duration = Duration::from_millis(250);

/// So many packets lost within ten seconds make it doubtful whether large ones pass.
const LOST_FOR_DOUBT: u64 = 3;

impl Peer {
    /// Handles a control datagram of the peer's path `theirs`, sealed in session `id`.
    ///
    /// # Errors
    /// Why it was dropped; nothing changed then.
    #[expect(clippy::too_many_arguments, reason = "a datagram and where it came from, internal")]
    pub fn receive_control(
        &mut self,
        now: Time,
        id: SessionId,
        theirs: PathId,
        meta: &DatagramMeta,
        datagram: &mut [u8],
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Result<(), DropReason> {
        let header = ControlHeader::decode(datagram).ok_or(DropReason::Malformed)?;
        let len = datagram.len();
        let (slot, standing) = self.sessions.find(id).ok_or(DropReason::UnknownIndex)?;
        if slot.session.expired(now) {
            return Err(DropReason::UnknownIndex);
        }
        let workers = slot.workers;
        let message = slot.session.open_control(theirs, datagram)?;
        slot.heard.get_or_insert(now);
        let newest = slot.session.newest_control(theirs) == header.counter;
        if standing == Standing::Pending {
            self.confirm(now, id, cx);
        }
        let newest = match newest && self.sessions.is_newest(id) {
            true => Freshness::Newest,
            false => Freshness::Older,
        };
        self.heard(now);
        let by_worker = matches!(
            header.kind,
            MessageType::Marker | MessageType::Abandon | MessageType::Parity | MessageType::Pause
        );
        if by_worker && header.worker.get() >= workers {
            return Err(DropReason::Malformed);
        }
        match header.kind {
            MessageType::Probe => {
                let probe = Probe::decode(message).ok_or(DropReason::Malformed)?;
                self.on_probe(now, theirs, &probe, newest, meta, len, out, cx)
            }
            MessageType::Echo => {
                let echo = Echo::decode(message).ok_or(DropReason::Malformed)?;
                self.on_echo(now, theirs, &echo, meta, len, newest);
                Ok(())
            }
            MessageType::Report => {
                let (report, rest) = Report::read(message).ok_or(DropReason::Malformed)?;
                let arrived = Arrived::decode(rest);
                self.count_received(now, theirs, len);
                self.on_report(now, &report);
                if let Some(arrived) = arrived {
                    self.on_arrived(now, report.worker, &arrived);
                }
                Ok(())
            }
            MessageType::Marker => {
                let marker = Marker::decode(message).filter(|m| m.worker == header.worker);
                let marker = marker.ok_or(DropReason::Malformed)?;
                self.count_received(now, theirs, len);
                self.on_marker(now, theirs, &marker);
                Ok(())
            }
            MessageType::Abandon => {
                let abandon = Abandon::decode(message).filter(|a| a.worker == header.worker);
                let abandon = abandon.ok_or(DropReason::Malformed)?;
                self.count_received(now, theirs, len);
                self.on_abandon(&abandon);
                Ok(())
            }
            MessageType::Parity => {
                let parity = Parity::decode(message).filter(|p| p.worker == header.worker);
                let parity = parity.ok_or(DropReason::Malformed)?;
                self.count_received(now, theirs, len);
                self.on_parity(now, theirs, &parity, len, cx);
                Ok(())
            }
            MessageType::Pause => {
                let pause = Pause::decode(message).filter(|p| p.worker == header.worker);
                let pause = pause.ok_or(DropReason::Malformed)?;
                self.count_received(now, theirs, len);
                self.on_pause(now, theirs, &pause);
                Ok(())
            }
            MessageType::Close => {
                let close = Close::decode(message).ok_or(DropReason::Malformed)?;
                self.on_close(now, close);
                Ok(())
            }
            _ => Err(DropReason::Malformed),
        }
    }
}

impl Peer {
    #[expect(clippy::too_many_arguments, reason = "a probe and where it came from, internal")]
    fn on_probe(
        &mut self,
        now: Time,
        theirs: PathId,
        probe: &Probe<'_>,
        newest: Freshness,
        meta: &DatagramMeta,
        len: usize,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Result<(), DropReason> {
        let ours = match probe.open.as_ref() {
            Some(open) => self.match_path(now, theirs, open, newest, meta, cx),
            None => self.remote_paths[theirs.index()],
        };
        // Not introduced yet: the peer repeats its introduction until an echo says it is known.
        let ours = ours.ok_or(DropReason::UnknownPath)?;
        let Some(path) = self.paths[ours.index()].as_mut() else {
            return Err(DropReason::UnknownPath);
        };
        path.count_received(now, len);
        path.remote.on_authenticated(now, meta.source, len, newest);
        if newest == Freshness::Newest {
            path.health.set_disabled_by_peer(now, probe.disabled);
            self.views_dirty |= path.follow_caller(meta.source, meta.socket, meta.destination);
        }
        let echo = Echo {
            token: probe.token,
            introduced: true,
            disabled: path.health.is_disabled(),
            path: Some(ours),
            size: u16::try_from(len).unwrap_or(u16::MAX),
        };
        let lane = match path.remote.is_learned() && path.local.socket.is_some() {
            true => Some(path.lane_by(meta.socket, meta.destination, self.id, meta.source)),
            false => path.lane(self.id, meta.source),
        };
        let Some(lane) = lane else { return Ok(()) };
        self.send_echo(now, ours, echo, lane, out);
        Ok(())
    }

    fn on_echo(
        &mut self,
        now: Time,
        theirs: PathId,
        echo: &Echo,
        meta: &DatagramMeta,
        len: usize,
        newest: Freshness,
    ) {
        for path in self.paths.iter_mut().flatten() {
            let mtu = path.mtu.on_echo(echo.token);
            let silent = is_nobody_there(path);
            let challenge = path.remote.on_challenge_answered(now, echo.token, meta.source, silent);
            let sent = path.health.probe_sent(echo.token);
            let probe = path.health.on_echo(now, echo.token);
            if !(mtu || challenge || probe) {
                continue;
            }
            path.count_received(now, len);
            path.remote.on_authenticated(now, meta.source, len, newest);
            if probe {
                path.remote.on_answer(now, meta.source);
                let rtt = path.health.rtt();
                let longer =
                    rtt.latest().zip(rtt.min()).map_or(Duration::ZERO, |(now, min)| now - min);
                let in_a_row = path.health.answered_in_a_row();
                path.model.on_probe_answered(sent.unwrap_or(now), longer, in_a_row);
                let estimate = path.model.estimate();
                if let Some(view) = self.views.iter_mut().find(|v| v.id == path.id) {
                    view.estimate.loss_until = estimate.loss_until;
                    view.estimate.probed = estimate.probed;
                }
            }
            if let Some(sent) = sent {
                path.introduction.on_echo(sent);
            }
            if newest == Freshness::Newest {
                path.health.set_disabled_by_peer(now, echo.disabled);
            }
            if self.remote_paths[theirs.index()].is_none() && path.remote_id.is_none() {
                self.remote_paths[theirs.index()] = Some(path.id);
                path.remote_id = Some(theirs);
            }
            self.views_dirty |= mtu || challenge;
            return;
        }
        // Answered twice, or too late: it still says that the peer lives, which was noted.
    }

    fn on_report(&mut self, now: Time, report: &Report) {
        for r in report.paths() {
            let Some(path) = self.paths[r.path.index()].as_mut() else { continue };
            path.health.on_report(now, report.worker, r.highest_seq, report.interval);
            path.loss_up.update(now, report.worker, r.highest_seq, r.packets);
            if path.loss_up.lost(now) >= LOST_FOR_DOUBT {
                path.mtu.on_loss(now, path.loss_up.loss(now).unwrap_or(0.0));
            }
            let srtt = path.health.rtt().smoothed();
            path.model.on_report(now, report.worker, r, srtt, &mut self.delay_turn);
            if self.scheduler.is_adaptive() {
                path.follow_bottleneck(now);
            }
            if let Some(view) = self.views.iter_mut().find(|v| v.id == r.path) {
                view.estimate = path.model.estimate();
                view.limit = path.limit().map(|(rate, _)| rate);
                let here = self.shaper.overflowing_since(now);
                view.estimate.overflowing_since = view.estimate.overflowing_since.or(here);
            }
            let worker = self.send_workers.get_mut(usize::from(report.worker.get()));
            if let (Some(epoch), Some(worker)) = (r.marker_epoch, worker) {
                worker.open_paths.on_marker_ack(r.path, epoch);
            }
        }
        let long_queue = self.long_queue(now);
        let worker = self.send_workers.get_mut(usize::from(report.worker.get()));
        if let Some(repairer) = worker.and_then(|w| w.repairer.as_mut()) {
            repairer.on_queue(now, long_queue);
        }
        for view in &mut self.views {
            let path = self.paths[view.id.index()].as_ref();
            view.min_rtt = path.and_then(|p| p.health.rtt().min()).unwrap_or_default();
        }
        self.follow_losses(now);
        self.follow_unevenness(now);
        self.watch_pauses(now);
        for theirs in PathId::all() {
            let Some(ours) = self.remote_paths[theirs.index()] else { continue };
            let Some(path) = self.paths[ours.index()].as_mut() else { continue };
            path.health.set_unusable_for_peer(now, report.unusable & theirs.bit() != 0);
        }
    }

    /// The round trip through the longest queue that a flow meets, if that is long. One that is spread meets none while
    /// something else has room.
    fn long_queue(&self, now: Time) -> Option<Duration> {
        let over = self.scheduler.spreads_over();
        let met = |v: &&PathView| over.is_none_or(|bits| bits & v.id.bit() != 0);
        let mut longest = None;
        for v in self.views.iter().filter(met) {
            let Some(path) = self.paths[v.id.index()].as_ref() else { continue };
            let e = path.model.estimate();
            let told = now.since(e.at) < TOLD;
            if over.is_some() && !(told && e.standing > e.threshold) {
                return None;
            }
            let min_rtt = path.health.rtt().min().unwrap_or_default();
            longest = longest.max(path.model.long_queue(min_rtt).filter(|_| told));
        }
        longest
    }

    fn on_marker(&mut self, now: Time, theirs: PathId, marker: &Marker) {
        let slot = &mut self.receive_workers[marker.worker.get() as usize];
        let worker = slot.get_or_insert_with(|| Box::new(ReceiveWorker::new(self.limits)));
        if worker.gaps[theirs.index()].on_number(now, marker.seq) != Novelty::Known {
            worker.arrivals.on_marker(now, theirs, marker.seq);
        }
        let marker =
            order::Marker { epoch: marker.epoch, last_pn: marker.last_pn, seq: marker.seq };
        worker.reorder.on_marker(now, theirs, marker);
        self.report_schedule.urgent(now);
    }

    fn on_close(&mut self, now: Time, close: Close) {
        tracing::info!(peer = %self.name, reason = ?close.reason, "peer closed the session");
        self.sessions.end();
        for path in self.paths.iter_mut().flatten() {
            path.health.on_session_ended(now);
        }
        self.views_dirty = true;
        self.why = Some("the peer closed the tunnel; waiting for it to come back".to_owned());
    }

    fn count_received(&mut self, now: Time, theirs: PathId, len: usize) {
        if let Some(ours) = self.remote_paths[theirs.index()]
            && let Some(path) = self.paths[ours.index()].as_mut()
        {
            path.count_received(now, len);
        }
    }
}

/// Whether the path is down as nobody answers at the peer's address, or as the peer itself says that its side is down, and nobody
/// has answered there since.
fn is_nobody_there(path: &Path) -> bool {
    let since = path.health.changed();
    let left = path.health.is_down_for_peer() && !path.remote.answered_since(since);
    left || path.health.is_unanswered()
}
