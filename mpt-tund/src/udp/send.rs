//! Sending a lane.

use super::MAX_BATCH;
use super::address::RawAddress;
use super::cmsg::Control;
use super::sys;
use mpt_core::Lane;
use std::io;
use std::os::fd::BorrowedFd;

/// Why the kernel refused a datagram. Only a full socket buffer is not among them: that ends a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// Larger than the interface's MTU, or than the route's where fragments are allowed.
    #[error("larger than the interface's MTU")]
    TooLarge,
    /// No route, or the next hop does not answer; for IPv4 also: the source address is none of ours.
    #[error("no route to the remote address")]
    Unreachable,
    /// The interface was deleted.
    #[error("the interface is gone")]
    InterfaceGone,
    /// The interface is down.
    #[error("the interface is down")]
    InterfaceDown,
    /// The source address is none of ours any more.
    #[error("the local address is gone")]
    SourceGone,
    /// The remote host answered that nobody listens on that port.
    #[error("nobody listens on the remote port")]
    Refused,
    /// The interface's queue or the kernel's memory is full.
    #[error("the interface's queue is full")]
    QueueFull,
    /// A firewall on this machine refuses it.
    #[error("a firewall on this machine refuses it")]
    NotPermitted,
    /// Anything else: the error number.
    #[error("error {0} of the kernel")]
    Other(i32),
}

/// Sends the datagrams of `lane` from number `start` on. Returns the number of the first that was not
/// tried: the lane's length, or less when the socket's buffer is full.
pub(super) fn send_lane(
    fd: BorrowedFd<'_>,
    lane: &Lane,
    start: usize,
    mut on_error: impl FnMut(usize, SendError),
) -> usize {
    let key = &lane.key;
    let destination = RawAddress::from(key.destination);
    let control = Control::for_sending(key.destination.ip(), key.source, key.tos);
    let mut next = start;
    let mut pending_errors = 0;
    while next < lane.len() {
        let batch = (next..lane.len()).take(MAX_BATCH).map(|i| lane.datagram(i));
        match sys::send_many(fd, &destination, &control, batch) {
            Ok(sent) => {
                next += sent;
                pending_errors = 0;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return next,
            // An ICMP answer to an earlier datagram; reading it cleared it, and nothing was sent.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && pending_errors == 0 => {
                pending_errors = 1;
            }
            Err(e) => {
                on_error(next, SendError::of(&e, key.source.is_some()));
                next += 1;
                pending_errors = 0;
            }
        }
    }
    next
}

impl SendError {
    fn of(error: &io::Error, with_source: bool) -> Self {
        let number = error.raw_os_error().unwrap_or(0);
        match number {
            libc::EMSGSIZE => Self::TooLarge,
            libc::ENETUNREACH | libc::EHOSTUNREACH => Self::Unreachable,
            libc::ENODEV | libc::ENXIO => Self::InterfaceGone,
            libc::ENETDOWN => Self::InterfaceDown,
            libc::EADDRNOTAVAIL => Self::SourceGone,
            // The kernel's word for a source address that no interface has.
            libc::EINVAL if with_source => Self::SourceGone,
            libc::ECONNREFUSED => Self::Refused,
            libc::ENOBUFS | libc::ENOMEM => Self::QueueFull,
            libc::EPERM | libc::EACCES => Self::NotPermitted,
            _ => Self::Other(number),
        }
    }
}
