//! Datagrams on their way out: per-path batches, filled in place.

use crate::{PathId, PeerId, SocketId};
use std::net::{IpAddr, SocketAddr};

/// Whether the network may fragment a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fragment {
    /// "Don't fragment" is set and the kernel's cached path MTU is ignored: the usual case, and
    /// what MTU probes need.
    Never,
    /// Nothing smaller fits any path: let the network fragment it.
    Allow,
}

/// What all datagrams of a lane share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneKey {
    /// The peer, for errors and counters; `None` for answers to somebody not (yet) known.
    pub peer: Option<(PeerId, PathId)>,
    /// The socket to send from.
    pub socket: SocketId,
    /// Where to.
    pub destination: SocketAddr,
    /// The source address to use where the socket is not bound to one (a hub's answer leaves from the
    /// address that was addressed).
    pub source: Option<IpAddr>,
    /// The IPv4 TOS or IPv6 traffic class byte: DSCP and ECN.
    pub tos: u8,
    /// Whether the network may fragment.
    pub fragment: Fragment,
}

impl LaneKey {
    /// Whether datagrams of both must not overtake one another.
    fn is_same_way(&self, other: &Self) -> bool {
        (self.peer, self.socket, self.destination) == (other.peer, other.socket, other.destination)
    }
}

/// Datagrams to one destination, back to back in one buffer, in the order in which they leave.
#[derive(Debug)]
pub struct Lane {
    /// What they share.
    pub key: LaneKey,
    buf: Vec<u8>,
    /// End offset of each datagram.
    ends: Vec<u32>,
}

impl Lane {
    /// Number of datagrams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All datagrams, in order.
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|i| self.datagram(i))
    }

    /// Datagram `i`.
    ///
    /// # Panics
    /// When there is none of that number.
    #[must_use]
    pub fn datagram(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.buf[start..self.ends[i] as usize]
    }

    /// Bytes of all datagrams.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buf.len()
    }
}

/// The datagrams of one batch, by lane. The daemon hands it to the endpoint's `handle_*` calls,
/// sends what [`lanes`](Self::lanes) holds and then calls [`clear`](Self::clear); buffers are kept.
///
/// Lanes are to be sent in the order in which they stand: those of one path and destination that differ in
/// TOS or fragmentation take turns as its datagrams did.
#[derive(Debug, Default)]
pub struct Outbox {
    lanes: Vec<Lane>,
    used: usize,
    datagrams: usize,
}

/// Buffer kept per lane between batches; what grew beyond is given back. 64 datagrams of a common MTU.
const LANE_KEEP: usize = 64 * 1536;

/// Lanes that keep that much: one for each path of a peer. Further ones mostly hold a few datagrams.
const LANES_KEEP: usize = crate::MAX_PATHS;

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The lanes that hold datagrams.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes[..self.used]
    }

    /// Datagrams in all lanes. The daemon sends when this passes its batch size.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datagrams
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams == 0
    }

    /// Forgets all datagrams and keeps the buffers.
    pub fn clear(&mut self) {
        for (i, lane) in self.lanes[..self.used].iter_mut().enumerate() {
            lane.buf.clear();
            lane.buf.shrink_to(if i < LANES_KEEP { LANE_KEEP } else { LANE_KEEP / 16 });
            lane.ends.clear();
        }
        self.used = 0;
        self.datagrams = 0;
    }

    /// Appends a datagram of exactly `len` zero bytes to the lane of `key` and returns it to be
    /// filled in place.
    pub fn push(&mut self, key: LaneKey, len: usize) -> &mut [u8] {
        // Not to an earlier lane of the same way: the datagram would overtake those of the later one.
        let same_way = |l: &Lane| l.key.is_same_way(&key);
        let i = match self.lanes[..self.used].iter().rposition(same_way) {
            Some(i) if self.lanes[i].key == key => i,
            _ => self.open_lane(key),
        };
        let lane = &mut self.lanes[i];
        let start = lane.buf.len();
        lane.buf.resize(start + len, 0);
        lane.ends.push(lane.buf.len() as u32);
        self.datagrams += 1;
        &mut lane.buf[start..]
    }

    fn open_lane(&mut self, key: LaneKey) -> usize {
        if self.used == self.lanes.len() {
            self.lanes.push(Lane { key, buf: Vec::new(), ends: Vec::new() });
        } else {
            self.lanes[self.used].key = key;
        }
        self.used += 1;
        self.used - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> LaneKey {
        LaneKey {
            peer: None,
            socket: SocketId(0),
            destination: SocketAddr::from(([127, 0, 0, 1], port)),
            source: None,
            tos: 0,
            fragment: Fragment::Never,
        }
    }

    #[test]
    fn datagrams_keep_their_order_within_a_lane() {
        let mut out = Outbox::new();
        for i in 0..6u8 {
            out.push(key(u16::from(i % 2)), 3).fill(i);
        }
        assert_eq!(out.lanes().len(), 2);
        let got: Vec<_> = out.lanes()[1].datagrams().map(<[u8]>::to_vec).collect();
        assert_eq!(got, [[1; 3], [3; 3], [5; 3]]);
        out.clear();
        assert!(out.is_empty() && out.lanes().is_empty());
        out.push(key(9), 1);
        assert_eq!(out.lanes()[0].datagram(0), [0]);
    }

    #[test]
    fn datagrams_of_a_path_keep_their_order_whatever_their_tos() {
        let mut out = Outbox::new();
        for (i, tos) in [0, 0, 2, 0, 2, 2].into_iter().enumerate() {
            out.push(LaneKey { tos, ..key(1) }, 1).fill(i as u8);
            out.push(key(2), 1);
        }
        let path = out.lanes().iter().filter(|l| l.key.destination.port() == 1);
        let got: Vec<_> = path.flat_map(Lane::datagrams).map(|d| d[0]).collect();
        assert_eq!(got, [0, 1, 2, 3, 4, 5]);
        assert_eq!(out.lanes().len(), 5);
    }
}
