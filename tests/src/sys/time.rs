//! Clocks and exact sleeping.

use super::check;
use mpt_core::Time;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// What `clock` says, in nanoseconds.
fn read(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a timespec that lives through the call; the clocks used here always exist.
    unsafe { libc::clock_gettime(clock, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Now, on `CLOCK_MONOTONIC`: one clock for all processes and namespaces of the machine.
#[must_use]
pub fn now() -> Time {
    Time::from_nanos(read(libc::CLOCK_MONOTONIC))
}

/// How far `CLOCK_REALTIME`, in which the kernel stamps packets, is ahead of `CLOCK_MONOTONIC`.
pub(crate) fn realtime_offset() -> u64 {
    // Read twice around: the middle one is off by at most half of what passed between them.
    let before = read(libc::CLOCK_MONOTONIC);
    let real = read(libc::CLOCK_REALTIME);
    let after = read(libc::CLOCK_MONOTONIC);
    real.saturating_sub(before + (after - before) / 2)
}

/// A duration as the kernel takes it.
fn timespec(d: Duration) -> libc::timespec {
    libc::timespec { tv_sec: d.as_secs() as _, tv_nsec: d.subsec_nanos() as _ }
}

/// Sleeps until `t`; returns at once when that has passed.
pub(crate) fn sleep_until(t: Time) {
    let at = timespec(Duration::from_nanos(t.as_nanos()));
    // SAFETY: `at` lives through the call; a null remainder is allowed with TIMER_ABSTIME.
    while unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const at,
            std::ptr::null_mut(),
        )
    } == libc::EINTR
    {}
}

/// Lets this thread's sleeps end on time; by default the kernel adds up to 50 µs.
pub(crate) fn sharpen_sleep() {
    // SAFETY: takes an integer, touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Gives this thread precedence over ordinary ones where that is allowed: an emulator that waits
/// for the CPU behind the daemons it measures would show as jitter of the link.
pub(crate) fn precede() {
    let param = libc::sched_param { sched_priority: 1 };
    // SAFETY: `param` lives through the call; 0 names the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const param) };
}

/// Waits until one of `fds` is readable, at most for `timeout` (`None`: for ever); `ready[i]` then
/// tells whether `fds[i]` is.
pub(crate) fn wait_readable(
    fds: &[RawFd],
    timeout: Option<Duration>,
    ready: &mut Vec<bool>,
) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let timeout = timeout.map(timespec);
    let pointer = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `polled` and the timespec behind `pointer` live through the call; no signal mask.
    let result = check(unsafe {
        libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, pointer, std::ptr::null())
    });
    if let Err(e) = result
        && e.kind() != io::ErrorKind::Interrupted
    {
        return Err(e);
    }
    ready.clear();
    ready.extend(polled.iter().map(|p| p.revents != 0));
    Ok(())
}
