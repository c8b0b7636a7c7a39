//! Datagrams on their way out: per-path batches, filled in place.

use crate::session::{Seal, Seals};
use crate::{PathId, PeerId, SocketId};
use std::net::{IpAddr, SocketAddr};

/// Whether the network may fragment a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fragment {
    /// "Don't fragment" is set and the kernel's cached path MTU is ignored: the usual case, and
    /// what MTU probes need.
    Never,
    /// It fits no path, and cannot be sent in parts: let the network fragment it.
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
    /// Filled up to the last end; what is behind it is left from earlier batches.
    buf: Vec<u8>,
    /// What is known of each datagram.
    ends: Vec<End>,
}

/// Where a datagram of a lane ends, and what only concerns itself.
#[derive(Clone, Copy, Debug)]
struct End {
    /// Offset in the lane's buffer.
    at: u32,
    tos: u8,
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
        &self.buf[self.start(i)..self.end(i)]
    }

    /// The IPv4 TOS or IPv6 traffic class byte of datagram `i`: DSCP and ECN.
    ///
    /// # Panics
    /// When there is none of that number.
    #[must_use]
    pub fn tos(&self, i: usize) -> u8 {
        self.ends[i].tos
    }

    fn datagram_mut(&mut self, i: usize) -> &mut [u8] {
        let start = self.start(i);
        let end = self.end(i);
        &mut self.buf[start..end]
    }

    /// The longest run of datagrams from number `first` on that can leave as one super-packet: all of one TOS and
    /// size, save the last, which may be shorter; at most `count` of them and `bytes` in all, but at
    /// least one.
    ///
    /// # Panics
    /// When there is no datagram `first`.
    #[must_use]
    pub fn run(&self, first: usize, count: usize, bytes: usize) -> Run<'_> {
        let start = self.start(first);
        let (size, tos) = (self.end(first) - start, self.ends[first].tos);
        let mut end = start + size;
        let mut n = 1;
        for &next in self.ends[first + 1..].iter().take(count.saturating_sub(1)) {
            let at = next.at as usize;
            let len = at - end;
            if next.tos != tos || len > size || at - start > bytes {
                break;
            }
            end = at;
            n += 1;
            if len < size {
                break;
            }
        }
        Run { data: &self.buf[start..end], size, count: n, tos }
    }

    /// Bytes of all datagrams.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ends.last().map_or(0, |end| end.at as usize)
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.end(i - 1) }
    }

    fn end(&self, i: usize) -> usize {
        self.ends[i].at as usize
    }

    /// Appends a datagram of `len` bytes, whose content is not defined before it is written.
    fn push(&mut self, tos: u8, len: usize) -> &mut [u8] {
        let start = self.bytes();
        let end = start + len;
        if end > self.buf.len() {
            // Zeroed once for all batches, with room for the next ones.
            self.buf.resize(end.next_multiple_of(LANE_GROWTH), 0);
        }
        self.ends.push(End { at: end as u32, tos });
        &mut self.buf[start..end]
    }
}

/// Datagrams of a [`Lane`] that follow one another and are of one size, but the last.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// All of them, back to back.
    pub data: &'a [u8],
    /// Bytes of each, save the last.
    pub size: usize,
    /// How many.
    pub count: usize,
    /// The TOS or traffic class of all.
    pub tos: u8,
}

/// The datagrams of one batch, by lane. The daemon hands it to the endpoint's `handle_*` calls,
/// sends what [`lanes`](Self::lanes) holds and then calls [`clear`](Self::clear); buffers are kept.
///
/// Lanes are to be sent in the order in which they stand: those of one path and destination that differ in
/// fragmentation take turns as its datagrams did.
#[derive(Debug, Default)]
pub struct Outbox {
    lanes: Vec<Lane>,
    used: usize,
    datagrams: usize,
    bytes: usize,
    /// To be done before anything is sent, by lane and number of the datagram there.
    seals: Seals<(u32, u32)>,
    seals_later: bool,
}

/// Names a lane of an [`Outbox`] for as long as nothing but [`Outbox::push_at`] is called.
#[derive(Clone, Copy, Debug)]
pub struct LaneRef(usize);

/// Lanes grow by this.
const LANE_GROWTH: usize = 16 * 1024;

/// Buffers kept between batches, of all lanes; what grew beyond is given back.
const KEEP: usize = 640 * 1024;

