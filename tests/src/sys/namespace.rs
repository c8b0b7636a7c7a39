//! Entering and making namespaces.

use super::check;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Moves the calling thread into a new, empty network namespace and returns the file that names it.
pub(crate) fn unshare_net() -> io::Result<OwnedFd> {
    // SAFETY: takes flags only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Moves the calling thread into the network namespace `ns`.
pub(crate) fn enter_net(ns: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes an open file and flags.
    check(unsafe { libc::setns(ns.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Moves the whole process, which must have one thread only, into a user namespace of its own in
/// which it may do with networks what root may.
pub(crate) fn unshare_user() -> io::Result<()> {
    // SAFETY: takes no arguments.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: takes flags only.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
