//! One turn of the loop: what is due next, and what comes of it.

use super::{Flight, MAX_TURNS, Stream, Traffic, World, packet};
use mpt_core::{Incoming, Time};
use std::cmp::Reverse;

impl World {
    /// What is due next is done, if it is due by `until`; else time has come there.
    pub(super) fn turn(&mut self, until: Time) -> bool {
        let flight = self.flights.peek().map(|f| f.0.0);
        let packets = self.streams.iter().filter_map(Stream::next);
        let timeouts = self.ends.iter().filter(|e| e.acts()).filter_map(|e| match e.touched {
            true => Some(self.now),
            false => e.timeout,
        });
        let hosts = self.hosts.iter_mut().filter_map(|h| h.next());
        let next = flight.into_iter().chain(packets).chain(timeouts).chain(hosts).min();
        let Some(next) = next.filter(|&at| at <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.turns = if next > self.now { 0 } else { self.turns + 1 };
        assert!(self.turns < MAX_TURNS, "time stands still at {:?}", self.now);
        self.now = self.now.max(next);
        self.receive();
        self.send();
        self.send_of_hosts();
        for end in 0..self.ends.len() {
            self.end_batch(end);
        }
        true
    }

    fn receive(&mut self) {
        while let Some(&Reverse((at, _, slot))) = self.flights.peek() {
            if at > self.now {
                break;
            }
            self.flights.pop();
            self.free.push(slot);
            let Some(Flight { to, meta, mut bytes }) = self.cargo[slot].take() else { continue };
            if let Some(waiting) = &mut self.ends[to].waiting {
                waiting.push((meta, bytes));
            } else if self.ends[to].running {
                let clock = self.ends[to].clock(self.now);
                self.with(to, |endpoint, out, sink| {
                    // As a daemon with several workers does.
                    let opened = endpoint.begin_open(&bytes).map(|open| open.open(&mut bytes));
                    let incoming = Incoming { meta: &meta, datagram: &mut bytes, opened };
                    endpoint.handle_incoming(clock, incoming, out, sink);
                });
            }
        }
    }

    fn send(&mut self) {
        for i in 0..self.streams.len() {
            while let Some(note) = self.streams[i].poll(self.now, i as u16) {
                let Traffic { from, to, tos, bytes, .. } = self.streams[i].traffic;
                if !self.ends[from].acts() {
                    continue;
                }
                let mut packet = std::mem::take(&mut self.scratch);
                packet::write(&mut packet, note, from, to, tos, bytes);
                self.send_packet(from, &mut packet);
                self.scratch = packet;
            }
        }
    }

    fn send_of_hosts(&mut self) {
        let mut packet = std::mem::take(&mut self.scratch);
        for i in 0..self.hosts.len() {
            while let Some(end) = self.hosts[i].poll(self.now, &mut packet) {
                if self.ends[end].acts() {
                    self.send_packet(end, &mut packet);
                }
            }
        }
        self.scratch = packet;
    }

    fn end_batch(&mut self, number: usize) {
        let end = &self.ends[number];
        let due = end.touched || end.timeout.is_some_and(|at| at <= self.now);
        if !end.acts() || !due {
            return;
        }
        let clock = end.clock(self.now);
        self.with(number, |endpoint, out, sink| endpoint.handle_batch_end(clock, out, sink));
        self.transmit(number);
        let (now, end) = (self.now, &mut self.ends[number]);
        while let Some(event) = end.endpoint.poll_event() {
            end.events.push((now, event));
        }
        end.touched = false;
        end.timeout = end.endpoint.poll_timeout().map(|at| now + at.since(clock));
    }
}
