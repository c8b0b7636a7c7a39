//! A data packet from the peer on its way to TUN.
//!
//! 1. Its full packet number is found; the replay window is asked.
//! 2. It is opened under its session's keys; only now may anything change.
//! 3. If it is the first under new keys, those are confirmed (which may start all state afresh).
//! 4. The inner packet is checked: IP, source within `allowed_ips`, ECN folded in, MSS clamped. Of a part only its
//!    lengths; the packet is checked when it is whole.
//! 5. The reordering ring delivers it, holds it, or knows it already. A packet refused in step 4
//!    still fills its place there, empty, or its successors would wait for it.

use super::admission::Admission;
use super::association::ReceiveWorker;
use super::delivery::outlet;
use super::sessions::{SessionId, Standing};
use super::{Context, DatagramMeta, Peer};
use crate::inner::{InnerPacket, answers_are_known};
use crate::order::{Arrival, Disposition};
use crate::path::Freshness;
use crate::schedule::Scheduler;
use crate::session::{Open, Opened};
use crate::wire::{Beside, DataHeader, HeaderFlags};
use crate::{DropReason, PacketNumber, PathId, Time};

/// A datagram from the network.
#[derive(Debug)]
pub struct Incoming<'d> {
    /// Where it came from.
    pub meta: &'d DatagramMeta,
    /// The datagram. It is decrypted in place, if that was not done.
    pub datagram: &'d mut [u8],
    /// It was [opened](crate::Endpoint::begin_open) before, and how that went.
    pub opened: Option<Opened>,
}

impl Peer {
    /// What opens a data packet outside of here, if that is work, and as far as can be told it is no replay.
    #[must_use]
    pub fn begin_open(&self, id: SessionId, path: PathId, datagram: &[u8]) -> Option<Open> {
        let header = DataHeader::decode(datagram)?;
        let slot = self.sessions.peek(id)?;
        let fresh = self.association != Some(slot.instances);
        let worker = self.receive_workers[usize::from(header.worker.get())].as_deref();
        let known = worker.filter(|_| !fresh);
        let pn = known.map_or(PacketNumber(0), ReceiveWorker::highest).expand(header.pn);
        let again = known.is_some_and(|w| w.replay.check(pn.0).is_err());
        if pn == PacketNumber(0) || again && !known.is_some_and(|w| w.lacks(path, header.sequence))
        {
            return None;
        }
        slot.session.open_later(path, header.worker, header.copy, pn)
    }

