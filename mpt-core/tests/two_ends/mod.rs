//! Two endpoints with a session over two paths, in virtual time and without a network between.

mod config;

use mpt_core::config::{CipherChoice, LocalEnd, WorkerCount};
use mpt_core::inner::{Checksum, Offload, Segments};
use mpt_core::keys::PrivateKey;
use mpt_core::wire::MessageType;
use mpt_core::{
    DatagramMeta, Deliver, Endpoint, Incoming, Outbox, PathId, PeerId, RateLimit, SocketId, Time,
};
use std::net::SocketAddr;
use std::time::Duration;

/// Segments of a super-packet.
pub const SEGMENTS: usize = 45;

/// Payload of a segment: with headers it fits an outer MTU of 1 500.
pub const SEGMENT_SIZE: usize = 1_380;

const PATHS: [&str; 2] = ["first", "second"];

/// Bytes of IPv4 and TCP headers.
const HEADERS: usize = 40;

/// Where a packet begins in the buffer into which it is read: behind TUN's header.
const READ_AT: usize = 10;

/// What to run around each call of the hot path.
pub trait Watch {
    /// Around one `handle_buffer`.
    fn send(&mut self, call: impl FnOnce());
    /// Around the `handle_datagram` of all data packets that it made.
    fn receive(&mut self, calls: impl FnOnce());
    /// Around the `handle_batch_end` of either end.
    fn batch_end(&mut self, call: impl FnOnce());
}

/// Two endpoints.
pub struct TwoEnds {
    now: Time,
    /// As that into which the daemon reads from TUN.
    buffer: Box<[u8]>,
    ends: [Endpoint; 2],
    /// Of the sending end, and of the other.
    outs: [Outbox; 2],
    /// Datagrams are sealed and opened apart from the endpoints, as with several workers.
    apart: bool,
    /// Each datagram with data whose number, in all, this divides is lost; 0: none is.
    pub lose_each: usize,
    data_datagrams: usize,
    /// What is on its way, as the receiving daemon has it.
    wire: Vec<u8>,
    flights: Vec<Flight>,
}

struct Flight {
    to: usize,
    meta: DatagramMeta,
    len: usize,
}

impl TwoEnds {
    /// They have talked long enough for the paths' MTU to be known.
    pub fn new(cipher: CipherChoice) -> Self {
        Self::with_workers(cipher, WorkerCount::ONE)
    }

    /// The same, of so many workers each; the first one does all that is done here.
    pub fn with_workers(cipher: CipherChoice, workers: WorkerCount) -> Self {
        let now = Time::from_millis(1_000);
        let mut ends = Self {
            now,
            buffer: vec![0; READ_AT + (1 << 16)].into_boxed_slice(),
            ends: [0, 1].map(|i| endpoint(now, i, cipher, workers)),
            outs: [Outbox::new(), Outbox::new()],
            apart: false,
            lose_each: 0,
            data_datagrams: 0,
            wire: Vec::with_capacity(1 << 20),
            flights: Vec::with_capacity(1_024),
        };
        for _ in 0..5_000 {
            ends.pass_time(&mut Unwatched, &mut |_: PeerId, _: &[u8]| ());
        }
        ends
    }

    /// The endpoints, and the time.
    #[allow(dead_code, reason = "for the benchmark of workers")]
    pub fn into_ends(self) -> ([Endpoint; 2], Time) {
        (self.ends, self.now)
    }

    /// From now on what they send is sealed, and what comes is opened, outside of the endpoints.
    #[allow(dead_code, reason = "not all tests do that")]
    pub fn seal_and_open_apart(&mut self) {
        self.apart = true;
        self.outs = [Outbox::sealing_later(), Outbox::sealing_later()];
    }

    /// All paths of both ends keep to this from now on.
    #[allow(dead_code, reason = "not all tests have limits")]
    pub fn set_rate_limit(&mut self, limit: RateLimit) {
        for end in &mut self.ends {
            for path in PathId::all().take(PATHS.len()) {
                end.set_rate_limit(self.now, PeerId(0), path, limit);
            }
        }
        for _ in 0..100 {
            self.pass_time(&mut Unwatched, &mut |_: PeerId, _: &[u8]| ());
        }
    }

    /// Both have one more policy, which is asked first.
    #[allow(dead_code, reason = "the benchmark has none")]
    pub fn add_policy(&mut self, policy: &str) {
        for end in &mut self.ends {
            end.add_policy(policy.parse().unwrap(), None).unwrap();
        }
    }

    /// Carries `packet` from end `from` to the other.
    pub fn carry(
        &mut self,
        from: usize,
        packet: &[u8],
        offload: &Offload,
        watch: &mut impl Watch,
        sink: &mut dyn Deliver,
    ) {
        let (end, out) = (&mut self.ends[from], &mut self.outs[from]);
        let range = READ_AT..READ_AT + packet.len();
        self.buffer[range.clone()].copy_from_slice(packet);
        let buffer = &mut self.buffer;
        watch.send(|| end.handle_buffer(self.now, buffer, range, offload, out));
        self.collect(from);
        let (end, out) = (&mut self.ends[1 - from], &mut self.outs[1 - from]);
        let (now, mut rest) = (self.now, &mut self.wire[..]);
        watch.receive(|| {
            for flight in self.flights.drain(..) {
                let (datagram, behind) = std::mem::take(&mut rest).split_at_mut(flight.len);
                let kind = MessageType::of(datagram);
                debug_assert!(matches!(kind, Some(MessageType::Data | MessageType::Parity)));
                let open = if self.apart { end.begin_open(datagram) } else { None };
                let opened = open.map(|open| open.open(datagram));
                let incoming = Incoming { meta: &flight.meta, datagram, opened };
                end.handle_incoming(now, incoming, out, sink);
                rest = behind;
            }
        });
        self.wire.clear();
    }

