//! Whole endpoints in virtual time, driven as [`Endpoint`](mpt_core::Endpoint) documents it.
//!
//! A *world* has *ends*, each an endpoint with the least of a daemon around it; *lines*, each of which
//! connects one socket of one end with the network, may lose, delay and queue by the
//! [link model](crate::link), and stands behind a NAT that may forget; and *streams* of numbered packets.
//! An end's other sockets listen at addresses of their own. A scenario builds a world, lets it run for a
//! time, changes something, lets it run on, and looks:
//!
//! ```
//! use mpt_lab::sim::world::{Far, Traffic, Way, World};
//! use mpt_lab::link::LinkProfile;
//! use std::time::Duration;
//!
//! let second = Duration::from_secs(1);
//! let mut world = World::pair(7, &[LinkProfile::default(); 2], Far::Configured);
//! let stream = world.stream(Traffic::new(0, 1, 1e6));
//! world.run(second);
//! world.lines[0].cut(Way::Both);
//! world.run(second);
//! assert_eq!(world.streams[stream].out_of_order, 0);
//! ```
//!
//! Each turn of the loop: everything that arrives at this instant is handed to the endpoints, then the
//! packets that are due; then each endpoint that was touched, or whose timeout has come, ends its batch; and
//! what it has in its outbox goes to the lines. Every end has a clock of its own. The same seed gives the same
//! run, to the byte.

mod end;
mod host;
mod line;
pub mod packet;
mod places;
mod stream;
mod transmission;
mod turn;

pub use end::End;
pub use host::Host;
pub use line::{Filter, Line, Way};
pub use stream::{Stream, Traffic};

use crate::link::{Link, LinkProfile};
use end::{Binding, Bound, path_config, peer_config};
use mpt_core::config::LocalEnd;
use mpt_core::{DatagramMeta, Incoming, PathId, PeerId, SocketId, Time};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::net::SocketAddr;
use std::time::Duration;

/// IP and UDP headers in front of a datagram.
const OUTER: usize = 28;

/// More turns than this without time passing are a loop without end.
const MAX_TURNS: u32 = 10_000;

/// What the far end of a connection has in its configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Far {
    /// The same paths with a socket and the remote address of each.
    Configured,
    /// The same paths by name with a socket each, but no remote address: it waits to be called.
    Waits,
    /// As `Configured`, but the names are in the opposite order: the first path is called as the last one of the near end.
    Crossed,
    /// No paths: it answers through the socket that was addressed.
    Hub,
}

/// A datagram that passed, or tried to.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When it was sent.
    pub at: Time,
    /// Which end it is for.
    pub to: usize,
    /// As it would be received.
    pub meta: DatagramMeta,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

struct Flight {
    to: usize,
    meta: DatagramMeta,
    bytes: Vec<u8>,
}

/// Ends, lines and streams.
pub struct World {
    /// The time.
    pub now: Time,
    /// By number.
    pub ends: Vec<End>,
    /// By number; of a [`pair`](Self::pair), line *i* is path *i* of both ends.
    pub lines: Vec<Line>,
    /// What all lines share, from their ends and to them: their datagrams pass that first. No jitter: it is to be FIFO.
    pub bottleneck: Option<[Link; 2]>,
    /// By number.
    pub streams: Vec<Stream>,
    /// What else sends and receives.
    pub hosts: Vec<Box<dyn Host>>,
    /// Every datagram that was sent, while this is there.
    pub recording: Option<Vec<Recorded>>,
    /// Packets that came out and belong to no stream, with the end where they did.
    pub strays: Vec<(usize, Vec<u8>)>,
    /// Datagrams sent to an address that nobody has: where to, and how many bytes.
    pub astray: Vec<(SocketAddr, usize)>,
    rng: ChaCha8Rng,
    flights: BinaryHeap<Reverse<(Time, u64, usize)>>,
    cargo: Vec<Option<Flight>>,
    free: Vec<usize>,
    launched: u64,
    turns: u32,
    digest: DefaultHasher,
    scratch: Vec<u8>,
}

