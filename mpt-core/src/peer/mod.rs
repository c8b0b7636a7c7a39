//! A peer: its sessions, its paths, and the order of what goes to it and comes from it.
//!
//! [`send`](send) and [`receive`](receive) own the two directions of data; `control_in` and
//! `control_out` those of control datagrams; `tick` is what time does.

mod absence;
mod admission;
mod agree;
mod arrivals;
mod association;
mod attempt;
mod control_in;
mod control_out;
mod copies;
mod cover;
mod delay_tally;
mod delivery;
mod extra;
mod own_instance;
mod pairing;
mod path_entry;
mod path_limit;
mod pauses;
mod protect;
mod receive;
mod repair;
mod report;
mod send;
mod sessions;
mod setters;
mod shape;
mod status;
mod tick;
mod tick_due;
mod turns;
mod waiting;

pub use receive::Incoming;
use send::PartsOut;
pub use send::{Adopted, Outgoing};
pub use sessions::SessionId;

use association::Instances;
use attempt::Attempt;
use copies::Copies;
use cover::Cover;
use delivery::Delivered;
use own_instance::OwnInstance;
use path_entry::{Origin, Path};
use turns::Turns;

use crate::allowed_ips::AllowedIps;
use crate::config::{EndpointConfig, PeerConfig, SchedulerKind};
use crate::id::MAX_PATHS;
use crate::inner::{FlowHasher, MssLimit};
use crate::keys::PublicKey;
use crate::order::{HeldBudget, ReorderLimits};
use crate::path::{CommonTurn, ReportSchedule};
use crate::schedule::{Fastest, PathView, Scheduler};
use crate::session::IndexTable;
use crate::{Deliver, DropCounters, DropReason, Event, PathId, PeerId, SocketId, Time};
use association::{ReceiveWorker, SendWorker};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use sessions::Sessions;
use shape::Shaper;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use tick_due::TickDue;
use waiting::Waiting;

/// What the network says about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramMeta {
    /// The socket it came in on.
    pub socket: SocketId,
    /// Who sent it.
    pub source: SocketAddr,
    /// The address of ours it was sent to, where the kernel said so.
    pub destination: Option<IpAddr>,
    /// The two ECN bits of the outer header.
    pub ecn: u8,
}

/// What a session index stands for: peer, session, and the peer's path.
pub type Indexed = (PeerId, SessionId, PathId);

/// What peers share, lent for the length of a call.
pub struct Context<'a> {
    /// The endpoint's configuration.
    pub config: &'a EndpointConfig,
    /// Who may send what.
    pub allowed: &'a AllowedIps,
    /// The endpoint's flow hashes.
    pub flows: &'a FlowHasher,
    /// Receiver indices.
    pub indices: &'a mut IndexTable<Indexed>,
    /// The endpoint's randomness.
    pub rng: &'a mut ChaCha20Rng,
    /// Memory for held packets, of all peers together.
    pub held: &'a mut HeldBudget,
    /// What the daemon is told.
    pub events: &'a mut VecDeque<Event>,
    /// Where inner packets go.
    pub sink: &'a mut dyn Deliver,
    /// The MSS to clamp to.
    pub mss: Option<MssLimit>,
}

/// A peer.
pub struct Peer {
    id: PeerId,
    /// As configured.
    pub name: String,
    config: PeerConfig,
    sessions: Sessions,
    next_session: u32,
    attempt: Option<Attempt>,
    /// Ours is the smaller public key: our attempt stands when both ends begin at once.
    goes_first: bool,
    /// Not before this: a refusal is not answered with haste.
    next_attempt: Time,
    /// The processes that talk; `None` before the first session.
    association: Option<Instances>,
    /// Of our workers.
    send_workers: Vec<SendWorker>,
    /// Of the peer's workers.
    receive_workers: [Option<Box<ReceiveWorker>>; 16],
    /// A path is kilobytes; most places are empty, and all are looked at in each batch.
    paths: [Option<Box<Path>>; MAX_PATHS],
    /// By the peer's number: ours.
    remote_paths: [Option<PathId>; MAX_PATHS],
    scheduler: Scheduler,
    scheduler_kind: SchedulerKind,
    /// For policies that want it.
    fastest: Fastest,
    views: Vec<PathView>,
    views_dirty: bool,
    report_schedule: ReportSchedule,
    /// Counts reports.
    report_turn: u32,
    /// In which its delays are counted.
    delay_turn: CommonTurn,
    waiting: Waiting,
    shaper: Shaper,
    /// Data went either way since the last tick.
    traffic_seen: bool,
    last_heard: Time,
    /// Some path is usable, as the daemon was told.
    up: bool,
    /// Since when some path has worked; nothing while none does.
    works_since: Option<Time>,
    /// Why there is no session, or what the ends disagree on.
    why: Option<String>,
    refused: bool,
    drops: DropCounters,
    delivered: Delivered,
    parts: PartsOut,
    /// What the MSS of connections is to fit: [`fitting`](Self::fitting).
    fitting: Option<u16>,
    tx_packets: u64,
    tx_bytes: u64,
    /// Packets that went on a second path as well.
    duplicated: u64,
    /// Messages of pauses sent.
    pauses_told: u64,
    /// Both ends know parity, and pieces of it.
    knows_parity: bool,
    knows_pieces: bool,
    cover: Cover,
    copies: Copies,
    /// Both ends know of pauses.
    knows_pauses: bool,
    /// Parities sent.
    parities: u64,
    /// Packets made from the peer's parity.
    recovered: u64,
    /// Those of them that came themselves afterwards.
    made_early: u64,
    limits: ReorderLimits,
    /// Random, and the same for as long as this process runs and the peer's do not take turns.
    instance: OwnInstance,
    turns: Turns,
    tick_due: TickDue,
    next_deadline: Option<Time>,
}

