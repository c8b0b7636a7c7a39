//! Inner packets in their order, on their way to TUN.

use super::Context;
use super::admission::Admission;
use crate::inner::Checksum;
use crate::order::HeldBudget;
use crate::parts::{Assembler, Part};
use crate::{Deliver, DropCounters, DropReason, PeerId};
use std::net::IpAddr;

/// What was given to TUN, and the parts of what will be.
#[derive(Default, Debug)]
pub(super) struct Delivered {
    /// Packets.
    pub(super) packets: u64,
    /// Bytes.
    pub(super) bytes: u64,
    /// Once a part has come.
    assembler: Option<Box<Assembler>>,
    /// The source seen last that was the peer's; prefixes are looked up when it changes.
    pub(super) admitted: Option<IpAddr>,
}

/// Where a peer's packets go when it is their turn.
pub(super) struct Outlet<'a> {
    pub(super) delivered: &'a mut Delivered,
    pub(super) drops: &'a mut DropCounters,
    pub(super) admission: Admission<'a>,
    pub(super) peer: PeerId,
    pub(super) sink: &'a mut dyn Deliver,
}

impl Delivered {
    /// Another process speaks for the peer.
    pub(super) fn forget_parts(&mut self) {
        self.assembler = None;
    }
}

impl Outlet<'_> {
    /// Gives `packet` to TUN, as soon as it is whole; an empty one only filled its place in the order.
    #[inline]
    pub(super) fn deliver(&mut self, packet: &[u8], checksum: Checksum) {
        if Part::is_one(packet) {
            self.deliver_part(packet, checksum);
        } else if !packet.is_empty() {
            self.delivered.packets += 1;
            self.delivered.bytes += packet.len() as u64;
            self.sink.deliver(self.peer, packet, checksum);
        }
    }

    #[cold]
    fn deliver_part(&mut self, part: &[u8], checksum: Checksum) {
        // It was read before it was given its place.
        let Ok(part) = Part::decode(part) else { return };
        let Delivered { packets, bytes, assembler, admitted } = &mut *self.delivered;
        let assembler = assembler.get_or_insert_default();
        if let Some((packet, tos)) = assembler.add(&part) {
            match self.admission.admit(admitted, packet, checksum, tos) {
                Ok(()) => {
                    *packets += 1;
                    *bytes += packet.len() as u64;
                    self.sink.deliver(self.peer, packet, checksum);
                }
                Err(reason) => self.drops.count(reason),
            }
        }
        self.drops.add(DropReason::Incomplete, assembler.take_incomplete());
    }
}

/// Where packets of `peer` go, and the memory in which others are held until then.
pub(super) fn outlet<'a>(
    peer: PeerId,
    delivered: &'a mut Delivered,
    drops: &'a mut DropCounters,
    cx: &'a mut Context<'_>,
) -> (Outlet<'a>, &'a mut HeldBudget) {
    let admission = Admission::of(peer, cx);
    let Context { held, sink, .. } = cx;
    (Outlet { delivered, drops, admission, peer, sink: &mut **sink }, held)
}
