//! A path as this end holds it: its two ends, its health, its counters.

use super::copies::Savings;
use super::cover::Allowance;
use crate::config::{Dscp, PathConfig, ProbeIntervals};
use crate::handshake::CookieJar;
use crate::keys::PublicKey;
use crate::path::{
    MtuSearch, PathHealth, PathModel, RateMeter, RemoteAddress, STARTING, State, TokenSource,
    Usability, WorkersLoss,
};
use crate::queue::Pacer;
use crate::schedule::Rank;
use crate::{Fragment, LaneKey, PathId, PeerId, Rate, RateLimit, SocketId, Time, Weight, WorkerId};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A path that the peer opened, and that has been down and silent this long, is forgotten.
const OPENED_LIFETIME: Duration = Duration::from_secs(120);

/// Where a path came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The configuration at this end.
    Configured,
    /// The peer opened it; it goes when it has been down for a while.
    Opened,
}

/// The local end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Local {
    /// The socket to send from; `None` while the local end is gone.
    pub socket: Option<SocketId>,
    /// The source address to insist on: the one that the peer called.
    pub source: Option<IpAddr>,
    /// Whether the socket is the one at which the peer calls; else the daemon says which.
    pub called: bool,
    /// Where the peer's newest probe came, of a path without a configured remote.
    pub heard: Option<Heard>,
    /// For the status.
    pub interface: Option<String>,
    /// For the status.
    pub address: Option<SocketAddr>,
}

/// Where a probe of the peer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    source: SocketAddr,
    socket: SocketId,
    destination: Option<IpAddr>,
}

/// How far the peer knows a path's name and wishes: probes carry them until one of those is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Introduction {
    /// It was not told, or something changed since.
    Due,
    /// Told in every probe since then.
    Since(Time),
    /// It answered one of them.
    Known,
}

impl Introduction {
    /// Whether a probe that is sent now has to carry it. `working`: a peer that finds the path dead may
    /// forget what it was told.
    pub fn needed(&mut self, now: Time, working: bool) -> bool {
        if !working {
            *self = Self::Due;
        }
        if *self == Self::Due {
            *self = Self::Since(now);
        }
        *self != Self::Known
    }

    /// A probe of `sent` was answered.
    pub fn on_echo(&mut self, sent: Time) {
        if matches!(*self, Self::Since(since) if sent >= since) {
            *self = Self::Known;
        }
    }
}

/// Totals since the start.
#[derive(Clone, Copy, Default, Debug)]
pub struct PathCounters {
    /// Datagrams sent.
    pub tx_packets: u64,
    /// UDP payload bytes sent.
    pub tx_bytes: u64,
    /// Datagrams received and authenticated.
    pub rx_packets: u64,
    /// UDP payload bytes received and authenticated.
    pub rx_bytes: u64,
    /// Data packets sent: what the weights divide.
    pub tx_data_packets: u64,
    /// Their UDP payload bytes.
    pub tx_data_bytes: u64,
    /// Data packets received, before duplicates are removed.
    pub rx_data_packets: u64,
    /// Their UDP payload bytes.
    pub rx_data_bytes: u64,
    /// The kernel's drops on the path's socket.
    pub kernel_drops: u64,
}

/// A path.
pub struct Path {
    /// Our number for it.
    pub id: PathId,
    /// As configured, or as the peer calls it.
    pub name: String,
    /// Where it came from.
    pub origin: Origin,
    /// The weight configured or set here.
    pub weight: Option<Weight>,
    /// The weight the peer wishes for the way back.
    pub wished_weight: Option<Weight>,
    /// The limit configured or set here.
    pub rate_limit: Option<RateLimit>,
    /// The limit the peer wishes for the way back.
    pub wished_limit: Option<Rate>,
    /// What the path was found to carry.
    pub estimated_limit: Option<Rate>,
    /// Keeps to the limit in force; `None` while there is none.
    pub pacer: Option<Pacer>,
    /// Rank with `failover`.
    pub priority: u16,
    /// DSCP of outer packets.
    pub dscp: Dscp,
    /// The local end.
    pub local: Local,
    /// The remote end.
    pub remote: RemoteAddress,
    /// The peer's number for it, once known.
    pub remote_id: Option<PathId>,
    /// Whether the peer knows this path's name and wishes.
    pub introduction: Introduction,
    /// When the name of a remote that does not answer is to be resolved next.
    pub resolve: ResolveTimer,
    /// The peer's cookies for this path.
    pub cookies: CookieJar,
    /// State, probes, round-trip times.
    pub health: PathHealth,
    /// What it can do.
    pub model: PathModel,
    /// What fits.
    pub mtu: MtuSearch,
    /// Totals.
    pub counters: PathCounters,
    /// Bytes sent over the last second.
    pub rate_up: RateMeter,
    /// Bytes received over the last second.
    pub rate_down: RateMeter,
    /// What parities may take.
    pub(super) for_parities: Allowance,
    /// What copies of small packets may take.
    pub(super) for_copies: Savings,
    /// Data sent over the last second: what shares are made of.
    pub data_up: RateMeter,
    /// Data received over the last second.
    pub data_down: RateMeter,
    /// Loss of what we send, by the peer's reports.
    pub loss_up: WorkersLoss,
    /// Loss of what the peer sends, by its path sequence.
    pub loss_down: WorkersLoss,
    /// When something authentic came by it last.
    pub last_heard: Option<Time>,
}

