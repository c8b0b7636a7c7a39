//! Packets at even intervals, and how late each of them came: a call, or a stream of constant rate.

use super::trail::Trail;
use super::world::{Host, packet};
use mpt_core::Time;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// IPv4 and UDP headers and the note behind them.
const LEAST: usize = 28 + 16;

/// What became of the packets sent from a certain time on.
#[derive(Clone, Default, Debug)]
pub struct Arrived {
    /// Packets sent.
    pub sent: u64,
    /// Packets that came out.
    pub delivered: u64,
    /// Those of them that came out after a later one.
    pub out_of_order: u64,
    /// How long each took, in the order in which they came out.
    pub delays: Vec<Duration>,
    /// When each was sent, likewise.
    pub sent_at: Vec<Time>,
    highest: Option<u64>,
}

impl Arrived {
    /// The share that did not come out.
    #[must_use]
    pub fn loss(&self) -> f64 {
        1.0 - self.delivered as f64 / self.sent.max(1) as f64
    }

    /// The share that came out after a later one.
    #[must_use]
    pub fn disorder(&self) -> f64 {
        self.out_of_order as f64 / self.delivered.max(1) as f64
    }

    /// The delay that a share of `q` did not exceed.
    #[must_use]
    pub fn delay(&self, q: f64) -> Duration {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let at = (delays.len().saturating_sub(1) as f64 * q).round() as usize;
        delays.get(at).copied().unwrap_or_default()
    }
}

/// The stream.
pub struct Steady {
    from: usize,
    to: usize,
    addresses: (SocketAddr, SocketAddr),
    bytes: usize,
    gap: Duration,
    next: Time,
    ends: Time,
    counts_from: Time,
    number: u64,
    arrived: Rc<RefCell<Arrived>>,
    trail: Option<Rc<RefCell<Trail>>>,
}

impl Steady {
    /// Packets of `bytes` inner bytes every `gap` from `from` to `to`, beginning at `at.0`, counted from `at.1` on,
    /// to `at.2`. `port` tells streams apart.
    #[must_use]
    pub fn new(
        (from, to): (usize, usize),
        port: u16,
        bytes: usize,
        gap: Duration,
        at: (Time, Time, Time),
    ) -> (Self, Rc<RefCell<Arrived>>) {
        let arrived = Rc::new(RefCell::new(Arrived::default()));
        let address = |end| SocketAddr::from((packet::address(end), port));
        let steady = Self {
            from,
            to,
            addresses: (address(from), address(to)),
            bytes: bytes.max(LEAST),
            gap,
            next: at.0,
            counts_from: at.1,
            ends: at.2,
            number: 0,
            arrived: arrived.clone(),
            trail: None,
        };
        (steady, arrived)
    }

    /// Notes what becomes of each packet.
    pub fn follow(&mut self) -> Rc<RefCell<Trail>> {
        self.trail.get_or_insert_default().clone()
    }
}

impl Host for Steady {
    fn receive(&mut self, now: Time, end: usize, inner: &[u8]) -> bool {
        if end != self.to || packet::udp(inner).is_none_or(|(_, to)| to != self.addresses.1) {
            return false;
        }
        let word = |at: usize| inner[at..at + 8].try_into().map_or(0, u64::from_be_bytes);
        let (number, sent) = (word(28), Time::from_nanos(word(36)));
        if let Some(trail) = &self.trail {
            trail.borrow_mut().on_came(now, number as u16);
        }
        let mut arrived = self.arrived.borrow_mut();
        if sent >= self.counts_from {
            arrived.delivered += 1;
            arrived.out_of_order += u64::from(arrived.highest.is_some_and(|h| number < h));
            arrived.delays.push(now.since(sent));
            arrived.sent_at.push(sent);
        }
        arrived.highest = arrived.highest.max(Some(number));
        true
    }

    fn next(&mut self) -> Option<Time> {
        (self.next < self.ends).then_some(self.next)
    }

    fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> Option<usize> {
        let at = self.next().filter(|&at| at <= now)?;
        let mut payload = vec![0; self.bytes - 28];
        payload[..8].copy_from_slice(&self.number.to_be_bytes());
        payload[8..16].copy_from_slice(&now.as_nanos().to_be_bytes());
        packet::write_udp(out, self.addresses.0, self.addresses.1, &payload);
        if let Some(trail) = &self.trail {
            trail.borrow_mut().on_sent(now, out.len());
        }
        self.number += 1;
        self.next = at + self.gap;
        if now >= self.counts_from {
            self.arrived.borrow_mut().sent += 1;
        }
        Some(self.from)
    }
}
