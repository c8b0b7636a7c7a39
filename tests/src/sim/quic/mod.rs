//! A QUIC bulk flow in virtual time: `quinn-proto`, which is a state machine as ours is, at both ends.
//!
//! [`Bulk`] is a [`Host`] of a [`World`](super::world::World): a client at one end sends without end to a
//! server at the other. All of loss detection, pacing and congestion control is quinn's own; only
//! cryptography is left out. With BBR two runs of one seed differ a little: quinn draws BBR's place in its
//! gain cycle from the system's randomness.

pub(crate) mod plain;

use super::trail::Trail;
use super::world::{Host, packet};
use bytes::{Bytes, BytesMut};
use mpt_core::Time;
use plain::{Clear, Plain};
use quinn_proto::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    HashedConnectionIdGenerator, ServerConfig, StreamId, TransportConfig, VarInt,
};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// UDP payload of a full packet: an inner packet of 1 378 bytes.
const MTU: u16 = 1_350;

/// IPv4 and UDP.
const HEADERS: usize = 28;

/// More than rate times delay of any profile, as the goals ask for.
const WINDOW: u32 = 32 << 20;

/// Given to quinn at a time.
const CHUNK: usize = 64 * 1024;

/// Ports of the two sides; each bulk flow of a world adds its number.
const CLIENT_PORT: u16 = 42_000;
const SERVER_PORT: u16 = 43_000;

/// Congestion control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// RFC 9438.
    Cubic,
    /// Version 1.
    Bbr,
}

impl Control {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cubic, Self::Bbr];

    fn factory(self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        })
    }
}

/// What a flow has achieved so far.
#[derive(Clone, Default, Debug)]
pub struct Achieved {
    /// Bytes the server's application has read.
    pub bytes: u64,
    /// Packets the client sent, and those it took for lost.
    pub packets: u64,
    /// Taken for lost.
    pub lost: u64,
    /// Retransmission timeouts; quinn does not count them.
    pub timeouts: u64,
    /// The client's smoothed round trip.
    pub rtt: Duration,
    /// Bytes read in each tenth of a second.
    pub timeline: Vec<u64>,
}

impl Achieved {
    /// The application has read some more.
    pub(crate) fn note_read(&mut self, now: Time, bytes: u64) {
        self.bytes += bytes;
        let slot = (now.as_micros() / 100_000) as usize;
        if self.timeline.len() <= slot {
            self.timeline.resize(slot + 1, 0);
        }
        self.timeline[slot] += bytes;
    }
}

/// The flow.
pub struct Bulk {
    sides: [Side; 2],
    stream: Option<StreamId>,
    epoch: Instant,
    achieved: Rc<RefCell<Achieved>>,
    /// Of the client's packets, if somebody wants to know.
    trail: Option<Rc<RefCell<Trail>>>,
    zeros: Bytes,
}

struct Side {
    /// The end of the world where it lives.
    end: usize,
    address: SocketAddr,
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    /// Of quinn: a batch, and what of it is still to be sent.
    buffer: Vec<u8>,
    segment: usize,
    sent: usize,
    /// Something happened since it was last asked for packets.
    dirty: bool,
}

impl Bulk {
    /// A flow from end `from` to end `to`, and where its progress stands.
    ///
    /// # Panics
    /// When quinn refuses its configuration.
    #[must_use]
    pub fn new(
        now: Time,
        (from, to): (usize, usize),
        number: u16,
        control: Control,
        seed: u64,
    ) -> (Self, Rc<RefCell<Achieved>>) {
        #[allow(clippy::disallowed_methods, reason = "an origin; only differences matter")]
        let epoch = Instant::now();
        let side = |end: usize, port: u16, server: Option<Arc<ServerConfig>>| {
            let mut config = EndpointConfig::new(Arc::new(Clear));
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            bytes[8..16].copy_from_slice(&(end as u64).to_le_bytes());
            config.rng_seed(Some(bytes));
            config.cid_generator(move || {
                Box::new(HashedConnectionIdGenerator::from_key(seed ^ u64::from(port)))
            });
            Side {
                end,
                address: (packet::address(end), port).into(),
                endpoint: Endpoint::new(Arc::new(config), server, false, None),
                connection: None,
                buffer: Vec::new(),
                segment: 0,
                sent: 0,
                dirty: true,
            }
        };
        let transport = Arc::new(transport(control));
        let mut server = ServerConfig::new(Arc::new(Plain), Arc::new(Clear));
        server.transport_config(transport.clone());
        let mut client = ClientConfig::new(Arc::new(Plain));
        client.transport_config(transport);
        let mut sides = [
            side(from, CLIENT_PORT + number, None),
            side(to, SERVER_PORT + number, Some(Arc::new(server))),
        ];
        let remote = sides[1].address;
        let at = epoch + now.since(Time::ZERO);
        let connected = sides[0].endpoint.connect(at, client, remote, "bulk");
        sides[0].connection = Some(connected.expect("a plain configuration"));
        let achieved = Rc::new(RefCell::new(Achieved::default()));
        let zeros = Bytes::from(vec![0; CHUNK]);
        let bulk =
            Self { sides, stream: None, epoch, achieved: achieved.clone(), trail: None, zeros };
        (bulk, achieved)
    }

    /// Notes what becomes of each of the client's packets.
    pub fn follow(&mut self) -> Rc<RefCell<Trail>> {
        self.trail.get_or_insert_default().clone()
    }