// 16 of them a peer, beside what they allocate as it is needed.
const _: () = assert!(size_of::<Path>() <= 6 * 1_024);

/// IP and UDP headers in front of our datagrams.
pub const fn outer_headers(remote: &SocketAddr) -> u16 {
    if remote.is_ipv4() { 20 + 8 } else { 40 + 8 }
}

impl Path {
    /// A path of the configuration; its ends are told later.
    pub fn configured(
        now: Time,
        id: PathId,
        config: &PathConfig,
        intervals: ProbeIntervals,
        peer: &PublicKey,
        rng: &mut ChaCha20Rng,
    ) -> Self {
        let mut path =
            Self::new(now, id, config.name.clone(), Origin::Configured, intervals, peer, rng);
        path.weight = config.weight;
        path.rate_limit = config.rate_limit;
        path.follow_limits(now);
        path.priority = config.priority;
        path.dscp = config.dscp;
        path.health.set_local_gone(now, STARTING.to_owned());
        if config.disabled {
            path.health.set_disabled(now, true);
        }
        path
    }

    /// A path that the peer opened.
    pub fn opened(
        now: Time,
        id: PathId,
        name: String,
        priority: u16,
        intervals: ProbeIntervals,
        peer: &PublicKey,
        rng: &mut ChaCha20Rng,
    ) -> Self {
        let mut path = Self::new(now, id, name, Origin::Opened, intervals, peer, rng);
        path.priority = priority;
        path.local.called = true;
        path
    }

    fn new(
        now: Time,
        id: PathId,
        name: String,
        origin: Origin,
        intervals: ProbeIntervals,
        peer: &PublicKey,
        rng: &mut ChaCha20Rng,
    ) -> Self {
        let mut tokens = || {
            let mut seed = [0; 16];
            rng.fill_bytes(&mut seed);
            TokenSource::new(seed)
        };
        Self {
            id,
            name,
            origin,
            weight: None,
            wished_weight: None,
            rate_limit: None,
            wished_limit: None,
            estimated_limit: None,
            pacer: None,
            priority: 0,
            dscp: Dscp::default(),
            local: Local::default(),
            remote: RemoteAddress::new(tokens(), None),
            remote_id: None,
            introduction: Introduction::Due,
            resolve: ResolveTimer::default(),
            cookies: CookieJar::new(peer),
            health: PathHealth::new(now, intervals, tokens()),
            model: PathModel::default(),
            mtu: MtuSearch::new(tokens(), DEFAULT_MTU),
            counters: PathCounters::default(),
            rate_up: RateMeter::new(),
            rate_down: RateMeter::new(),
            for_parities: Allowance::default(),
            for_copies: Savings::default(),
            data_up: RateMeter::new(),
            data_down: RateMeter::new(),
            loss_up: WorkersLoss::default(),
            loss_down: WorkersLoss::default(),
            last_heard: None,
        }
    }

    /// How far the schedulers may rely on it; `None` when it can carry nothing.
    pub fn rank(&self, now: Time) -> Option<Rank> {
        match (self.health.usability(now), self.health.state()) {
            _ if self.local.socket.is_none() || self.remote.current().is_none() => None,
            (Usability::No, _) if self.health.is_unanswered() => Some(Rank::Unanswered),
            (Usability::No, _) => None,
            (Usability::Preferred, _) => Some(Rank::Preferred),
            (Usability::LastResort, State::Suspected) => Some(Rank::Suspected),
            (Usability::LastResort, _) => Some(Rank::HeldDown),
        }
    }

    /// When it is to be forgotten, unless something comes by it before; nothing where it is not, as long as an operator keeps it out of use too:
    /// forgotten, it would be opened again.
    pub fn forget_at(&self, now: Time) -> Option<Time> {
        let idle = self.health.usability(now) == Usability::No && !self.health.is_disabled();
        let since = self.last_heard.unwrap_or_default().max(self.health.changed());
        (self.origin == Origin::Opened && idle).then_some(since + OPENED_LIFETIME)
    }

    /// Whether something came by this path about as lately as by any, that is, not `than` ago.
    pub fn heard_since(&self, than: Time) -> bool {
        self.last_heard.is_some_and(|at| at >= than)
    }

    /// How long an answer may take on this path.
    pub fn patience(&self) -> Duration {
        self.health.rtt().timeout()
    }

