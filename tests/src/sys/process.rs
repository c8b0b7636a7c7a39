//! Child processes and signals.

use super::{check, namespace};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

/// Makes `command` start in the network namespace `ns`.
pub(crate) fn start_in(command: &mut Command, ns: Arc<OwnedFd>) {
    // SAFETY: between fork and exec only one system call is made; nothing is allocated.
    unsafe { command.pre_exec(move || namespace::enter_net(ns.as_fd())) };
}

/// Starts `command`; the child is killed when this process ends, however that happens.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    // The kernel watches the thread that spawned, not its process: one that never ends does it.
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                // Whoever does not wait for the answer has ended.
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    });
    // SAFETY: between fork and exec only one system call is made; nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)).map(drop)
        })
    };
    let (answer, result) = mpsc::channel();
    spawner.send((command, answer)).map_err(io::Error::other)?;
    result.recv().map_err(io::Error::other)?
}

/// What Ctrl-C sends.
pub(crate) const INTERRUPT: libc::c_int = libc::SIGINT;

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
