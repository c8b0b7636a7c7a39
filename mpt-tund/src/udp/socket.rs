//! A UDP socket of a path, or of `listen`.

use super::freebind::allow_absent;
use super::receive::RecvBatch;
use super::send::{Gso, SendError, send_lane};
use super::spec::{Family, OpenError, SocketSpec};
use super::sys::set_option;
use super::{group, probe};
use crate::net::interface_index;
use crate::watched::Watched;
use mpt_core::{Fragment, Lane};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

/// Most and least asked for as a buffer in each direction, bytes. The default of 208 KiB drops silently in short
/// bursts; 8 MiB hold about 60 ms at 1 Gbit/s.
const MOST_BUFFER: u64 = 8 << 20;
const LEAST_BUFFER: u64 = 512 << 10;

/// What is asked for on a machine with so many bytes of memory: a part in 128. The kernel grants twice as much, its own
/// accounting counted, and a tunnel has a few sockets.
fn buffer_bytes(memory: u64) -> usize {
    (memory / 128).clamp(LEAST_BUFFER, MOST_BUFFER) as usize
}

/// A UDP socket, registered with the runtime.
///
/// Wait with [`poll_readable`](Self::poll_readable), then call [`receive`](Self::receive) until it says
/// [`WouldBlock`](io::ErrorKind::WouldBlock) or enough was taken for this turn.
#[derive(Debug)]
pub struct PathSocket {
    fd: Watched<Socket>,
    spec: SocketSpec,
    local: SocketAddr,
    gso: Gso,
    gro: bool,
}

/// Sizes of a socket's buffers as the kernel accounts them (about twice the payload), bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferSizes {
    /// Receive buffer.
    pub receive: usize,
    /// Send buffer.
    pub send: usize,
}

/// A socket that is not yet registered with a runtime.
#[derive(Debug)]
pub struct UnwatchedSocket {
    socket: Socket,
    spec: SocketSpec,
    local: SocketAddr,
    gso: bool,
    gro: bool,
}

impl UnwatchedSocket {
    /// Opens a socket for each of `count` workers, which share address and port. `siblings` are the other
    /// sockets of this daemon; those on the same port let them join.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::is_waiting`] tells which ones a path waits for.
    pub fn open_group(
        spec: &SocketSpec,
        siblings: &[&PortHolder],
        count: usize,
    ) -> Result<Vec<Self>, OpenError> {
        let on_port = |port: u16| -> Vec<&Socket> {
            let ours = siblings.iter().filter(|s| port != 0 && s.port == port);
            ours.map(|s| &s.socket).collect()
        };
        let first = Self::open(spec, &on_port(spec.port), false)?;
        let port = first.local.port();
        let mut group = vec![first];
        for worker in 1..count {
            let option = || OpenError::option("share a port among workers");
            group::share(&group[0].socket).map_err(option())?;
            // The kernel may have chosen the port.
            let spec = SocketSpec { port, ..spec.clone() };
            let mut beside = on_port(port);
            beside.extend(group.iter().map(|s: &Self| &s.socket));
            let next = Self::open(&spec, &beside, true)?;
            group::tell_apart(next.socket.as_fd(), next.local.ip(), worker).map_err(option())?;
            group.push(Self { spec: group[0].spec.clone(), ..next });
        }
        if count > 1 {
            group::steer(group[0].socket.as_fd(), count)
                .map_err(OpenError::option("steer datagrams to workers"))?;
        }
        Ok(group)
    }

    fn open(spec: &SocketSpec, beside: &[&Socket], shared: bool) -> Result<Self, OpenError> {
        if let Some(address) = spec.address.filter(|&a| Family::of(a) != spec.family) {
            return Err(OpenError::WrongFamily { address });
        }
        let domain = match spec.family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))
            .map_err(OpenError::option("open a UDP socket"))?;
        configure(&socket, spec)?;
        if shared {
            group::share(&socket).map_err(OpenError::option("share a port among workers"))?;
        }
        let (gso, gro) = offloads(&socket, spec);
        bind(&socket, spec, beside)?;
        let io = |source| OpenError::Io { what: "watch a UDP socket", source };
        let local = socket
            .local_addr()
            .and_then(|a| a.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into()))
            .map_err(io)?;
        Ok(Self { socket, spec: spec.clone(), local, gso, gro })
    }

    /// A handle by which it lets others join its port.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn holder(&self) -> Result<PortHolder, OpenError> {
        PortHolder::of(&self.socket, self.local)
    }

    /// Registers it with the current runtime.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn watch(self) -> Result<PathSocket, OpenError> {
        let Self { socket, spec, local, gso, gro } = self;
        let fd = Watched::new(socket)
            .map_err(|source| OpenError::Io { what: "watch a UDP socket", source })?;
        Ok(PathSocket { fd, spec, local, gso: Gso::new(gso), gro })
    }
}

