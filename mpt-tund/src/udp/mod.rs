//! UDP sockets of paths and of `listen`, driven in batches.
//!
//! Every path has a socket of its own, bound to its interface and marked, so that the uplink table
//! (see [`crate::net`]) chooses its route; the listening socket is bound to a port only. A wake-up
//! takes up to [`MAX_BATCH`] datagrams with one `recvmmsg` into a [`RecvBatch`]; what is to leave comes
//! as the lanes of an [`Outbox`](mpt_core::Outbox) and goes out with one `sendmmsg` a lane, datagrams of one
//! size joined to super-packets (UDP GSO); what the kernel joined on the way in (UDP GRO) is taken apart. Nothing is
//! allocated on the way, and no datagram's error ends a batch.
//!
//! # One port, several sockets
//! With `listen`, path sockets send from the listening port. The kernel hands a datagram to the socket
//! that fits it best: one bound to the interface it came in by wins over one that is bound to none,
//! one bound to the address over one that is not. So what comes in by `wan1` is read from the socket
//! bound to `wan1`, all else from the listening one. The tunnel does not rely on that: a datagram names
//! its session and path itself and may come in by any socket.
//!
//! The kernel refuses such a mixture unless all sockets on the port set `SO_REUSEADDR`, and with that
//! option another program could take the port silently, as a second daemon would. So it is set only
//! while one of our own sockets joins, and taken back at once; nobody else gets in, and a port that
//! somebody else holds is refused with [`OpenError::PortBusy`]. Two sockets with equal
//! [`SocketSpec`]s would steal each other's datagrams: share one socket instead.
//!
//! With several workers each of these sockets is a group of as many (`SO_REUSEPORT`), see `group.rs`. That option
//! stays set, or the kernel would not look at the group; since the first socket of a group is bound without it, a
//! port that another program holds is refused all the same.
//!
//! IPv4 and IPv6 have separate sockets; addresses are never mapped.

mod address;
mod cmsg;
mod freebind;
mod group;
mod probe;
mod receive;
mod send;
mod socket;
mod spec;
mod sys;

pub use receive::{Datagram, RecvBatch};
pub use send::SendError;
pub use socket::{BufferSizes, PathSocket, PortHolder, UnwatchedSocket};
pub use spec::{Family, OpenError, Presence, SocketSpec, UdpOffloads};

/// Largest UDP payload, or that of datagrams the kernel joined.
pub const MAX_DATAGRAM: usize = 65_536;

/// Datagrams moved by one system call. Twice as many would not be felt: the cost is in the datagrams by
/// then, and the arrays for the call (6 KiB) stay on the stack.
pub const MAX_BATCH: usize = 64;
