//! What a worker does with packets: its sockets, its queue of TUN, and its turns at the endpoint.
//!
//! 1. Take everything that is ready, in rounds: a batch from each socket, a batch from TUN. System calls are made
//!    outside of the endpoint's lock, which is taken once for each batch.
//! 2. What the endpoint delivered is joined and written to TUN, what it wants sent is sent after each round.
//! 3. When the sockets are drained, end the batch: the endpoint judges its deadlines. Under more load than we
//!    can bear they are never drained; then that happens every 20 ms.

use super::alarm::Alarm;
use super::brief_wait::BriefWait;
use super::clock::Clock;
use super::coalesce::Coalescing;
use super::collected::Collected;
use super::errors::SendErrors;
use super::opening::{Opening, Step, meta};
use super::refusals::{Refusals, Refused};
use super::sink::Sink;
use super::sockets::{Sockets, Taken};
use super::stray::{Stray, Strays};
use super::tun_batch::TunBatch;
use crate::tun::{Offloads, TunDevice};
use crate::udp::{self, RecvBatch};
use mpt_core::control::TunStatus;
use mpt_core::{DropReason, Endpoint, Incoming, Outbox, SendError, SocketId, Time, WorkerId};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Rounds in one turn: at most 1 024 packets a side (about 10 ms on a slow router) until deadlines are
/// judged and messages are served.
const ROUNDS: usize = 16;

/// Naps in one turn, see [`Coalescing`].
const NAPS: usize = 8;

/// With more bytes than this waiting, and more with each batch, a socket is ahead of others.
const AHEAD: usize = 512 * 1024;

/// Deadlines are judged this often though sockets are not drained.
const LONGEST_BATCH: Duration = Duration::from_millis(20);

/// A worker without traffic for this long leaves to the others what all share.
const IDLE_AFTER: Duration = Duration::from_millis(200);

/// What a turn left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Nothing that was ready.
    Drained,
    /// Sockets or TUN may have more.
    MoreToDo,
}

/// The endpoint, shared by all workers, and what they found out about TUN.
#[derive(Clone)]
pub(super) struct Shared {
    endpoint: Arc<Mutex<Endpoint>>,
    refusals: Refusals,
}

impl Shared {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint: Arc::new(Mutex::new(endpoint)), refusals: Refusals::default() }
    }

    /// The endpoint, for calls of `worker`.
    pub(super) fn lock(&self, worker: WorkerId) -> MutexGuard<'_, Endpoint> {
        // A worker that panicked ends the daemon; until then the others go on.
        let mut endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        endpoint.as_worker(worker);
        endpoint
    }
}

/// What the status tells of a worker.
#[derive(Clone, Default)]
pub(super) struct Counters {
    /// What went through its queue of TUN.
    pub(super) tun: TunStatus,
    /// Packets that TUN refused.
    pub(super) refused: u64,
    /// The kernel's drops on its sockets.
    pub(super) kernel_drops: Vec<(SocketId, u64)>,
    /// Offloads of TUN in use.
    pub(super) offloads: Option<Offloads>,
}

/// One worker's part of the daemon.
pub(super) struct Plane {
    pub(super) worker: WorkerId,
    pub(super) clock: Clock,
    pub(super) shared: Shared,
    pub(super) sockets: Sockets,
    pub(super) tun: TunDevice,
    tun_readable: bool,
    out: Outbox,
    sink: Sink,
    collected: Collected,
    received: RecvBatch,
    opening: Opening,
    tun_batch: TunBatch,
    send_errors: SendErrors,
    read: TunStatus,
    strays: Strays,
    alarm: Alarm,
    brief_wait: BriefWait,
    coalescing: Coalescing,
    /// Packets taken from the kernel since `coalescing` was asked last.
    taken: u32,
    /// When the endpoint judged this worker's deadlines last.
    batch_ended: Time,
    /// When packets came last, from either side.
    busy: Time,
    counters: Arc<Mutex<Counters>>,
}

