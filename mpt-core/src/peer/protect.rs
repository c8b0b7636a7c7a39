//! Parity on its way to the peer, and packets that are made from it. The rules are
//! [`protect`](crate::protect)'s; here they meet paths, sessions and the order.

use super::admission::Admission;
use super::association::ReceiveWorker;
use super::cover::Cover;
use super::delivery::outlet;
use super::{Context, Peer};
use crate::order::{Disposition, Remade};
use crate::policy::{Protection, Treatment};
use crate::protect::{PIECES_CAPABILITY, Recovered};
use crate::wire::{
    CONTROL_HEADER_LEN, CONTROL_TAG_LEN, ControlHeader, DATA_HEADER_LEN, HeaderFlags, MessageType,
    PARITY_HEADER_LEN, Parity,
};
use crate::{DropReason, Outbox, PacketNumber, PathId, Time, WorkerId};

/// What a parity takes on the way beside the longest packet it covers.
const PARITY_OVERHEAD: usize = CONTROL_HEADER_LEN + PARITY_HEADER_LEN + CONTROL_TAG_LEN;

impl Peer {
    /// Both ends know parity, or not.
    pub(super) fn set_protection(&mut self, capabilities: u32, cx: &Context<'_>) {
        self.knows_parity = capabilities & crate::protect::CAPABILITY != 0;
        self.knows_pieces = capabilities & PIECES_CAPABILITY != 0;
        let wanted = cx.config.repair.parity && self.repairs();
        self.copies.set(cx.config.repair.copies && self.repairs());
        self.cover = Cover::new(wanted && self.knows_parity && self.knows_pieces);
    }

    /// Whether some packets of this treatment are protected now.
    pub(super) fn protects(&self, treatment: Treatment) -> bool {
        match treatment.protection {
            Protection::None => false,
            Protection::Lossy => self.cover.is_needed(),
            Protection::All => true,
        }
    }

    /// Has somebody gather packets that are protected, if some are: whether that is so.
    pub(super) fn begin_protection(&mut self, worker: WorkerId, treatment: Treatment) -> bool {
        let protects = self.protects(treatment);
        if protects {
            self.send_workers[usize::from(worker.get())].protector.get_or_insert_default();
        }
        protects
    }

    /// The longest packet whose parity every path carries.
    pub(super) fn longest_protected(&self) -> usize {
        let least = self.views.iter().map(|v| usize::from(v.mtu)).min().unwrap_or(0);
        self.parity_room(least) * self.parity_pieces()
    }

    /// Datagrams of a parity, at most.
    fn parity_pieces(&self) -> usize {
        if self.knows_pieces { 2 } else { 1 }
    }

    /// How much of a parity fits where a packet of `mtu` bytes does.
    fn parity_room(&self, mtu: usize) -> usize {
        (mtu + DATA_HEADER_LEN + self.tag_len()).saturating_sub(PARITY_OVERHEAD)
    }

    /// Bytes of tag of the packets that go out now.
    pub(super) fn tag_len(&self) -> usize {
        self.sessions.current().map_or(0, |slot| slot.session.data_tag_len())
    }

    /// Sends the parities of blocks that are full or old enough.
    pub(super) fn send_parities(&mut self, now: Time, worker: WorkerId, out: &mut Outbox) {
        let number = usize::from(worker.get());
        loop {
            let protector = self.send_workers[number].protector.as_mut();
            let Some(block) = protector.and_then(|p| p.poll(now)) else { return };
            let path = self.parity_path(now, &block);
            let view = self.views.iter().find(|v| Some(v.id) == path);
            let room = view.map(|v| (v.id, self.parity_room(usize::from(v.mtu))));
            let most = self.parity_pieces();
            // The path may carry less than when the block began.
            if let Some((path, room)) = room.filter(|(_, room)| block.len() <= room * most) {
                self.parities += 1;
                for piece in block.parity(worker, room) {
                    self.send_parity(now, path, &piece, out);
                }
            }
            if let Some(protector) = self.send_workers[number].protector.as_mut() {
                protector.recycle(block);
            }
        }
    }

