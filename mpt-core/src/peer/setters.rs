//! What the daemon and the operator say.

use super::path_entry::Introduction;
use super::{Origin, Peer};
use crate::config::LocalEnd;
use crate::endpoint::SendError;
use crate::path::Usability;
use crate::{DownReason, PathId, Rate, RateLimit, SocketId, Time, Weight};
use std::net::SocketAddr;

impl Peer {
    /// The local end of a path is usable, or not any more.
    pub fn set_local(&mut self, now: Time, id: PathId, local: LocalEnd) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        self.views_dirty = true;
        match local {
            LocalEnd::Ready { socket, interface, address, mtu } => {
                let moved = path.local.socket.is_some_and(|s| s != socket)
                    || path.local.address.is_some_and(|a| Some(a) != address);
                if path.local.socket != Some(socket) {
                    path.local.source = None;
                }
                path.local.socket = Some(socket);
                path.local.called = false;
                path.local.interface = interface;
                path.local.address = address;
                path.mtu.set_max(mtu);
                path.health.set_local_ready(now);
                if moved {
                    path.health.restart_probes();
                }
                if let Some(attempt) = &mut self.attempt {
                    attempt.hurry(now);
                }
            }
            LocalEnd::Called => {
                (path.local.interface, path.local.address) = (None, None);
                path.local.called = true;
                path.health.set_local_ready(now);
            }
            LocalEnd::Gone { why } => {
                path.local.socket = None;
                path.health.set_local_gone(now, why);
                // At once: packets that come before the next tick would be dropped.
                self.views.retain(|v| v.id != id);
                self.report_schedule.urgent(now);
            }
        }
    }

    /// The configured remote address of a path.
    pub fn set_remote(&mut self, now: Time, id: PathId, remote: SocketAddr) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        path.remote.set_configured(remote);
        (path.local.source, path.local.heard) = (None, None);
        path.health.restart_probes();
        self.views_dirty = true;
        if let Some(attempt) = &mut self.attempt {
            attempt.hurry(now);
        }
    }

    /// The kernel refused to send on a path to `to`. Only the address in use speaks for the path:
    /// a candidate or the source of a probe may be an address that somebody made up.
    pub fn on_send_error(&mut self, now: Time, id: PathId, to: SocketAddr, error: SendError) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        if path.remote.current() != Some(to) {
            return;
        }
        match error {
            SendError::TooLarge { udp_len } => {
                let outer = udp_len + usize::from(super::path_entry::outer_headers(&to));
                path.mtu.on_packet_too_big(u16::try_from(outer).unwrap_or(u16::MAX));
                self.views_dirty = true;
            }
            SendError::Unreachable(why) => {
                if path.health.usability(now) != Usability::No {
                    path.health.on_failed(now, DownReason::Local(why));
                    self.report_schedule.urgent(now);
                }
            }
            SendError::Passing => {}
        }
    }

    /// The kernel dropped so many datagrams on this socket, in total.
    pub fn set_kernel_drops(&mut self, socket: SocketId, total: u64) {
        for path in self.paths.iter_mut().flatten() {
            if path.local.socket == Some(socket) {
                path.counters.kernel_drops = total;
            }
        }
    }

    /// Sets a path's weight, or takes it away, from the next packet on.
    pub fn set_weight(&mut self, id: PathId, weight: Option<Weight>) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        path.weight = weight;
        // The peer learns the wish for the way back.
        path.introduction = Introduction::Due;
        self.views_dirty = true;
        for view in self.views.iter_mut().filter(|v| v.id == id) {
            view.weight = path.effective_weight();
        }
    }

    /// Sets a path's rate limit, from the next packet on.
    pub fn set_rate_limit(&mut self, now: Time, id: PathId, limit: RateLimit) {
        if let Some(path) = self.paths[id.index()].as_mut() {
            path.rate_limit = Some(limit);
            path.follow_limits(now);
            // The peer learns the wish for the way back.
            path.introduction = Introduction::Due;
            self.views_dirty = true;
        }
    }

    /// The path was found to carry no more than this. It is kept to like a limit that was configured, whichever is
    /// lower, and is nobody's wish.
    pub fn set_estimated_limit(&mut self, now: Time, id: PathId, limit: Option<Rate>) {
        if let Some(path) = self.paths[id.index()].as_mut() {
            path.estimated_limit = limit;
            path.follow_limits(now);
            self.views_dirty = true;
        }
    }

    /// Takes a path out of use, or back.
    pub fn set_enabled(&mut self, now: Time, id: PathId, enabled: bool) {
        if let Some(path) = self.paths[id.index()].as_mut() {
            path.health.set_disabled(now, !enabled);
            self.views_dirty = true;
            self.report_schedule.urgent(now);
        }
    }

    /// Forgets a path that the peer opened.
    pub(super) fn forget_path(&mut self, id: PathId) {
        if let Some(path) = self.paths[id.index()].take_if(|p| p.origin == Origin::Opened) {
            tracing::info!(peer = %self.name, path = %path.name, "path forgotten");
            if let Some(theirs) = path.remote_id {
                self.remote_paths[theirs.index()] = None;
            }
            for worker in &mut self.send_workers {
                worker.open_paths.on_path_down(id);
            }
            self.views_dirty = true;
        }
    }
}
