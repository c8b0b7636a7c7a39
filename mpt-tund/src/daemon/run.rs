//! The loop.
//!
//! 1. Sleep until a socket or TUN is readable, somebody sent a message, or the endpoint's deadline passes.
//! 2. Take everything that is ready, in rounds: a batch from each socket, a batch from TUN. What leaves is sent
//!    after each round.
//! 3. When the sockets are drained, end the batch: the endpoint judges its deadlines. Under more load than we
//!    can bear they are never drained; then that happens every 20 ms.
//! 4. Serve what the endpoint and the messages ask for.

use super::Daemon;
use crate::tun::Offloads;
use crate::udp::{self, RecvBatch};
use mpt_core::{DatagramMeta, DropReason, SendError, WorkerId};
use std::future::{Future as _, poll_fn};
use std::io;
use std::task::Poll;
use std::time::Duration;

/// Packets taken from TUN in one round.
const TUN_BATCH: usize = 64;

/// Rounds in one turn: at most 1 024 packets a side (about 10 ms on a slow router) until deadlines are
/// judged and messages are served.
const ROUNDS: usize = 16;

/// Deadlines are judged this often though sockets are not drained.
const LONGEST_BATCH: Duration = Duration::from_millis(20);

/// Bytes taken from TUN until they are sent: a super-packet. More would leave the processor's cache.
const TUN_BATCH_BYTES: usize = 64 * 1024;

/// Largest packet that TUN can hand over, with its header.
const TUN_BUFFER: usize = 65_536 + crate::tun::VNET_HEADER_LEN;

/// What woke the loop, beside sockets and TUN.
pub(super) enum Wake {
    /// Sockets, TUN, or the deadline.
    Packets,
    /// A message from one of the tasks.
    Message(super::Message),
    /// The tasks are gone: nothing can be steered any more.
    Closed,
}

/// What a turn left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Nothing that was ready.
    Drained,
    /// Sockets or TUN may have more.
    MoreToDo,
}

/// Buffers of the loop, allocated once.
pub(super) struct Buffers {
    received: RecvBatch,
    tun: Box<[u8]>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            received: RecvBatch::new(udp::MAX_BATCH, udp::MAX_DATAGRAM),
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
            let load = self.turn(&mut buffers)?;
            self.serve_events().await;
            if load == Load::MoreToDo {
                // `wait` will not sleep: without this the tasks beside the loop, signals and the control
                // socket among them, would never run again, and the runtime would not look at the sockets.
                tokio::task::yield_now().await;
            }
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
    fn turn(&mut self, buffers: &mut Buffers) -> io::Result<Load> {
        let (mut received, mut read) = (true, true);
        for _ in 0..ROUNDS {
            received = self.receive(&mut buffers.received);
            self.sink.flush(&self.tun);
            read = self.read_tun(&mut buffers.tun)?;
            self.flush();
            if !received && !read {
                break;
            }
        }
        let now = self.clock.now();
        if !received || now.since(self.batch_ended) >= LONGEST_BATCH {
            self.batch_ended = now;
            self.endpoint.handle_batch_end(now, &mut self.out, &mut self.sink.to(&self.tun));
            self.sink.flush(&self.tun);
            self.flush();
            self.step_down();
        }
        Ok(if received || read { Load::MoreToDo } else { Load::Drained })
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
            if self.out.bytes() >= TUN_BATCH_BYTES {
                return Ok(true);
            }
            match self.tun.read(buffer) {
                Ok((packet, offload)) => {
                    self.tun_counters.read_packets += offload.packets(packet);
                    self.tun_counters.read_bytes += packet.len() as u64;
                    let worker = WorkerId::default();
                    self.endpoint.handle_packet(now, worker, packet, &offload, &mut self.out);
                }
                Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                    self.endpoint.count_drops(DropReason::BadSuperPacket, 1);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.tun_readable = false;
                    return Ok(false);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let text =
                        format!("reading from {}: {e} (was the interface deleted?)", self.name);
                    return Err(io::Error::new(e.kind(), text));
                }
            }
        }
        Ok(true)
    }

    /// Does without what the TUN device turned out not to take.
    fn step_down(&mut self) {
        if self.sink.take_refused_super_packets() {
            tracing::warn!(
                "the kernel refuses super-packets on {}: packets are written one by one from now on",
                self.name
            );
            self.tun.set_offloads(Offloads { tso: false, uso: false, ..self.tun.offloads() });
            self.sink.follow(&self.tun);
        }
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
                endpoint.handle_send_error(now, key, what);
            },
            |count| full += count,
        );
        endpoint.count_drops(DropReason::SocketFull, full);
    }
}