/// A second handle of a socket, by which it lets others join its port, wherever the first one is.
#[derive(Debug)]
pub struct PortHolder {
    socket: Socket,
    port: u16,
}

impl PortHolder {
    fn of(socket: &Socket, local: SocketAddr) -> Result<Self, OpenError> {
        let socket = socket
            .try_clone()
            .map_err(|source| OpenError::Io { what: "share a UDP socket", source })?;
        Ok(Self { socket, port: local.port() })
    }
}

impl AsRawFd for PathSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl PathSocket {
    /// Opens a single socket. `siblings` are the other sockets of this daemon; those on the same port let it
    /// join. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::is_waiting`] tells which ones a path waits for.
    pub fn open(spec: &SocketSpec, siblings: &[&Self]) -> Result<Self, OpenError> {
        let holders = siblings
            .iter()
            .map(|s| PortHolder::of(s.fd.get(), s.local))
            .collect::<Result<Vec<_>, _>>()?;
        let holders: Vec<_> = holders.iter().collect();
        let mut group = UnwatchedSocket::open_group(spec, &holders, 1)?;
        let none = io::ErrorKind::NotFound.into();
        let socket =
            group.pop().ok_or(OpenError::Io { what: "open a UDP socket", source: none })?;
        socket.watch()
    }

    /// What it was opened for.
    #[must_use]
    pub const fn spec(&self) -> &SocketSpec {
        &self.spec
    }

    /// The address and port it is bound to; the address may be unspecified.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Whether datagrams leave as super-packets (UDP GSO).
    #[must_use]
    pub fn gso(&self) -> bool {
        self.gso.is_on()
    }

    /// Whether the kernel joins datagrams that came (UDP GRO).
    #[must_use]
    pub const fn gro(&self) -> bool {
        self.gro
    }

    /// The buffers that were granted.
    ///
    /// # Errors
    /// Only when the kernel refuses to tell.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        let socket = self.fd.get();
        Ok(BufferSizes { receive: socket.recv_buffer_size()?, send: socket.send_buffer_size()? })
    }

    /// Ready when there may be something to receive.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_readable(cx)
    }

    /// Takes what has arrived, up to the batch's capacity; returns how many buffers were filled. To be called
    /// after [`poll_readable`](Self::poll_readable) was ready, until it says `WouldBlock` or the batch is
    /// [short](RecvBatch::is_short).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is nothing; others are of no consequence
    /// for later calls.
    pub fn receive(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.clear();
        let count = self.fd.read(|socket| {
            match batch.fill(socket.as_fd()) {
                // A pending ICMP error or a signal came first; the datagrams are behind it.
                Err(e) if is_passing(&e) => batch.fill(socket.as_fd()),
                result => result,
            }
        })?;
        if batch.is_short() {
            self.fd.set_drained();
        }
        Ok(count)
    }

    /// Sends the datagrams of `lane` from number `start` on and calls `on_error` with the number of each
    /// one that the kernel refused; the others go on. Returns the number of the first that was not
    /// tried: `lane.len()`, or less when the socket's buffer is full: what is left is to be counted as dropped, as a
    /// network card would drop it.
    #[must_use]
    pub fn send(&self, lane: &Lane, start: usize, on_error: impl FnMut(usize, SendError)) -> usize {
        let socket = self.fd.get().as_fd();
        let fragment = lane.key.fragment == Fragment::Allow;
        if fragment {
            // Cannot fail on a socket where it was set before.
            let _ = set_path_mtu_discovery(socket, self.spec.family, libc::IP_PMTUDISC_DONT);
        }
        let next = send_lane(socket, lane, start, &self.gso, on_error);
        if fragment {
            let _ = set_path_mtu_discovery(socket, self.spec.family, libc::IP_PMTUDISC_PROBE);
        }
        next
    }
}

