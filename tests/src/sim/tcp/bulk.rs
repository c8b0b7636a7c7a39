//! A flow without end.

use super::connection::Connection;
use super::segment::Segment;
use crate::sim::quic::Achieved;
use crate::sim::world::Host;
use mpt_core::Time;
use std::cell::RefCell;
use std::rc::Rc;

/// Ports of the two sides; each flow of a world adds its number.
const CLIENT_PORT: u16 = 44_000;
const SERVER_PORT: u16 = 5_201;

/// The flow.
pub struct Bulk {
    connection: Connection,
    achieved: Rc<RefCell<Achieved>>,
}

impl Bulk {
    /// A flow from end `from` to end `to`, and where its progress stands.
    #[must_use]
    pub fn new(now: Time, ends: (usize, usize), number: u16) -> (Self, Rc<RefCell<Achieved>>) {
        let ports = [CLIENT_PORT + number, SERVER_PORT + number];
        let achieved = Rc::new(RefCell::new(Achieved::default()));
        let connection = Connection::new(now, ends, ports, u64::MAX);
        (Self { connection, achieved: achieved.clone() }, achieved)
    }
}

impl Host for Bulk {
    fn receive(&mut self, now: Time, end: usize, packet: &[u8]) -> bool {
        let segment = Segment::read(packet);
        if !segment.is_some_and(|segment| self.connection.receive(now, end, &segment)) {
            return false;
        }
        let mut achieved = self.achieved.borrow_mut();
        let bytes = self.connection.read() - achieved.bytes;
        achieved.note_read(now, bytes);
        let counters = self.connection.counters();
        (achieved.packets, achieved.lost) = (counters.sent, counters.lost);
        achieved.timeouts = counters.timeouts;
        achieved.rtt = self.connection.smoothed_rtt();
        true
    }

    fn next(&mut self) -> Option<Time> {
        self.connection.next()
    }

    fn poll(&mut self, now: Time, packet: &mut Vec<u8>) -> Option<usize> {
        self.connection.poll(now, packet)
    }
}
