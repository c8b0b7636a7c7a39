//! What the daemon tells the endpoint of its paths' local and remote ends, and what operators wish.

use super::{Endpoint, SendError};
use crate::config::LocalEnd;
use crate::{DropReason, LaneKey, PathId, PeerId, Rate, RateLimit, SocketId, Time, Weight};
use std::net::SocketAddr;

impl Endpoint {
    /// The local end of a path is usable, or not any more.
    pub fn set_local(&mut self, now: Time, peer: PeerId, path: PathId, local: LocalEnd) {
        let now = self.latest.advance(now);
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.set_local(now, path, local);
            self.touch(peer);
        }
    }

    /// The configured remote address of a path: given as such, or what its name resolved to.
    pub fn set_remote(&mut self, now: Time, peer: PeerId, path: PathId, remote: SocketAddr) {
        let now = self.latest.advance(now);
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.set_remote(now, path, remote);
            self.touch(peer);
        }
    }

    /// The kernel refused a datagram of the lane `key`.
    pub fn handle_send_error(&mut self, now: Time, key: &LaneKey, error: SendError) {
        let now = self.latest.advance(now);
        let Some((peer, path)) = key.peer else { return };
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.on_send_error(now, path, key.destination, error);
            self.touch(peer);
        }
    }

    /// The kernel dropped this many datagrams on a socket, in total; for the status.
    pub fn set_kernel_drops(&mut self, socket: SocketId, total: u64) {
        for peer in &mut self.peers {
            peer.set_kernel_drops(socket, total);
        }
    }

    /// TUN refused this many packets.
    pub fn count_drops(&mut self, reason: DropReason, count: u64) {
        self.drops.add(reason, count);
    }

    /// Sets a path's weight, or takes it away, from the next packet on.
    pub fn set_weight(&mut self, peer: PeerId, path: PathId, weight: impl Into<Option<Weight>>) {
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.set_weight(path, weight.into());
            self.touch(peer);
        }
    }

    /// Sets a path's rate limit, from the next packet on.
    pub fn set_rate_limit(&mut self, now: Time, peer: PeerId, path: PathId, limit: RateLimit) {
        let now = self.latest.advance(now);
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.set_rate_limit(now, path, limit);
            self.touch(peer);
        }
    }

    /// The path was found to carry no more than this, or nothing is known. It is paced to that as to a
    /// configured limit, and to the lower where there are both.
    pub fn set_estimated_limit(
        &mut self,
        now: Time,
        peer: PeerId,
        path: PathId,
        limit: Option<Rate>,
    ) {
        let now = self.latest.advance(now);
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.set_estimated_limit(now, path, limit);
            self.touch(peer);
        }
    }

    /// Takes a path out of use, or back.
    pub fn set_enabled(&mut self, now: Time, peer: PeerId, path: PathId, enabled: bool) {
        let now = self.latest.advance(now);
        if let Some(p) = self.peers.get_mut(peer.0 as usize) {
            p.set_enabled(now, path, enabled);
            self.touch(peer);
        }
    }
}
