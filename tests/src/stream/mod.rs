//! Numbered UDP streams: what was sent, what came of it, when and in which order.
//!
//! A sender in one namespace paces packets over one or many flows, each with a source port of its
//! own; a receiver in another books every arrival. Each packet carries its flow, its number in the
//! flow, its number overall and when it was sent, on the clock that both share, so latency is one
//! way and exact. Arrival times are the kernel's, so that a receiver waiting for the CPU does not
//! read as latency of the network.

mod packet;
mod receiver;
mod result;
mod sender;
mod tally;

pub use result::{Arrival, Bucket, Latency, StreamResult};

use crate::netns::Namespace;
use crate::sys::time::now;
use anyhow::{Context as _, Result, ensure};
use mpt_core::Time;
use packet::HEADER;
use receiver::Receiver;
use sender::Sender;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tally::Tally;

/// A stream to be sent.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Where it goes; the receiver listens there.
    pub destination: SocketAddr,
    /// Bits a second of UDP payload, while it is on.
    pub rate_bps: u64,
    /// UDP payload of a packet, at least 32 bytes.
    pub size: usize,
    /// Flows, each with its own source port; packets are dealt to them at random.
    pub flows: u32,
    /// How long it lasts.
    pub duration: Duration,
    /// On for the first time, off for the second, and again. `None`: always on.
    pub pattern: Option<(Duration, Duration)>,
    /// Length of a timeline's bucket.
    pub bucket: Duration,
    /// How long to wait for stragglers at the end.
    pub linger: Duration,
    /// Whether to keep every arrival, 40 bytes each.
    pub record: bool,
    /// Decides which packet belongs to which flow.
    pub seed: u64,
}

impl StreamConfig {
    /// One flow of 1000-byte packets for five seconds.
    #[must_use]
    pub fn new(destination: SocketAddr, rate_bps: u64) -> Self {
        Self {
            destination,
            rate_bps,
            size: 1000,
            flows: 1,
            duration: Duration::from_secs(5),
            pattern: None,
            bucket: Duration::from_millis(50),
            linger: Duration::from_millis(700),
            record: false,
            seed: 1,
        }
    }
}

/// A stream that is being sent.
#[derive(Debug)]
pub struct Stream {
    start: Time,
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<()>,
}

impl Stream {
    /// Begins to send a stream from one namespace to another.
    ///
    /// # Errors
    /// When the configuration makes no sense, or the destination's address is not in `to`.
    pub fn start(from: &Namespace, to: &Namespace, config: &StreamConfig) -> Result<Self> {
        ensure!(
            (HEADER..=65_000).contains(&config.size),
            "a packet carries {HEADER} to 65000 bytes, not {}",
            config.size
        );
        ensure!(config.rate_bps > 0, "a stream needs a rate above zero");
        ensure!((1..=4096).contains(&config.flows), "1 to 4096 flows, not {}", config.flows);
        ensure!(!config.bucket.is_zero(), "buckets need a length");

        let receiver = to
            .run(|| Receiver::bind(config))
            .with_context(|| format!("{}: cannot receive at {}", to.name(), config.destination))?;
        let sender = from
            .run(|| Sender::bind(config))
            .with_context(|| format!("{}: cannot open sockets to send", from.name()))?;
        let start = now();
        let tally = Arc::new(Mutex::new(Tally::new(config, start)));
        let stop = Arc::new(AtomicBool::new(false));
        let receiver = {
            let (tally, linger) = (Arc::clone(&tally), config.linger);
            to.spawn("stream-rx", move || receiver.run(&tally, linger))?
        };
        let sender = {
            let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
            from.spawn("stream-tx", move || sender.run(&tally, &stop, start))?
        };
        Ok(Self { start, tally, stop, sender, receiver })
    }

    /// Sends a stream and waits for its end.
    ///
    /// # Errors
    /// As with [`Stream::start`].
    pub fn run(from: &Namespace, to: &Namespace, config: &StreamConfig) -> Result<StreamResult> {
        Ok(Self::start(from, to, config)?.finish())
    }

    /// When the first packet was due.
    #[must_use]
    pub fn start_time(&self) -> Time {
        self.start
    }

    /// Whether all was sent, and all that will be received was.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.receiver.is_finished()
    }

    /// The timeline so far; the last buckets are still filling.
    #[must_use]
    pub fn timeline(&self) -> Vec<Bucket> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).timeline.clone()
    }

    /// Sends no more.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the end, and tells what came of it.
    ///
    /// # Panics
    /// When the sender or the receiver did.
    #[must_use]
    pub fn finish(self) -> StreamResult {
        for thread in [self.sender, self.receiver] {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).result()
    }
}