    fn instant(&self, now: Time) -> Instant {
        self.epoch + now.since(Time::ZERO)
    }

    /// Writes as much as quinn takes.
    fn write(&mut self) {
        let Some((_, connection)) = &mut self.sides[0].connection else { return };
        if connection.is_handshaking() {
            return;
        }
        if self.stream.is_none() {
            self.stream = connection.streams().open(Dir::Uni);
        }
        let Some(stream) = self.stream else { return };
        let mut chunk = [self.zeros.clone()];
        while connection.send_stream(stream).write_chunks(&mut chunk).is_ok_and(|w| w.bytes > 0) {
            chunk = [self.zeros.clone()];
        }
    }

    /// Reads all that is there, in any order: quinn gives a stream up when more than 1 024 pieces wait for gaps
    /// to be filled, and with megabytes in flight a single overflowing queue makes more.
    fn read(&mut self, now: Time) {
        let Some((_, connection)) = &mut self.sides[1].connection else { return };
        while connection.streams().accept(Dir::Uni).is_some() {}
        let first = StreamId::new(quinn_proto::Side::Client, Dir::Uni, 0);
        let mut stream = connection.recv_stream(first);
        let Ok(mut chunks) = stream.read(false) else { return };
        let mut bytes = 0;
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            bytes += chunk.bytes.len() as u64;
        }
        let _ = chunks.finalize();
        self.achieved.borrow_mut().note_read(now, bytes);
    }

    fn note(&self) {
        if let Some((_, connection)) = &self.sides[0].connection {
            let stats = connection.stats().path;
            let mut achieved = self.achieved.borrow_mut();
            achieved.packets = stats.sent_packets;
            achieved.lost = stats.lost_packets;
            achieved.rtt = stats.rtt;
        }
    }
}

impl Host for Bulk {
    fn receive(&mut self, now: Time, end: usize, inner: &[u8]) -> bool {
        let at = self.instant(now);
        let Some((source, destination)) = packet::udp(inner) else { return false };
        let Some(i) =
            (0..2).find(|&i| self.sides[i].end == end && self.sides[i].address == destination)
        else {
            return false;
        };
        let side = &mut self.sides[i];
        side.dirty = true;
        let data = BytesMut::from(&inner[HEADERS..]);
        let local: Option<IpAddr> = Some(destination.ip());
        let mut reply = Vec::new();
        match side.endpoint.handle(at, source, local, None, data, &mut reply) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut side.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) if side.connection.is_none() => {
                side.connection = side.endpoint.accept(incoming, at, &mut reply, None).ok();
            }
            Some(DatagramEvent::NewConnection(incoming)) => side.endpoint.ignore(incoming),
            Some(DatagramEvent::Response(_)) | None => {}
        }
        if i == 1 {
            if let Some(trail) = &self.trail {
                trail.borrow_mut().on_came(now, packet::identification(inner));
            }
            self.read(now);
        }
        true
    }

    fn next(&mut self) -> Option<Time> {
        let epoch = self.epoch;
        self.sides
            .iter_mut()
            .filter_map(|side| {
                if side.dirty || side.sent < side.buffer.len() {
                    return Some(Time::ZERO);
                }
                let at = side.connection.as_mut()?.1.poll_timeout()?;
                Some(Time::ZERO + at.saturating_duration_since(epoch))
            })
            .min()
    }

    fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> Option<usize> {
        let at = self.instant(now);
        self.write();
        for i in 0..2 {
            let other = self.sides[1 - i].address;
            if self.sides[i].poll(at) {
                let side = &mut self.sides[i];
                let to = (side.sent + side.segment).min(side.buffer.len());
                packet::write_udp(out, side.address, other, &side.buffer[side.sent..to]);
                side.sent = to;
                let end = side.end;
                if let Some(trail) = self.trail.as_ref().filter(|_| i == 0) {
                    let number = trail.borrow_mut().on_sent(now, out.len());
                    packet::set_identification(out, number);
                }
                return Some(end);
            }
        }
        self.note();
        None
    }
}

impl Side {
    /// Whether there is a datagram to be sent now.
    fn poll(&mut self, at: Instant) -> bool {
        if self.sent < self.buffer.len() {
            return true;
        }
        let Some((handle, connection)) = &mut self.connection else {
            self.dirty = false;
            return false;
        };
        if connection.poll_timeout().is_some_and(|due| due <= at) {
            connection.handle_timeout(at);
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        while let Some(event) = connection.poll() {
            if let quinn_proto::Event::ConnectionLost { reason } = event {
                panic!("the bulk flow ended: {reason}");
            }
        }
        self.buffer.clear();
        self.sent = 0;
        match connection.poll_transmit(at, 10, &mut self.buffer) {
            Some(transmit) => {
                self.buffer.truncate(transmit.size);
                self.segment = transmit.segment_size.unwrap_or(transmit.size);
                true
            }
            None => {
                self.buffer.clear();
                self.dirty = false;
                false
            }
        }
    }
}

fn transport(control: Control) -> TransportConfig {
    let mut t = TransportConfig::default();
    t.congestion_controller_factory(control.factory());
    t.initial_mtu(MTU).mtu_discovery_config(None);
    t.stream_receive_window(WINDOW.into()).receive_window((WINDOW * 2).into());
    t.send_window(u64::from(WINDOW));
    t.max_concurrent_uni_streams(VarInt::from_u32(1));
    t.max_idle_timeout(None);
    t
}
