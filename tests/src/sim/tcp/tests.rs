//! The sender over a plain link, no tunnel.

use super::connection::Connection;
use super::segment::Segment;
use crate::link::{Link, LinkProfile, QueueLimit, Verdict};
use mpt_core::Time;
use std::collections::BTreeMap;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// 20 Mbit/s, 30 ms, a queue of 100 ms.
const LINK: LinkProfile = LinkProfile {
    rate_bps: Some(20_000_000),
    delay: Duration::from_millis(30),
    jitter: Duration::ZERO,
    jitter_correlation: Duration::ZERO,
    reorder: true,
    loss: 0.0,
    burst: None,
    queue: QueueLimit::Time(Duration::from_millis(100)),
    policer: None,
    blackhole: false,
};

/// What 20 Mbit/s carry of segments of 1 500 bytes, bytes a second.
const PAYLOAD_RATE: f64 = 20e6 / 8.0 * 1_448.0 / 1_500.0;

struct Flight {
    to: usize,
    bytes: Vec<u8>,
}

/// A connection from end 0 to end 1 over a link each way.
struct Wire {
    now: Time,
    connection: Connection,
    links: [Link; 2],
    /// By when they come, and in the order in which they were sent.
    flights: BTreeMap<(Time, u64), Flight>,
    sent: u64,
    /// Numbers of data segments that are lost, counted as they are sent.
    lost: Vec<u64>,
    data: u64,
    /// When something was read, in order, and how much in all.
    reads: Vec<(Time, u64)>,
}

impl Wire {
    fn new(profile: LinkProfile, bytes: u64) -> Self {
        Self {
            now: Time::ZERO,
            connection: Connection::new(Time::ZERO, (0, 1), [1, 2], bytes),
            links: [Link::new(profile, 1), Link::new(profile, 2)],
            flights: BTreeMap::new(),
            sent: 0,
            lost: Vec::new(),
            data: 0,
            reads: Vec::new(),
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let flight = self.flights.keys().next().map(|f| f.0);
            let next = flight.into_iter().chain(self.connection.next()).min();
            let Some(next) = next.filter(|&at| at <= until) else { break };
            self.now = self.now.max(next);
            while let Some(flight) = self.flights.first_entry().filter(|f| f.key().0 <= self.now) {
                let Flight { to, bytes } = flight.remove();
                let segment = Segment::read(&bytes).unwrap();
                assert!(self.connection.receive(self.now, to, &segment));
                let read = self.connection.read();
                if self.reads.last().is_none_or(|r| r.1 < read) {
                    self.reads.push((self.now, read));
                }
            }
            let mut packet = Vec::new();
            while let Some(end) = self.connection.poll(self.now, &mut packet) {
                self.data += u64::from(end == 0 && packet.len() > 100);
                if end == 0 && packet.len() > 100 && self.lost.contains(&self.data) {
                    continue;
                }
                if let Verdict::Deliver(at) = self.links[end].send(self.now, packet.len()) {
                    self.sent += 1;
                    let flight = Flight { to: 1 - end, bytes: packet.clone() };
                    self.flights.insert((at, self.sent), flight);
                }
            }
        }
        self.now = until;
    }

    fn set(&mut self, change: impl Fn(&mut LinkProfile)) {
        for link in &mut self.links {
            let mut profile = *link.profile();
            change(&mut profile);
            link.set_profile(profile);
        }
    }

    fn longest_pause(&self) -> Duration {
        self.reads.windows(2).map(|w| w[1].0.since(w[0].0)).max().unwrap_or_default()
    }
}

#[test]
fn it_fills_a_link_from_the_start() {
    let mut wire = Wire::new(LINK, u64::MAX);
    wire.run(10 * S);
    let share = wire.connection.read() as f64 / (10.0 * PAYLOAD_RATE);
    let counters = wire.connection.counters();
    assert!(share >= 0.95, "{share}: {counters:?}");
    assert_eq!(counters.timeouts, 0, "{counters:?}");
}

/// The round after the one in which the queue began to stand tells. Rate times delay is 100 segments, and 333 more fit into the
/// queue; slow start would go from 320 to 640.
#[test]
fn slow_start_ends_when_delay_rises() {
    let queue = QueueLimit::Time(200 * MS);
    let mut wire = Wire::new(LinkProfile { queue, ..LINK }, u64::MAX);
    wire.run(1_500 * MS);
    assert_eq!(wire.connection.counters().lost, 0);
    assert!(wire.connection.read() > 1_500 * 1_448, "{}", wire.connection.read());
}

#[test]
fn what_an_ack_frees_leaves_at_once() {
    let mut wire = Wire::new(LinkProfile { rate_bps: None, ..LINK }, u64::MAX);
    wire.run(60 * MS);
    // After the handshake ten, and, since all of their ACKs come at once, twenty, forty.
    for data in [10, 30, 70] {
        assert_eq!(wire.data, data);
        wire.run(60 * MS);
    }
}

#[test]
fn a_loss_costs_a_round_trip_and_no_timeout() {
    for lost in [vec![200], vec![200, 201, 203, 240], vec![5]] {
        let mut wire = Wire::new(LINK, u64::MAX);
        wire.lost = lost;
        wire.run(2 * S);
        let counters = wire.connection.counters();
        assert_eq!((counters.lost, counters.timeouts), (wire.lost.len() as u64, 0), "{counters:?}");
        assert_eq!((counters.recoveries, counters.undone), (1, 0), "{counters:?}");
        assert!(wire.longest_pause() < 250 * MS, "{:?}", wire.longest_pause());
    }
}

/// Also of what is sent again, and of the last segment.
#[test]
fn a_short_connection_survives_any_loss() {
    let whole = 42;
    let mut longest = Duration::ZERO;
    for first in 1..=whole {
        for second in first..whole + 3 {
            let mut wire = Wire::new(LINK, 60_000);
            wire.lost = vec![first, second];
            wire.run(5 * S);
            let took = wire.connection.finished().map(|at| at.since(wire.connection.began()));
            assert!(wire.connection.is_done(), "{first}, {second}");
            longest = longest.max(took.unwrap());
        }
    }
    assert!(longest < 900 * MS, "{longest:?}");
}

#[test]
fn it_survives_a_second_without_anything() {
    let mut wire = Wire::new(LINK, u64::MAX);
    wire.run(3 * S);
    wire.set(|p| p.blackhole = true);
    wire.run(S);
    wire.set(|p| p.blackhole = false);
    let before = wire.connection.read();
    wire.run(5 * S);
    let counters = wire.connection.counters();
    assert!((1..=4).contains(&counters.timeouts), "{counters:?}");
    let share = (wire.connection.read() - before) as f64 / (5.0 * PAYLOAD_RATE);
    assert!(share > 0.6, "{share}: {counters:?}");
}

/// What comes late was not lost; with the first such things the sender begins to wait a little.
#[test]
fn reordering_is_not_loss_for_long() {
    let mut wire = Wire::new(LinkProfile { jitter: 2 * MS, ..LINK }, u64::MAX);
    wire.run(10 * S);
    let counters = wire.connection.counters();
    let share = wire.connection.read() as f64 / (10.0 * PAYLOAD_RATE);
    assert!(share > 0.9, "{share}: {counters:?}");
    assert_eq!(counters.timeouts, 0, "{counters:?}");
}

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let mut wire = Wire::new(LinkProfile { jitter: 3 * MS, loss: 0.01, ..LINK }, u64::MAX);
        wire.run(3 * S);
        (wire.reads.clone(), wire.data)
    };
    assert_eq!(run(), run());
}
