//! Two endpoints in virtual time.

use super::events::MAX_EVENTS;
use super::*;
use crate::config::{
    CipherChoice, LocalEnd, MemoryLimits, MssClamp, PathConfig, Prefix, ProbeIntervals,
    SchedulerKind, WorkerCount,
};
use crate::keys::{PresharedKey, PrivateKey};
use crate::{LaneKey, PathId, SocketId, Weight};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const CLIENT: usize = 0;
const HUB: usize = 1;
const PEER: PeerId = PeerId(0);

mod opened_paths;
mod parts;
mod sessions;
mod taking_turns;

fn path(n: usize) -> PathId {
    PathId::all().nth(n).unwrap()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The client's end of path `n`.
fn client_address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, n as u8, 1], 1_000 + n as u16))
}

fn hub_address() -> SocketAddr {
    SocketAddr::from(([10, 9, 0, 1], 4_511))
}

struct End {
    endpoint: Endpoint,
    /// By socket number.
    sockets: Vec<SocketAddr>,
    out: Outbox,
    /// The number that each packet delivered carries.
    delivered: Vec<u32>,
    events: Vec<Event>,
    wakes: u64,
}

struct Flight {
    at: Time,
    to: usize,
    meta: DatagramMeta,
    bytes: Vec<u8>,
}

/// A client and a hub, joined by paths that can be cut and delayed.
struct World {
    now: Time,
    ends: [End; 2],
    wire: Vec<Flight>,
    up: Vec<bool>,
    /// Longer IP packets vanish.
    mtus: Vec<usize>,
    delay: Duration,
    sent: u32,
}

fn keys(n: u8) -> PrivateKey {
    PrivateKey::from_random([n; 32])
}

fn endpoint(end: usize, paths: &[&str], instance: u8) -> Endpoint {
    endpoint_with(end, paths, instance, SchedulerKind::Weighted)
}

fn endpoint_with(end: usize, paths: &[&str], instance: u8, scheduler: SchedulerKind) -> Endpoint {
    let config = EndpointConfig {
        private_key: keys(end as u8 + 1),
        cipher: CipherChoice::Auto,
        aes_in_hardware: true,
        scheduler,
        max_hold: ms(500),
        probe: ProbeIntervals::default(),
        mss_clamp: MssClamp::Auto,
        mtu: None,
        workers: WorkerCount::ONE,
        repair: Default::default(),
        policies: Default::default(),
        memory: MemoryLimits::default(),
    };
    let mut endpoint = Endpoint::new(config, [instance; 32]);
    let peer = PeerConfig {
        name: "other".into(),
        public_key: keys(2 - end as u8).public_key(),
        preshared_key: PresharedKey::default(),
        allowed_ips: vec![Prefix::new(inner_address(1 - end).into(), 32).unwrap()],
        paths: paths
            .iter()
            .map(|name| PathConfig {
                name: (*name).into(),
                weight: None,
                priority: 0,
                dscp: crate::config::Dscp::default(),
                disabled: false,
                rate_limit: None,
            })
            .collect(),
    };
    endpoint.add_peer(Time::from_millis(1_000), peer).unwrap();
    endpoint
}

fn inner_address(end: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, end as u8 + 1)
}

