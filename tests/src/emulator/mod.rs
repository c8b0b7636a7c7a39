//! Links with a rate, a delay and faults, between real interfaces.
//!
//! Each link is two veth pairs. Their far ends lie in one namespace, the wire, that has no
//! addresses; packet sockets there take every frame off one end and put it back at the other, at
//! the time and in the order that the [`Link`](crate::link::Link) model of that direction decides. The kernel's own
//! queues stay empty, so the model alone makes rate, delay and loss. One thread serves all links:
//! it sleeps until a frame comes or falls due, and at least 200 µs after each round, which bounds
//! both its cost and its error.
//!
//! Rates count IP bytes: a frame without its 14-byte header. ARP, neighbour discovery and
//! other housekeeping of the link pass at once and uncounted, unless the link is dark; a lost question would stall a path for a second,
//! which is the fault of no tunnel.

mod direction;
mod frame;
mod handle;
mod nat;
mod records;
mod worker;

pub use handle::LinkHandle;
pub use records::{Fate, FrameRecord, Timeline, WireCounters};

use crate::link::LinkProfile;
use crate::netlink::{Offloads, VethEnd, add_veth};
use crate::netns::Namespace;
use crate::sys::packet::PacketSocket;
use anyhow::{Context as _, Result};
use direction::DirectionState;
use nat::Nat;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Which way along a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the link's first end to its second.
    Forward,
    /// From the second to the first.
    Backward,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Backward];
}

/// The wire namespace and the thread that serves it; ends with the last of its handles and itself.
#[derive(Debug)]
pub struct Emulator {
    wire: Namespace,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// An emulator without links.
    ///
    /// # Errors
    /// When this process may not make namespaces.
    pub fn new() -> Result<Self> {
        let wire = Namespace::new("wire")?;
        // Nothing but the frames that pass through is to appear on the wire.
        wire.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        wire.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        let (waker, wakened) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wakened.set_nonblocking(true)?;
        let shared = Arc::new(Shared { state: Mutex::default(), waker });
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("emulator".into())
            .spawn(move || worker::run(&seen, &wakened))?;
        Ok(Self { wire, shared, thread: Some(thread) })
    }

    /// Makes a link between two interfaces, which it makes too. Both directions get `profile`;
    /// `seed` decides the link's accidents.
    ///
    /// # Errors
    /// When an interface of that name is there already.
    pub fn add_link(
        &self,
        a: VethEnd<'_>,
        b: VethEnd<'_>,
        mtu: u32,
        profile: LinkProfile,
        seed: u64,
    ) -> Result<LinkHandle> {
        let index = self.shared.lock().wires.len();
        let names = [format!("l{index}a"), format!("l{index}b")];
        for (end, name) in [a, b].into_iter().zip(&names) {
            let far = VethEnd { namespace: &self.wire, interface: name };
            add_veth(end, far, mtu, Offloads::Off)?;
        }
        let open = |name: &str| {
            self.wire
                .run(|| PacketSocket::open(name))
                .with_context(|| format!("cannot open a packet socket on {name}"))
        };
        let sockets = [open(&names[0])?, open(&names[1])?];
        let directions = [
            DirectionState::new(profile, seed.wrapping_mul(2)),
            DirectionState::new(profile, seed.wrapping_mul(2).wrapping_add(1)),
        ];
        self.shared.lock().wires.push(Wire { sockets, directions, nat: None });
        self.shared.wake();
        Ok(LinkHandle::new(Arc::clone(&self.shared), index, self.wire.clone(), names))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed; nothing more can be done about it here.
            let _ = thread.join();
        }
    }
}

/// What the thread and the handles share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    waker: UnixStream,
}

#[derive(Debug, Default)]
struct State {
    wires: Vec<Wire>,
    stopping: bool,
}

/// A link: the far ends of its two veth pairs, and both directions between them.
#[derive(Debug)]
struct Wire {
    sockets: [PacketSocket; 2],
    /// `directions[0]` goes from `sockets[0]` to `sockets[1]`.
    directions: [DirectionState; 2],
    /// In front of the first end.
    nat: Option<Nat>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the thread look at the state now.
    fn wake(&self) {
        // A full pipe wakes it just as well.
        let _ = std::io::Write::write(&mut &self.waker, &[1]);
    }
}
