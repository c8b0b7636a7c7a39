//! What an end sends, on its way over the lines.

use super::end::Bound;
use super::line::{DOWN, UP};
use super::{Flight, OUTER, Recorded, World};
use crate::link::Verdict;
use mpt_core::wire::MessageType;
use mpt_core::{DatagramMeta, Lane, SocketId, Time};
use std::cmp::Reverse;
use std::hash::Hash as _;
use std::net::SocketAddr;

impl World {
    /// Hands the outbox of an end to the lines.
    pub(super) fn transmit(&mut self, from: usize) {
        let mut out = std::mem::take(&mut self.ends[from].out);
        for lane in out.lanes() {
            self.transmit_lane(from, lane);
        }
        out.clear();
        self.ends[from].out = out;
    }

    fn transmit_lane(&mut self, from: usize, lane: &Lane) {
        let key = lane.key;
        let own = self.lines.iter().position(|l| l.end == from && l.socket == key.socket);
        let (line, direction, source, route) = match own {
            Some(i) => (i, UP, self.lines[i].public, self.listener(key.destination)),
            None => {
                let listens = &self.ends[from].listens;
                let mut at = listens.iter().filter(|(_, socket, _)| *socket == key.socket);
                let at = at.find(|(a, ..)| key.source.is_none_or(|ip| a.ip() == ip));
                let Some(&(source, ..)) = at else {
                    panic!("end {from} sends from a socket or address it does not have: {key:?}")
                };
                let Some(i) = self.lines.iter().position(|l| l.public == key.destination) else {
                    let to = key.destination;
                    return self.astray.extend(lane.datagrams().map(|d| (to, d.len())));
                };
                (i, DOWN, source, Some((self.lines[i].end, self.lines[i].socket, Bound::Yes)))
            }
        };
        for (i, datagram) in lane.datagrams().enumerate() {
            let tos = lane.tos(i);
            (self.now.as_nanos(), key.destination, tos, datagram).hash(&mut self.digest);
            let line = &mut self.lines[line];
            if MessageType::of(datagram) == Some(MessageType::Data) {
                line.note_data(self.now, direction);
            }
            let fits = datagram.len() + OUTER <= usize::from(line.mtu);
            // A black hole: interfaces do not know of it, so that nothing is fragmented for it.
            if !fits {
                continue;
            }
            let Some((to, socket, bound)) = route else { continue };
            let marked = line.marks && tos & 3 != 0;
            let meta = DatagramMeta {
                socket,
                source,
                destination: (bound == Bound::No).then_some(key.destination.ip()),
                ecn: if marked { 3 } else { tos & 3 },
            };
            let now = self.now;
            if let Some(recording) = &mut self.recording {
                recording.push(Recorded { at: now, to, meta, bytes: datagram.to_vec() });
            }
            if line.filters[direction].as_mut().is_some_and(|passes| !passes(now, datagram)) {
                continue;
            }
            let bytes = datagram.len() + OUTER;
            let passed = match &mut self.bottleneck {
                Some(links) => links[direction].send(now, bytes),
                None => Verdict::Deliver(now),
            };
            let Verdict::Deliver(at) = passed else { continue };
            if let Verdict::Deliver(at) = line.links[direction].send(at, bytes) {
                self.launch(at, Flight { to, meta, bytes: datagram.to_vec() });
            }
        }
    }

    fn listener(&self, address: SocketAddr) -> Option<(usize, SocketId, Bound)> {
        self.ends.iter().enumerate().find_map(|(i, e)| {
            let (_, socket, bound) = e.listens.iter().find(|(a, ..)| *a == address)?;
            Some((i, *socket, *bound))
        })
    }

    fn launch(&mut self, at: Time, flight: Flight) {
        let slot = self.free.pop().unwrap_or(self.cargo.len());
        if slot == self.cargo.len() {
            self.cargo.push(Some(flight));
        } else {
            self.cargo[slot] = Some(flight);
        }
        self.launched += 1;
        self.flights.push(Reverse((at, self.launched, slot)));
    }
}