    /// The weight that counts here: ours, else the peer's wish, else 1.
    pub fn effective_weight(&self) -> Weight {
        self.weight.or(self.wished_weight).unwrap_or(Weight::DEFAULT)
    }

    /// The newest probe of the peer came here, from `source`: to where a path whose remote nobody configured is answered from, if that
    /// is its remote, or once it is. Whether this is news.
    pub fn follow_caller(
        &mut self,
        source: SocketAddr,
        socket: SocketId,
        destination: Option<IpAddr>,
    ) -> bool {
        if !self.remote.is_learned() {
            return false;
        }
        self.local.heard = Some(Heard { source, socket, destination });
        self.remote.current() == Some(source) && self.answer_caller()
    }

    /// The remote is where the peer called from last. Whether the local end is another one for that.
    pub fn answer_caller(&mut self) -> bool {
        let Some(heard) = self.local.heard.filter(|h| self.remote.current() == Some(h.source))
        else {
            return false;
        };
        if !self.local.called && self.local.socket != Some(heard.socket) {
            return false;
        }
        let here = (Some(heard.socket), heard.destination);
        let news = (self.local.socket, self.local.source) != here;
        (self.local.socket, self.local.source) = here;
        news
    }

    /// The lane of datagrams to `to`; to others than the remote from where those called. `None`: the local end is gone, or of the other family.
    pub fn lane(&self, peer: PeerId, to: SocketAddr) -> Option<LaneKey> {
        if let Some(heard) = self.local.heard.filter(|h| h.source == to)
            && self.remote.current() != Some(to)
        {
            return Some(self.lane_by(heard.socket, heard.destination, peer, to));
        }
        let fits = self.local.address.is_none_or(|own| own.is_ipv4() == to.is_ipv4());
        let socket = self.local.socket.filter(|_| fits)?;
        Some(self.lane_by(socket, self.local.source, peer, to))
    }

    /// The same by another socket, from another address.
    pub fn lane_by(
        &self,
        socket: SocketId,
        source: Option<IpAddr>,
        peer: PeerId,
        destination: SocketAddr,
    ) -> LaneKey {
        let peer = Some((peer, self.id));
        LaneKey { peer, socket, destination, source, fragment: Fragment::Never }
    }

    /// The TOS of a datagram by that of the inner packet, or 0.
    pub fn tos(&self, inner: u8) -> u8 {
        match self.dscp {
            Dscp::Fixed(value) => value << 2 | inner & 0x03,
            Dscp::Copy => inner,
        }
    }

    /// Counts a datagram sent.
    pub fn count_sent(&mut self, now: Time, bytes: usize) {
        self.counters.tx_packets += 1;
        self.counters.tx_bytes += bytes as u64;
        self.rate_up.add(now, bytes as u64);
        if let Some(pacer) = &mut self.pacer {
            let headers = self.remote.current().as_ref().map_or(0, outer_headers);
            pacer.spend(bytes + usize::from(headers));
        }
    }

    /// Counts a data packet sent, with its number in the path sequence.
    #[inline]
    pub fn count_data_sent(&mut self, now: Time, worker: WorkerId, sequence: u32, bytes: usize) {
        self.health.on_sent_data(now, worker, sequence, bytes);
        self.counters.tx_data_packets += 1;
        self.counters.tx_data_bytes += bytes as u64;
        self.data_up.add(now, bytes as u64);
        self.count_sent(now, bytes);
    }

    /// Counts a datagram received and authenticated.
    pub fn count_received(&mut self, now: Time, bytes: usize) {
        self.last_heard = Some(now);
        self.health.on_heard(now);
        self.counters.rx_packets += 1;
        self.counters.rx_bytes += bytes as u64;
        self.rate_down.add(now, bytes as u64);
    }
}

/// MTU of the local interface until the daemon tells.
const DEFAULT_MTU: u16 = 1_500;

/// When a name is to be resolved again, while its address does not answer.
#[derive(Clone, Copy, Default, Debug)]
pub struct ResolveTimer {
    next: Option<Time>,
    pause: Duration,
}

/// First and longest pause between two questions.
const RESOLVE_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

impl ResolveTimer {
    /// Whether to ask now. `working`: the path is of use, or cannot be for a reason of its own.
    pub fn due(&mut self, now: Time, working: bool) -> bool {
        if working {
            self.next = None;
            return false;
        }
        match self.next {
            None => {
                self.pause = RESOLVE_PAUSE.0;
                self.next = Some(now + self.pause);
                false
            }
            Some(at) if at <= now => {
                self.pause = (self.pause * 2).min(RESOLVE_PAUSE.1);
                self.next = Some(now + self.pause);
                true
            }
            Some(_) => false,
        }
    }

    /// When [`due`](Self::due) wants to be asked.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.next
    }
}