impl World {
    /// A world without anything in it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            ends: Vec::new(),
            lines: Vec::new(),
            bottleneck: None,
            streams: Vec::new(),
            hosts: Vec::new(),
            recording: None,
            strays: Vec::new(),
            astray: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            flights: BinaryHeap::new(),
            cargo: Vec::new(),
            free: Vec::new(),
            launched: 0,
            turns: 0,
            digest: DefaultHasher::new(),
            scratch: Vec::new(),
        }
    }

    /// Two ends, 0 and 1, and lines of these profiles (the same both ways), all of end 0.
    #[must_use]
    pub fn pair(seed: u64, profiles: &[LinkProfile], far: Far) -> Self {
        let mut world = Self::new(seed);
        world.add_end();
        world.add_end();
        world.connect(0, 1, profiles, far);
        world
    }

    /// Another end; its number.
    pub fn add_end(&mut self) -> usize {
        self.ends.push(End::new(self.now, &mut self.rng));
        self.ends.len() - 1
    }

    /// Makes `near` and `far` peers, with lines of these profiles at `near`, one for each path. The paths
    /// are called `path-0` and so on.
    pub fn connect(&mut self, near: usize, far: usize, profiles: &[LinkProfile], style: Far) {
        let names = || (0..profiles.len()).map(|i| path_config(format!("path-{i}")));
        let theirs = if style == Far::Hub { Vec::new() } else { names().collect() };
        let theirs = match style {
            Far::Crossed => theirs.into_iter().rev().collect(),
            _ => theirs,
        };
        let here = peer_config(&format!("end-{near}"), &self.ends[near], near, theirs);
        let there = peer_config(&format!("end-{far}"), &self.ends[far], far, names().collect());
        let now = self.now;
        let peer = self.ends[near].add_peer(now, there);
        let peer_of_far = self.ends[far].add_peer(now, here);
        for (i, (profile, path)) in profiles.iter().zip(PathId::all()).enumerate() {
            let number = self.lines.len();
            let public = SocketAddr::from(([203, 0, 113, number as u8 + 1], 40_000));
            let listens = SocketAddr::from(([198, 51, 100, i as u8 + 1], 4_500 + far as u16));
            let socket = SocketId(number as u16);
            let links = [0; 2].map(|_| Link::new(*profile, self.rng.next_u64()));
            self.lines.push(Line::new(near, socket, public, links));
            let local = ready(socket, Some(public));
            self.ends[near].add_binding(now, Binding { peer, path, local, remote: Some(listens) });
            let (bound, there) = match style {
                Far::Hub => (Bound::No, SocketId(1_000)),
                _ => (Bound::Yes, SocketId(1_000 + number as u16)),
            };
            if !self.ends[far].listens.iter().any(|(a, ..)| *a == listens) {
                self.ends[far].listens.push((listens, there, bound));
            }
            if style != Far::Hub {
                let local = ready(there, Some(listens));
                let remote = (style != Far::Waits).then_some(public);
                let peer = peer_of_far;
                self.ends[far].add_binding(now, Binding { peer, path, local, remote });
            }
        }
    }

    /// Packets from now on; the stream's number.
    pub fn stream(&mut self, traffic: Traffic) -> usize {
        let seed = self.rng.next_u64();
        self.streams.push(Stream::new(traffic, self.now, seed));
        self.streams.len() - 1
    }

    /// No more packets of any stream.
    pub fn stop_streams(&mut self) {
        self.streams.iter_mut().for_each(Stream::stop);
    }

    /// A time at random, up to `most`: for things that happen at any moment.
    pub fn any(&mut self, most: Duration) -> Duration {
        most.mul_f64((self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// A number at random below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.turn(until) {}
    }

    /// Lets time pass until `done`, which is asked at every event; when that was, or nothing after `most`.
    pub fn run_until(&mut self, most: Duration, done: impl Fn(&Self) -> bool) -> Option<Time> {
        let until = self.now + most;
        while !done(self) {
            if !self.turn(until) {
                return done(self).then_some(self.now);
            }
        }
        Some(self.now)
    }

    /// Lets `most` pass, or until both ends of a pair use all of their paths.
    pub fn run_until_up(&mut self, most: Duration) -> Option<Time> {
        self.run_until(most, |w| {
            w.ends.iter().all(|e| {
                let peer = e.peer(w.now);
                !peer.paths.is_empty() && peer.paths.iter().all(|p| p.state == "up")
            })
        })
    }

    /// The end's process ends without a word.
    pub fn kill(&mut self, end: usize) {
        let end = &mut self.ends[end];
        end.running = false;
        end.out.clear();
        end.timeout = None;
    }

    /// The end's process says goodbye and ends.
    pub fn close(&mut self, end: usize) {
        let clock = self.ends[end].clock(self.now);
        self.with(end, |endpoint, out, sink| endpoint.close(clock, out, sink));
        self.transmit(end);
        self.kill(end);
    }

    /// The end's process is stopped: time goes on, what comes waits in its sockets, packets for it to send are dropped.
    pub fn stop(&mut self, end: usize) {
        self.ends[end].waiting.get_or_insert_default();
    }

    /// It goes on, and finds what waits, one socket after the other.
    pub fn go_on(&mut self, end: usize) {
        let mut waiting = self.ends[end].waiting.take().unwrap_or_default();
        waiting.sort_by_key(|(meta, _)| meta.socket.0);
        for (meta, bytes) in waiting {
            self.inject(end, meta, &bytes);
        }
        self.ends[end].touched = true;
    }

    /// The end's process starts, with the same configuration and nothing remembered.
    pub fn start(&mut self, end: usize) {
        self.ends[end].start(self.now, &mut self.rng);
    }

    /// Line `line` gets another public address, as the world sees it; its end is not told.
    pub fn rebind(&mut self, line: usize) {
        let public = &mut self.lines[line].public;
        public.set_port(public.port() + 1);
    }

    /// Line `line` gets another address, and its end is told, as by DHCP.
    pub fn readdress(&mut self, line: usize) {
        let SocketAddr::V4(mut address) = self.lines[line].public else { return };
        let [a, b, c, d] = address.ip().octets();
        address.set_ip([a, b, c, d.wrapping_add(100)].into());
        let (end, socket) = (self.lines[line].end, self.lines[line].socket);
        self.lines[line].public = address.into();
        let (now, end) = (self.now, &mut self.ends[end]);
        let clock = end.clock(now);
        for binding in &mut end.bindings {
            if matches!(binding.local, LocalEnd::Ready { socket: s, .. } if s == socket) {
                binding.local = ready(socket, Some(address.into()));
                end.endpoint.set_local(clock, binding.peer, binding.path, binding.local.clone());
                end.touched = true;
            }
        }
    }

    /// Somebody sends `bytes` to end `to`.
    pub fn inject(&mut self, to: usize, meta: DatagramMeta, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let clock = self.ends[to].clock(self.now);
        self.with(to, |endpoint, out, sink| {
            // As a daemon with several workers does.
            let opened = endpoint.begin_open(&bytes).map(|open| open.open(&mut bytes));
            let incoming = Incoming { meta: &meta, datagram: &mut bytes, opened };
            endpoint.handle_incoming(clock, incoming, out, sink);
        });
    }

    /// An inner packet comes to end `from`.
    pub fn send_packet(&mut self, from: usize, packet: &mut [u8]) {
        let clock = self.ends[from].clock(self.now);
        self.with(from, |endpoint, out, _| {
            endpoint.handle_packet(clock, packet, &mpt_core::inner::Offload::default(), out)
        });
    }

    /// A path of an end's first peer gets a weight, or is taken out of use.
    pub fn operate(
        &mut self,
        end: usize,
        operate: impl FnOnce(&mut mpt_core::Endpoint, Time, PeerId),
    ) {
        let clock = self.ends[end].clock(self.now);
        self.with(end, |endpoint, _, _| operate(endpoint, clock, PeerId(0)));
    }

    /// Of all datagrams sent so far: bytes, addresses and times.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Calls an endpoint, and takes what it delivers.
    fn with(
        &mut self,
        number: usize,
        call: impl FnOnce(&mut mpt_core::Endpoint, &mut mpt_core::Outbox, &mut dyn mpt_core::Deliver),
    ) {
        let (now, end) = (self.now, &mut self.ends[number]);
        end.touched = true;
        let (streams, strays) = (&mut self.streams, &mut self.strays);
        let hosts = &mut self.hosts;
        let mut sink = |_: PeerId, packet: &[u8]| {
            if hosts.iter_mut().any(|h| h.receive(now, number, packet)) {
                return;
            }
            let note = packet::read(packet);
            match note.and_then(|n| Some((streams.get_mut(usize::from(n.stream))?, n))) {
                Some((stream, note)) if stream.traffic.to == number => {
                    stream.on_delivered(now, note, packet[1]);
                }
                _ => strays.push((number, packet.to_vec())),
            }
        };
        call(&mut end.endpoint, &mut end.out, &mut sink);
    }
}

fn ready(socket: SocketId, address: Option<SocketAddr>) -> LocalEnd {
    LocalEnd::Ready { socket, interface: None, address, mtu: 1_500 }
}
