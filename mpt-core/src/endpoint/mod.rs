//! One end of the tunnel: one static key, one TUN device, many peers.

mod events;
mod glance;
mod handshake;
mod policies;
mod setters;
mod share;
mod status;
#[cfg(test)]
mod tests;
mod timers;

use crate::allowed_ips::AllowedIps;
use crate::config::{EndpointConfig, PeerConfig};
use crate::handshake::Gate;
use crate::inner::{FlowHasher, InnerPacket, Offload};
use crate::order::HeldBudget;
use crate::path::TunnelMtu;
use crate::peer::{Adopted, Context, DatagramMeta, Incoming, Indexed, Outgoing, Peer};
use crate::policy::{Facts, PolicyTable};
use crate::session::{IndexTable, Open};
use crate::wire::{CloseReason, MessageType};
use crate::{Deliver, DropCounters, DropReason, Event, LatestTime, Outbox, PeerId, Time, WorkerId};
use glance::Glances;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
pub use share::Share;
use std::collections::VecDeque;
use std::ops::Range;
use timers::Timers;

/// A send that the kernel refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// Larger than the interface's MTU; the length of the UDP payload.
    TooLarge {
        /// Bytes of UDP payload.
        udp_len: usize,
    },
    /// No route, interface down or gone, source address gone: the path is out of use until probes are
    /// answered again. The text says what.
    Unreachable(String),
    /// A drop like any other.
    Passing,
}

/// One end of the tunnel, as a state machine.
///
/// # Driving it
/// Feed it: [`handle_packet`](Self::handle_packet) for each packet from TUN,
/// [`handle_datagram`](Self::handle_datagram) for each datagram, in the order in which they came; and
/// [`handle_batch_end`](Self::handle_batch_end) once when *every* readable socket was drained, and
/// whenever [`poll_timeout`](Self::poll_timeout) has passed. Changes of sockets, addresses and
/// weights come in through `set_*`.
///
/// Drain it: after each of these calls send what the [`Outbox`] holds and clear it (several calls
/// may fill it before); after `handle_batch_end` take [`poll_event`](Self::poll_event) until it is
/// empty, then ask `poll_timeout` anew.
///
/// `now` never goes back. One reading of the clock serves a whole batch.
pub struct Endpoint {
    config: EndpointConfig,
    rng: ChaCha20Rng,
    /// Of all workers.
    latest: LatestTime,
    gate: Gate,
    /// When the log last had a stranger.
    stranger_told: Option<Time>,
    flows: FlowHasher,
    allowed: AllowedIps,
    policies: PolicyTable,
    indices: IndexTable<Indexed>,
    peers: Vec<Peer>,
    glances: Glances,
    held: HeldBudget,
    events: VecDeque<Event>,
    drops: DropCounters,
    /// On whose behalf calls are made.
    share: Share,
    /// By worker: peers with something to do at the end of its batch.
    touched: Vec<Vec<PeerId>>,
    /// Peers' deadlines, save those of order.
    timers: Timers,
    /// By worker: the deadlines of the order that it restores.
    order_timers: Vec<Timers>,
    tunnel_mtu: TunnelMtu,
    mtu: u16,
}

/// A peer that cannot be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddPeerError {
    /// Two peers would own the same prefix.
    #[error("allowed_ips {0} of peer `{1}` belongs to peer `{2}` already")]
    PrefixTaken(String, String, String),
    /// More paths than fit.
    #[error("peer `{0}` has more than 16 paths")]
    TooManyPaths(String),
}

impl Endpoint {
    /// An endpoint without peers. `seed` has to be unpredictable: keys, tokens and indices come
    /// from it.
    #[must_use]
    pub fn new(config: EndpointConfig, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let gate = Gate::new(&config.private_key.public_key(), &mut rng);
        let flows = FlowHasher::new([rng.next_u64(), rng.next_u64()]);
        let tunnel_mtu = TunnelMtu::new();
        let held = HeldBudget::new(config.memory.held_total);
        let mtu = config.mtu.unwrap_or(DEFAULT_TUNNEL_MTU);
        let workers = config.workers;
        let policies = PolicyTable::new(&config.policies);
        Self {
            config,
            rng,
            latest: LatestTime::default(),
            gate,
            stranger_told: None,
            flows,
            allowed: AllowedIps::new(),
            policies,
            indices: IndexTable::new(),
            peers: Vec::new(),
            glances: Glances::default(),
            held,
            events: VecDeque::new(),
            drops: DropCounters::default(),
            share: Share { worker: WorkerId::default(), of: workers },
            touched: (0..workers.get()).map(|_| Vec::new()).collect(),
            timers: Timers::default(),
            order_timers: (0..workers.get()).map(|_| Timers::default()).collect(),
            tunnel_mtu,
            mtu,
        }
    }

