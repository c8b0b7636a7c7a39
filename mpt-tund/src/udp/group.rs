//! Several sockets on one port, one for each worker.
//!
//! The kernel hands each datagram to the socket of the worker that restores its order: data, markers, abandons, parities and
//! pauses by the sending worker in their header, all else to the first one. A classic BPF program on the `SO_REUSEPORT` group says which;
//! it sees the UDP payload.

use super::sys::{self, set_option};
use mpt_core::wire::MessageType;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// What is about a sending worker's order, by the low four bits of the first byte: data, and the control messages
/// that follow one another. As [`ordered_worker`](mpt_core::wire::ordered_worker) has it.
const DATA: u32 = MessageType::Data as u32;
const MARKER: u32 = MessageType::Marker as u32;
const PAUSE: u32 = MessageType::Pause as u32;

const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const SHIFT_RIGHT: u16 = 0x74;
const MODULO: u16 = 0x94;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_NOT_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;
const RETURN_ACCUMULATOR: u16 = 0x16;

/// Tells the kernel which of the `count` sockets of the group a datagram is for. The sockets are numbered in the
/// order in which they were bound.
pub(super) fn steer(fd: BorrowedFd<'_>, count: usize) -> io::Result<()> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD_BYTE, 0, 0, 0),
        step(AND, 0, 0, 0x0f),
        step(JUMP_EQUAL, 2, 0, DATA),
        step(JUMP_NOT_LESS, 0, 5, MARKER),
        step(JUMP_GREATER, 4, 0, PAUSE),
        step(LOAD_BYTE, 0, 0, 1),
        step(SHIFT_RIGHT, 0, 0, 4),
        step(MODULO, 0, 0, count as u32),
        step(RETURN_ACCUMULATOR, 0, 0, 0),
        step(RETURN, 0, 0, 0),
    ];
    sys::attach_to_group(fd, &mut program)
}

/// Makes the packets of worker number `worker` differ in their TTL from those of the others. All have the same
/// addresses and ports, and GRO on their way would join packets of several workers, which then reach
/// one of them only.
pub(super) fn tell_apart(fd: BorrowedFd<'_>, ip: IpAddr, worker: usize) -> io::Result<()> {
    let (level, name) = match ip {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TTL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    };
    let usual = sys::option(fd, level, name)?;
    set_option(fd, level, name, (usual - worker as libc::c_int).max(1))
}

/// Lets other sockets of this user share the port, or not; see [`socket`](super::socket).
pub(super) fn share(socket: impl AsFd) -> io::Result<()> {
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)
}