/// A UDP packet of `len` bytes from `end` to the other, with a number in it.
fn packet(end: usize, number: u32, len: usize) -> Vec<u8> {
    let mut p = vec![0; len.max(32)];
    p[0] = 0x45;
    p[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    p[8] = 64;
    p[9] = 17;
    p[12..16].copy_from_slice(&inner_address(end).octets());
    p[16..20].copy_from_slice(&inner_address(1 - end).octets());
    p[20..24].copy_from_slice(&[0x10, 0, 0x20, 0]);
    p[24..26].copy_from_slice(&((len - 20) as u16).to_be_bytes());
    p[28..32].copy_from_slice(&number.to_be_bytes());
    p
}

impl World {
    /// The client has `paths`, each with a socket of its own; the hub configures those of `hub_paths`
    /// without a remote end, and listens.
    fn new(paths: &[&str], hub_paths: &[&str]) -> Self {
        let now = Time::from_millis(1_000);
        let mut client = endpoint(CLIENT, paths, 10);
        let sockets: Vec<_> = (0..paths.len()).map(client_address).collect();
        for (n, address) in sockets.iter().enumerate() {
            client.set_remote(now, PEER, path(n), hub_address());
            client.set_local(now, PEER, path(n), ready(n as u16, *address));
        }
        let mut hub = endpoint(HUB, hub_paths, 20);
        for n in 0..hub_paths.len() {
            hub.set_local(now, PEER, path(n), ready(0, hub_address()));
        }
        let end = |endpoint, sockets| End {
            endpoint,
            sockets,
            out: Outbox::new(),
            delivered: Vec::new(),
            events: Vec::new(),
            wakes: 0,
        };
        Self {
            now,
            ends: [end(client, sockets), end(hub, vec![hub_address()])],
            wire: Vec::new(),
            up: vec![true; paths.len()],
            mtus: vec![1_500; paths.len()],
            delay: ms(10),
            sent: 0,
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        self.turn(CLIENT);
        self.turn(HUB);
        let mut steps_at_once = 0;
        loop {
            let timeouts = self.ends.iter().filter_map(|e| e.endpoint.poll_timeout());
            let next = self.wire.iter().map(|f| f.at).chain(timeouts).min();
            let Some(next) = next.map(|t| t.max(self.now)).filter(|&t| t <= until) else { break };
            steps_at_once = if next > self.now { 0 } else { steps_at_once + 1 };
            assert!(steps_at_once < 100, "it spins: a deadline that no turn moves");
            self.now = next;
            self.step();
        }
        self.now = until;
    }

    /// Handles what is due now.
    fn step(&mut self) {
        for end in [CLIENT, HUB] {
            let mut some = self.ends[end].endpoint.poll_timeout().is_some_and(|t| t <= self.now);
            while let Some(i) = self.wire.iter().position(|f| f.to == end && f.at <= self.now) {
                let mut flight = self.wire.remove(i);
                self.receive(end, &flight.meta, &mut flight.bytes);
                some = true;
            }
            if some {
                self.turn(end);
            }
        }
    }

    fn receive(&mut self, end: usize, meta: &DatagramMeta, bytes: &mut [u8]) {
        let End { endpoint, out, delivered, .. } = &mut self.ends[end];
        endpoint.handle_datagram(self.now, meta, bytes, out, &mut number_into(delivered));
    }

    fn turn(&mut self, end: usize) {
        let End { endpoint, out, delivered, events, wakes, .. } = &mut self.ends[end];
        *wakes += 1;
        endpoint.handle_batch_end(self.now, out, &mut number_into(delivered));
        while let Some(event) = endpoint.poll_event() {
            events.push(event);
        }
        self.flush(end);
    }

    fn flush(&mut self, end: usize) {
        let mut out = std::mem::take(&mut self.ends[end].out);
        for lane in out.lanes() {
            let source = self.ends[end].sockets[usize::from(lane.key.socket.0)];
            let destination = lane.key.destination;
            let client = if end == CLIENT { source } else { destination };
            let number = usize::from(client.port() - 1_000);
            let to = 1 - end;
            let socket = self.ends[to].sockets.iter().position(|&a| a == destination);
            let (Some(socket), true) = (socket, self.up[number]) else { continue };
            let meta = DatagramMeta {
                socket: SocketId(socket as u16),
                source,
                destination: Some(destination.ip()),
                ecn: 0,
            };
            let at = self.now + self.delay;
            let fits = |d: &&[u8]| d.len() + 28 <= self.mtus[number];
            let datagrams = lane.datagrams().enumerate().filter(|(_, d)| fits(d));
            self.wire.extend(datagrams.map(|(i, d)| {
                let meta = DatagramMeta { ecn: lane.tos(i) & 3, ..meta };
                Flight { at, to, meta, bytes: d.to_vec() }
            }));
        }
    }

    /// Sends the next number from `end`.
    fn send(&mut self, end: usize) {
        let mut packet = packet(end, self.sent, 200);
        self.sent += 1;
        let End { endpoint, out, .. } = &mut self.ends[end];
        endpoint.handle_packet(self.now, &mut packet, &Offload::default(), out);
        self.turn(end);
    }

    fn path_status(&self, end: usize, n: usize) -> crate::control::PathStatus {
        self.ends[end].endpoint.status(self.now).peers[0].paths[n].clone()
    }

    /// Wakes of `end` during `time`.
    fn wakes(&mut self, end: usize, time: Duration) -> u64 {
        let before = self.ends[end].wakes;
        self.run(time);
        self.ends[end].wakes - before
    }

    fn restart_hub(&mut self, hub_paths: &[&str]) {
        self.ends[HUB].endpoint = endpoint(HUB, hub_paths, 21);
        self.wire.retain(|f| f.to != HUB);
    }
}

fn ready(socket: u16, address: SocketAddr) -> LocalEnd {
    LocalEnd::Ready {
        socket: SocketId(socket),
        interface: None,
        address: Some(address),
        mtu: 1_500,
    }
}

fn number_into(numbers: &mut Vec<u32>) -> impl FnMut(PeerId, &[u8]) {
    |_, packet| numbers.push(u32::from_be_bytes(*packet[28..].first_chunk().unwrap()))
}

#[test]
fn changes_of_state_are_not_forgotten_for_warnings() {
    let mut endpoint = endpoint(HUB, &["a"], 1);
    endpoint.events.push_back(Event::PeerDown(PEER));
    let warnings = (0..2 * MAX_EVENTS).map(|n| Event::Warning(n.to_string()));
    endpoint.events.extend(warnings);
    let now = Time::from_millis(1_000);
    endpoint.handle_batch_end(now, &mut Outbox::new(), &mut number_into(&mut Vec::new()));
    assert_eq!(endpoint.events.len(), MAX_EVENTS);
    assert_eq!(endpoint.poll_event(), Some(Event::PeerDown(PEER)));
    let newest = Event::Warning((2 * MAX_EVENTS - 1).to_string());
    assert_eq!(endpoint.events.back(), Some(&newest));
}

#[test]
fn packets_cross_both_ways_and_an_idle_tunnel_is_quiet() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(1));
    for _ in 0..20 {
        world.send(CLIENT);
        world.send(HUB);
        world.run(ms(10));
    }
    assert_eq!(world.ends[HUB].delivered.len(), 20);
    assert_eq!(world.ends[CLIENT].delivered.len(), 20);
    world.run(s(5));
    // Two paths, a probe each 2 s at either end: own probe, echo, the peer's probe, a margin.
    for end in [CLIENT, HUB] {
        let wakes = world.wakes(end, s(10));
        assert!(wakes < 60, "end {end}: {wakes} in 10 s");
    }
}