    /// The same for all workers, when time has passed.
    pub(super) fn tick_parities(&mut self, now: Time, out: &mut Outbox) {
        for worker in (0..).map_while(WorkerId::new).take(self.send_workers.len()) {
            self.send_parities(now, worker, out);
        }
    }

    /// When the next block ends.
    pub(super) fn parity_deadline(&self) -> Option<Time> {
        let protectors = self.send_workers.iter().filter_map(|w| w.protector.as_ref());
        protectors.filter_map(|p| p.poll_timeout()).min()
    }

    fn send_parity(&mut self, now: Time, id: PathId, parity: &Parity<'_>, out: &mut Outbox) {
        let Some(slot) = self.sessions.current_mut() else { return };
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        let Some(remote) = path.remote.current() else { return };
        let Some(lane) = path.lane(self.id, remote) else { return };
        let text = parity.bytes.len() + PARITY_HEADER_LEN
            - 2 * (crate::wire::MAX_COVERED - parity.covered.as_slice().len());
        let len = CONTROL_HEADER_LEN + text + CONTROL_TAG_LEN;
        if !path.remote.may_send(remote, len) {
            return;
        }
        let datagram = out.push(lane, path.tos(0), len);
        datagram[..2].copy_from_slice(&ControlHeader::head(MessageType::Parity, parity.worker));
        let written = parity.encode(&mut datagram[CONTROL_HEADER_LEN..CONTROL_HEADER_LEN + text]);
        debug_assert_eq!(written, Some(text));
        if let Err(reason) = slot.session.seal_control(id, datagram) {
            debug_assert!(false, "{reason}");
        }
        path.for_parities.spend(path.counters.tx_data_bytes, len);
        path.model.on_parity_sent(now, len);
        path.count_sent(now, len);
    }

    /// A parity came by the peer's path `theirs`, in a datagram of `len` bytes.
    pub(super) fn on_parity(
        &mut self,
        now: Time,
        theirs: PathId,
        parity: &Parity<'_>,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let slot = &mut self.receive_workers[usize::from(parity.worker.get())];
        let Some(worker) = slot.as_mut() else { return };
        let ReceiveWorker { recoverer, replay, arrivals, .. } = &mut **worker;
        arrivals.on_parity(theirs, len);
        let known = |pn| replay.check(pn).is_err();
        let made = recoverer.get_or_insert_default().on_parity(parity, known);
        self.on_recovered(now, theirs, parity.worker, made, cx);
    }

    /// Delivers a packet that was made again, and what can be made with it.
    pub(super) fn on_recovered(
        &mut self,
        now: Time,
        theirs: PathId,
        worker: WorkerId,
        made: Option<Recovered>,
        cx: &mut Context<'_>,
    ) {
        let Some(Recovered { pn, beside }) = made else { return };
        let slot = &mut self.receive_workers[usize::from(worker.get())];
        let Some(worker) = slot.as_mut() else { return };
        let ReceiveWorker { recoverer: Some(recoverer), replay, reorder, .. } = &mut **worker
        else {
            return;
        };
        // It may be under way still: what comes after this is a duplicate.
        let near = pn <= reorder.highest().0.saturating_add(u64::from(u16::MAX));
        if !near || replay.check(pn).is_err() {
            return;
        }
        replay.commit(pn);
        let packet = recoverer.packet();
        let checksum = HeaderFlags::from_bits(beside.flags).checksum();
        // Whatever the datagrams on the way were marked with concerns others.
        let admission = Admission::of(self.id, cx);
        let admitted = &mut self.delivered.admitted;
        let packet: &[u8] = match admission.admit_data(admitted, packet, checksum, 0) {
            Ok(()) => packet,
            Err(reason) => {
                self.drops.count(reason);
                &[]
            }
        };
        let remade = Remade { pn: PacketNumber(pn), distance: beside.distance, checksum };
        let (mut outlet, held) = outlet(self.id, &mut self.delivered, &mut self.drops, cx);
        let disposition =
            reorder.on_remade(now, theirs, remade, packet, held, &mut |p, c| outlet.deliver(p, c));
        match disposition {
            Disposition::Duplicate => self.drops.count(DropReason::Duplicate),
            _ => self.recovered += 1,
        }
    }
}
