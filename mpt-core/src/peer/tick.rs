//! What time does to a peer, after each batch that needs it (see [`tick_due`](super::tick_due)): handshakes, keys, probes, markers, reports,
//! and the release of packets that waited long enough.

use super::association::ReceiveWorker;
use super::delivery::outlet;
use super::path_entry::outer_headers;
use super::repair::RESCUE_TIME;
use super::sessions::Slot;
use super::waiting::Waiter;
use super::{Attempt, Context, Origin, Outgoing, Path, Peer, agree};
use crate::config::SchedulerKind;
use crate::endpoint::Share;
use crate::handshake::Pending;
use crate::inner::InnerPacket;
use crate::path::{Change, State, Usability};
use crate::schedule::{PathView, Rank, Tokens, Weights};
use crate::session::{CONTROL_TAG_LEN, DATA_HEADER_LEN};
use crate::wire::Marker;
use crate::{DropReason, Event, Outbox, PathId, Time, WorkerId};
use rand_core::RngCore;
use std::time::Duration;

/// With a session but no path that answers, new keys are asked for after this long without a word:
/// the peer may have been restarted and forgotten the old ones.
const SILENCE: Duration = Duration::from_millis(400);

/// Whoever answered us uses our new keys as soon as he hears of them. Nothing for this long, and he may have forgotten them.
const UNHEARD: Duration = Duration::from_secs(3);

/// Challenges sent at once: to the address in use and to the candidate.
const MAX_CHALLENGES: usize = 2;

impl Peer {
    /// Everything that is due at `now`, and what the last batch made due, save order.
    pub fn tick(&mut self, now: Time, out: &mut Outbox, cx: &mut Context<'_>) {
        self.tick_due.on_tick(now, self.traffic_seen);
        self.tick_traffic(now);
        self.tick_sessions(now, out, cx);
        self.tick_paths(now, out, cx);
        self.tick_views(now, cx);
        self.tick_limits(now);
        self.tick_repair(now, out);
        self.tick_parities(now, out);
        self.flush_waiting(now, out);
        self.drain_queue(now, out);
        self.tick_markers(now, out);
        self.tick_pauses(now, out);
        self.tick_reports(now, out);
        let rest = self.rest_deadline(now);
        self.tick_due.set_rest(rest);
        self.next_deadline = rest.into_iter().chain(self.data_deadline()).min();
    }

    fn tick_traffic(&mut self, now: Time) {
        if std::mem::take(&mut self.traffic_seen) {
            for path in self.paths.iter_mut().flatten() {
                path.health.on_traffic(now);
            }
        }
    }

    /// The order of what comes from the peer's workers that `ours` serves. Gives when it wants to be called
    /// again.
    pub fn tick_order(&mut self, now: Time, ours: Share, cx: &mut Context<'_>) -> Option<Time> {
        self.share_held();
        let (mut outlet, held) = outlet(self.id, &mut self.delivered, &mut self.drops, cx);
        let workers = self.receive_workers.iter_mut().enumerate();
        let served = workers.filter(|(i, _)| ours.serves(*i)).filter_map(|(_, w)| w.as_mut());
        let mut next = None;
        for worker in served {
            worker.reorder.on_batch_end(now, held, &mut |p, c| outlet.deliver(p, c));
            next = [next, worker.reorder.poll_timeout()].into_iter().flatten().min();
        }
        next
    }

    /// What may be held for the peer is for all of its workers together: what the others left is for each.
    fn share_held(&mut self) {
        if self.receive_workers.iter().flatten().count() < 2 {
            return;
        }
        let held = |w: &ReceiveWorker| w.reorder.held_bytes();
        let all: usize = self.receive_workers.iter().flatten().map(|w| held(w)).sum();
        let free = self.limits.held_bytes.saturating_sub(all);
        for worker in self.receive_workers.iter_mut().flatten() {
            let limit = held(worker) + free;
            worker.reorder.set_held_limit(limit);
        }
    }

    fn tick_sessions(&mut self, now: Time, out: &mut Outbox, cx: &mut Context<'_>) {
        if self.sessions.expire(now) {
            for path in self.paths.iter_mut().flatten() {
                path.health.on_session_ended(now);
            }
            self.views_dirty = true;
        }
        while let Some(slot) = self.sessions.poll_ended() {
            cx.indices.remove(slot.session.local_indices());
            self.views_dirty = true;
        }
        if !self.can_initiate() {
            // Wherever copies went is somebody else's address by now.
            self.attempt = None;
        }
        if self.wants_handshake(now) {
            self.begin_attempt(now, cx);
        }
        if self.attempt.as_ref().is_some_and(|a| a.due(now)) {
            self.send_initiation(now, out);
        }
    }

