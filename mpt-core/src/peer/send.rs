//! An inner packet on its way to the peer, or a super-packet, which stands for many.
//!
//! 1. The session that seals is found; without one, or a path, the packet waits in a short queue.
//!    Where paths have rate limits, everything goes through the queue in front of those ([`shape`](super::shape)).
//! 2. A super-packet is cut into its segments; for each packet or segment then:
//! 3. The scheduler picks a path, or the policy does ([`route`]).
//! 4. It gets its number and its predecessor.
//! 5. Header and packet are written into the path's lane and sealed there.
//! 6. Everybody who counts is told.
//!    What fits no path leaves in [`parts`].
//! 7. Where the policy wants it twice, it is sealed again for another path.

mod parts;
mod route;

pub use parts::PartsOut;

use super::copies::Copies;
use super::cover::Cover;
use super::path_entry::Path;
use super::{Peer, SendWorker, Sessions};
use crate::id::MAX_PATHS;
use crate::inner::{InnerPacket, Offload, Segments, Split, answers_are_known};
use crate::policy::{Class, FlowOrder, Route, Treatment};
use crate::repair::{Content, Handling, Kept};
use crate::schedule::{Fastest, PathView, Pick, Prefer, Rank, Scheduler, Tokens};
use crate::wire::{Beside, DATA_HEADER_LEN, DataHeader, HeaderFlags};
use crate::{DropReason, Fragment, LaneRef, Outbox, PathId, PeerId, Time, WorkerId};
use std::time::Duration;

/// Units of the send time in the data header.
const SEND_TIME_UNIT_MICROS: u64 = 100;

/// A burst of segments on one of several paths takes a millisecond there.
const BURSTS_PER_SECOND: usize = 1_000;

/// No path is so small that a segment of TCP is cut to less than this.
const LEAST_SEGMENT: usize = 256;

/// `now` as it stands in the data header.
pub(super) fn send_time(now: Time) -> u16 {
    (now.as_micros() / SEND_TIME_UNIT_MICROS) as u16
}

/// An inner packet from TUN, with what was found out about it.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The packet, or super-packet.
    pub packet: &'a [u8],
    /// What TUN said beside it.
    pub offload: Offload,
    /// Its headers.
    pub inner: InnerPacket,
    /// The hash of its flow.
    pub flow: u64,
    /// What is done with it.
    pub class: &'a Class,
    /// Bytes of the buffer that it stands in, if that may be kept in exchange for another one.
    pub buffer: Option<usize>,
}

/// A super-packet whose segments were sent and whose buffer is to be kept for them:
/// [`Peer::adopt`] must follow.
#[derive(Clone, Copy, Debug)]
pub struct Adopted {
    split: Split,
    size: usize,
}