    /// The batches of both ends are over, probes and reports are exchanged, and a millisecond passes.
    pub fn pass_time(&mut self, watch: &mut impl Watch, sink: &mut dyn Deliver) {
        for from in 0..2 {
            let (now, end, out) = (self.now, &mut self.ends[from], &mut self.outs[from]);
            watch.batch_end(|| end.handle_batch_end(now, out, sink));
            while end.poll_event().is_some() {}
        }
        while self.outs.iter().any(|o| !o.is_empty()) {
            self.collect(0);
            self.collect(1);
            let mut rest = &mut self.wire[..];
            for flight in self.flights.drain(..) {
                let (datagram, behind) = std::mem::take(&mut rest).split_at_mut(flight.len);
                let (end, out) = (&mut self.ends[flight.to], &mut self.outs[flight.to]);
                let open = if self.apart { end.begin_open(datagram) } else { None };
                let opened = open.map(|open| open.open(datagram));
                let incoming = Incoming { meta: &flight.meta, datagram, opened };
                end.handle_incoming(self.now, incoming, out, sink);
                rest = behind;
            }
            self.wire.clear();
        }
        self.now += Duration::from_millis(1);
    }

    /// Puts what `from` has to send on the wire.
    fn collect(&mut self, from: usize) {
        for lane in self.outs[from].lanes() {
            let socket = lane.key.socket;
            let meta = DatagramMeta {
                socket,
                source: address(from, usize::from(socket.0)),
                destination: None,
                ecn: 0,
            };
            for (i, datagram) in lane.datagrams().enumerate() {
                let data = MessageType::of(datagram) == Some(MessageType::Data);
                self.data_datagrams += usize::from(data);
                if data && self.lose_each > 0 && self.data_datagrams.is_multiple_of(self.lose_each)
                {
                    continue;
                }
                self.wire.extend_from_slice(datagram);
                let meta = DatagramMeta { ecn: lane.tos(i) & 3, ..meta };
                self.flights.push(Flight { to: 1 - from, meta, len: datagram.len() });
            }
        }
        self.outs[from].clear();
    }
}

/// Watches nothing.
pub struct Unwatched;

impl Watch for Unwatched {
    fn send(&mut self, call: impl FnOnce()) {
        call();
    }

    fn receive(&mut self, calls: impl FnOnce()) {
        calls();
    }

    fn batch_end(&mut self, call: impl FnOnce()) {
        call();
    }
}

/// A super-packet of TCP from one end's network to the other's, and what TUN says beside it.
pub fn super_packet(from: usize) -> (Vec<u8>, Offload) {
    let segments = Segments::Tcp { size: SEGMENT_SIZE as u16 };
    (tcp(from, SEGMENTS * SEGMENT_SIZE), Offload { segments, ..PARTIAL })
}

/// The same with smaller segments, which leave room for parity.
#[allow(dead_code, reason = "the benchmark has no policies")]
pub fn small_super_packet(from: usize) -> (Vec<u8>, Offload) {
    const SIZE: usize = 1_000;
    let segments = Segments::Tcp { size: SIZE as u16 };
    (tcp(from, SEGMENTS * SIZE), Offload { segments, ..PARTIAL })
}

/// One segment.
#[allow(dead_code, reason = "not all tests have some")]
pub fn single_packet(from: usize) -> (Vec<u8>, Offload) {
    (tcp(from, SEGMENT_SIZE), PARTIAL)
}

const PARTIAL: Offload =
    Offload { checksum: Checksum::Partial, segments: Segments::One, transport: 20 };

fn tcp(from: usize, payload: usize) -> Vec<u8> {
    const ACK: u8 = 0x10;
    let mut packet = vec![0; HEADERS + payload];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&((HEADERS + payload) as u16).to_be_bytes());
    packet[8..10].copy_from_slice(&[64, 6]);
    packet[12..16].copy_from_slice(&inner_address(from));
    packet[16..20].copy_from_slice(&inner_address(1 - from));
    packet[20..24].copy_from_slice(&[0x10, 0, 0x20, 0]);
    packet[32..34].copy_from_slice(&[5 << 4, ACK]);
    let header = !sum(&packet[..20], 0);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    // The pseudo header: addresses, protocol, length.
    let pseudo = sum(&packet[12..20], 6 + (packet.len() - 20) as u32);
    packet[36..38].copy_from_slice(&pseudo.to_be_bytes());
    packet
}

/// The Internet checksum's sum of `bytes` and `more`.
fn sum(bytes: &[u8], more: u32) -> u16 {
    let words = bytes.chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let mut sum = more + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn endpoint(now: Time, end: usize, cipher: CipherChoice, workers: WorkerCount) -> Endpoint {
    let key = |i: usize| PrivateKey::from_random([i as u8 + 1; 32]);
    let config = config::endpoint(key(end), cipher, workers);
    let peer = config::peer(key(1 - end).public_key(), inner_address(1 - end), &PATHS);
    let mut endpoint = Endpoint::new(config, [end as u8 + 1; 32]);
    let peer = endpoint.add_peer(now, peer).unwrap();
    for (i, path) in PathId::all().take(PATHS.len()).enumerate() {
        let local = LocalEnd::Ready {
            socket: SocketId(i as u16),
            interface: None,
            address: Some(address(end, i)),
            mtu: 1_500,
        };
        endpoint.set_local(now, peer, path, local);
        endpoint.set_remote(now, peer, path, address(1 - end, i));
    }
    endpoint
}

fn address(end: usize, path: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, end as u8 + 1], 4_500 + path as u16))
}

fn inner_address(end: usize) -> [u8; 4] {
    [10, 0, 0, end as u8 + 1]
}
