//! The daemon's UDP sockets: one for each distinct binding, shared by the paths that ask for it.

use super::worker::Order;
use crate::udp::{
    OpenError, PathSocket, PortHolder, RecvBatch, SendError, SocketSpec, UnwatchedSocket,
};
use mpt_core::control::SocketStatus;
use mpt_core::{LaneKey, Outbox, SocketId};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};

/// An open socket.
struct Open {
    socket: PathSocket,
    /// The index of the interface it was bound to: a new interface of the same name is another one.
    interface_index: Option<u32>,
    kernel_drops: u32,
    readable: bool,
    /// For how many rounds it was passed over.
    passed: u8,
    /// Of all sockets of its group: they have to let others join their port.
    holders: Vec<PortHolder>,
}

/// A socket that is ahead of the others is read all the same after so many rounds: they may be busy with something
/// else.
const MOST_PASSED: u8 = 16;

/// What a batch told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// The kernel's count of drops on the socket.
    pub kernel_drops: Option<u32>,
    /// Much of it has to wait for what other sockets bring.
    pub ahead: bool,
}

/// All sockets, by the number the core knows them by. Numbers are not used again soon, so what is
/// still addressed to a closed socket is dropped, not sent from another one.
#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<u16, Open>,
    last: u16,
}

impl Sockets {
    /// The socket for `spec`, opened if there is none; then with the sockets of the `workers - 1` others, who are
    /// told by number what to open and close. `interface_index` is that of the spec's interface now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn obtain(
        &mut self,
        spec: &SocketSpec,
        interface_index: Option<u32>,
        workers: usize,
        mut tell: impl FnMut(usize, Order),
    ) -> Result<SocketId, OpenError> {
        // Paths that share a binding share a socket, though they may differ in the offloads they want.
        let same_place = |o: &Open| o.socket.spec().is_same_place(spec);
        let same = |o: &Open| same_place(o) && o.interface_index == interface_index;
        if let Some((&id, _)) = self.open.iter().find(|(_, o)| same(o)) {
            return Ok(SocketId(id));
        }
        // Bound to an interface that is gone: it would hold the port for nothing.
        self.open.retain(|&id, open| {
            let stays = !same_place(open);
            if !stays {
                (1..workers).for_each(|worker| tell(worker, Order::Close(SocketId(id))));
            }
            stays
        });
        let siblings: Vec<_> = self.open.values().flat_map(|o| &o.holders).collect();
        let group = UnwatchedSocket::open_group(spec, &siblings, workers)?;
        let holders = group.iter().map(UnwatchedSocket::holder).collect::<Result<_, _>>()?;
        let mut group = group.into_iter();
        let none = std::io::ErrorKind::NotFound.into();
        let first =
            group.next().ok_or(OpenError::Io { what: "open a UDP socket", source: none })?;
        let socket = first.watch()?;
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.open.contains_key(&self.last) {
                break;
            }
        }
        let open =
            Open { socket, interface_index, kernel_drops: 0, readable: true, passed: 0, holders };
        self.open.insert(self.last, open);
        let id = SocketId(self.last);
        group.enumerate().for_each(|(i, socket)| tell(i + 1, Order::Open(id, socket)));
        Ok(id)
    }

    /// Closes the sockets that `wanted` says no to.
    pub fn retain(&mut self, mut wanted: impl FnMut(SocketId) -> bool) {
        self.open.retain(|&id, _| wanted(SocketId(id)));
    }

    /// Takes a socket that was opened for this worker.
    pub fn insert(&mut self, id: SocketId, socket: PathSocket) {
        let holders = Vec::new();
        let open = Open {
            socket,
            interface_index: None,
            kernel_drops: 0,
            readable: true,
            passed: 0,
            holders,
        };
        self.open.insert(id.0, open);
    }

    /// All sockets for the status, with what the kernel dropped on them and those of the other workers.
    pub fn statuses(&self, drops: &BTreeMap<SocketId, u64>) -> Vec<SocketStatus> {
        let status = |(&id, open): (&u16, &Open)| {
            let socket = &open.socket;
            let buffers = socket.buffer_sizes().ok();
            let interface = socket.spec().interface.clone();
            SocketStatus {
                local: socket.local_address().to_string(),
                gso: socket.gso(),
                gro: socket.gro(),
                interface_gro: interface.as_deref().and_then(crate::net::gro),
                interface,
                receive_buffer: buffers.map_or(0, |b| b.receive as u64),
                send_buffer: buffers.map_or(0, |b| b.send as u64),
                kernel_drops: drops.get(&SocketId(id)).copied().unwrap_or(0),
            }
        };
        self.open.iter().map(status).collect()
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

    /// Whether some may be read.
    pub fn are_readable(&self) -> bool {
        self.open.values().any(|open| open.readable)
    }

    /// Their descriptors, in the order of [`note_readable`](Self::note_readable).
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.open.values().map(|open| open.socket.as_raw_fd())
    }

    /// Notes which of them may be read.
    pub fn note_readable(&mut self, readable: impl Iterator<Item = bool>) {
        self.open.values_mut().zip(readable).for_each(|(open, readable)| open.readable |= readable);
    }

    /// Any of them may be readable again.
    pub fn look(&mut self) {
        self.open.values_mut().for_each(|open| open.readable = true);
    }

    /// Takes one batch from each readable socket and hands it to `take`; true while some socket may have more.
    ///
    /// A socket whose packets wait for those of others is passed over while the others have more. What it has is
    /// better off in the kernel's buffer: read at once it would fill the memory for held packets, and
    /// then nobody would wait for anybody.
    pub fn receive(
        &mut self,
        batch: &mut RecvBatch,
        mut take: impl FnMut(SocketId, &mut RecvBatch) -> Taken,
    ) -> bool {
        let mut more = false;
        let others_wait = self.open.values().any(|o| o.readable && o.passed == 0);
        for (&id, open) in &mut self.open {
            if !open.readable {
                continue;
            }
            if open.passed > 0 && others_wait {
                open.passed = (open.passed + 1) % MOST_PASSED;
                more = true;
                continue;
            }
            match open.socket.receive(batch) {
                Ok(0) => open.readable = false,
                Ok(_) => {
                    let taken = take(SocketId(id), batch);
                    open.kernel_drops = taken.kernel_drops.unwrap_or(open.kernel_drops);
                    open.passed = u8::from(taken.ahead);
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

    /// Sends all lanes and clears the outbox. `failed` is told of the datagrams of a lane that the kernel refused, with
    /// the length of each, `full` of how many found no room.
    pub fn send(
        &self,
        out: &mut Outbox,
        mut failed: impl FnMut(&LaneKey, &[(usize, SendError)]),
        mut full: impl FnMut(u64),
    ) {
        // Takes no memory where nothing is refused.
        let mut refused = Vec::new();
        for lane in out.lanes() {
            let Some(socket) = self.get(lane.key.socket) else {
                refused.extend(lane.datagrams().map(|d| (d.len(), SendError::NoSocket)));
                failed(&lane.key, &refused);
                refused.clear();
                continue;
            };
            let next = socket.send(lane, 0, |i, error| {
                refused.push((lane.datagram(i).len(), error));
            });
            if !refused.is_empty() {
                failed(&lane.key, &refused);
                refused.clear();
            }
            // UDP has no back-pressure to pass on: what does not fit is dropped, as a NIC would.
            if next < lane.len() {
                full((lane.len() - next) as u64);
            }
        }
        out.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::Family;

    #[tokio::test]
    async fn what_is_refused_of_a_lane_is_told_at_once() {
        let mut sockets = Sockets::default();
        let address = Some([127, 0, 0, 1].into());
        let spec = SocketSpec { address, ..SocketSpec::any(Family::V4) };
        let socket = sockets.obtain(&spec, None, 1, |_, _| {}).unwrap();
        let gone = SocketId(socket.0 + 1);
        let destination = ([127, 0, 0, 1], 9).into();
        let fragment = mpt_core::Fragment::Never;
        let mut out = Outbox::new();
        for socket in [socket, gone] {
            let key = LaneKey { peer: None, socket, destination, source: None, fragment };
            // More than the loopback interface's MTU.
            for len in [65_530, 100, 65_530, 65_531] {
                out.push(key, 0, len).fill(0);
            }
        }
        let mut told = Vec::new();
        sockets.send(&mut out, |key, r| told.push((key.socket, r.to_vec())), |_| {});
        let large = [65_530, 65_530, 65_531].map(|len| (len, SendError::TooLarge)).to_vec();
        let all = [65_530, 100, 65_530, 65_531].map(|len| (len, SendError::NoSocket)).to_vec();
        assert_eq!(told, [(socket, large), (gone, all)]);
    }

    #[tokio::test]
    async fn the_others_close_what_is_bound_to_an_interface_that_is_gone() {
        let mut sockets = Sockets::default();
        let spec = SocketSpec { interface: Some("lo".to_owned()), ..SocketSpec::any(Family::V4) };
        let mut obtain = |index| {
            let mut told = Vec::new();
            let id = sockets.obtain(&spec, Some(index), 2, |worker, order| {
                told.push(match order {
                    Order::Open(id, _) => ("open", worker, id),
                    Order::Close(id) => ("close", worker, id),
                });
            });
            (id.unwrap(), told)
        };
        let (first, told) = obtain(1);
        assert_eq!(told, [("open", 1, first)]);
        assert_eq!(obtain(1), (first, Vec::new()));
        let (second, told) = obtain(2);
        assert_eq!(told, [("close", 1, first), ("open", 1, second)]);
    }
}