impl Peer {
    /// Sends `outgoing`, numbered by `worker`.
    ///
    /// # Errors
    /// Why it was dropped, as a whole: nothing has a number then. Of a super-packet, segments that find
    /// no path are counted as dropped here.
    ///
    /// Gives what is to be said to [`adopt`](Self::adopt), if the packet's buffer is to be kept.
    pub fn send_packet(
        &mut self,
        now: Time,
        worker: WorkerId,
        outgoing: &Outgoing<'_>,
        out: &mut Outbox,
    ) -> Result<Option<Adopted>, DropReason> {
        self.traffic_seen = true;
        let session = self.sessions.current().filter(|slot| !slot.session.expired(now));
        if session.is_none() || self.views.is_empty() {
            let reason = if session.is_some() { DropReason::NoPath } else { DropReason::NoSession };
            let dropped = self.waiting.push(now, outgoing);
            self.drops.add(reason, dropped);
            return Ok(None);
        }
        let Outgoing { packet, offload, inner, flow, class, buffer } = *outgoing;
        if self.scheduler.wants_answers() && !answers_are_known(&inner) {
            self.scheduler.on_answer(now, flow);
        }
        let treatment = self.treatment(class);
        let protects = self.begin_protection(worker, treatment);
        if self.shaper.is_active() {
            return self.send_in_turn(now, worker, outgoing, treatment, out).map(|()| None);
        }
        let mut batch = Batch::begin(self, now, worker, inner.tos(), flow, treatment);
        if offload.segments == Segments::One {
            batch.flags = HeaderFlags::of(offload.checksum);
            let (path, fragment) = batch.pick(packet.len())?;
            batch.emit(path, fragment, packet.len(), out, |to| to.copy_from_slice(packet))?;
            if protects {
                self.send_parities(now, worker, out);
            }
            return Ok(None);
        }
        let split = Split::new(packet, &offload, &inner).map_err(|_| DropReason::BadSuperPacket)?;
        batch.flags = HeaderFlags::PARTIAL_CHECKSUM;
        let (header, payload) = (split.header_len(), split.payload_len());
        let size = batch.fitting(header, usize::from(split.segment_size()), split.is_tcp());
        let burst = batch.burst(header + size) * size;
        let kept = buffer.is_some_and(|buffer| batch.keeps_whole(packet.len(), buffer));
        let (mut at, mut index) = (0, 0u16);
        let mut failed = None;
        while at < payload {
            let end = payload.min(at + burst);
            let picked = batch.pick_for(header + size.min(end - at), end - at);
            while at < end {
                let range = at..end.min(at + size);
                at = range.end;
                batch.segment = kept.then_some(range.start as u16);
                let sent = picked.and_then(|(path, fragment)| {
                    batch.emit(path, fragment, header + range.len(), out, |to| {
                        split.write(packet, index, range.clone(), to);
                    })
                });
                if let Err(reason) = sent {
                    // The others may fit where this one did not.
                    failed = Some(reason);
                    batch.dropped += 1;
                }
                index = index.wrapping_add(1);
            }
        }
        let dropped = batch.dropped;
        if let Some(reason) = failed {
            self.drops.add(reason, dropped);
        }
        if protects {
            self.send_parities(now, worker, out);
        }
        Ok(kept.then_some(Adopted { split, size }))
    }

    /// Keeps the super-packet of `len` bytes at `start` in `buffer`, whose segments `worker` has just sent, for as long as
    /// they may be lost; another buffer takes its place.
    pub fn adopt(
        &mut self,
        worker: WorkerId,
        adopted: Adopted,
        buffer: &mut Box<[u8]>,
        place: (usize, usize),
    ) {
        if let Some(repairer) = &mut self.send_workers[usize::from(worker.get())].repairer {
            repairer.adopt(buffer, place, adopted.split, adopted.size);
        }
    }
}

/// The packets of one flow that leave in a row, and what they need of the peer.
pub(super) struct Batch<'p> {
    peer: PeerId,
    now: Time,
    worker: WorkerId,
    tos: u8,
    flow: u64,
    pub(super) flags: HeaderFlags,
    /// How long the packet has been waiting for tokens.
    pub(super) waited: Duration,
    treatment: Treatment,
    prefer: Prefer,
    handling: Handling,
    /// Longest packet that is protected; 0: none is.
    protected: usize,
    cover: Cover,
    copies: &'p mut Copies,
    sessions: &'p Sessions,
    tag_len: usize,
    views: &'p [PathView],
    paths: &'p mut [Option<Box<Path>>; MAX_PATHS],
    scheduler: &'p mut Scheduler,
    fastest: &'p mut Fastest,
    numbers: &'p mut SendWorker,
    tx_packets: &'p mut u64,
    tx_bytes: &'p mut u64,
    duplicated: &'p mut u64,
    parts: &'p mut PartsOut,
    /// The lanes in use so far; for packets that are not to be fragmented.
    lanes: [Option<LaneRef>; MAX_PATHS],
    dropped: u64,
    /// The packet is the segment of a super-packet that is kept as a whole, and its payload begins here.
    segment: Option<u16>,
}

