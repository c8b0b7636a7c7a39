//! Child processes and signals.

use super::{check, namespace};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes `command` start in the network namespace `ns`.
pub(crate) fn start_in(command: &mut Command, ns: Arc<OwnedFd>) {
    // SAFETY: between fork and exec only one system call is made; nothing is allocated.
    unsafe { command.pre_exec(move || namespace::enter_net(ns.as_fd())) };
}

/// Makes the child of `command` die when the thread that spawned it does, however that ends.
pub(crate) fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made; nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)).map(drop)
        })
    };
}

/// Sends `signal` to the process `pid`.
pub(crate) fn signal(pid: u32, signal: libc::c_int) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C and SIGTERM are only noted, so that what was built can be taken down.
pub(crate) fn catch_interrupts() {
    let handler = note_interrupt as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is safe in a signal.
        unsafe { libc::signal(number, handler) };
    }
}

/// Whether Ctrl-C or SIGTERM came since [`catch_interrupts`].
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
