//! The loop.
//!
//! 1. Sleep until a socket or TUN is readable, somebody sent a message, or the endpoint's deadline passes.
//! 2. Take everything that is ready, in rounds: a batch from each socket, a batch from TUN. What leaves is sent
//!    after each round.
//! 3. When all is drained, or a turn's worth was done, end the batch: the endpoint judges its deadlines.
//! 4. Serve what the endpoint and the messages ask for.

use super::Daemon;
use crate::udp::{self, RecvBatch};
use mpt_core::{DatagramMeta, DropReason, SendError};
use std::future::{Future as _, poll_fn};
use std::io;
use std::task::Poll;

/// Packets taken from TUN in one round.
const TUN_BATCH: usize = 64;

/// Rounds in one turn: at most 1 024 packets a side (about 10 ms on a slow router) until deadlines are
/// judged and messages are served.
const ROUNDS: usize = 16;

/// Largest packet that TUN can hand over.
const TUN_BUFFER: usize = 65_536;

/// What woke the loop, beside sockets and TUN.
pub(super) enum Wake {
    /// Sockets, TUN, or the deadline.
    Packets,
    /// A message from one of the tasks.
    Message(super::Message),
    /// The tasks are gone: nothing can be steered any more.
    Closed,
}

/// Buffers of the loop, allocated once.
pub(super) struct Buffers {
    received: RecvBatch,
    tun: Box<[u8]>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            received: RecvBatch::new(udp::MAX_BATCH, 9_216),
            tun: vec![0; TUN_BUFFER].into_boxed_slice(),
        }
    }
}

impl Daemon {
    /// Runs until somebody asks it to stop.
    pub(super) async fn run(&mut self) -> io::Result<()> {
        let mut buffers = Buffers::new();
        loop {
            match self.wait().await? {
                Wake::Packets => {}
                Wake::Message(message) => {
                    if self.on_message(message).is_break() {
                        return Ok(());
                    }
                    while let Ok(message) = self.messages.try_recv() {
                        if self.on_message(message).is_break() {
                            return Ok(());
                        }
                    }
                }
                Wake::Closed => return Ok(()),
            }
            self.turn(&mut buffers)?;
            self.serve_events().await;
        }
    }

    /// Step 1.
    async fn wait(&mut self) -> io::Result<Wake> {
        let deadline = self.endpoint.poll_timeout().map(|at| self.clock.instant(at));
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(sleep);
        poll_fn(|cx| {
            let mut ready = self.sockets.poll_readable(cx);
            if !self.tun_readable && self.tun.poll_readable(cx)?.is_ready() {
                self.tun_readable = true;
            }
            ready |= self.tun_readable;
            match self.messages.poll_recv(cx) {
                Poll::Ready(Some(message)) => return Poll::Ready(Ok(Wake::Message(message))),
                Poll::Ready(None) => return Poll::Ready(Ok(Wake::Closed)),
                Poll::Pending => {}
            }
            if ready || sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(Wake::Packets));
            }
            Poll::Pending
        })
        .await
    }

    /// Steps 2 and 3.
    fn turn(&mut self, buffers: &mut Buffers) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let received = self.receive(&mut buffers.received);
            let read = self.read_tun(&mut buffers.tun)?;
            self.flush();
            if !received && !read {
                break;
            }
        }
        let now = self.clock.now();
        self.endpoint.handle_batch_end(now, &mut self.out, &mut self.sink.to(&self.tun));
        self.flush();
        Ok(())
    }

    /// A batch from each readable socket; true while there may be more.
    fn receive(&mut self, batch: &mut RecvBatch) -> bool {
        let Self { sockets, endpoint, out, sink, tun, clock, .. } = self;
        let mut sink = sink.to(tun);
        sockets.receive(batch, |socket, batch| {
            let now = clock.now();
            let mut kernel_drops = None;
            for datagram in batch.datagrams() {
                let meta = DatagramMeta {
                    socket,
                    source: datagram.source,
                    destination: datagram.destination,
                    ecn: datagram.ecn(),
                };
                if datagram.truncated {
                    endpoint.count_drops(DropReason::Malformed, 1);
                    continue;
                }
                kernel_drops = datagram.kernel_drops.or(kernel_drops);
                endpoint.handle_datagram(now, &meta, datagram.data, out, &mut sink);
            }
            kernel_drops
        })
    }

    /// A batch of packets from TUN; true while there may be more.
    fn read_tun(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if !self.tun_readable {
            return Ok(false);
        }
        let now = self.clock.now();
        for _ in 0..TUN_BATCH {
            match self.tun.read(buffer) {
                Ok(len) => {
                    self.tun_counters.read_packets += 1;
                    self.tun_counters.read_bytes += len as u64;
                    self.endpoint.handle_packet(now, &mut buffer[..len], &mut self.out);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.tun_readable = false;
                    return Ok(false);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Somebody set the interface down: it comes back when they set it up.
                Err(e) if e.raw_os_error() == Some(libc::EIO) => {
                    self.tun_readable = false;
                    return Ok(false);
                }
                Err(e) => {
                    let text =
                        format!("reading from {}: {e} (was the interface deleted?)", self.name);
                    return Err(io::Error::new(e.kind(), text));
                }
            }
        }
        Ok(true)
    }

    /// Sends what the outbox holds.
    pub(super) fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let (endpoint, errors) = (&mut self.endpoint, &mut self.send_errors);
        let now = self.clock.now();
        let mut full = 0;
        self.sockets.send(
            &mut self.out,
            |key, len, error| {
                endpoint.count_drops(DropReason::SendFailed, 1);
                let Some((peer, path)) = key.peer else { return };
                if errors.is_news(now, peer, path, error) {
                    tracing::debug!(%error, ?peer, %path, len, "datagram refused");
                }
                let what = match error {
                    udp::SendError::TooLarge => SendError::TooLarge { udp_len: len },
                    udp::SendError::Unreachable
                    | udp::SendError::InterfaceGone
                    | udp::SendError::InterfaceDown
                    | udp::SendError::SourceGone => SendError::Unreachable(error.to_string()),
                    udp::SendError::Refused
                    | udp::SendError::QueueFull
                    | udp::SendError::NotPermitted
                    | udp::SendError::Other(_) => SendError::Passing,
                };
                endpoint.handle_send_error(now, peer, path, key.destination, what);
            },
            |count| full += count,
        );
        endpoint.count_drops(DropReason::SocketFull, full);
    }
}