impl<'p> Batch<'p> {
    pub(super) fn begin(
        peer: &'p mut Peer,
        now: Time,
        worker: WorkerId,
        tos: u8,
        flow: u64,
        treatment: Treatment,
    ) -> Self {
        let tag_len = peer.tag_len();
        Self {
            peer: peer.id,
            now,
            worker,
            tos,
            flow,
            flags: HeaderFlags::NONE,
            waited: Duration::ZERO,
            treatment,
            prefer: route::preference(peer.scheduler_kind),
            handling: route::handling(treatment),
            protected: if peer.protects(treatment) { peer.longest_protected() } else { 0 },
            cover: peer.cover,
            copies: &mut peer.copies,
            sessions: &peer.sessions,
            tag_len,
            views: &peer.views,
            paths: &mut peer.paths,
            scheduler: &mut peer.scheduler,
            fastest: &mut peer.fastest,
            numbers: &mut peer.send_workers[usize::from(worker.get())],
            tx_packets: &mut peer.tx_packets,
            tx_bytes: &mut peer.tx_bytes,
            duplicated: &mut peer.duplicated,
            parts: &mut peer.parts,
            lanes: [None; MAX_PATHS],
            dropped: 0,
            segment: None,
        }
    }

    /// Whether the super-packet of `len` bytes is kept in its `buffer` for repair.
    fn keeps_whole(&mut self, len: usize, buffer: usize) -> bool {
        let repairer = self.numbers.repairer.as_mut();
        repairer.is_some_and(|r| r.wants(self.now, len, buffer))
    }

    /// How much of a segment's payload, of `full` bytes, some path carries in one piece: TCP may be cut
    /// anew, UDP may not.
    pub(super) fn fitting(&self, header: usize, full: usize, tcp: bool) -> usize {
        let last = Rank::last_resort(self.views);
        let working = self.views.iter().filter(|v| Some(v.rank) <= last);
        let largest = working.map(|v| usize::from(v.mtu)).max().unwrap_or(0);
        if !tcp || largest >= header + full {
            return full;
        }
        largest.saturating_sub(header).max(LEAST_SEGMENT).min(full)
    }

    /// How many segments of `inner` bytes may follow one another on a path: what the slowest path carries in
    /// a millisecond, by what went over it lately. On a slow path segments take turns.
    fn burst(&self, inner: usize) -> usize {
        if self.views.len() == 1 {
            return usize::from(u16::MAX);
        }
        let rate = |v: &PathView| {
            self.paths[v.id.index()].as_ref().map_or(0, |p| p.data_up.rate(self.now).bytes)
        };
        let slowest = self.views.iter().map(rate).min().unwrap_or(0);
        let bytes = slowest as usize / BURSTS_PER_SECOND;
        (bytes / (DATA_HEADER_LEN + inner + self.tag_len)).max(1)
    }

    pub(super) fn pick(&mut self, inner: usize) -> Result<(PathId, Fragment), DropReason> {
        self.pick_for(inner, inner)
    }

    /// A path for segments of up to `inner` bytes, in all `payload` bytes. [`DropReason::QueueFull`]: limits let
    /// nothing go now.
    fn pick_for(&mut self, inner: usize, payload: usize) -> Result<(PathId, Fragment), DropReason> {
        let count = payload.div_ceil(inner);
        let outer = payload + count * (DATA_HEADER_LEN + self.tag_len);
        match self.route_pick(inner, outer) {
            Pick::Path(path) => Ok((path, Fragment::Never)),
            Pick::Wait => Err(DropReason::QueueFull),
            // Larger than any path carries in one piece.
            Pick::NoneFits => self
                .views
                .iter()
                .min_by_key(|v| (v.rank, v.tokens, std::cmp::Reverse(v.mtu)))
                .ok_or(DropReason::NoPath)
                .and_then(|v| match v.tokens {
                    Tokens::Left => Ok((v.id, Fragment::Allow)),
                    Tokens::Spent => Err(DropReason::QueueFull),
                }),
            Pick::NoPath => Err(DropReason::NoPath),
        }
    }

