//! A descriptor whose readiness the runtime watches.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A non-blocking file or socket, registered with the tokio runtime.
#[derive(Debug)]
pub(crate) struct Watched<T: AsRawFd>(AsyncFd<T>);

impl<T: AsRawFd> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl<T: AsRawFd + Into<OwnedFd>> Watched<T> {
    /// Registers `inner` with the current runtime.
    pub(crate) fn new(inner: T) -> io::Result<Self> {
        // SAFETY: `inner` owns its descriptor (it can be turned into an `OwnedFd`), and is given out
        // by shared reference only, through which the types used here do not change it. So it stays
        // open and the same until `AsyncFd` drops it.
        // Readable only: the kernel would wake us each time that something sent has left the buffer.
        let fd = unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE) };
        Ok(Self(fd?))
    }

    pub(crate) fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Ready when a read may succeed; an error means that the runtime is shutting down.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx).map_ok(drop)
    }

    /// Reads, whether the runtime believes it readable or not; on `WouldBlock` it is no longer until more comes. (Nothing comes in
    /// between: the runtime, which has one thread, is told of what is readable only while the task waits.)
    pub(crate) fn read<R>(&self, f: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        let result = f(self.0.get_ref());
        if matches!(&result, Err(e) if e.kind() == io::ErrorKind::WouldBlock) {
            self.set_drained();
        }
        result
    }

    /// Notes that a read took all there was: not readable until more comes. (The kernel tells of what comes
    /// after that read, since epoll is edge-triggered.)
    pub(crate) fn set_drained(&self) {
        let empty = || io::Error::from(io::ErrorKind::WouldBlock);
        let _ = self.0.try_io(Interest::READABLE, |_| Err::<(), _>(empty()));
    }
}