/// Connections are not asked to send less at a time: what IPv4 hosts have to take at least.
const LEAST_SEGMENT_MTU: u16 = 576;

/// A smaller MTU of a path is followed only where there is nothing else: what is too long for it goes by other paths.
const LEAST_FOLLOWED: u16 = 1_100;

impl Peer {
    /// A peer nobody talked to yet.
    pub fn new(
        now: Time,
        id: PeerId,
        config: PeerConfig,
        endpoint: &EndpointConfig,
        rng: &mut ChaCha20Rng,
    ) -> Self {
        let mut paths: [Option<Box<Path>>; MAX_PATHS] = Default::default();
        for (path, id) in config.paths.iter().zip(PathId::all()) {
            paths[id.index()] = Some(Box::new(Path::configured(
                now,
                id,
                path,
                endpoint.probe,
                &config.public_key,
                rng,
            )));
        }
        Self {
            id,
            name: config.name.clone(),
            sessions: Sessions::default(),
            next_session: 0,
            attempt: None,
            goes_first: endpoint.private_key.public_key() < config.public_key,
            config,
            next_attempt: now,
            association: None,
            send_workers: (0..endpoint.workers.get()).map(|_| SendWorker::new(rng)).collect(),
            receive_workers: Default::default(),
            paths,
            remote_paths: Default::default(),
            scheduler: Scheduler::new(endpoint.scheduler),
            scheduler_kind: endpoint.scheduler,
            fastest: Fastest::default(),
            views: Vec::with_capacity(MAX_PATHS),
            views_dirty: true,
            report_schedule: ReportSchedule::new(),
            report_turn: 0,
            delay_turn: CommonTurn::default(),
            waiting: Waiting::default(),
            shaper: Shaper::default(),
            traffic_seen: false,
            last_heard: now,
            up: false,
            works_since: None,
            why: None,
            refused: false,
            drops: DropCounters::default(),
            delivered: Delivered::default(),
            parts: PartsOut::default(),
            fitting: None,
            tx_packets: 0,
            tx_bytes: 0,
            duplicated: 0,
            pauses_told: 0,
            knows_parity: false,
            knows_pieces: false,
            cover: Cover::default(),
            copies: Copies::default(),
            knows_pauses: false,
            parities: 0,
            recovered: 0,
            made_early: 0,
            limits: ReorderLimits {
                max_hold: endpoint.max_hold,
                held_bytes: endpoint.memory.held_per_peer,
                ..ReorderLimits::default()
            },
            instance: OwnInstance::new(rng.next_u64()),
            turns: Turns::default(),
            tick_due: TickDue::default(),
            next_deadline: None,
        }
    }

    /// Prefixes were added: what was admitted before may be another's now.
    pub fn forget_admitted(&mut self) {
        self.delivered.admitted = None;
    }

    /// Its number.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Its static key.
    pub fn public_key(&self) -> &PublicKey {
        &self.config.public_key
    }

    /// Counts a drop.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.drops.count(reason);
    }

    /// When [`tick`](Self::tick) wants to be called next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.next_deadline
    }

    /// The largest inner packet that every path in use carries, as far as that is known. Paths that are very
    /// small do not count beside others, nor does a suspicion: what follows this does so for long.
    pub fn inner_mtu(&self) -> Option<u16> {
        let known = |v: &PathView| {
            let path = self.paths[v.id.index()].as_ref().filter(|p| p.mtu.is_known())?;
            Some(v.mtu.saturating_add(path.mtu.withheld()))
        };
        let known = self.views.iter().filter_map(known);
        let usual = known.clone().filter(|&mtu| mtu >= LEAST_FOLLOWED).min();
        usual.or_else(|| known.max())
    }

    /// The largest inner packet that TCP connections are to send, at a tunnel's MTU of `mtu`: it may be smaller, which a
    /// TUN device's is never.
    pub fn segment_mtu(&self, mtu: u16) -> u16 {
        self.fitting.map_or(mtu, |fitting| fitting.max(LEAST_SEGMENT_MTU).min(mtu))
    }

    /// Inner packets and bytes sent so far.
    pub fn sent(&self) -> (u64, u64) {
        (self.tx_packets, self.tx_bytes)
    }

    /// The peer spoke.
    fn heard(&mut self, now: Time) {
        self.last_heard = now;
    }
}