fn configure(socket: &Socket, spec: &SocketSpec) -> Result<(), OpenError> {
    let fd = socket.as_fd();
    let option = OpenError::option;
    if let Some(interface) = &spec.interface {
        socket.bind_device(Some(interface.as_bytes())).map_err(|e| match e.raw_os_error() {
            Some(libc::ENODEV) => OpenError::NoInterface(interface.clone()),
            _ => option("bind a socket to its interface")(e),
        })?;
    }
    if spec.mark != 0 {
        socket.set_mark(spec.mark).map_err(option("mark a socket's packets"))?;
    }
    let on = |level, name, what| set_option(fd, level, name, 1).map_err(option(what));
    match spec.family {
        Family::V4 => {
            on(libc::IPPROTO_IP, libc::IP_RECVTOS, "ask for the TOS of packets")?;
            on(libc::IPPROTO_IP, libc::IP_PKTINFO, "ask for the destination of packets")?;
        }
        Family::V6 => {
            socket.set_only_v6(true).map_err(option("make a socket IPv6 only"))?;
            on(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, "ask for the traffic class of packets")?;
            on(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, "ask for the destination of packets")?;
        }
    }
    set_path_mtu_discovery(fd, spec.family, libc::IP_PMTUDISC_PROBE)
        .map_err(option("forbid fragments"))?;
    on(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, "ask for the kernel's drops")?;
    allow_absent(spec, |level, name| set_option(fd, level, name, 1))
        .map_err(option("bind a socket to an address that comes later"))?;
    enlarge_buffers(socket);
    Ok(())
}

/// Asks for what the specification wants, the kernel knows, and does right: UDP GSO (4.18) and UDP GRO (5.0).
fn offloads(socket: &Socket, spec: &SocketSpec) -> (bool, bool) {
    let fd = socket.as_fd();
    // Segments of no size: a question, and no change.
    let wanted = spec.offloads;
    let proven = if wanted.gso || wanted.gro { probe::proven() } else { wanted };
    let gso =
        wanted.gso && proven.gso && set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
    let gro = wanted.gro && proven.gro && set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    (gso, gro)
}

/// `IPV6_PMTUDISC_*` have the values of `IP_PMTUDISC_*`.
fn set_path_mtu_discovery(
    fd: BorrowedFd<'_>,
    family: Family,
    value: libc::c_int,
) -> io::Result<()> {
    match family {
        Family::V4 => set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value),
        Family::V6 => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, value),
    }
}

/// Beyond `net.core.{r,w}mem_max` only with CAP_NET_ADMIN, on older kernels outside of any user
/// namespace; what is granted in the end can be read from [`PathSocket::buffer_sizes`].
fn enlarge_buffers(socket: &Socket) {
    let fd = socket.as_fd();
    // Without an answer as little as there may be.
    let bytes = buffer_bytes(crate::memory::total().unwrap_or(0));
    if set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes as libc::c_int).is_err() {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    if set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes as libc::c_int).is_err() {
        let _ = socket.set_send_buffer_size(bytes);
    }
}

/// Binds; our own sockets `beside` it on the port allow sharing it for that moment only (see the module).
fn bind(socket: &Socket, spec: &SocketSpec, beside: &[&Socket]) -> Result<(), OpenError> {
    let address = scoped(spec);
    let sharing = |share: bool| -> io::Result<()> {
        for sibling in beside {
            sibling.set_reuse_address(share)?;
        }
        if beside.is_empty() { Ok(()) } else { socket.set_reuse_address(share) }
    };
    let shared = sharing(true);
    let bound = socket.bind(&address.into());
    let unshared = sharing(false);
    bound.map_err(|e| match (e.raw_os_error(), spec.address) {
        (Some(libc::EADDRINUSE), _) => OpenError::PortBusy { port: spec.port },
        (Some(libc::EADDRNOTAVAIL), Some(address)) => OpenError::NoAddress(address),
        _ => OpenError::option("bind a UDP socket to its address and port")(e),
    })?;
    shared.and(unshared).map_err(OpenError::option("share a port among sockets"))
}

/// A link-local address means nothing without its interface.
fn scoped(spec: &SocketSpec) -> SocketAddr {
    match spec.bind_address() {
        SocketAddr::V6(a) if a.ip().is_unicast_link_local() => {
            let scope = spec.interface.as_deref().and_then(interface_index).unwrap_or(0);
            SocketAddrV6::new(*a.ip(), a.port(), 0, scope).into()
        }
        address => address,
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_a_part_of_the_memory() {
        let mib = |n: u64| buffer_bytes(n << 20) >> 10;
        assert_eq!([0, 32, 64, 128, 512].map(mib), [512, 512, 512, 1_024, 4_096], "KiB");
        assert_eq!([1_024, 1 << 20].map(mib), [8_192, 8_192]);
    }
}
