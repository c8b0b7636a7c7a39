//! One end: an endpoint, the daemon's part around it reduced to the least, and what it said.

use super::packet;
use mpt_core::config::{EndpointConfig, LocalEnd, PathConfig, PeerConfig, Prefix, WorkerCount};
use mpt_core::control::{PathStatus, PeerStatus, ReorderStatus, Status};
use mpt_core::keys::PrivateKey;
use mpt_core::{DatagramMeta, Endpoint, Event, Outbox, PathId, PeerId, SocketId, Time};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use std::net::SocketAddr;
use std::time::Duration;

/// One end.
pub struct End {
    /// What is driven. Its clock is ahead of the world's by [`ahead`](Self::ahead).
    pub endpoint: Endpoint,
    /// The endpoint's configuration, used when it is restarted.
    pub config: EndpointConfig,
    /// The peers' configuration, likewise.
    pub peers: Vec<PeerConfig>,
    /// What it said, and when.
    pub events: Vec<(Time, Event)>,
    /// Whether it runs; nobody listens while it does not.
    pub running: bool,
    /// What waits in its sockets while its process is stopped; nothing while it is not.
    pub(super) waiting: Option<Vec<(DatagramMeta, Vec<u8>)>>,
    /// How far its clock is ahead of the world's.
    pub ahead: Duration,
    pub(super) bindings: Vec<Binding>,
    /// Addresses where it listens, each with the socket and whether that is bound to it.
    pub(super) listens: Vec<(SocketAddr, SocketId, Bound)>,
    pub(super) out: Outbox,
    pub(super) touched: bool,
    pub(super) timeout: Option<Time>,
}

/// Whether a socket is bound to one address, or has to say which one was addressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bound {
    Yes,
    No,
}

/// What the daemon would tell about a path.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub peer: PeerId,
    pub path: PathId,
    pub local: LocalEnd,
    pub remote: Option<SocketAddr>,
}

impl End {
    pub(super) fn new(now: Time, rng: &mut ChaCha8Rng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let config = EndpointConfig {
            private_key: PrivateKey::from_random(bytes),
            cipher: Default::default(),
            aes_in_hardware: true,
            scheduler: Default::default(),
            max_hold: Duration::from_millis(500),
            probe: Default::default(),
            mss_clamp: Default::default(),
            mtu: None,
            workers: WorkerCount::ONE,
            repair: Default::default(),
            policies: Default::default(),
            memory: Default::default(),
        };
        rng.fill_bytes(&mut bytes);
        let ahead = Duration::from_nanos(rng.next_u64() % (1 << 44));
        let mut end = Self {
            endpoint: Endpoint::new(config.clone(), bytes),
            config,
            peers: Vec::new(),
            events: Vec::new(),
            running: true,
            waiting: None,
            ahead,
            bindings: Vec::new(),
            listens: Vec::new(),
            out: Outbox::sealing_later(),
            touched: true,
            timeout: None,
        };
        end.timeout = Some(now);
        end
    }

    /// Its clock's reading.
    #[must_use]
    pub fn clock(&self, now: Time) -> Time {
        now + self.ahead
    }

    /// Begins anew, as a new process does: same configuration, nothing remembered.
    pub(super) fn start(&mut self, now: Time, rng: &mut ChaCha8Rng) {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        self.ahead = Duration::from_nanos(rng.next_u64() % (1 << 44));
        self.endpoint = Endpoint::new(self.config.clone(), seed);
        let clock = self.clock(now);
        for peer in self.peers.clone() {
            self.endpoint.add_peer(clock, peer).expect("it was accepted before");
        }
        for b in self.bindings.clone() {
            self.bind(now, &b);
        }
        self.running = true;
        self.touched = true;
        self.out.clear();
    }

    /// Whether its process does anything.
    pub(super) fn acts(&self) -> bool {
        self.running && self.waiting.is_none()
    }

    pub(super) fn add_peer(&mut self, now: Time, peer: PeerConfig) -> PeerId {
        let clock = self.clock(now);
        self.peers.push(peer.clone());
        self.touched = true;
        self.endpoint.add_peer(clock, peer).expect("prefixes and names are this end's own")
    }

    pub(super) fn add_binding(&mut self, now: Time, binding: Binding) {
        self.bind(now, &binding);
        self.bindings.push(binding);
        self.touched = true;
    }

    fn bind(&mut self, now: Time, b: &Binding) {
        let clock = self.clock(now);
        self.endpoint.set_local(clock, b.peer, b.path, b.local.clone());
        if let Some(remote) = b.remote {
            self.endpoint.set_remote(clock, b.peer, b.path, remote);
        }
    }

    /// Everything the endpoint says of itself.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        self.endpoint.status(self.clock(now))
    }

    /// Its only peer's status, or its first's.
    #[must_use]
    pub fn peer(&self, now: Time) -> PeerStatus {
        self.status(now).peers.swap_remove(0)
    }

    /// A path of its first peer.
    #[must_use]
    pub fn path(&self, now: Time, index: usize) -> PathStatus {
        self.peer(now).paths.swap_remove(index)
    }

    /// The reordering of what its first peer sends.
    #[must_use]
    pub fn reordering(&self, now: Time) -> ReorderStatus {
        self.peer(now).reordering
    }

    /// Drops for this reason, of all peers and of none.
    #[must_use]
    pub fn drops(&self, now: Time, reason: mpt_core::DropReason) -> u64 {
        let status = self.status(now);
        let all = status.drops.iter().chain(status.peers.iter().flat_map(|p| &p.drops));
        all.filter(|d| d.reason == reason.label()).map(|d| d.count).sum()
    }

    /// Whether it said since `from` that this path of its first peer went out of service.
    #[must_use]
    pub fn path_went_down(&self, path: usize, from: Time) -> Option<&(Time, Event)> {
        self.events.iter().find(|(at, event)| {
            *at >= from && matches!(event, Event::PathDown(_, id, _) if id.index() == path)
        })
    }
}

/// A peer of that name behind that end.
pub(super) fn peer_config(
    name: &str,
    end: &End,
    number: usize,
    paths: Vec<PathConfig>,
) -> PeerConfig {
    PeerConfig {
        name: name.to_owned(),
        public_key: end.config.private_key.public_key(),
        preshared_key: mpt_core::keys::PresharedKey::from_bytes([7; 32]),
        allowed_ips: Prefix::new(packet::address(number).into(), 32).into_iter().collect(),
        paths,
    }
}

/// A path without wishes.
pub(super) fn path_config(name: String) -> PathConfig {
    PathConfig {
        name,
        weight: None,
        priority: 0,
        dscp: Default::default(),
        disabled: false,
        rate_limit: None,
    }
}