    /// Adds a peer with its configured paths, whose ends are still unknown.
    ///
    /// # Errors
    /// When its `allowed_ips` belong to another peer, or it has too many paths.
    pub fn add_peer(&mut self, now: Time, config: PeerConfig) -> Result<PeerId, AddPeerError> {
        let now = self.latest.advance(now);
        let id = PeerId(self.peers.len() as u32);
        if config.paths.len() > crate::id::MAX_PATHS {
            return Err(AddPeerError::TooManyPaths(config.name));
        }
        for prefix in &config.allowed_ips {
            if let Err(taken) = self.allowed.insert(*prefix, id) {
                let owner = self.peers.get(taken.owner.0 as usize).map_or("", |p| &p.name);
                return Err(AddPeerError::PrefixTaken(
                    prefix.to_string(),
                    config.name,
                    owner.to_owned(),
                ));
            }
        }
        let peer = Peer::new(now, id, config, &self.config, &mut self.rng);
        self.peers.push(peer);
        self.peers.iter_mut().for_each(Peer::forget_admitted);
        self.touch(id);
        Ok(id)
    }

    /// The calls from here on are made by this worker. Each worker has a queue of TUN, sends with packet
    /// numbers of its own, and restores the order of the peer's workers that fall to it; the rest belongs to
    /// all of them.
    ///
    /// # Panics
    /// When the configuration has fewer workers.
    pub fn as_worker(&mut self, worker: WorkerId) -> &mut Self {
        assert!(worker.get() < self.share.of.get(), "there are {} workers", self.share.of.get());
        self.share.worker = worker;
        self
    }

    /// An inner packet from TUN, or a super-packet, as `offload` says. It may be changed in place (MSS).
    pub fn handle_packet(
        &mut self,
        now: Time,
        packet: &mut [u8],
        offload: &Offload,
        out: &mut Outbox,
    ) {
        let now = self.latest.advance(now);
        let result = self.send(now, packet, *offload, None, out);
        self.count_dropped(result.map(|_| ()), packet.len());
    }

    /// Like [`handle_packet`](Self::handle_packet), for the packet that stands at `range` in `buffer`. What
    /// is kept for repair of a large super-packet is not copied then: another buffer of the same length, with anything in it, takes the
    /// place of `buffer`.
    pub fn handle_buffer(
        &mut self,
        now: Time,
        buffer: &mut Box<[u8]>,
        range: Range<usize>,
        offload: &Offload,
        out: &mut Outbox,
    ) {
        let now = self.latest.advance(now);
        let size = buffer.len();
        let result = self.send(now, &mut buffer[range.clone()], *offload, Some(size), out);
        if let Ok((id, Some(adopted))) = result {
            let place = (range.start, range.len());
            self.peers[id.0 as usize].adopt(self.share.worker, adopted, buffer, place);
        }
        self.count_dropped(result.map(|_| ()), range.len());
    }

    fn count_dropped(&mut self, result: Result<(), DropReason>, len: usize) {
        if let Err(reason) = result {
            self.drops.count(reason);
            tracing::trace!(%reason, len, "packet from TUN dropped");
        }
    }

    fn send(
        &mut self,
        now: Time,
        packet: &mut [u8],
        offload: Offload,
        buffer: Option<usize>,
        out: &mut Outbox,
    ) -> Result<(PeerId, Option<Adopted>), DropReason> {
        let inner = InnerPacket::parse(packet).map_err(|_| DropReason::NotIp)?;
        let id = self.allowed.lookup(inner.destination()).ok_or(DropReason::NoPeer)?;
        if let Some(mss) = self.mss(id) {
            crate::inner::clamp_mss(packet, &inner, offload.checksum, mss);
        }
        let flow = self.flows.hash(&inner, packet);
        self.touch_by_data(id);
        let rule = self.policies.classify(&Facts::of(packet, &inner, &offload));
        let class = self.policies.class(rule);
        let outgoing = Outgoing { packet, offload, inner, flow, class, buffer };
        let peer = &mut self.peers[id.0 as usize];
        let before = peer.sent();
        let result = peer.send_packet(now, self.share.worker, &outgoing, out);
        let after = peer.sent();
        self.policies.count(rule, after.0 - before.0, after.1 - before.1);
        result.map(|adopted| (id, adopted))
    }