    /// Whether an initiation should be under way that is not.
    fn wants_handshake(&self, now: Time) -> bool {
        if now < self.next_attempt || !self.can_initiate() {
            return false;
        }
        if let Some(attempt) = &self.attempt {
            return attempt.stale(now);
        }
        match self.sessions.current() {
            None => true,
            Some(slot) => {
                slot.session.rekey_due(now) || self.silent(now) || self.is_unheard(now, slot)
            }
        }
    }

    /// With a session, but nobody answers.
    fn silent(&self, now: Time) -> bool {
        let usable = self.paths.iter().flatten().any(|p| p.health.usability(now) != Usability::No);
        let young = self
            .sessions
            .current()
            .is_some_and(|slot| now.since(slot.session.created()) < SILENCE * 2);
        !usable && !young && now.since(self.last_heard) >= SILENCE
    }

    /// Whether the peer makes no use of the keys that we agreed on.
    fn is_unheard(&self, now: Time, slot: &Slot) -> bool {
        let trips = self.paths.iter().flatten().filter_map(|p| p.health.rtt().smoothed());
        let long = UNHEARD.max(trips.min().unwrap_or_default() * 3);
        let since = now.since(slot.session.created());
        slot.session.is_initiator() && slot.heard.is_none() && since >= long
    }

    /// Whether there is anywhere to send an initiation. What the peer opened is its to open again,
    /// but serves for new keys.
    pub(super) fn can_initiate(&self) -> bool {
        let rekey = self.sessions.current().is_some();
        self.paths.iter().flatten().any(|p| {
            (p.origin == Origin::Configured || rekey)
                && p.local.socket.is_some()
                && p.remote.current().is_some()
        })
    }

    fn begin_attempt(&mut self, now: Time, cx: &mut Context<'_>) {
        let index = cx.rng.next_u32();
        let begun = Pending::begin(
            &cx.config.private_key,
            &self.config.public_key,
            &self.config.preshared_key,
            agree::hello(cx.config, self.instance.id()),
            index,
            cx.rng,
        );
        match begun {
            Ok((pending, message)) => {
                self.attempt = Some(Attempt::new(now, self.instance.id(), pending, message));
            }
            Err(error) => {
                // A public key that is no point of the curve.
                self.why = Some(error.to_string());
                self.next_attempt = now + agree::REFUSED_PAUSE;
            }
        }
    }

    fn send_initiation(&mut self, now: Time, out: &mut Outbox) {
        let Some(attempt) = self.attempt.as_mut() else { return };
        for path in self.paths.iter_mut().flatten() {
            let Some(to) = path.remote.current() else { continue };
            let Some(lane) = path.lane(self.id, to) else { continue };
            if !path.remote.may_send(to, attempt.message.len()) {
                continue;
            }
            path.cookies.stamp(now, &mut attempt.message);
            out.push(lane, path.tos(0), attempt.message.len()).copy_from_slice(&attempt.message);
            path.count_sent(now, attempt.message.len());
        }
        attempt.on_copy_sent(now, self.last_heard);
    }
}

impl Peer {
    fn tick_paths(&mut self, now: Time, out: &mut Outbox, cx: &mut Context<'_>) {
        let session = self.sessions.current().is_some();
        for id in PathId::all() {
            let Some(path) = self.paths[id.index()].as_mut() else { continue };
            if path.forget_at(now).is_some_and(|at| now >= at) {
                self.forget_path(id);
                continue;
            }
            if session {
                path.health.handle_timeout(now);
                self.probe_path(now, id, out, cx);
            }
            self.note_changes(now, id, cx);
        }
    }

