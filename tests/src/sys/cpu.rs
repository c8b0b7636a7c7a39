//! What a process has used of the CPU.

use std::io;
use std::time::Duration;

/// CPU time of all threads of process `pid` so far, ended ones included: the sum of what
/// `/proc/PID/stat` calls utime and stime, but exact, where that counts ticks of 10 ms.
pub(crate) fn process_time(pid: u32) -> io::Result<Duration> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` lives through the call.
    match unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } {
        0 => {}
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` lives through the call.
    super::check(unsafe { libc::clock_gettime(clock, &raw mut t) })?;
    Ok(Duration::new(t.tv_sec as u64, t.tv_nsec as u32))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_grows_with_work() {
        let before = super::process_time(std::process::id()).unwrap();
        let until = crate::now() + std::time::Duration::from_millis(20);
        while crate::now() < until {}
        let used = super::process_time(std::process::id()).unwrap() - before;
        assert!(used.as_millis() >= 5, "{used:?}");
    }
}