    /// A datagram from the network. It is decrypted in place.
    pub fn handle_datagram(
        &mut self,
        now: Time,
        meta: &DatagramMeta,
        datagram: &mut [u8],
        out: &mut Outbox,
        sink: &mut dyn Deliver,
    ) {
        self.handle_incoming(now, Incoming { meta, datagram, opened: None }, out, sink);
    }

    /// What opens `datagram` outside of here, so that several threads do that at once: then
    /// [`handle_incoming`](Self::handle_incoming) is to be told. Nothing where that is no work, or of no use;
    /// [`handle_datagram`](Self::handle_datagram) does everything then.
    #[must_use]
    pub fn begin_open(&self, datagram: &[u8]) -> Option<Open> {
        let data = MessageType::of(datagram) == Some(MessageType::Data);
        let index = crate::wire::receiver_index(datagram).filter(|_| data)?;
        let &(id, session, path) = self.indices.get(index)?;
        self.peers[id.0 as usize].begin_open(session, path, datagram)
    }

    /// Like [`handle_datagram`](Self::handle_datagram), for one that may have been opened before.
    pub fn handle_incoming(
        &mut self,
        now: Time,
        incoming: Incoming<'_>,
        out: &mut Outbox,
        sink: &mut dyn Deliver,
    ) {
        let now = self.latest.advance(now);
        let meta = incoming.meta;
        let result = match MessageType::of(incoming.datagram) {
            Some(kind) if kind.is_handshake() => {
                self.handshake(now, meta, incoming.datagram, out, sink)
            }
            Some(kind) => return self.session_datagram(now, kind, incoming, out, sink),
            None => Err(DropReason::Malformed),
        };
        if let Err(reason) = result {
            self.drops.count(reason);
            tracing::trace!(%reason, source = %meta.source, "datagram dropped");
        }
    }

    fn session_datagram(
        &mut self,
        now: Time,
        kind: MessageType,
        incoming: Incoming<'_>,
        out: &mut Outbox,
        sink: &mut dyn Deliver,
    ) {
        let Some(index) = crate::wire::receiver_index(incoming.datagram) else {
            return self.drops.count(DropReason::Malformed);
        };
        let Some(&(id, session, path)) = self.indices.get(index) else {
            return self.drops.count(DropReason::UnknownIndex);
        };
        match kind {
            MessageType::Data => self.touch_by_data(id),
            _ => self.touch(id),
        }
        let (peer, mut cx) = self.lend(id, sink);
        let meta = incoming.meta;
        let result = if kind == MessageType::Data {
            peer.receive_data(now, session, path, incoming, &mut cx)
        } else {
            let Incoming { datagram, .. } = incoming;
            peer.receive_control(now, session, path, meta, datagram, out, &mut cx)
        };
        if let Err(reason) = result {
            peer.count_drop(reason);
            tracing::trace!(%reason, source = %meta.source, peer = %peer.name, "datagram dropped");
        }
    }

    /// A part of a batch was fed, and more may be: what comes at a gigabyte a second is reported on
    /// before the batch ends, which is when the sockets are drained.
    pub fn handle_part_end(&mut self, now: Time, out: &mut Outbox) {
        let now = self.latest.advance(now);
        for &id in &self.touched[usize::from(self.share.worker.get())] {
            self.peers[id.0 as usize].report_early(now, out);
        }
    }

