//! Whether an inner packet from the peer is let in, and what it is changed into.

use super::Context;
use crate::allowed_ips::AllowedIps;
use crate::inner::{
    Checksum, InnerPacket, MssLimit, clamp_mss, decapsulate_ecn, transport_checksum_at,
};
use crate::parts::Part;
use crate::{DropReason, PeerId};
use std::net::IpAddr;

/// What a peer's packets have to be like.
#[derive(Clone, Copy)]
pub(super) struct Admission<'a> {
    peer: PeerId,
    allowed: &'a AllowedIps,
    mss: Option<MssLimit>,
}

impl<'a> Admission<'a> {
    /// For packets of `peer`.
    pub(super) fn of(peer: PeerId, cx: &Context<'a>) -> Self {
        Self { peer, allowed: cx.allowed, mss: cx.mss }
    }

    /// Checks what a data packet carried, and folds in the outer packet's ECN field: a whole packet, or a part of one,
    /// which is [checked](Self::admit) when it is whole. `admitted` is the source that was found to be the peer's last.
    pub(super) fn admit_data(
        self,
        admitted: &mut Option<IpAddr>,
        inner: &mut [u8],
        checksum: Checksum,
        ecn: u8,
    ) -> Result<(), DropReason> {
        if Part::is_one(inner) {
            Part::decode(inner).map_err(|_| DropReason::BadInner)?;
            return Part::note_ecn(inner, ecn);
        }
        self.admit(admitted, inner, checksum, ecn)
    }

    /// Checks a whole packet.
    pub(super) fn admit(
        self,
        admitted: &mut Option<IpAddr>,
        inner: &mut [u8],
        checksum: Checksum,
        ecn: u8,
    ) -> Result<(), DropReason> {
        let parsed = InnerPacket::parse(inner).map_err(|_| DropReason::BadInner)?;
        if *admitted != Some(parsed.source()) {
            if self.allowed.lookup(parsed.source()) != Some(self.peer) {
                return Err(DropReason::NotAllowed);
            }
            *admitted = Some(parsed.source());
        }
        if checksum == Checksum::Partial && transport_checksum_at(inner, &parsed).is_err() {
            return Err(DropReason::BadInner);
        }
        decapsulate_ecn(inner, ecn)?;
        if let Some(limit) = self.mss {
            clamp_mss(inner, &parsed, checksum, limit);
        }
        Ok(())
    }
}
