//! Many packets a system call, with the time the kernel saw each.

use super::{check, set_option};
use mpt_core::Time;
use std::io;
use std::os::fd::AsRawFd;

/// Room for control messages of one packet: a timestamp and a drop counter, aligned as the kernel
/// wants them.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// A packet as it was received.
pub(crate) struct Received<'a> {
    /// Its bytes.
    pub(crate) data: &'a [u8],
    /// When the kernel got it.
    pub(crate) at: Time,
    /// The socket's count of packets it had no room for, when the kernel told it.
    pub(crate) overflow: Option<u32>,
}

/// Buffers for receiving.
pub(crate) struct ReceiveBatch {
    slot: usize,
    data: Vec<u8>,
    control: Vec<Control>,
}

/// Packets taken by one system call.
const BATCH: usize = 64;

impl ReceiveBatch {
    /// Buffers for packets of at most `slot` bytes.
    pub(crate) fn new(slot: usize) -> Self {
        Self { slot, data: vec![0; slot * BATCH], control: vec![Control([0; 64]); BATCH] }
    }

    /// Asks the kernel to stamp what `socket` receives and to tell what it dropped.
    pub(crate) fn prepare(socket: &impl AsRawFd) -> io::Result<()> {
        set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
    }

    /// Takes what `socket` has received, up to one batch, without waiting, and gives each packet
    /// to `each`; returns how many there were. A packet that did not fit is given up to its end.
    pub(crate) fn receive(
        &mut self,
        socket: &impl AsRawFd,
        mut each: impl FnMut(Received<'_>),
    ) -> io::Result<usize> {
        // SAFETY: all-zero is a valid iovec and a valid mmsghdr.
        let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let slots = self.data.chunks_exact_mut(self.slot).zip(&mut self.control);
        for ((vector, header), (slot, control)) in vectors.iter_mut().zip(&mut headers).zip(slots) {
            vector.iov_base = slot.as_mut_ptr().cast();
            vector.iov_len = slot.len();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.0.len() as _;
        }
        // SAFETY: each header points to one vector, slot and control buffer of its own, which live
        // through the call and are not touched otherwise meanwhile.
        let result = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        });
        let count = match result {
            Ok(n) => n as usize,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(e),
        };
        let now = super::time::now();
        let offset = super::time::realtime_offset();
        for (header, slot) in headers[..count].iter().zip(self.data.chunks_exact(self.slot)) {
            let (stamp, overflow) = control_messages(&header.msg_hdr);
            // A clock that was set meanwhile must not put a packet into the future.
            let at = stamp.map_or(now, |s| Time::from_nanos(s.saturating_sub(offset)).min(now));
            let data = &slot[..(header.msg_len as usize).min(self.slot)];
            each(Received { data, at, overflow });
        }
        Ok(count)
    }
}

/// The time stamp, in nanoseconds of the real-time clock, and the drop counter of a packet.
fn control_messages(header: &libc::msghdr) -> (Option<u64>, Option<u32>) {
    let (mut stamp, mut overflow) = (None, None);
    // SAFETY: the kernel filled the control buffer and set its length; these calls stay within.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it lies within the control buffer; the data of these types is as
        // read here, possibly unaligned.
        unsafe {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let t = data.cast::<libc::timespec>().read_unaligned();
                    stamp = Some(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    overflow = Some(data.cast::<u32>().read_unaligned());
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (stamp, overflow)
}

/// Sends `packets` through the connected or bound `socket`; returns how many the kernel took. The
/// first one refused is an error only when none was taken.
pub(crate) fn send_batch<'a>(
    socket: &impl AsRawFd,
    packets: impl Iterator<Item = &'a [u8]>,
) -> io::Result<usize> {
    // SAFETY: all-zero is a valid iovec and a valid mmsghdr.
    let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    for ((vector, header), packet) in vectors.iter_mut().zip(&mut headers).zip(packets) {
        vector.iov_base = packet.as_ptr().cast_mut().cast();
        vector.iov_len = packet.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers point to vectors and packets that live through the call;
    // sending does not write to them.
    let sent = check(unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _)
    })?;
    Ok(sent as usize)
}
