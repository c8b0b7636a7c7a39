//! The daemon's UDP sockets: one for each distinct binding, shared by the paths that ask for it.

use crate::udp::{OpenError, PathSocket, RecvBatch, SocketSpec};
use mpt_core::{Outbox, SocketId};
use std::collections::BTreeMap;

/// An open socket.
struct Open {
    socket: PathSocket,
    /// The index of the interface it was bound to: a new interface of the same name is another one.
    interface_index: Option<u32>,
    kernel_drops: u32,
    readable: bool,
}

/// All sockets, by the number the core knows them by. Numbers are not used again soon, so what is
/// still addressed to a closed socket is dropped, not sent from another one.
#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<u16, Open>,
    last: u16,
}

impl Sockets {
    /// The socket for `spec`, opened if there is none. `interface_index` is that of the spec's
    /// interface now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn obtain(
        &mut self,
        spec: &SocketSpec,
        interface_index: Option<u32>,
    ) -> Result<SocketId, OpenError> {
        let same = |o: &Open| o.socket.spec() == spec && o.interface_index == interface_index;
        if let Some((&id, _)) = self.open.iter().find(|(_, o)| same(o)) {
            return Ok(SocketId(id));
        }
        // Bound to an interface that is gone: it would hold the port for nothing.
        self.open.retain(|_, o| o.socket.spec() != spec);
        let siblings: Vec<&PathSocket> = self.open.values().map(|o| &o.socket).collect();
        let socket = PathSocket::open(spec, &siblings)?;
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.open.contains_key(&self.last) {
                break;
            }
        }
        let open = Open { socket, interface_index, kernel_drops: 0, readable: true };
        self.open.insert(self.last, open);
        Ok(SocketId(self.last))
    }

    /// Closes the sockets that `wanted` says no to.
    pub fn retain(&mut self, wanted: impl Fn(SocketId) -> bool) {
        self.open.retain(|&id, _| wanted(SocketId(id)));
    }

    /// The socket called `id`.
    pub fn get(&self, id: SocketId) -> Option<&PathSocket> {
        self.open.get(&id.0).map(|o| &o.socket)
    }

    /// Notes which sockets may be read; true when some may.
    pub fn poll_readable(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        let mut any = false;
        for open in self.open.values_mut() {
            open.readable |= open.socket.poll_readable(cx).is_ready();
            any |= open.readable;
        }
        any
    }

    /// Takes one batch from each readable socket and hands it to `take`, which returns the kernel's count of drops on
    /// that socket if the batch told; true while some socket may have more.
    pub fn receive(
        &mut self,
        batch: &mut RecvBatch,
        mut take: impl FnMut(SocketId, &mut RecvBatch) -> Option<u32>,
    ) -> bool {
        let mut more = false;
        for (&id, open) in &mut self.open {
            if !open.readable {
                continue;
            }
            match open.socket.receive(batch) {
                Ok(0) => open.readable = false,
                Ok(_) => {
                    if let Some(total) = take(SocketId(id), batch) {
                        open.kernel_drops = total;
                    }
                    open.readable = !batch.is_short();
                    more |= open.readable;
                }
                Err(e) => {
                    open.readable = false;
                    if e.kind() != std::io::ErrorKind::WouldBlock {
                        tracing::debug!(socket = id, error = %e, "receive");
                    }
                }
            }
        }
        more
    }

    /// The kernel's drops on each socket so far.
    pub fn kernel_drops(&self) -> impl Iterator<Item = (SocketId, u64)> + '_ {
        self.open.iter().map(|(&id, o)| (SocketId(id), u64::from(o.kernel_drops)))
    }

    /// Sends all lanes and clears the outbox. `failed` is told of each datagram the kernel refused,
    /// `full` of how many found no room.
    pub fn send(
        &self,
        out: &mut Outbox,
        mut failed: impl FnMut(&mpt_core::LaneKey, usize, crate::udp::SendError),
        mut full: impl FnMut(u64),
    ) {
        for lane in out.lanes() {
            let Some(socket) = self.get(lane.key.socket) else {
                // Closed with its interface; a path that the peer opened may still point there.
                for datagram in lane.datagrams() {
                    failed(&lane.key, datagram.len(), crate::udp::SendError::InterfaceGone);
                }
                continue;
            };
            let next = socket.send(lane, 0, |i, error| {
                failed(&lane.key, lane.datagram(i).len(), error);
            });
            // UDP has no back-pressure to pass on: what does not fit is dropped, as a NIC would.
            if next < lane.len() {
                full((lane.len() - next) as u64);
            }
        }
        out.clear();
    }
}
