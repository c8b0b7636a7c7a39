//! A timer that is left alone as long as it does not ring too late.
//!
//! A sleep given to `epoll_wait` is set up and taken down in the processor's timer with every packet that wakes us.
//! This one stays: when the deadline has moved on since, it rings
//! once in vain and is set anew.

use super::clock::Clock;
use crate::watched::Watched;
use mpt_core::Time;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

/// A timer of the kernel.
pub(super) struct Alarm {
    fd: Watched<OwnedFd>,
    clock: Clock,
    /// When it rings.
    armed: Option<Time>,
}

/// Zero would disarm it.
const LEAST: Duration = Duration::from_nanos(1);

impl Alarm {
    /// A timer that does not ring yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub(super) fn new(clock: Clock) -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: takes numbers, and gives a new descriptor or an error.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd: Watched::new(fd)?, clock, armed: None })
    }

    /// It is to ring at `deadline` at the latest.
    pub(super) fn set(&mut self, deadline: Option<Time>) -> io::Result<()> {
        let Some(at) = deadline else { return Ok(()) };
        if self.armed.is_some_and(|armed| armed <= at) {
            return Ok(());
        }
        let after = at.since(self.clock.now()).max(LEAST);
        // SAFETY: all zeros is a valid `itimerspec`: numbers.
        let mut setting: libc::itimerspec = unsafe { std::mem::zeroed() };
        setting.it_value.tv_sec =
            libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX);
        setting.it_value.tv_nsec = after.subsec_nanos() as _;
        // SAFETY: the descriptor is open; the kernel reads `setting` and is asked for no old one.
        let rc = unsafe {
            libc::timerfd_settime(
                self.fd.get().as_raw_fd(),
                0,
                &raw const setting,
                std::ptr::null_mut(),
            )
        };
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        self.armed = Some(at);
        Ok(())
    }

    /// Ready when it has rung; it is then to be set anew.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.fd.poll_readable(cx).is_ready() {
            if self.has_rung() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Whether it has rung; it is then to be set anew.
    pub(super) fn has_rung(&mut self) -> bool {
        let rung = self.fd.read(|fd| {
            let mut times = 0u64;
            // SAFETY: the descriptor is open; pointer and length describe `times`.
            let n =
                unsafe { libc::read(fd.as_raw_fd(), (&raw mut times).cast(), size_of_val(&times)) };
            if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
        // Any other error would come again and again: whoever waits looks for himself.
        let rung = !matches!(&rung, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if rung {
            self.armed = None;
        }
        rung
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