    /// Handles a data packet of the peer's path `path`, sealed in session `id`.
    ///
    /// # Errors
    /// Why it was dropped; nothing changed then, save the counters of what was authentic.
    pub fn receive_data(
        &mut self,
        now: Time,
        id: SessionId,
        path: PathId,
        incoming: Incoming<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), DropReason> {
        let Incoming { meta, datagram, opened } = incoming;
        let header = DataHeader::decode(datagram).ok_or(DropReason::Malformed)?;
        let len = datagram.len();
        let (slot, standing) = self.sessions.find(id).ok_or(DropReason::UnknownIndex)?;

        // 1. Packet number. A pending session of a new instance starts from nothing.
        let worker = header.worker;
        let fresh = self.association != Some(slot.instances);
        let known =
            if fresh { None } else { self.receive_workers[worker.get() as usize].as_deref() };
        let highest = known.map_or(PacketNumber(0), ReceiveWorker::highest);
        let pn = highest.expand(header.pn);
        if pn == PacketNumber(0) {
            return Err(DropReason::Malformed);
        }
        // Another copy came before: this one counts on its path, if it was not counted yet.
        let again = known.is_some_and(|w| w.replay.check(pn.0).is_err());
        if again && !known.is_some_and(|w| w.lacks(path, header.sequence)) {
            return Err(if header.copy > 0 { DropReason::Duplicate } else { DropReason::Replayed });
        }
        if slot.session.expired(now) {
            return Err(DropReason::UnknownIndex);
        }
        if worker.get() >= slot.workers {
            return Err(DropReason::Malformed);
        }

        // 2. Authentic?
        let inner = match opened {
            None => slot.session.open_data(path, worker, header.copy, pn, datagram)?,
            Some(opened) => slot.session.opened(opened, pn, datagram)?,
        };
        slot.heard.get_or_insert(now);

        // 3. From here on it is the peer who speaks.
        if standing == Standing::Pending {
            self.confirm(now, id, cx);
        }
        self.heard(now);
        self.traffic_seen = true;
        let worker = self.receive_workers[worker.get() as usize]
            .get_or_insert_with(|| Box::new(ReceiveWorker::new(self.limits)));
        worker.replay.commit(pn.0);
        let about = (header.sequence, header.send_time, header.copy);
        worker.arrivals.on_packet(now, path, pn, about, len);
        let gaps = &mut worker.gaps[path.index()];
        gaps.on_number(now, header.sequence);
        let mut consequences = standing == Standing::Pending || !gaps.is_empty();
        if let Some(p) =
            self.remote_paths[path.index()].and_then(|p| self.paths[p.index()].as_mut())
        {
            p.count_received(now, len);
            p.counters.rx_data_packets += 1;
            p.counters.rx_data_bytes += len as u64;
            p.data_down.add(now, len as u64);
            let freshness = if pn > highest { Freshness::Newest } else { Freshness::Older };
            consequences |= p.remote.current() != Some(meta.source);
            p.remote.on_authenticated(now, meta.source, len, freshness);
        }
        self.report_schedule.on_received(now, len);

        // As it was sent: what it is changed into here is not what the parity covers.
        let mut made = None;
        let protected = header.copy == 0 && header.flags.contains(HeaderFlags::PROTECTED);
        if protected && again {
            let recoverer = worker.recoverer.as_mut();
            self.made_early += u64::from(recoverer.is_some_and(|r| r.came_after_all(pn.0)));
        } else if protected {
            let (flags, len) = (header.flags.checksum_bits(), inner.len() as u16);
            let beside = Beside { len, distance: header.distance, flags };
            made = worker.recoverer.get_or_insert_default().on_packet(pn.0, beside, inner);
        }

        // 4. The inner packet.
        let (admission, checksum) = (Admission::of(self.id, cx), header.flags.checksum());
        let admitted = &mut self.delivered.admitted;
        let packet: &[u8] = match admission.admit_data(admitted, inner, checksum, meta.ecn) {
            Ok(()) if again => &[],
            Ok(()) => inner,
            Err(reason) => {
                self.drops.count(reason);
                &[]
            }
        };

        if !packet.is_empty() && self.scheduler.wants_answers() {
            note_answer(now, &mut self.scheduler, packet, cx);
        }

        // 5. In order.
        if pn > highest && header.copy == 0 {
            worker.reorder.set_unrepaired(header.flags.contains(HeaderFlags::UNREPAIRED));
        }
        let arrival = Arrival {
            pn,
            distance: header.distance,
            bitmap: header.open_paths,
            seq: header.sequence,
            send_time: header.send_time,
            copy: header.copy,
            duplicate: header.copy > 0 && header.flags.contains(HeaderFlags::DUPLICATE),
            checksum,
        };
        let (mut outlet, held) = outlet(self.id, &mut self.delivered, &mut self.drops, cx);
        let disposition = worker.reorder.on_data(now, path, arrival, packet, held, &mut |p, c| {
            outlet.deliver(p, c);
        });
        if consequences || made.is_some() {
            self.tick_due.ask();
        }
        if made.is_some() {
            self.on_recovered(now, path, header.worker, made, cx);
        }
        match disposition {
            Disposition::Duplicate => Err(DropReason::Duplicate),
            _ => Ok(()),
        }
    }
}

/// Who sends the other way learns that somebody answers.
#[cold]
fn note_answer(now: Time, scheduler: &mut Scheduler, packet: &[u8], cx: &Context<'_>) {
    if let Ok(inner) = InnerPacket::parse(packet)
        && answers_are_known(&inner)
    {
        scheduler.on_answer(now, cx.flows.hash_back(&inner, packet));
    }
}