    /// The end of a batch: every readable socket of this worker was drained, or a timeout has passed.
    pub fn handle_batch_end(&mut self, now: Time, out: &mut Outbox, sink: &mut dyn Deliver) {
        let now = self.latest.advance(now);
        let (share, own) = (self.share, usize::from(self.share.worker.get()));
        let mut touched = std::mem::take(&mut self.touched[own]);
        while let Some(id) = self.order_timers[own].pop(now) {
            touch(&mut touched, id);
        }
        for &id in &touched {
            let (peer, mut cx) = self.lend(id, sink);
            let next = peer.tick_order(now, share, &mut cx);
            self.order_timers[own].set(id, next);
        }
        while let Some(id) = self.timers.pop(now) {
            touch(&mut touched, id);
        }
        for id in touched.drain(..) {
            let (peer, mut cx) = self.lend(id, sink);
            if !peer.skip_tick(now) {
                peer.tick(now, out, &mut cx);
            }
            let next = peer.next_deadline();
            self.timers.set(id, next);
            self.glances.note(&self.peers[id.0 as usize]);
        }
        self.touched[own] = touched;
        self.follow_mtu(now);
        self.forget_events();
    }

    /// When [`handle_batch_end`](Self::handle_batch_end) wants to be called next, if nothing comes
    /// before: the earliest probe, report, packet that waits for a rate limit, marker, release or key change. Whichever worker calls it then does
    /// what all share; the others find it done.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        [self.poll_order_timeout(), self.timers.next(), self.tunnel_mtu.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The part of [`poll_timeout`](Self::poll_timeout) that only this worker can see to.
    #[must_use]
    pub fn poll_order_timeout(&self) -> Option<Time> {
        let own = usize::from(self.share.worker.get());
        if !self.touched[own].is_empty() {
            // Something was fed since the last batch ended.
            return Some(Time::ZERO);
        }
        self.order_timers[own].next()
    }

    /// Bytes of packets that wait for earlier ones, of all peers.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held.used()
    }

    /// Whether packets wait for rate limits. A worker without other work goes on seeing to what all share until
    /// they went: the others may not know of them.
    #[must_use]
    pub fn has_queue(&self) -> bool {
        self.peers.iter().any(Peer::has_queue)
    }

    /// Says goodbye to every peer, and delivers what is held.
    pub fn close(&mut self, now: Time, out: &mut Outbox, sink: &mut dyn Deliver) {
        let now = self.latest.advance(now);
        for i in 0..self.peers.len() {
            let (peer, mut cx) = self.lend(PeerId(i as u32), sink);
            peer.send_close(now, CloseReason::Shutdown, out);
            peer.flush_held(now, &mut cx);
        }
    }

    /// The tunnel's MTU now.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// What the MSS of connections with this peer is clamped to.
    fn mss(&self, peer: PeerId) -> Option<crate::inner::MssLimit> {
        let mtu = self.peers[peer.0 as usize].segment_mtu(self.mtu);
        crate::inner::MssLimit::of(self.config.mss_clamp, mtu)
    }

    fn follow_mtu(&mut self, now: Time) {
        if self.config.mtu.is_some() {
            return;
        }
        let least = self.glances.least_mtu();
        if let Some(mtu) = self.tunnel_mtu.update(now, least)
            && mtu != self.mtu
        {
            self.mtu = mtu;
            self.events.push_back(Event::TunnelMtu(mtu));
        }
    }

    /// Whatever came may have made anything due.
    fn touch(&mut self, id: PeerId) {
        self.peers[id.0 as usize].ask_tick();
        self.touch_by_data(id);
    }

    /// As [`touch`](Self::touch), but data makes little due.
    fn touch_by_data(&mut self, id: PeerId) {
        touch(&mut self.touched[usize::from(self.share.worker.get())], id);
    }

    /// Peer `id`, and what it shares with the others.
    fn lend<'a>(
        &'a mut self,
        id: PeerId,
        sink: &'a mut dyn Deliver,
    ) -> (&'a mut Peer, Context<'a>) {
        let mss = self.mss(id);
        let peer = &mut self.peers[id.0 as usize];
        let cx = Context {
            config: &self.config,
            allowed: &self.allowed,
            flows: &self.flows,
            indices: &mut self.indices,
            rng: &mut self.rng,
            held: &mut self.held,
            events: &mut self.events,
            sink,
            mss,
        };
        (peer, cx)
    }
}

/// The tunnel's MTU before any path told what fits: 1 500 less our headers over IPv6.
const DEFAULT_TUNNEL_MTU: u16 = 1_500 - 48 - 36;

/// Few peers are in one batch, and mostly the one before.
fn touch(touched: &mut Vec<PeerId>, id: PeerId) {
    if touched.last() != Some(&id) && !touched.contains(&id) {
        touched.push(id);
    }
}
