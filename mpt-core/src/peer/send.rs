//! An inner packet on its way to the peer.
//!
//! 1. The session that seals is found; without one, or a path, the packet waits in a short queue.
//! 2. The scheduler picks a path.
//! 3. The packet gets its number and its predecessor.
//! 4. Header and packet are written into the path's lane and sealed there.
//! 5. Everybody who counts is told.

use super::Peer;
use crate::inner::InnerPacket;
use crate::schedule::Pick;
use crate::wire::{DATA_HEADER_LEN, DataHeader, HeaderFlags};
use crate::{DropReason, Fragment, Outbox, PathId, Time, WorkerId};

/// Units of the send time in the data header.
const SEND_TIME_UNIT_MICROS: u64 = 100;

/// `now` as it stands in the data header.
pub(super) fn send_time(now: Time) -> u16 {
    (now.as_micros() / SEND_TIME_UNIT_MICROS) as u16
}

impl Peer {
    /// Sends `packet`, which was parsed to `inner` and belongs to `flow`.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn send_packet(
        &mut self,
        now: Time,
        inner: &InnerPacket,
        flow: u64,
        packet: &[u8],
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        self.traffic_seen = true;
        let session = self.sessions.current().filter(|slot| !slot.session.expired(now));
        let Some(slot) = session.filter(|_| !self.views.is_empty()) else {
            let reason = if session.is_some() { DropReason::NoPath } else { DropReason::NoSession };
            let dropped = self.waiting.push(now, flow, packet);
            self.drops.add(reason, dropped);
            return Ok(());
        };
        let outer = DATA_HEADER_LEN + packet.len() + slot.session.data_tag_len();
        let (path, fragment) = self.pick(flow, packet.len(), outer)?;
        self.seal_onto(now, path, fragment, inner.tos(), flow, packet, out)
    }

    fn pick(
        &mut self,
        flow: u64,
        inner: usize,
        outer: usize,
    ) -> Result<(PathId, Fragment), DropReason> {
        match self.scheduler.pick(&self.views, flow, inner, outer) {
            Pick::Path(path) => Ok((path, Fragment::Never)),
            // Larger than any path carries in one piece: the network fragments the outer packet.
            Pick::NoneFits => self
                .views
                .iter()
                .min_by_key(|v| (v.rank, std::cmp::Reverse(v.mtu)))
                .map(|v| (v.id, Fragment::Allow))
                .ok_or(DropReason::NoPath),
            Pick::NoPath => Err(DropReason::NoPath),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one packet's whole description, internal")]
    fn seal_onto(
        &mut self,
        now: Time,
        path_id: PathId,
        fragment: Fragment,
        tos: u8,
        flow: u64,
        packet: &[u8],
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let slot = self.sessions.current().ok_or(DropReason::NoSession)?;
        let path = self.paths[path_id.index()].as_mut().ok_or(DropReason::NoPath)?;
        let remote = path.remote.current().ok_or(DropReason::NoPath)?;
        let mut lane = path.lane(self.id, remote, tos).ok_or(DropReason::NoPath)?;
        lane.fragment = fragment;
        let len = DATA_HEADER_LEN + packet.len() + slot.session.data_tag_len();

        if !path.remote.may_send(remote, len) {
            return Err(DropReason::NoPath);
        }

        // From here on nothing may fail: a numbered packet that is not sent would be a hole.
        let (pn, distance) = self.send_worker.predecessors.next(flow);
        let sequence = self.send_worker.open_paths.on_data(now, path_id, pn);
        let header = DataHeader {
            flags: HeaderFlags::NONE,
            worker: WorkerId::default(),
            copy: 0,
            send_time: send_time(now),
            index: slot.session.remote_index(path_id),
            pn: pn.low(),
            distance,
            open_paths: self.send_worker.open_paths.bitmap(),
            sequence,
        };
        let datagram = out.push(lane, len);
        header.encode(datagram);
        datagram[DATA_HEADER_LEN..DATA_HEADER_LEN + packet.len()].copy_from_slice(packet);
        if let Err(reason) = slot.session.seal_data(path_id, WorkerId::default(), 0, pn, datagram) {
            // Cannot happen with a datagram of this shape and a session that has not expired; what
            // stands there is noise to the receiver.
            debug_assert!(false, "{reason}");
            datagram.fill(0);
        }

        path.health.on_sent_data(now, sequence);
        path.counters.tx_data_packets += 1;
        path.counters.tx_data_bytes += len as u64;
        path.data_up.add(now, len as u64);
        path.count_sent(now, len);
        self.tx_packets += 1;
        self.tx_bytes += packet.len() as u64;
        Ok(())
    }
}