    /// Sends the probes that are due: for health, for a new remote address, for the MTU.
    fn probe_path(&mut self, now: Time, id: PathId, out: &mut Outbox, cx: &mut Context<'_>) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        let Some(remote) = path.remote.current().filter(|_| path.local.socket.is_some()) else {
            return;
        };
        if let Some(probe) = path.health.poll_probe(now) {
            self.send_probe(now, id, probe, None, None, out);
        }
        for _ in 0..MAX_CHALLENGES {
            let Some(path) = self.paths[id.index()].as_mut() else { return };
            let patience = path.patience();
            let Some((probe, to)) = path.remote.poll_challenge(now, patience) else { break };
            self.send_probe(now, id, probe, Some(to), None, out);
        }
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        if let Some(address) = path.remote.poll_change() {
            tracing::info!(peer = %self.name, path = %path.name, %address, "remote address");
            path.answer_caller();
            path.health.restart_probes();
            self.views_dirty = true;
            cx.events.push_back(Event::RemoteMoved(self.id, id, address));
        }
        if let Some(longest) = path.health.poll_large_loss() {
            path.mtu.on_large_loss(longest + usize::from(outer_headers(&remote)));
        }
        if path.health.poll_calm() {
            path.mtu.on_calm(now);
        }
        self.views_dirty |= path.mtu.poll_change().is_some();
        if path.health.usability(now) != Usability::No
            && let Some((probe, size)) = path.mtu.poll_probe(now, path.patience())
        {
            let udp = usize::from(size.saturating_sub(outer_headers(&remote)));
            self.send_probe(now, id, probe, None, Some(udp), out);
        }
    }

    /// Tells the others about a path's new state.
    fn note_changes(&mut self, now: Time, id: PathId, cx: &mut Context<'_>) {
        let repairs = self.repairs();
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        let rescue = if repairs { RESCUE_TIME } else { Duration::ZERO };
        while let Some(change) = path.health.poll_change() {
            self.views_dirty = true;
            match change {
                Change::Up => {
                    tracing::info!(peer = %self.name, path = %path.name, "path up");
                    path.mtu.restart();
                    cx.events.push_back(Event::PathUp(self.id, id));
                }
                Change::Down(why) => {
                    tracing::info!(peer = %self.name, path = %path.name, %why, "path down");
                    path.mtu.pause();
                    let transit = path.patience().max(rescue);
                    let since = if repairs { self.works_since.unwrap_or(now) } else { Time::ZERO };
                    for worker in &mut self.send_workers {
                        worker.open_paths.on_path_left(now, id, since, transit);
                    }
                    cx.events.push_back(Event::PathDown(self.id, id, why));
                }
                Change::Other => {
                    tracing::debug!(peer = %self.name, path = %path.name, state = %path.health.state(), "path state");
                }
            }
        }
        let idle = path.health.usability(now) != Usability::No
            || path.local.socket.is_none()
            || path.health.state() == State::Disabled;
        if path.origin == Origin::Configured && path.resolve.due(now, idle) {
            path.remote.fall_back();
            cx.events.push_back(Event::ResolveRemote(self.id, id));
        }
    }

    /// The schedulers' view of the paths that can carry something.
    fn tick_views(&mut self, now: Time, cx: &mut Context<'_>) {
        if !std::mem::take(&mut self.views_dirty) {
            for view in &mut self.views {
                let path = self.paths[view.id.index()].as_ref();
                view.srtt = path.and_then(|p| p.health.rtt().smoothed()).unwrap_or_default();
            }
            return;
        }
        self.views.clear();
        let session = self.sessions.current();
        let tag = session.map_or(CONTROL_TAG_LEN, |s| s.session.data_tag_len());
        let paths = self.paths.iter().flatten().filter(|_| session.is_some());
        self.views.extend(paths.filter_map(|path| {
            let overhead = outer_headers(&path.remote.current()?) + (DATA_HEADER_LEN + tag) as u16;
            Some(PathView {
                id: path.id,
                weight: path.effective_weight(),
                priority: path.priority,
                rank: path.rank(now)?,
                mtu: path.mtu.mtu().saturating_sub(overhead),
                srtt: path.health.rtt().smoothed().unwrap_or_default(),
                limit: path.limit().map(|(rate, _)| rate),
                tokens: Tokens::Left,
                wait: Duration::ZERO,
                min_rtt: path.health.rtt().min().unwrap_or_default(),
                estimate: path.model.estimate(),
            })
        }));
        if cx.config.scheduler == SchedulerKind::Auto {
            let weighted = |p: &Path| p.weight.or(p.wished_weight).is_some();
            let any = self.paths.iter().flatten().any(|p| weighted(p));
            let weights = if any { Weights::Some } else { Weights::None };
            if self.scheduler.follow_weights(weights) {
                // Only `adaptive` keeps paths to what was measured; it begins anew.
                self.paths.iter_mut().flatten().for_each(|p| p.forget_bottleneck(now));
                self.views_dirty = true;
            }
        }
        self.fitting = self.inner_mtu();
        self.follow_works(now);
        let up = self.views.iter().any(|v| v.rank < Rank::Unanswered);
        if up {
            // What was tried on dead paths while there was nothing else will not come: nobody is to wait.
            for view in self.views.iter().filter(|v| v.rank == Rank::Unanswered) {
                for worker in &mut self.send_workers {
                    let open = &mut worker.open_paths;
                    match (&worker.repairer, self.works_since) {
                        (None, _) => open.on_path_down(view.id),
                        (Some(_), Some(since)) => {
                            open.on_path_left(now, view.id, since, RESCUE_TIME);
                        }
                        (Some(_), None) => {}
                    }
                }
            }
        }
        if up != self.up {
            self.up = up;
            let event = if up { Event::PeerUp(self.id) } else { Event::PeerDown(self.id) };
            tracing::info!(peer = %self.name, "peer {}", if up { "up" } else { "down" });
            cx.events.push_back(event);
        }
    }

    /// What is under way on a path that went down is sent again once some path works; until then its bit stays.
    fn follow_works(&mut self, now: Time) {
        let works = self.views.iter().any(|v| v.rank < Rank::Suspected);
        if works == self.works_since.is_some() {
            return;
        }
        self.works_since = works.then_some(now);
        if !self.repairs() {
            return;
        }
        for worker in &mut self.send_workers {
            if !works {
                worker.open_paths.on_none_works();
                continue;
            }
            for path in self.paths.iter().flatten().filter(|p| p.health.state() == State::Down) {
                let transit = path.patience().max(RESCUE_TIME);
                worker.open_paths.on_path_left(now, path.id, now, transit);
            }
        }
    }

    fn tick_markers(&mut self, now: Time, out: &mut Outbox) {
        for worker in (0..).map_while(WorkerId::new).take(self.send_workers.len()) {
            let i = usize::from(worker.get());
            while let Some((path, m)) = self.send_workers[i].open_paths.poll_marker(now) {
                // A repeat may have its place before copies that went out since: it is nothing new.
                let newest = self.send_workers[i].open_paths.last_seq(path) == m.seq;
                if newest {
                    self.send_workers[i].pauses.on_marker(path);
                }
                if let Some(p) = self.paths[path.index()].as_mut().filter(|_| newest) {
                    p.health.on_sent_data(now, worker, m.seq, 0);
                    p.model.on_sent(now, worker, m.seq, 0);
                }
                let marker = Marker { worker, epoch: m.epoch, last_pn: m.last_pn, seq: m.seq };
                self.send_marker(now, path, marker, out);
            }
        }
    }

    /// Sends what waited for a session or a path.
    fn flush_waiting(&mut self, now: Time, out: &mut Outbox) {
        if self.waiting.is_empty() || self.views.is_empty() || self.sessions.current().is_none() {
            return;
        }
        self.drops.add(DropReason::NoSession, self.waiting.drop_stale(now));
        while let Some(Waiter { packet, offload, flow, class }) = self.waiting.pop() {
            let Ok(inner) = InnerPacket::parse(&packet) else { continue };
            let (packet, class, buffer) = (&packet, &class, None);
            let outgoing = Outgoing { packet, offload, inner, flow, class, buffer };
            if let Err(reason) = self.send_packet(now, WorkerId::default(), &outgoing, out) {
                self.drops.count(reason);
            }
        }
    }

    /// What data moves: markers, pauses, reports, the ends of blocks of parity.
    pub(super) fn data_deadline(&self) -> Option<Time> {
        let markers = self.send_workers.iter().filter_map(|w| w.open_paths.poll_timeout());
        let ends = self.pauses_deadline().into_iter().chain(self.parity_deadline());
        markers.chain(self.report_deadline()).chain(ends).min()
    }

    /// All other timers.
    fn rest_deadline(&self, now: Time) -> Option<Time> {
        let session = self.sessions.current();
        let attempt = match &self.attempt {
            Some(attempt) => Some(attempt.poll_timeout()),
            None if !self.can_initiate() => None,
            None => match session {
                None => Some(self.next_attempt.max(now)),
                Some(slot) if !self.up => {
                    let young = slot.session.created() + SILENCE * 2;
                    Some(self.next_attempt.max(young).max(self.last_heard + SILENCE).max(now))
                }
                Some(slot) => Some(self.next_attempt.max(slot.session.rekey_at())),
            },
        };
        let paths = self.paths.iter().flatten().flat_map(|p| {
            // As in `probe_path`: what it does nothing about must not wake us.
            let alive =
                session.is_some() && p.local.socket.is_some() && p.remote.current().is_some();
            let health = alive.then(|| p.health.poll_timeout(now)).flatten();
            let usable = p.health.usability(now) != Usability::No;
            let mtu = (alive && usable).then(|| p.mtu.poll_timeout()).flatten();
            let remote = alive.then(|| p.remote.poll_timeout(p.patience())).flatten();
            [health, mtu, remote, p.resolve.poll_timeout(), p.forget_at(now)]
        });
        let sessions = self.sessions.poll_timeout();
        paths
            .chain([attempt, sessions, self.repair_deadline(now), self.shaper.poll_timeout()])
            .flatten()
            .min()
    }
}
