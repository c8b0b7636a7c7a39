//! Packets that fit no path: they leave in parts.

use super::Batch;
use crate::inner::InnerPacket;
use crate::parts::{CAPABILITY, PART_HEADER_LEN, Part};
use crate::peer::Peer;
use crate::policy::{FlowOrder, Route, Treatment};
use crate::schedule::PathView;
use crate::{DropReason, Fragment, Outbox, PacketNumber, PathId, Time, WorkerId};

/// No path is so small that a packet is cut to less than this.
const LEAST_PART: usize = 256;

/// What is remembered of the packets that a peer is sent in parts.
#[derive(Debug, Default)]
pub struct PartsOut {
    /// Both ends know parts.
    agreed: bool,
    /// Number of the next packet in parts.
    next: u16,
    /// The packet that is being cut.
    whole: Vec<u8>,
}

impl PartsOut {
    /// The session's ends agreed on what they can do.
    pub fn set_agreed(&mut self, capabilities: u32) {
        self.agreed = capabilities & CAPABILITY != 0;
    }
}

fn carries(views: &[PathView], path: PathId, inner: usize) -> bool {
    views.iter().any(|v| v.id == path && usize::from(v.mtu) >= inner)
}

impl Batch<'_> {
    /// Whether `path` carries a packet of `inner` bytes in one piece.
    pub(super) fn fits(&self, path: PathId, inner: usize) -> bool {
        carries(self.views, path, inner)
    }

    /// How long the parts of a packet of `inner` bytes are on `path`, which is too small for it; `None` when it is to be
    /// fragmented on the way instead.
    pub(super) fn part_size(&self, path: PathId, inner: usize) -> Option<usize> {
        let view = self.views.iter().find(|v| v.id == path).filter(|_| self.parts.agreed)?;
        let most = usize::from(view.mtu).saturating_sub(PART_HEADER_LEN);
        // All of about the same size: the shorter, the more paths carry them.
        (most >= LEAST_PART).then(|| inner.div_ceil(inner.div_ceil(most)))
    }

    /// Sends a packet of `inner` bytes, which `write` fills in, in parts of `size` bytes: by whatever paths have room for
    /// them, else by `path`.
    ///
    /// # Errors
    /// When a part cannot be sent; those before it were sent in vain.
    pub(super) fn emit_parts(
        &mut self,
        path: PathId,
        (inner, size): (usize, usize),
        out: &mut Outbox,
        write: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DropReason> {
        let mut whole = std::mem::take(&mut self.parts.whole);
        whole.resize(inner, 0);
        write(&mut whole);
        let sent = self.cut(path, &whole, size, out);
        self.parts.whole = whole;
        sent
    }

    fn cut(
        &mut self,
        path: PathId,
        whole: &[u8],
        size: usize,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let (id, total) = (self.parts.next, whole.len() as u16);
        self.parts.next = id.wrapping_add(1);
        // Each part is kept for repair as it is.
        let segment = self.segment.take();
        let sent = whole.chunks(size).zip((0..).step_by(size)).try_for_each(|(bytes, offset)| {
            let part = Part { tos: self.tos, id, offset, total, bytes };
            let len = PART_HEADER_LEN + bytes.len();
            let picked = self.pick(len).ok().filter(|&(_, f)| f == Fragment::Never);
            let path = picked.map_or(path, |(path, _)| path);
            self.emit(path, Fragment::Never, len, out, |to| part.encode(to))
        });
        self.segment = segment;
        sent
    }
}

impl Peer {
    /// Sends what `worker` sent as packet `pn` once more, in parts by `path`, as it does not fit there: they have numbers of
    /// their own, and wait for nobody. Whether that was done; `pn` itself is to be given up then, behind them.
    pub(in crate::peer) fn send_again_in_parts(
        &mut self,
        now: Time,
        worker: WorkerId,
        pn: PacketNumber,
        path: PathId,
        out: &mut Outbox,
    ) -> bool {
        let repairer = self.send_workers[usize::from(worker.get())].repairer.as_ref();
        let Some((sent, packet)) = repairer.and_then(|r| r.packet(pn)) else { return false };
        // A part is not cut again, nor what a path carries if nothing is wrong with its MTU: parts keep no order, and most such
        // suspicions are of a pause.
        let withheld = self.paths[path.index()].as_ref().map_or(0, |p| p.mtu.withheld());
        if !self.parts.agreed
            || carries(&self.views, path, packet.len().saturating_sub(withheld.into()))
            || Part::is_one(packet.head())
        {
            return false;
        }
        let (flags, handling) = (sent.flags, sent.handling.unprotected());
        let mut whole = std::mem::take(&mut self.parts.whole);
        whole.resize(packet.len(), 0);
        packet.write(&mut whole);
        let tos = InnerPacket::parse(&whole).map_or(0, |p| p.tos());
        // Those that wait for the packet are released when it is given up: the parts must not take a longer way.
        let treatment = Treatment {
            route: Route::Pinned(path),
            order: FlowOrder::Free,
            ..Treatment::default()
        };
        let mut batch = Batch::begin(self, now, worker, tos, 0, treatment);
        (batch.flags, batch.handling) = (flags, handling);
        let size = batch.part_size(path, whole.len());
        let sent = size.is_some_and(|size| batch.cut(path, &whole, size, out).is_ok());
        self.parts.whole = whole;
        sent
    }
}
