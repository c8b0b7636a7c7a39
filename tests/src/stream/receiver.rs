//! Takes packets as they come.

use super::StreamConfig;
use super::tally::Tally;
use crate::sys::batch::ReceiveBatch;
use crate::sys::set_buffers;
use crate::sys::time::{now, wait_readable};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) struct Receiver {
    socket: UdpSocket,
    batch: ReceiveBatch,
}

impl Receiver {
    /// Opens the socket, in the calling thread's namespace.
    pub(super) fn bind(config: &StreamConfig) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.destination)?;
        socket.set_nonblocking(true)?;
        set_buffers(&socket, 32 << 20);
        ReceiveBatch::prepare(&socket)?;
        // One byte more than expected: what is too long is seen to be.
        Ok(Self { socket, batch: ReceiveBatch::new(config.size + 1) })
    }

    /// Receives until the sender has ended and either all is here or nothing came for `linger`.
    pub(super) fn run(mut self, tally: &Mutex<Tally>, linger: Duration) {
        let mut ready = Vec::new();
        let mut last = now();
        loop {
            // An error leaves `ready` as it was; the loop ends by the clock all the same.
            let _ = wait_readable(
                &[self.socket.as_raw_fd()],
                Some(Duration::from_millis(20)),
                &mut ready,
            );
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            while let Ok(1..) = self.batch.receive(&self.socket, |r| tally.received(&r)) {
                last = now();
            }
            match tally.ended() {
                Some(at) if tally.is_complete() || now().since(last.max(at)) >= linger => return,
                _ => {}
            }
        }
    }
}
