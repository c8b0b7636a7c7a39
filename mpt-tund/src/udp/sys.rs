//! The system calls that no crate wraps the way they are needed here; all `unsafe` code of the
//! sockets.

use super::MAX_BATCH;
use super::address::RawAddress;
use super::cmsg::Control;
use mpt_core::Run;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an integer socket option.
pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for the borrow's life; pointer and length describe `value`.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An integer socket option.
pub(super) fn option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open for the borrow's life; pointers and length describe `value` and `len`.
    let rc = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
    };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Attaches a classic BPF program to the `SO_REUSEPORT` group of a socket.
pub(super) fn attach_to_group(
    fd: BorrowedFd<'_>,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the descriptor is open for the borrow's life; pointer and length describe `filter`, which
    // points to as many instructions as it says. The kernel copies them.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            size_of_val(&filter) as libc::socklen_t,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Not in the libc crate for Linux; the same on all machines but SPARC and PA-RISC.
const SO_ATTACH_REUSEPORT_CBPF: libc::c_int = 51;

/// One place for a received datagram.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) source: RawAddress,
    pub(super) control: Control,
    /// Bytes received; more than the buffer holds never.
    pub(super) len: usize,
    pub(super) truncated: bool,
}

impl Slot {
    pub(super) const EMPTY: Self =
        Self { source: RawAddress::EMPTY, control: Control::EMPTY, len: 0, truncated: false };
}

/// Receives up to `slots.len()` datagrams, the `i`-th into the `i`-th `size` bytes of `buffer`. Does not
/// wait. Returns how many there were, at least one.
pub(super) fn receive_many(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    size: usize,
    slots: &mut [Slot],
) -> io::Result<usize> {
    let mut vectors = [MaybeUninit::<libc::iovec>::uninit(); MAX_BATCH];
    let mut headers = [MaybeUninit::<libc::mmsghdr>::uninit(); MAX_BATCH];
    let mut n = 0;
    for (((data, slot), vector), header) in
        buffer.chunks_exact_mut(size).zip(&mut *slots).zip(&mut vectors).zip(&mut headers)
    {
        let vector =
            vector.write(libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() });
        let header = header.write(empty_header());
        let (name, control) = (slot.source.bytes_mut(), slot.control.buffer());
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = name.len() as libc::socklen_t;
        header.msg_hdr.msg_control = control.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = control.len() as _;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        n += 1;
    }
    // SAFETY: the first `n` headers are initialised; their pointers lead to `buffer`, `slots` and
    // `vectors`, which outlive the call, are borrowed mutably and hold as many bytes as stated.
    let got = unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            n as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    for (slot, header) in slots.iter_mut().zip(&headers[..got]) {
        // SAFETY: `got` is at most `n`, and the first `n` headers are initialised.
        let header = unsafe { header.assume_init_ref() };
        slot.len = (header.msg_len as usize).min(size);
        slot.truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        slot.source.set_len(header.msg_hdr.msg_namelen as usize);
        slot.control.set_len(header.msg_hdr.msg_controllen as _);
    }
    Ok(got)
}

/// Runs of datagrams that one call sends: as many as a batch has packets, which may all differ in size or TOS. The
/// arrays for the call (14 KiB) stay on the stack.
pub(super) const MAX_RUNS: usize = MAX_BATCH;

/// Sends up to [`MAX_RUNS`] runs of datagrams to one destination, `control` beside each but for the TOS and the size
/// of segments, which are the run's. Does not wait. Returns how many runs the
/// kernel took, at least one; the error is that of the first.
pub(super) fn send_runs(
    fd: BorrowedFd<'_>,
    destination: &RawAddress,
    control: &Control,
    runs: &[Run<'_>],
) -> io::Result<usize> {
    let mut vectors = [MaybeUninit::<libc::iovec>::uninit(); MAX_RUNS];
    let mut headers = [MaybeUninit::<libc::mmsghdr>::uninit(); MAX_RUNS];
    let mut controls = [MaybeUninit::<Control>::uninit(); MAX_RUNS];
    let name = destination.bytes();
    let mut n = 0;
    for (((vector, header), own), run) in
        vectors.iter_mut().zip(&mut headers).zip(&mut controls).zip(runs)
    {
        let data = run.data;
        let vector = vector
            .write(libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() });
        let control = control.with_tos(run.tos);
        let control = if run.count > 1 { control.with_segments(run.size as u16) } else { control };
        let control = own.write(control).bytes();
        let header = header.write(empty_header());
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len() as libc::socklen_t;
        header.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_controllen = control.len() as _;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        n += 1;
    }
    // SAFETY: the first `n` headers are initialised; their pointers lead to `runs`, `destination`,
    // `controls` and `vectors`, which outlive the call. The kernel only reads through
    // them; of the headers themselves it writes `msg_len`.
    let sent = unsafe { sendmmsg(fd, headers.as_mut_ptr().cast(), n as libc::c_uint) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// # Safety
/// `headers` points to `n` initialised headers, whose pointers and lengths are good.
#[cfg(not(all(target_env = "musl", target_pointer_width = "64")))]
unsafe fn sendmmsg(fd: BorrowedFd<'_>, headers: *mut libc::mmsghdr, n: libc::c_uint) -> i64 {
    // SAFETY: as the caller promises.
    unsafe { libc::sendmmsg(fd.as_raw_fd(), headers, n, SEND_FLAGS as _) }.into()
}

/// musl's own is a loop of `sendmsg` there, as two of a header's lengths are `int` for it and `size_t` for the
/// kernel. The other half of these is padding, zero in [`empty_header`].
///
/// # Safety
/// As above.
#[cfg(any(test, all(target_env = "musl", target_pointer_width = "64")))]
#[cfg_attr(test, allow(dead_code, reason = "where it is not musl's"))]
unsafe fn sendmmsg_itself(fd: BorrowedFd<'_>, headers: *mut libc::mmsghdr, n: libc::c_uint) -> i64 {
    // SAFETY: as the caller promises.
    unsafe { libc::syscall(libc::SYS_sendmmsg, fd.as_raw_fd(), headers, n, SEND_FLAGS) as i64 }
}
#[cfg(all(target_env = "musl", target_pointer_width = "64"))]
use sendmmsg_itself as sendmmsg;

fn empty_header() -> libc::mmsghdr {
    // SAFETY: all zeros is a valid value: null pointers, zero lengths, no flags.
    unsafe { mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn the_system_call_itself_takes_the_headers_as_they_are() {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let name = RawAddress::from(receiver.local_addr().unwrap());
        let control = Control::for_sending(Ipv4Addr::LOCALHOST.into(), None);
        let texts = [*b"one", *b"two"];
        let vector =
            |text: &[u8; 3]| libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: 3 };
        let mut vectors = [vector(&texts[0]), vector(&texts[1])];
        let mut headers = [empty_header(), empty_header()];
        for (header, vector) in headers.iter_mut().zip(&mut vectors) {
            header.msg_hdr.msg_name = name.bytes().as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = name.bytes().len() as libc::socklen_t;
            header.msg_hdr.msg_control = control.bytes().as_ptr().cast_mut().cast();
            header.msg_hdr.msg_controllen = control.bytes().len() as _;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: both headers are initialised, and what they point to is alive.
        let sent = unsafe { sendmmsg_itself(sender.as_fd(), headers.as_mut_ptr(), 2) };
        assert_eq!(sent, 2);
        for text in texts {
            let mut buffer = [0; 8];
            assert_eq!(receiver.recv(&mut buffer).unwrap(), 3);
            assert_eq!(buffer[..3], text);
        }
    }
}
