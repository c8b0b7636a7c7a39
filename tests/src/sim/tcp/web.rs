//! Short connections, one begun after another.

use super::connection::Connection;
use super::segment::Segment;
use crate::sim::world::Host;
use mpt_core::Time;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// One begins each time this has passed, …
const EVERY: Duration = Duration::from_millis(300);

/// … and carries so much, in turn.
const BYTES: [u64; 3] = [20_000, 60_000, 150_000];

/// The side that connects takes these ports one after another.
const CLIENT_PORT: u16 = 45_000;
const SERVER_PORT: u16 = 443;

/// What became of one.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// When its SYN went.
    pub began: Time,
    /// What it carries.
    pub bytes: u64,
    /// From then until the last byte had come, if that has.
    pub took: Option<Duration>,
}

/// The connections.
pub struct Web {
    ends: (usize, usize),
    next: Time,
    until: Time,
    /// Those of which not all is acknowledged, and their numbers.
    open: Vec<(usize, Connection)>,
    fetched: Rc<RefCell<Vec<Fetched>>>,
}

impl Web {
    /// From end `from` to end `to`, begun from now on until then; and what became of them.
    #[must_use]
    pub fn new(now: Time, ends: (usize, usize), until: Time) -> (Self, Rc<RefCell<Vec<Fetched>>>) {
        let fetched = Rc::new(RefCell::new(Vec::new()));
        let web = Self { ends, next: now, until, open: Vec::new(), fetched: fetched.clone() };
        (web, fetched)
    }

    fn begin(&mut self, now: Time) {
        let mut fetched = self.fetched.borrow_mut();
        let number = fetched.len();
        let bytes = BYTES[number % BYTES.len()];
        let ports = [CLIENT_PORT + number as u16, SERVER_PORT];
        self.open.push((number, Connection::new(now, self.ends, ports, bytes)));
        fetched.push(Fetched { began: now, bytes, took: None });
        self.next += EVERY;
    }
}

impl Host for Web {
    fn receive(&mut self, now: Time, end: usize, packet: &[u8]) -> bool {
        let Some(segment) = Segment::read(packet) else { return false };
        for (number, connection) in &mut self.open {
            if connection.receive(now, end, &segment) {
                let took = connection.finished().map(|at| at.since(connection.began()));
                self.fetched.borrow_mut()[*number].took = took;
                self.open.retain(|(_, c)| !c.is_done());
                return true;
            }
        }
        // What comes late for one that is done.
        [segment.from.port(), segment.to.port()].contains(&SERVER_PORT)
    }

    fn next(&mut self) -> Option<Time> {
        let begins = (self.next < self.until).then_some(self.next);
        self.open.iter().filter_map(|(_, c)| c.next()).chain(begins).min()
    }

    fn poll(&mut self, now: Time, packet: &mut Vec<u8>) -> Option<usize> {
        if self.next <= now && self.next < self.until {
            self.begin(now);
        }
        self.open.iter_mut().find_map(|(_, c)| c.poll(now, packet))
    }
}
