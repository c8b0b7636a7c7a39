//! Lines that change places.

use super::{World, ready};
use mpt_core::config::LocalEnd;
use std::net::SocketAddr;

impl World {
    /// Each line of `end`, which is to be started anew, gets the next one's public address, as by an edited configuration, a DHCP server
    /// or a NAT.
    pub fn rotate(&mut self, end: usize) {
        let own: Vec<_> = (0..self.lines.len()).filter(|&i| self.lines[i].end == end).collect();
        let mut publics: Vec<_> = own.iter().map(|&i| self.lines[i].public).collect();
        publics.rotate_left(1);
        for (&line, public) in own.iter().zip(publics) {
            self.lines[line].public = public;
            let socket = self.lines[line].socket;
            for b in &mut self.ends[end].bindings {
                if matches!(b.local, LocalEnd::Ready { socket: s, .. } if s == socket) {
                    b.local = ready(socket, Some(public));
                }
            }
        }
    }

    /// Each path of `end`, which is to be started anew, calls where the next one called.
    pub fn rotate_remotes(&mut self, end: usize) {
        let bindings = &mut self.ends[end].bindings;
        let mut remotes: Vec<_> = bindings.iter().map(|b| b.remote).collect();
        remotes.rotate_left(1);
        for (binding, remote) in bindings.iter_mut().zip(remotes) {
            binding.remote = remote;
        }
    }

    /// `far` has one address and one socket, for all paths of `near`; both start anew.
    pub fn share_address(&mut self, near: usize, far: usize) {
        let (address, socket, _) = self.ends[far].listens[0];
        self.ends[far].listens.truncate(1);
        for b in &mut self.ends[far].bindings {
            b.local = ready(socket, Some(address));
        }
        for b in &mut self.ends[near].bindings {
            b.remote = Some(address);
        }
        for end in [near, far] {
            self.kill(end);
            self.start(end);
        }
    }

    /// The last path of `end`, which is to be started anew, is not in its configuration any more.
    pub fn drop_last_path(&mut self, end: usize) {
        let paths = &mut self.ends[end].peers[0].paths;
        paths.pop();
        let left = paths.len();
        self.ends[end].bindings.retain(|b| b.path.index() < left);
    }

    /// Where path `path` of `end` calls by configuration.
    #[must_use]
    pub fn configured_remote(&self, end: usize, path: usize) -> Option<SocketAddr> {
        self.ends[end].bindings.iter().find(|b| b.path.index() == path)?.remote
    }
}