    /// Numbers, writes and seals one packet of `inner` bytes, which `write` fills in.
    pub(super) fn emit(
        &mut self,
        path_id: PathId,
        fragment: Fragment,
        inner: usize,
        out: &mut Outbox,
        mut write: impl FnMut(&mut [u8]),
    ) -> Result<(), DropReason> {
        // The last segment of a super-packet may fit where the others do not.
        let fragment = match fragment {
            Fragment::Allow if self.fits(path_id, inner) => Fragment::Never,
            fragment => fragment,
        };
        if fragment == Fragment::Allow
            && let Some(size) = self.part_size(path_id, inner)
        {
            return self.emit_parts(path_id, (inner, size), out, &mut write);
        }
        let second = self.second(path_id, fragment, inner);
        // What has a copy that nobody asked for needs no such parity.
        let copied = second.is_some() && self.treatment.route == Route::Spread;
        let cost =
            if inner <= self.protected && !copied { self.parity_cost(path_id) } else { None };
        let slot = self.sessions.current().ok_or(DropReason::NoSession)?;
        let path = self.paths[path_id.index()].as_mut().ok_or(DropReason::NoPath)?;
        let remote = path.remote.current().ok_or(DropReason::NoPath)?;
        let len = DATA_HEADER_LEN + inner + self.tag_len;
        let known = &mut self.lanes[path_id.index()];
        let lane = match *known {
            Some(lane) if fragment == Fragment::Never => lane,
            _ => {
                let mut key = path.lane(self.peer, remote).ok_or(DropReason::NoPath)?;
                key.fragment = fragment;
                let lane = out.lane(key);
                // A lane that was opened for a fragment comes after the one known so far.
                *known = (fragment == Fragment::Never).then_some(lane);
                lane
            }
        };
        if !path.remote.may_send(remote, len) {
            return Err(DropReason::NoPath);
        }

        // From here on nothing may fail: a numbered packet that is not sent would be a hole.
        let (pn, distance) = match self.treatment.order {
            FlowOrder::Keep => self.numbers.predecessors.next(self.flow),
            FlowOrder::Free => self.numbers.predecessors.next_free(),
        };
        let sequence = self.numbers.open_paths.on_data(self.now, path_id, pn);
        let congested = self.numbers.repairer.as_ref().is_some_and(|r| r.is_congested_for(inner));
        let mut flags =
            if congested { self.flags.with(HeaderFlags::UNREPAIRED) } else { self.flags };
        if cost.is_some() {
            flags = flags.with(HeaderFlags::PROTECTED);
        }
        let header = DataHeader {
            flags,
            worker: self.worker,
            copy: 0,
            send_time: send_time(self.now),
            index: slot.session.remote_index(path_id),
            pn: pn.low(),
            distance,
            open_paths: self.numbers.open_paths.bitmap(),
            sequence,
        };
        let datagram = out.push_at(lane, path.tos(self.tos), len);
        header.encode(datagram);
        let packet = &mut datagram[DATA_HEADER_LEN..DATA_HEADER_LEN + inner];
        write(packet);
        if let Some(repairer) = &mut self.numbers.repairer {
            let kept = Kept {
                distance,
                open_paths: header.open_paths,
                flags: self.flags,
                handling: match (cost, second) {
                    (Some(_), _) => self.handling.protected(),
                    (None, Some(_)) => self.handling.twice(),
                    (None, None) => self.handling,
                },
            };
            let content = match self.segment {
                Some(at) => Content::Segment { at, len: inner as u16 },
                None => Content::Packet(packet),
            };
            repairer.on_sent(self.now, path_id, sequence, pn, kept, content);
        }
        if let (Some(cost), Some(protector)) = (cost, self.numbers.protector.as_mut()) {
            let beside = Beside { len: inner as u16, distance, flags: self.flags.checksum_bits() };
            protector.add(self.now, path_id, pn.0, beside, packet, cost);
        }
        match slot.session.seal_later(path_id, self.worker, 0, pn) {
            Ok(seal) => out.seal_last(lane, seal),
            // A session that has not expired seals.
            Err(_) => out.spoil_last(lane),
        }

        self.numbers.pauses.on_sent(self.now, path_id, self.handling);
        path.model.on_sent(self.now, self.worker, sequence, len);
        path.count_data_sent(self.now, self.worker, sequence, len);
        *self.tx_packets += 1;
        *self.tx_bytes += inner as u64;
        if let Some(second) = second {
            self.duplicate(second, &header, pn, inner, out, &mut write);
        }
        Ok(())
    }
}