/// Ticks are left out under traffic on a single path; what a tick is for must not be late all the same.
#[test]
fn a_steady_stream_on_one_path_is_reported_on_and_repaired() {
    let mut world = World::new(&["a"], &[]);
    world.run(s(1));
    for i in 0..1_000 {
        world.send(CLIENT);
        if i == 500 {
            world.wire.retain(|f| f.bytes.len() < 200);
        }
        world.run(Duration::from_micros(100));
    }
    // One way, a gap noticed by what comes next, a report, and the copy: three times 10 ms, and what a report may wait.
    world.run(ms(35));
    let mut numbers = world.ends[HUB].delivered.clone();
    assert!(numbers.is_sorted(), "in order");
    numbers.dedup();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn a_path_that_fails_while_ticks_are_left_out_is_suspected() {
    let mut world = World::new(&["a"], &[]);
    world.run(s(1));
    for i in 0..1_000 {
        world.send(CLIENT);
        world.send(HUB);
        if i == 997 {
            world.up[0] = false;
        }
        world.run(Duration::from_micros(100));
    }
    assert_eq!(world.path_status(CLIENT, 0).state, "up");
    world.run(ms(300));
    for end in [CLIENT, HUB] {
        assert_ne!(world.path_status(end, 0).state, "up", "end {end}");
    }
}

/// Workers read the clock before they wait for each other.
#[test]
fn time_that_goes_back_between_workers_changes_nothing() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(1));
    for i in 0..500 {
        let (end, back) = (i as usize % 2, world.now.before(ms(u64::from(i % 7))));
        let mut packet = packet(end, i, 200);
        let End { endpoint, out, .. } = &mut world.ends[end];
        endpoint.handle_packet(back, &mut packet, &Offload::default(), out);
        assert!(!endpoint.status(back).peers.is_empty());
        world.turn(end);
        world.run(ms(1));
    }
    world.run(ms(100));
    assert_eq!(world.ends.each_ref().map(|end| end.delivered.len()), [250, 250]);
    assert!(world.ends[HUB].delivered.is_sorted());
}

#[test]
fn a_path_without_a_remote_address_does_not_keep_us_awake() {
    // The client waits for a name, the hub for somebody to use its path `z`.
    let mut world = World::new(&["a", "b"], &["a", "z"]);
    let (a, b) = (client_address(0), client_address(1));
    let mut client = endpoint(CLIENT, &["a", "b"], 10);
    client.set_local(world.now, PEER, path(0), ready(0, a));
    client.set_local(world.now, PEER, path(1), ready(1, b));
    client.set_remote(world.now, PEER, path(0), hub_address());
    world.ends[CLIENT].endpoint = client;
    world.run(s(5));
    assert_eq!(world.path_status(CLIENT, 0).state, "up");
    assert!(world.ends[CLIENT].events.contains(&Event::ResolveRemote(PEER, path(1))));
    for end in [CLIENT, HUB] {
        let wakes = world.wakes(end, s(10));
        assert!(wakes < 60, "end {end}: {wakes} in 10 s");
    }
}

