//! Sending a lane.

use super::address::RawAddress;
use super::cmsg::Control;
use super::sys;
use mpt_core::{Fragment, Lane, Run};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
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
    /// The socket it was to leave by is not open.
    #[error("its socket is not open")]
    NoSocket,
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

/// Most segments of a super-packet: the limit of kernels before 6.9, `UDP_MAX_SEGMENTS`.
const MAX_SEGMENTS: usize = 64;

/// Most bytes of a super-packet: the largest UDP payload in IPv4.
const MAX_RUN_BYTES: usize = 65_507;

/// Whether runs of datagrams may leave as super-packets (UDP GSO). Stepped down for good where the kernel refuses one
/// whose datagrams it takes one by one: for its destination, since the interface that leads there may be the reason.
#[derive(Debug)]
pub(super) struct Gso {
    on: Cell<bool>,
    refused: RefCell<Vec<IpAddr>>,
}

/// With more destinations refused it is no interface's fault: off for all.
const MOST_REFUSED: usize = 16;

impl Gso {
    pub(super) const fn new(on: bool) -> Self {
        Self { on: Cell::new(on), refused: RefCell::new(Vec::new()) }
    }

    /// Whether it is used towards all destinations.
    pub(super) fn is_on(&self) -> bool {
        self.on.get() && self.refused.borrow().is_empty()
    }

    fn is_on_towards(&self, destination: IpAddr) -> bool {
        self.on.get() && !self.refused.borrow().contains(&destination)
    }

    /// The kernel refused a run. `EINVAL`, `EIO` and `EMSGSIZE` may mean the datagrams or GSO itself: their
    /// fate one by one tells.
    fn doubtful(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE))
    }

    fn step_down(&self, destination: IpAddr, error: &io::Error) {
        let mut refused = self.refused.borrow_mut();
        if refused.len() == MOST_REFUSED {
            self.on.set(false);
            tracing::warn!(%error, "UDP GSO does not work on this socket: it is not used any more");
        } else {
            refused.push(destination);
            tracing::warn!(%error, %destination, "UDP GSO does not work towards there: it is not used any more");
        }
    }
}

/// Sends the datagrams of `lane` from number `start` on. Returns the number of the first that was not
/// tried: the lane's length, or less when the socket's buffer is full.
pub(super) fn send_lane(
    fd: BorrowedFd<'_>,
    lane: &Lane,
    start: usize,
    gso: &Gso,
    on_error: impl FnMut(usize, SendError),
) -> usize {
    let destination = RawAddress::from(lane.key.destination);
    let control = Control::for_sending(lane.key.destination.ip(), lane.key.source);
    let send = |runs: &[Run<'_>]| sys::send_runs(fd, &destination, &control, runs);
    send_lane_by(send, lane, start, gso, on_error)
}

/// The same by the call `send`.
fn send_lane_by(
    mut send: impl FnMut(&[Run<'_>]) -> io::Result<usize>,
    lane: &Lane,
    start: usize,
    gso: &Gso,
    mut on_error: impl FnMut(usize, SendError),
) -> usize {
    let key = &lane.key;
    let towards = key.destination.ip();
    let fragments = key.fragment == Fragment::Allow;
    let mut next = start;
    let mut pending_errors = 0;
    // A run that was refused, whose datagrams are sent one by one: where it ends, and what was said.
    let mut doubted: Option<(usize, io::Error)> = None;
    while next < lane.len() {
        let single = fragments || !gso.is_on_towards(towards) || doubted.is_some();
        let last = doubted.as_ref().map_or(lane.len(), |(end, _)| *end);
        let (runs, n) = take_runs(lane, next, last, if single { 1 } else { MAX_SEGMENTS });
        let result = send(&runs[..n]);
        match result {
            Ok(sent) => {
                next += runs[..sent].iter().map(|r| r.count).sum::<usize>();
                pending_errors = 0;
                if let Some((end, error)) = doubted.take() {
                    if next < end {
                        doubted = Some((end, error));
                    } else {
                        // Each of them was taken alone.
                        gso.step_down(towards, &error);
                    }
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return next,
            // An ICMP answer to an earlier datagram; reading it cleared it, and nothing was sent.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && pending_errors == 0 => {
                pending_errors = 1;
            }
            Err(e) if runs[0].count > 1 && Gso::doubtful(&e) => {
                doubted = Some((next + runs[0].count, e));
            }
            Err(e) => {
                let refused = SendError::of(&e, key.source.is_some());
                for i in 0..runs[0].count {
                    on_error(next + i, refused);
                }
                next += runs[0].count;
                pending_errors = 0;
                // The datagram was at fault, not GSO; the rest of the run may go together again.
                doubted = None;
            }
        }
    }
    next
}

/// The next runs of at most `segments` datagrams from number `next` on, up to number `last`.
fn take_runs(
    lane: &Lane,
    mut next: usize,
    last: usize,
    segments: usize,
) -> ([Run<'_>; sys::MAX_RUNS], usize) {
    let mut runs = [Run { data: &[], size: 0, count: 0, tos: 0 }; sys::MAX_RUNS];
    let mut n = 0;
    while n < runs.len() && next < last {
        runs[n] = lane.run(next, segments.min(last - next), MAX_RUN_BYTES);
        next += runs[n].count;
        n += 1;
    }
    (runs, n)
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

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::{LaneKey, Outbox, SocketId};

    fn lane_to(destination: IpAddr) -> Outbox {
        let mut out = Outbox::new();
        let destination = (destination, 4511).into();
        let fragment = Fragment::Never;
        let key = LaneKey { peer: None, socket: SocketId(0), destination, source: None, fragment };
        (0..6).for_each(|i| out.push(key, 0, 100).fill(i));
        out
    }

    /// Datagrams in each run that was taken by a kernel which refuses super-packets or takes them.
    fn taken(gso: &Gso, last: u8, refuses: bool) -> Vec<usize> {
        let mut out = lane_to([10, 0, 0, last].into());
        let mut taken = Vec::new();
        let send = |runs: &[Run<'_>]| {
            if refuses && runs[0].count > 1 {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            taken.extend(runs.iter().map(|run| run.count));
            Ok(runs.len())
        };
        let done = send_lane_by(send, &out.lanes()[0], 0, gso, |i, e| panic!("{i}: {e}"));
        assert_eq!(done, 6);
        taken
    }

    #[test]
    fn one_interface_without_gso_does_not_take_it_from_the_others() {
        let gso = Gso::new(true);
        assert_eq!(taken(&gso, 1, true), [1; 6]);
        assert_eq!(taken(&gso, 2, false), [6]);
        assert_eq!(taken(&gso, 1, false), [1; 6], "not tried again");
        assert!(!gso.is_on());
        // Nor is there a list without end.
        (3..=MOST_REFUSED as u8 + 2).for_each(|last| assert_eq!(taken(&gso, last, true), [1; 6]));
        assert_eq!(taken(&gso, 2, false), [1; 6]);
        assert_eq!(gso.refused.borrow().len(), MOST_REFUSED);
    }
}
