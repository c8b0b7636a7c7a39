//! The system calls the lab needs and nobody wraps: all of its `unsafe` is in this directory.
//!
//! What is here does one call each and knows nothing of links, streams or testbeds.

pub(crate) mod batch;
pub(crate) mod bulk;
pub(crate) mod cpu;
pub(crate) mod ethtool;
pub(crate) mod namespace;
pub(crate) mod packet;
pub(crate) mod process;
pub(crate) mod time;

use std::io;

/// The result of a system call that tells failure by −1.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The size of a `T` as socket calls want it.
const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// Sets an integer socket option.
pub(crate) fn set_option(
    socket: &impl std::os::fd::AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option's value is a c_int that lives through the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            socklen::<libc::c_int>(),
        )
    })?;
    Ok(())
}

/// Asks for a receive and a send buffer of `bytes`, beyond the system's limit where that is allowed.
pub(crate) fn set_buffers(socket: &impl std::os::fd::AsRawFd, bytes: libc::c_int) {
    for (forced, plain) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        if set_option(socket, libc::SOL_SOCKET, forced, bytes).is_err() {
            // The limit then decides; drops it causes are counted and shown.
            let _ = set_option(socket, libc::SOL_SOCKET, plain, bytes);
        }
    }
}
