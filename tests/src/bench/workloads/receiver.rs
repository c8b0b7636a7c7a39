//! Counts what arrives, on a thread of its own.

use super::datagram::Header;
use crate::bench::tunnels::Running;
use crate::sys::bulk::{BulkReceiver, SLOTS};
use crate::sys::time::{precede, sharpen_sleep};
use anyhow::{Context as _, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the kernel's buffer, which holds 30 ms and more, is emptied where a thousandth of a
/// second does not matter: waking for each datagram would take the CPU from the tunnel.
const COLLECT: Duration = Duration::from_micros(500);

/// Steps of all measurements so far. What is late of one measurement must not be taken for the next one's, which
/// uses the same port: its high numbers made all of the first step look late.
static STEPS: AtomicU32 = AtomicU32::new(0);

/// When nothing more has come for this long, nothing more comes.
const QUIET: Duration = Duration::from_millis(30);

/// Where what was sent in a measurement is counted.
#[derive(Default)]
struct Counters {
    stop: AtomicBool,
    step: AtomicU32,
    packets: AtomicU64,
    /// Behind the highest number.
    reached: AtomicU64,
    bytes: AtomicU64,
    out_of_order: AtomicU64,
}

/// How a receiver goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Takes what came when it comes, merged by UDP GRO, as an application does.
    Prompt,
    /// Only counts, on behalf of another host: it never waits for the CPU and takes little of it.
    Counting,
}

/// A receiver at the far end of a tunnel.
pub(super) struct Receiver {
    counters: Arc<Counters>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Receiver {
    /// Begins to receive.
    pub(super) fn start(running: &Running, manner: Manner) -> Result<Self> {
        let address = running.remote(super::PORT);
        let merged = manner == Manner::Prompt;
        let slot = if merged { 65_536 } else { 2_048 };
        let namespace = &running.topology.b;
        let mut socket = namespace
            .run(|| BulkReceiver::bind(address, slot, merged))
            .with_context(|| format!("cannot receive at {address}"))?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let thread = namespace.spawn("bench-rx", move || receive(&mut socket, &shared, manner))?;
        Ok(Self { counters, thread: Some(thread) })
    }

    /// Forgets what was counted and counts the datagrams of a new step; returns its number.
    pub(super) fn next_step(&self) -> u32 {
        let step = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
        // The receiving thread begins anew when it sees the number.
        self.counters.step.store(step, Ordering::Release);
        self.counters.packets.store(0, Ordering::Relaxed);
        self.counters.reached.store(0, Ordering::Relaxed);
        self.counters.bytes.store(0, Ordering::Relaxed);
        step
    }

    /// Datagrams of this step so far.
    pub(super) fn packets(&self) -> u64 {
        self.counters.packets.load(Ordering::Relaxed)
    }

    /// The number behind the highest one that came in this step: what is below it is under way no more.
    pub(super) fn reached(&self) -> u64 {
        self.counters.reached.load(Ordering::Relaxed)
    }

    /// Their bytes of payload.
    pub(super) fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed)
    }

    /// Datagrams of all steps that came after a later one.
    pub(super) fn out_of_order(&self) -> u64 {
        self.counters.out_of_order.load(Ordering::Relaxed)
    }

    /// Waits until all `sent` datagrams of this step are there, or no more come.
    pub(super) fn drain(&self, sent: u64) {
        let (mut last, mut since) = (self.packets(), crate::now());
        while last < sent && crate::now() < since + QUIET {
            std::thread::sleep(Duration::from_millis(2));
            if self.packets() != last {
                (last, since) = (self.packets(), crate::now());
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.counters.stop.store(true, Ordering::Relaxed);
        // A receiver that failed has counted nothing, which shows.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn receive(socket: &mut BulkReceiver, counters: &Counters, manner: Manner) -> std::io::Result<()> {
    if manner == Manner::Counting {
        sharpen_sleep();
        precede();
    }
    let (mut step, mut highest) = (0, None);
    while !counters.stop.load(Ordering::Relaxed) {
        let wanted = counters.step.load(Ordering::Acquire);
        if wanted != step {
            (step, highest) = (wanted, None);
        }
        let (mut packets, mut bytes, mut late) = (0, 0, 0);
        socket.receive(|datagram| {
            let Some(header) = Header::read(datagram).filter(|header| header.step == step) else {
                return;
            };
            packets += 1;
            bytes += datagram.len() as u64;
            if highest > Some(header.number) {
                late += 1;
            }
            highest = highest.max(Some(header.number));
        })?;
        counters.packets.fetch_add(packets, Ordering::Relaxed);
        counters.reached.store(highest.map_or(0, |highest| highest + 1), Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.out_of_order.fetch_add(late, Ordering::Relaxed);
        if manner == Manner::Counting && packets < SLOTS as u64 {
            std::thread::sleep(COLLECT);
        }
    }
    Ok(())
}