/// What of a lane is kept then.
const LEAST_KEEP: usize = 32 * 1024;

/// Lanes kept between batches: a hub may have used many more, with a datagram or two each.
const LANES_KEEP: usize = 64;

// Four lanes with a batch of the daemon each, two super-packets whose 64 segments have headers of their own (ours,
// the tag, and of IPv4 and TCP with options): else each batch would give memory back and take it again.
const _: () =
    assert!(4 * 2 * (u16::MAX as usize + 64 * (crate::wire::DATA_HEADER_LEN + 16 + 60)) <= KEEP);

// Lanes of one peer's 16 paths never exceed that once they were cut.
const _: () =
    assert!(crate::MAX_PATHS * LEAST_KEEP <= KEEP && LEAST_KEEP.is_multiple_of(LANE_GROWTH));

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An outbox whose datagrams are sealed only when [`lanes`](Self::lanes) is asked for them: outside of a lock
    /// on the endpoint, so that several threads seal at once.
    #[must_use]
    pub fn sealing_later() -> Self {
        Self { seals_later: true, ..Self::default() }
    }

    /// The lanes that hold datagrams, sealed.
    #[must_use]
    pub fn lanes(&mut self) -> &[Lane] {
        let lanes = &mut self.lanes[..self.used];
        self.seals.run(|(lane, i), seal| seal(lanes[lane as usize].datagram_mut(i as usize)));
        lanes
    }

    /// Datagrams in all lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datagrams
    }

    /// Bytes in all lanes. The daemon sends when this passes its batch size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams == 0
    }

    /// Forgets all datagrams and keeps the buffers.
    pub fn clear(&mut self) {
        let mut kept: usize = self.lanes.iter().map(|l| l.buf.len()).sum();
        for lane in self.lanes.iter_mut().rev() {
            if kept > KEEP && lane.buf.len() > LEAST_KEEP {
                kept -= lane.buf.len() - LEAST_KEEP;
                lane.buf.truncate(LEAST_KEEP);
                lane.buf.shrink_to_fit();
            }
            lane.ends.clear();
        }
        self.lanes.truncate(LANES_KEEP);
        self.seals.clear();
        self.used = 0;
        self.datagrams = 0;
        self.bytes = 0;
    }

    /// Appends a datagram of exactly `len` bytes, with its TOS or traffic class, to the lane of `key` and returns
    /// it to be filled in place. What stands there before is not defined.
    pub fn push(&mut self, key: LaneKey, tos: u8, len: usize) -> &mut [u8] {
        let lane = self.lane(key);
        self.push_at(lane, tos, len)
    }

    /// The lane to which a datagram for `key` is to be appended.
    pub fn lane(&mut self, key: LaneKey) -> LaneRef {
        // Not to an earlier lane of the same way: the datagram would overtake those of the later one.
        let same_way = |l: &Lane| l.key.is_same_way(&key);
        match self.lanes[..self.used].iter().rposition(same_way) {
            Some(i) if self.lanes[i].key == key => LaneRef(i),
            _ => self.open_lane(key),
        }
    }

    /// Like [`push`](Self::push), to a lane looked up before.
    ///
    /// # Panics
    /// When the outbox was cleared since.
    pub fn push_at(&mut self, lane: LaneRef, tos: u8, len: usize) -> &mut [u8] {
        self.datagrams += 1;
        self.bytes += len;
        self.lanes[..self.used][lane.0].push(tos, len)
    }

    /// The last datagram of `lane` is complete, but for this.
    #[inline]
    pub(crate) fn seal_last(&mut self, lane: LaneRef, seal: Seal<'_>) {
        let last = &mut self.lanes[lane.0];
        let number = last.ends.len() - 1;
        if self.seals_later && seal.is_work() {
            self.seals.push((lane.0 as u32, number as u32), seal);
        } else {
            seal.seal(last.datagram_mut(number));
        }
    }

    /// The last datagram of `lane` cannot be sealed: it leaves as noise.
    #[cold]
    pub(crate) fn spoil_last(&mut self, lane: LaneRef) {
        let last = &mut self.lanes[lane.0];
        let number = last.ends.len() - 1;
        last.datagram_mut(number).fill(0);
    }

    fn open_lane(&mut self, key: LaneKey) -> LaneRef {
        if self.used == self.lanes.len() {
            self.lanes.push(Lane { key, buf: Vec::new(), ends: Vec::new() });
        } else {
            self.lanes[self.used].key = key;
        }
        self.used += 1;
        LaneRef(self.used - 1)
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
            fragment: Fragment::Never,
        }
    }

    #[test]
    fn datagrams_keep_their_order_within_a_lane() {
        let mut out = Outbox::new();
        for i in 0..6u8 {
            out.push(key(u16::from(i % 2)), 0, 3).fill(i);
        }
        assert_eq!(out.lanes().len(), 2);
        let got: Vec<_> = out.lanes()[1].datagrams().map(<[u8]>::to_vec).collect();
        assert_eq!(got, [[1; 3], [3; 3], [5; 3]]);
        out.clear();
        assert!(out.is_empty() && out.lanes().is_empty());
        out.push(key(9), 0, 1);
        assert_eq!(out.lanes()[0].datagram(0), [0]);
    }

    #[test]
    fn runs_are_of_one_size_but_the_last() {
        let mut out = Outbox::new();
        for len in [10, 10, 10, 4, 4, 7] {
            out.push(key(1), 0, len).fill(len as u8);
        }
        let lane = &out.lanes()[0];
        let run = |first, count, bytes| {
            let run = lane.run(first, count, bytes);
            (run.size, run.count, run.data.len())
        };
        assert_eq!(run(0, 64, 1_000), (10, 4, 34));
        assert_eq!(run(0, 2, 1_000), (10, 2, 20));
        assert_eq!(run(0, 64, 29), (10, 2, 20));
        assert_eq!(run(0, 64, 1), (10, 1, 10), "at least one");
        assert_eq!(run(4, 64, 1_000), (4, 1, 4), "the next one is longer");
        assert_eq!(run(5, 64, 1_000), (7, 1, 7));
        assert_eq!(lane.run(1, 2, 1_000).data, [10; 20]);
    }

    #[test]
    fn a_batch_of_two_super_packets_keeps_its_memory_and_more_is_given_back() {
        let mut out = Outbox::new();
        let held = |out: &Outbox| out.lanes.iter().map(|l| l.buf.capacity()).sum::<usize>();
        for (lanes, bytes) in [(1, 140 << 10), (4, 140 << 10)] {
            (0..lanes).for_each(|port| out.push(key(port), 0, bytes).fill(1));
            let before = held(&out);
            out.clear();
            assert_eq!(held(&out), before, "{lanes} lanes of a batch");
        }
        (0..200).for_each(|port| out.push(key(port), 0, 40 << 10).fill(1));
        out.clear();
        assert!(held(&out) <= LANES_KEEP * LEAST_KEEP && out.lanes.len() == LANES_KEEP);
    }

    #[test]
    fn datagrams_that_differ_in_tos_share_a_lane_and_end_a_run() {
        let mut out = Outbox::new();
        for i in 0..64u8 {
            out.push(key(1), i % 2 * 2, 10).fill(i);
        }
        for (i, tos) in [0, 2, 2, 2, 0].into_iter().enumerate() {
            out.push(key(2), tos, 10).fill(i as u8);
        }
        let [turns, rows] = out.lanes() else { panic!("{} lanes", out.lanes().len()) };
        for i in 0..64 {
            let run = turns.run(i, 64, 1_000);
            assert_eq!((run.count, run.tos, run.data), (1, i as u8 % 2 * 2, &[i as u8; 10][..]));
            assert_eq!(turns.tos(i), run.tos);
        }
        let run = |first| (rows.run(first, 64, 1_000).count, rows.run(first, 64, 1_000).tos);
        assert_eq!([run(0), run(1), run(4)], [(1, 0), (3, 2), (1, 0)]);
    }

    #[test]
    fn datagrams_of_a_path_keep_their_order_though_one_may_be_fragmented() {
        let mut out = Outbox::new();
        for i in 0..6u8 {
            let fragment = if i == 2 { Fragment::Allow } else { Fragment::Never };
            out.push(LaneKey { fragment, ..key(1) }, i, 1).fill(i);
            out.push(key(2), 0, 1);
        }
        let path = out.lanes().iter().filter(|l| l.key.destination.port() == 1);
        let got: Vec<_> = path.flat_map(Lane::datagrams).map(|d| d[0]).collect();
        assert_eq!(got, [0, 1, 2, 3, 4, 5]);
        assert_eq!(out.lanes().len(), 4);
    }
}