impl Plane {
    pub(super) fn new(
        worker: WorkerId,
        clock: Clock,
        shared: Shared,
        tun: TunDevice,
        strays: Strays,
        counters: Arc<Mutex<Counters>>,
        coalescing: Coalescing,
    ) -> io::Result<Self> {
        let now = clock.now();
        Ok(Self {
            alarm: Alarm::new(clock)?,
            brief_wait: BriefWait::new(now),
            worker,
            clock,
            shared,
            sockets: Sockets::default(),
            sink: Sink::new(&tun),
            tun,
            tun_readable: true,
            out: if strays.has_others() { Outbox::sealing_later() } else { Outbox::new() },
            collected: Collected::default(),
            received: RecvBatch::new(udp::MAX_BATCH, udp::MAX_DATAGRAM),
            opening: Opening::default(),
            tun_batch: TunBatch::new(),
            send_errors: SendErrors::default(),
            read: TunStatus::default(),
            strays,
            coalescing,
            taken: 0,
            batch_ended: now,
            busy: now,
            counters,
        })
    }

    /// The endpoint, for this worker's calls.
    pub(super) fn endpoint(&self) -> MutexGuard<'_, Endpoint> {
        self.shared.lock(self.worker)
    }

    /// Ready when there is something to take, or the alarm rang.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ready = self.sockets.poll_readable(cx);
        ready |= self.strays.poll_ready(cx);
        ready |= self.alarm.poll(cx).is_ready();
        if !self.tun_readable && self.tun.poll_readable(cx)?.is_ready() {
            self.tun_readable = true;
        }
        if ready || self.tun_readable { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Waits until there is something to take, or the alarm rang, where that is likely to be soon; false when it is the runtime's
    /// turn to wait. What other workers hand on is told to the runtime only.
    pub(super) fn wait_briefly(&mut self) -> bool {
        let ready = self.tun_readable || self.sockets.are_readable();
        if self.strays.has_others() || ready || !self.brief_wait.is_due() {
            return false;
        }
        let Self { tun, alarm, sockets, brief_wait, .. } = self;
        let own = [tun.as_raw_fd(), alarm.as_raw_fd()];
        let Some(mut ready) = brief_wait.wait(own.into_iter().chain(sockets.descriptors())) else {
            return false;
        };
        self.tun_readable = ready.next() == Some(true);
        if ready.next() == Some(true) {
            alarm.has_rung();
        }
        sockets.note_readable(ready);
        true
    }

    /// Sets the time when to take a turn though nothing came. The first worker sees to what all share; the others do while they
    /// have traffic, which makes such things due.
    pub(super) fn set_alarm(&mut self) -> io::Result<()> {
        let deadline = self.deadline();
        self.alarm.set(deadline)
    }

    /// When something is due, see [`set_alarm`](Self::set_alarm).
    fn deadline(&self) -> Option<Time> {
        let first = self.worker == WorkerId::default();
        let endpoint = self.endpoint();
        let busy = || self.clock.now().since(self.busy) < IDLE_AFTER;
        match first || busy() || endpoint.has_queue() {
            true => endpoint.poll_timeout(),
            false => endpoint.poll_order_timeout(),
        }
    }

    /// Takes what is ready, and what comes while it is worth waiting for.
    pub(super) fn turn(&mut self) -> io::Result<Load> {
        let before = self.busy;
        let load = self.take_turn()?;
        if self.busy != before {
            self.brief_wait.on_packets(before, self.busy);
        }
        Ok(load)
    }

    fn take_turn(&mut self) -> io::Result<Load> {
        for _ in 0..NAPS {
            let load = self.take_ready()?;
            if load == Load::MoreToDo || self.coalescing.is_off() {
                return Ok(load);
            }
            let (now, deadline) = (self.clock.now(), self.deadline());
            let taken = std::mem::take(&mut self.taken);
            let Some(nap) = self.coalescing.after_turn(now, taken, deadline) else {
                return Ok(load);
            };
            // The thread itself, and not the task: the runtime's timers are coarser, and cost a wake-up each.
            std::thread::sleep(nap);
            self.read.naps += 1;
            self.sockets.look();
            self.tun_readable = true;
        }
        Ok(Load::MoreToDo)
    }

    fn take_ready(&mut self) -> io::Result<Load> {
        self.follow_refusals();
        let (mut received, mut read) = (true, true);
        for _ in 0..ROUNDS {
            received = self.receive();
            read = self.read_tun()?;
            self.flush();
            if !received && !read {
                break;
            }
        }
        let now = self.clock.now();
        if !received || now.since(self.batch_ended) >= LONGEST_BATCH {
            self.end_batch(now);
        }
        self.publish();
        Ok(if received || read { Load::MoreToDo } else { Load::Drained })
    }

    fn end_batch(&mut self, now: Time) {
        self.batch_ended = now;
        self.collected.begin(0..0);
        self.shared.lock(self.worker).handle_batch_end(now, &mut self.out, &mut self.collected);
        self.deliver(&[]);
        self.flush();
        self.step_down();
    }

    /// Says goodbye, and delivers what is held.
    pub(super) fn close(&mut self) {
        let now = self.clock.now();
        self.collected.begin(0..0);
        self.shared.lock(self.worker).close(now, &mut self.out, &mut self.collected);
        self.deliver(&[]);
        self.flush();
        self.publish();
    }

    /// A batch from each readable socket; true while there may be more.
    fn receive(&mut self) -> bool {
        let Self { sockets, shared, out, sink, tun, clock, collected, strays, .. } = self;
        let (received, opening) = (&mut self.received, &mut self.opening);
        let (worker, busy, total) = (self.worker, &mut self.busy, &mut self.taken);
        let more = sockets.receive(received, |socket, batch| {
            let now = clock.now();
            *busy = now;
            let mut taken = Taken::default();
            collected.begin(batch.addresses());
            let steps = opening.run(worker, shared, strays, socket, batch);
            let mut endpoint = shared.lock(worker);
            let held = endpoint.held_bytes();
            for (datagram, step) in batch.datagrams().zip(steps) {
                *total = total.saturating_add(1);
                if datagram.truncated {
                    endpoint.count_drops(DropReason::Malformed, 1);
                    continue;
                }
                taken.kernel_drops = datagram.kernel_drops.or(taken.kernel_drops);
                let opened = match step {
                    Step::HandedOn => continue,
                    Step::Opened(opened) => Some(opened),
                    Step::Nothing | Step::Ready(_) => None,
                };
                let (meta, datagram) = (&meta(socket, &datagram), datagram.data);
                endpoint.handle_incoming(now, Incoming { meta, datagram, opened }, out, collected);
            }
            endpoint.handle_part_end(now, out);
            taken.ahead = endpoint.held_bytes() > held.max(AHEAD);
            drop(endpoint);
            collected.hand_out(batch.bytes(), |packet, checksum| sink.push(tun, packet, checksum));
            taken
        });
        self.receive_strays();
        self.sink.flush(&self.tun);
        more
    }

    /// Datagrams for this worker that another one received.
    fn receive_strays(&mut self) {
        while let Some(Stray { meta, mut datagram }) = self.strays.next() {
            let now = self.clock.now();
            self.busy = now;
            self.collected.begin(0..0);
            self.shared.lock(self.worker).handle_datagram(
                now,
                &meta,
                &mut datagram,
                &mut self.out,
                &mut self.collected,
            );
            let (sink, tun) = (&mut self.sink, &self.tun);
            self.collected.hand_out(&[], |packet, checksum| sink.push(tun, packet, checksum));
        }
    }

    /// Writes what was collected, whose uncollected part lies in `batch`.
    fn deliver(&mut self, batch: &[u8]) {
        let (sink, tun) = (&mut self.sink, &self.tun);
        self.collected.hand_out(batch, |packet, checksum| sink.push(tun, packet, checksum));
        sink.flush(tun);
    }

    /// A batch of packets from TUN; true while there may be more.
    fn read_tun(&mut self) -> io::Result<bool> {
        if !self.tun_readable {
            return Ok(false);
        }
        let filled = self.tun_batch.fill(&self.tun)?;
        self.tun_readable = !filled.drained;
        self.read.read_packets += filled.packets;
        self.read.read_bytes += filled.bytes;
        self.taken = self.taken.saturating_add(filled.packets as u32);
        if filled.bad > 0 {
            self.endpoint().count_drops(DropReason::BadSuperPacket, filled.bad);
        }
        if !self.tun_batch.is_empty() {
            let now = self.clock.now();
            self.busy = now;
            let mut endpoint = self.shared.lock(self.worker);
            self.tun_batch.hand_over(now, &mut endpoint, &mut self.out);
        }
        Ok(self.tun_readable)
    }

    /// Finds out whether the TUN device, which is up now, takes the super-packets that it said it takes.
    pub(super) fn prove_tun(&mut self) {
        let (granted, proven) = (self.tun.offloads(), self.tun.prove());
        if proven != granted {
            tracing::warn!(
                tso = proven.tso,
                uso = proven.uso,
                "the kernel refuses super-packets on {} that it said it takes: off",
                self.tun.name()
            );
            self.shared
                .refusals
                .add(Refused { tso: granted.tso && !proven.tso, uso: granted.uso && !proven.uso });
            self.follow_refusals();
        }
    }

    /// Does without what the TUN device turned out not to take.
    fn step_down(&mut self) {
        let refused = self.sink.take_refused();
        if refused != Refused::default() {
            tracing::warn!(
                tso = refused.tso,
                uso = refused.uso,
                "the kernel refuses super-packets on {}: such packets are written one by one from now on",
                self.tun.name()
            );
            self.shared.refusals.add(refused);
            self.follow_refusals();
        }
    }

    /// Does without what any worker found to be refused.
    fn follow_refusals(&mut self) {
        let left = self.shared.refusals.without(self.tun.offloads());
        if left != self.tun.offloads() {
            self.tun.set_offloads(left);
            self.sink.follow(&self.tun);
        }
    }

    /// Sends what the outbox holds.
    pub(super) fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let (shared, worker, clock) = (&self.shared, self.worker, self.clock);
        let errors = &mut self.send_errors;
        let mut full = 0;
        self.sockets.send(
            &mut self.out,
            |key, refused| {
                let now = clock.now();
                let mut endpoint = shared.lock(worker);
                endpoint.count_drops(DropReason::SendFailed, refused.len() as u64);
                let Some((peer, path)) = key.peer else { return };
                for &(len, error) in refused {
                    if errors.is_news(now, peer, path, error) {
                        tracing::debug!(%error, ?peer, %path, len, "datagram refused");
                    }
                    endpoint.handle_send_error(now, key, meaning(error, len, worker));
                }
            },
            |count| full += count,
        );
        if full > 0 {
            self.endpoint().count_drops(DropReason::SocketFull, full);
        }
    }

    /// Shows the others what was counted.
    fn publish(&mut self) {
        let written = self.sink.written();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.tun = TunStatus {
            written_packets: written.packets,
            written_bytes: written.bytes,
            ..self.read
        };
        counters.refused = written.refused;
        counters.offloads = Some(self.tun.offloads());
        counters.kernel_drops.clear();
        counters.kernel_drops.extend(self.sockets.kernel_drops());
    }
}

/// What the endpoint is to know of it, that a datagram of `len` bytes was refused.
fn meaning(error: udp::SendError, len: usize, worker: WorkerId) -> SendError {
    match error {
        udp::SendError::TooLarge => SendError::TooLarge { udp_len: len },
        udp::SendError::Unreachable
        | udp::SendError::InterfaceGone
        | udp::SendError::InterfaceDown
        | udp::SendError::SourceGone => SendError::Unreachable(error.to_string()),
        // Closed with its interface; a path that the peer opened may still point there.
        udp::SendError::NoSocket if worker == WorkerId::default() => {
            SendError::Unreachable(udp::SendError::InterfaceGone.to_string())
        }
        // Another worker is told of it a moment after the endpoint.
        udp::SendError::NoSocket
        | udp::SendError::Refused
        | udp::SendError::QueueFull
        | udp::SendError::NotPermitted
        | udp::SendError::Other(_) => SendError::Passing,
    }
}