#[test]
fn a_client_that_is_gone_is_called_no_more() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(3));
    world.up = vec![false; 2];
    world.run(s(600));
    assert_eq!(world.ends[HUB].endpoint.status(world.now).peers[0].paths.len(), 0);
    let wakes = world.wakes(HUB, s(60));
    assert!(wakes <= 2, "{wakes} in a minute");
}

#[test]
fn what_the_daemon_says_is_acted_on_at_once() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(3));
    let gone = LocalEnd::Gone { why: "unplugged".into() };
    world.ends[CLIENT].endpoint.set_local(world.now, PEER, path(1), gone);
    assert!(world.ends[CLIENT].endpoint.poll_timeout().is_some_and(|t| t <= world.now));
    world.run(ms(15));
    assert_eq!(world.path_status(HUB, 1).state, "down", "the peer is told over the other path");
}

#[test]
fn a_weight_set_while_an_echo_is_under_way_reaches_the_peer() {
    let mut world = World::new(&["a"], &[]);
    world.run(s(3));
    for weight in [3, 4, 5, 6, 7] {
        // Until a probe has just left.
        let sent = world.path_status(CLIENT, 0).tx_packets;
        while world.path_status(CLIENT, 0).tx_packets == sent {
            world.run(ms(1));
        }
        world.ends[CLIENT].endpoint.set_weight(PEER, path(0), Weight::new(weight).unwrap());
        world.run(s(5));
        assert_eq!(u64::from(world.path_status(HUB, 0).weight), weight);
    }
}

#[test]
fn a_path_returns_to_its_configured_address_when_the_learned_one_is_dead() {
    let mut world = World::new(&["a"], &[]);
    world.run(s(3));
    // The hub is at another address for a while, then is back and does not know where we are.
    let other = SocketAddr::from(([10, 9, 0, 2], 4_511));
    world.ends[HUB].sockets[0] = other;
    for _ in 0..100 {
        world.send(HUB);
        world.run(ms(20));
    }
    assert_eq!(world.path_status(CLIENT, 0).remote, Some(other.to_string()));
    world.ends[HUB].sockets = vec![hub_address()];
    world.restart_hub(&[]);
    world.run(s(20));
    assert_eq!(world.path_status(CLIENT, 0).state, "up");
}

#[test]
fn an_error_towards_an_address_that_is_only_a_candidate_is_not_the_paths() {
    let mut world = World::new(&["a"], &[]);
    world.run(s(3));
    let key = LaneKey {
        peer: Some((PEER, path(0))),
        socket: SocketId(0),
        destination: SocketAddr::from(([240, 0, 0, 1], 9)),
        source: None,
        fragment: crate::Fragment::Never,
    };
    let error = SendError::Unreachable("no route".into());
    world.ends[CLIENT].endpoint.handle_send_error(world.now, &key, error.clone());
    world.run(ms(1));
    assert_eq!(world.path_status(CLIENT, 0).state, "up");
    let key = LaneKey { destination: hub_address(), ..key };
    world.ends[CLIENT].endpoint.handle_send_error(world.now, &key, error);
    world.run(ms(1));
    assert_eq!(world.path_status(CLIENT, 0).state, "down");
}

#[test]
fn the_status_names_the_scheduler_in_force() {
    let mut world = World::new(&["a", "b"], &[]);
    let status = world.ends[CLIENT].endpoint.status(world.now);
    assert_eq!((&status.scheduler[..], &status.scheduler_configured[..]), ("weighted", "weighted"));
    let mut client = endpoint_with(CLIENT, &["a", "b"], 10, SchedulerKind::Auto);
    for (n, address) in [client_address(0), client_address(1)].into_iter().enumerate() {
        client.set_remote(world.now, PEER, path(n), hub_address());
        client.set_local(world.now, PEER, path(n), ready(n as u16, address));
    }
    world.ends[CLIENT].endpoint = client;
    world.ends[HUB].endpoint = endpoint_with(HUB, &[], 20, SchedulerKind::Auto);
    world.run(s(1));
    let names = |world: &World, end: usize| {
        let status = world.ends[end].endpoint.status(world.now);
        assert_eq!(status.scheduler_configured, "auto");
        assert_eq!(status.scheduler, status.peers[0].scheduler);
        status.scheduler
    };
    assert_eq!((&*names(&world, CLIENT), &*names(&world, HUB)), ("adaptive", "adaptive"));
    let weight = Weight::new(3).unwrap();
    world.ends[CLIENT].endpoint.set_weight(PEER, path(0), weight);
    world.run(s(5));
    assert_eq!((&*names(&world, CLIENT), &*names(&world, HUB)), ("weighted", "weighted"));
}
