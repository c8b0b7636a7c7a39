//! Every parser against arbitrary and damaged bytes: nothing may panic, and what is taken must hold.
//!
//! A few thousand inputs per target by default; `MPT_SMOKE=1` makes it 200 000, as CI does, and
//! `MPT_SMOKE=n` makes it n. `MPT_SMOKE_SEED` begins elsewhere (default 1). Each target prints how many
//! inputs it saw and how many of them it took; `-- --nocapture` shows that. A failing input is printed in
//! hex.
//!
//! A new target is one `#[test]` that calls [`smoke`] with a name, some valid inputs to damage, and a closure
//! which says whether it took the bytes.

mod smoke;

use mpt_core::allowed_ips::AllowedIps;
use mpt_core::config::{
    CipherChoice, EndpointConfig, LocalEnd, MssClamp, PathConfig, PeerConfig, Prefix, WorkerCount,
};
use mpt_core::control::Status;
use mpt_core::inner::{
    Checksum, FlowHasher, InnerPacket, MssLimit, Offload, clamp_mss, decapsulate_ecn,
};
use mpt_core::keys::{PresharedKey, PrivateKey};
use mpt_core::parts::{Assembler, PART_HEADER_LEN, Part};
use mpt_core::protect::Recoverer;
use mpt_core::repair::Flight;
use mpt_core::wire::{
    Abandon, Arrived, Beside, Close, CloseReason, ControlHeader, Covered, DATA_HEADER_LEN,
    DataHeader, Echo, MAX_COVERED, Marker, MessageType, Open, Parity, PathGaps, PathReport, Probe,
    Report,
};
use mpt_core::{
    DatagramMeta, Endpoint, Outbox, PacketNumber, PathId, PeerId, SocketId, Time, WorkerId,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use smoke::{below, inputs_per_target, smoke};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An IP packet's length field set to what it is, so that more of them are looked into.
fn with_true_length(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let len = packet.len();
    match packet.first().map(|b| b >> 4) {
        Some(4) if len >= 20 => packet[2..4].copy_from_slice(&(len as u16).to_be_bytes()),
        Some(6) if len >= 40 => packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes()),
        _ => {}
    }
    packet
}

/// An IPv4 packet without options; its checksum is not filled in.
fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = [0x45, 2, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    with_true_length(&[&header[..], payload].concat())
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let header = [&[0x60, 0x10, 0, 0, 0, 0, next, 64][..], &[0xfd; 32]].concat();
    with_true_length(&[&header[..], payload].concat())
}

fn inner_packets() -> Vec<Vec<u8>> {
    const SYN: [u8; 32] = [
        0, 80, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x80, 2, 255, 255, 0, 0, 0, 0, // TCP
        1, 2, 4, 5, 180, 4, 2, 1, 1, 3, 3,
        7, // NOP, MSS, SACK permitted, NOP, NOP, window scale
    ];
    let udp = [1, 2, 3, 4, 0, 9, 0, 0, 7];
    let routing_then_udp = [&[43, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0][..], &udp].concat();
    let fragment = [&[60, 0, 0, 1, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0][..], &udp].concat();
    vec![
        v4(6, &SYN),
        v6(6, &SYN),
        v4(17, &udp),
        v6(0, &routing_then_udp),
        v6(44, &fragment),
        v4(47, &[0x30, 1, 0x88, 0x0b, 0, 9, 0, 1]),
        v4(1, &[8, 0, 0, 0, 0, 1, 0, 1]),
        v6(51, &[50, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]),
    ]
}

#[test]
fn parts() {
    let valid: Vec<Vec<u8>> = [(0, 40), (40, 60), (0, 99), (99, 1)]
        .iter()
        .map(|&(offset, len)| {
            let bytes = vec![offset as u8; len];
            let mut out = vec![0; PART_HEADER_LEN + len];
            Part { tos: 1, id: offset % 3, offset, total: 100, bytes: &bytes }.encode(&mut out);
            out
        })
        .collect();
    let mut assembler = Assembler::default();
    smoke("parts", &valid, |bytes| {
        let Ok(part) = Part::decode(bytes) else { return false };
        let total = usize::from(part.total);
        if let Some((packet, _)) = assembler.add(&part) {
            assert_eq!(packet.len(), total);
        }
        true
    });
}

#[test]
fn inner_packet() {
    let hasher = FlowHasher::new([1, 2]);
    let limit = MssLimit::of(MssClamp::Auto, 1280).expect("clamping is on");
    smoke("inner packet", &inner_packets(), |bytes| {
        let _ = decapsulate_ecn(&mut bytes.to_vec(), 3);
        let mut packet = with_true_length(bytes);
        let Ok(inner) = InnerPacket::parse(&packet) else { return false };
        assert!(inner.transport() <= packet.len());
        let flow = hasher.hash(&inner, &packet);
        // Whatever it was parsed from, a packet that does not fit must do no harm.
        clamp_mss(&mut bytes.to_vec(), &inner, Checksum::Full, limit);

        clamp_mss(&mut packet, &inner, Checksum::Full, limit);
        let ecn = inner.tos() & 3;
        assert_eq!(decapsulate_ecn(&mut packet, 3).is_err(), ecn == 0);
        let after = InnerPacket::parse(&packet).expect("neither changes what makes it a packet");
        assert_eq!(after.tos(), if ecn == 0 { inner.tos() } else { inner.tos() | 3 });
        assert_eq!(hasher.hash(&after, &packet), flow);
        true
    });
}

#[test]
fn data_header() {
    let mut valid = vec![0; DATA_HEADER_LEN + 9];
    for (i, byte) in (0..).zip(&mut valid) {
        *byte = i;
    }
    valid[0] = 0x34;
    smoke("data header", &[valid], |bytes| {
        let Some(header) = DataHeader::decode(bytes) else { return false };
        let mut again = [0; DATA_HEADER_LEN];
        header.encode(&mut again);
        assert_eq!(again, bytes[..DATA_HEADER_LEN]);
        assert_eq!(MessageType::of(bytes), Some(MessageType::Data));
        true
    });
}

#[test]
fn control_header() {
    let valid: Vec<_> = [(5, 0), (6, 0), (7, 0), (8, 0), (9, 0x30), (10, 0xf0), (11, 0)]
        .map(|(kind, worker)| {
            [&[kind, worker, 0, 0][..], &[1, 2, 3, 4], &[0, 0, 0, 0, 0, 0, 0, 9, 7]].concat()
        })
        .to_vec();
    smoke("control header", &valid, |bytes| {
        let Some(header) = ControlHeader::decode(bytes) else { return false };
        assert_eq!(ControlHeader::head(header.kind, header.worker), bytes[..2]);
        assert_eq!(header.index.to_be_bytes(), bytes[4..8]);
        assert_eq!(header.counter.to_be_bytes(), bytes[8..16]);
        true
    });
}

/// What `encode` writes.
fn written(encode: impl Fn(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buf = vec![0; 1_024];
    let len = encode(&mut buf).expect("1 024 bytes are room enough for every message");
    buf.truncate(len);
    buf
}

#[test]
fn probe() {
    let plain = Probe { token: 7, disabled: true, mtu_probe: true, open: None };
    let open = Open { weight: 2, priority: 1, rate_limit: 2_500_000, name: "bridge-ü" };
    let opening = Probe { open: Some(open), ..plain };
    let valid = [plain, opening].map(|p| written(|b| p.encode(b)));
    smoke("probe", &valid, |bytes| {
        let Some(probe) = Probe::decode(bytes) else { return false };
        assert_eq!(Probe::decode(&written(|b| probe.encode(b))), Some(probe));
        assert!(probe.open.is_none_or(|o| !o.name.contains(char::is_control)));
        true
    });
}

#[test]
fn echo() {
    let echo =
        Echo { token: 7, introduced: true, disabled: false, path: PathId::new(3), size: 1_472 };
    let valid = [echo, Echo { path: None, ..echo }].map(|e| written(|b| e.encode(b)));
    smoke("echo", &valid, |bytes| {
        let Some(echo) = Echo::decode(bytes) else { return false };
        assert_eq!(Echo::decode(&written(|b| echo.encode(b))), Some(echo));
        true
    });
}

fn report_of_all_paths() -> Report {
    let interval = Duration::from_millis(10);
    let mut report = Report::new(WorkerId::default(), 0b101, interval, PacketNumber(1_000));
    for path in PathId::all() {
        report.add(PathReport {
            path,
            marker_epoch: (path.get() % 2 == 0).then_some(5),
            highest_seq: 600,
            highest_pn: PacketNumber(999),
            packets: 598,
            bytes: 700_000,
            since_highest: 12,
            delays: None,
        });
    }
    report
}

#[test]
fn report() {
    let empty = Report::new(WorkerId::default(), 0, Duration::ZERO, PacketNumber(0));
    let valid = [empty, report_of_all_paths()].map(|r| written(|b| r.encode(b)));
    smoke("report", &valid, |bytes| {
        let Some(report) = Report::decode(bytes) else { return false };
        assert_eq!(Report::decode(&written(|b| report.encode(b))), Some(report));
        true
    });
}

#[test]
fn arrived() {
    let mut valid = Vec::new();
    for paths in [0, 1, 16] {
        let mut arrived = Arrived::new(Duration::from_millis(90), PacketNumber(990));
        for path in PathId::all().take(paths) {
            let mut gaps = PathGaps::new(path, 600, 400);
            for i in 0..u32::from(path.get()) {
                assert!(gaps.add(590 - 10 * i, 594 - 10 * i));
            }
            arrived.add(gaps);
        }
        valid.push(written(|b| arrived.encode(b)));
    }
    smoke("arrived", &valid, |bytes| {
        let Some(arrived) = Arrived::decode(bytes) else { return false };
        let mut buf = vec![0; 4_096];
        let len = arrived.encode(&mut buf).expect("there is room");
        assert_eq!(Arrived::decode(&buf[..len]), Some(arrived));
        for gaps in arrived.paths() {
            // Whatever it says, it is looked at without harm.
            let mut flight = Flight::default();
            (0..100).for_each(|i| flight.push(550 + i, u64::from(i)));
            flight.settle(gaps, |_, _| {});
        }
        true
    });
}

#[test]
fn parity() {
    let mut covered = Covered::default();
    for pn in (1_000..).step_by(3).take(MAX_COVERED) {
        assert!(covered.add(pn));
    }
    let mut one = Covered::default();
    assert!(one.add(u64::MAX));
    let bytes: Vec<u8> = (0..200).collect();
    let beside = Beside { len: 200, distance: 3, flags: 0x10 };
    let worker = WorkerId::default();
    let valid = [(covered, &bytes[..]), (one, &[][..])]
        .map(|(covered, bytes)| Parity { worker, covered, beside, bytes })
        .map(|p| written(|b| p.encode(b)));
    let mut recoverer = Recoverer::default();
    smoke("parity", &valid, |bytes| {
        let Some(parity) = Parity::decode(bytes) else { return false };
        assert_eq!(Parity::decode(&written(|b| parity.encode(b))), Some(parity));
        assert!(parity.covered.as_slice().is_sorted());
        let _ = recoverer.on_parity(&parity, |pn| pn % 3 == 0);
        let pn = parity.covered.as_slice()[0];
        let _ = recoverer.on_packet(pn, parity.beside, parity.bytes);
        true
    });
}

#[test]
fn abandon() {
    let mut abandon = Abandon::new(WorkerId::default());
    for i in 0..20 {
        assert!(abandon.add(PacketNumber(1_000 + 7 * i), i as u16));
    }
    let valid = [Abandon::new(WorkerId::default()), abandon].map(|a| written(|b| a.encode(b)));
    smoke("abandon", &valid, |bytes| {
        let Some(abandon) = Abandon::decode(bytes) else { return false };
        let written = written(|b| abandon.encode(b));
        assert_eq!(
            Abandon::decode(&written).map(|a| a.packets().count()),
            Some(abandon.packets().count())
        );
        assert!(abandon.packets().map(|(pn, _)| pn).is_sorted());
        true
    });
}

#[test]
fn close() {
    let close = Close { reason: CloseReason::Shutdown };
    smoke("close", &[written(|b| close.encode(b))], |bytes| {
        let Some(close) = Close::decode(bytes) else { return false };
        assert_eq!(Close::decode(&written(|b| close.encode(b))), Some(close));
        true
    });
}

#[test]
fn marker() {
    let marker =
        Marker { worker: WorkerId::default(), epoch: 7, last_pn: PacketNumber(1_000), seq: 9 };
    smoke("marker", &[written(|b| marker.encode(b))], |bytes| {
        let Some(marker) = Marker::decode(bytes) else { return false };
        assert_eq!(Marker::decode(&written(|b| marker.encode(b))), Some(marker));
        assert_eq!(written(|b| marker.encode(b)), bytes[..15]);
        true
    });
}

/// The input is a list of prefixes, each as address family, length, owner and four bytes that are repeated
/// to an address; the last address is looked up.
#[test]
fn allowed_ips() {
    let entry = |family: u8, length: u8, owner: u8, address: [u8; 4]| {
        [&[family, length, owner][..], &address].concat()
    };
    let valid = [
        [entry(4, 8, 1, [10, 0, 0, 0]), entry(4, 16, 2, [10, 1, 0, 0])].concat(),
        [entry(6, 0, 1, [0; 4]), entry(6, 127, 2, [0xfd; 4]), entry(6, 128, 3, [0xfd; 4])].concat(),
    ];
    smoke("allowed_ips", &valid, |bytes| {
        let mut table = AllowedIps::new();
        let mut naive: Vec<(Prefix, PeerId)> = Vec::new();
        let mut sought = None;
        for &[family, length, owner, a, b, c, d] in bytes.as_chunks::<7>().0 {
            let part = [a, b, c, d];
            let address = match family & 3 {
                0 => IpAddr::from(part),
                _ => IpAddr::from(std::array::from_fn::<u8, 16, _>(|i| part[i % 4])),
            };
            let Some(prefix) = Prefix::new(address, length) else { continue };
            sought = Some(address);
            let owner = PeerId(u32::from(owner % 4));
            let known = naive.iter().find(|(p, _)| *p == prefix).map(|&(_, owner)| owner);
            match table.insert(prefix, owner) {
                Ok(()) => assert!(known.is_none_or(|o| o == owner)),
                Err(taken) => assert_eq!(Some(taken.owner), known),
            }
            if known.is_none() {
                naive.push((prefix, owner));
            }
        }
        let Some(sought) = sought else { return false };
        let longest =
            naive.iter().filter(|(p, _)| p.contains(sought)).max_by_key(|(p, _)| p.length);
        assert_eq!(table.lookup(sought), longest.map(|&(_, owner)| owner));
        true
    });
}

/// Two endpoints that talk over one path, without a network between.
struct Pair {
    now: Time,
    ends: [Endpoint; 2],
    delivered: [u64; 2],
}

impl Pair {
    fn new(seed: u8) -> Self {
        let key = |i| PrivateKey::from_random([i; 32]);
        let now = Time::from_millis(1);
        let ends = [1u8, 2].map(|i| {
            let config = EndpointConfig {
                private_key: key(i),
                cipher: CipherChoice::Auto,
                aes_in_hardware: true,
                scheduler: Default::default(),
                max_hold: Duration::from_millis(500),
                probe: Default::default(),
                mss_clamp: MssClamp::Auto,
                mtu: None,
                workers: WorkerCount::ONE,
                repair: Default::default(),
                policies: Default::default(),
                memory: Default::default(),
            };
            let path = PathConfig {
                name: "path".to_owned(),
                weight: None,
                priority: 0,
                dscp: Default::default(),
                disabled: false,
                rate_limit: None,
            };
            let peer = PeerConfig {
                name: "peer".to_owned(),
                public_key: key(3 - i).public_key(),
                preshared_key: PresharedKey::from_bytes([9; 32]),
                allowed_ips: vec![Prefix::new([10, 0, 0, 3 - i].into(), 32).expect("32 bits")],
                paths: vec![path],
            };
            let mut end = Endpoint::new(config, [i ^ seed; 32]);
            let peer = end.add_peer(now, peer).expect("one peer, one path");
            let path = PathId::new(0).expect("0 is one");
            let local = LocalEnd::Ready {
                socket: SocketId(0),
                interface: None,
                address: Some(address(i)),
                mtu: 1_500,
            };
            end.set_local(now, peer, path, local);
            if i == 1 {
                end.set_remote(now, peer, path, address(2));
            }
            end
        });
        Self { now, ends, delivered: [0, 0] }
    }

    /// A millisecond passes: what is due is sent and received, save what the second end would get while
    /// `kept` collects it.
    fn step(&mut self, mut kept: Option<&mut Vec<Vec<u8>>>) {
        self.now += Duration::from_millis(1);
        let mut out = Outbox::new();
        for from in 0..2 {
            let count = &mut self.delivered[from];
            let mut sink = |_: PeerId, _: &[u8]| *count += 1;
            self.ends[from].handle_batch_end(self.now, &mut out, &mut sink);
            let sent: Vec<_> =
                out.lanes().iter().flat_map(|l| l.datagrams().map(<[u8]>::to_vec)).collect();
            out.clear();
            for datagram in sent {
                match &mut kept {
                    Some(kept) if from == 0 => kept.push(datagram),
                    _ => self.receive(1 - from, &datagram, &mut out),
                }
            }
        }
        // Answers to what was received leave with the next step's.
        let answers: Vec<_> =
            out.lanes().iter().flat_map(|l| l.datagrams().map(|d| (l.key, d.to_vec()))).collect();
        out.clear();
        for (key, datagram) in answers {
            match (usize::from(key.destination == address(2)), &mut kept) {
                (1, Some(kept)) => kept.push(datagram),
                (to, _) => self.receive(to, &datagram, &mut out),
            }
        }
    }

    fn receive(&mut self, to: usize, datagram: &[u8], out: &mut Outbox) {
        let count = &mut self.delivered[to];
        let meta = DatagramMeta {
            socket: SocketId(0),
            source: address(2 - to as u8),
            destination: None,
            ecn: 0,
        };
        let mut sink = |_: PeerId, _: &[u8]| *count += 1;
        self.ends[to].handle_datagram(self.now, &meta, &mut datagram.to_vec(), out, &mut sink);
    }

    /// A packet from one end's network to the other's.
    fn send(&mut self, from: u8, out: &mut Outbox) {
        let mut packet = v4(17, &[1, 2, 3, 4, 0, 9, 0, 0, 7]);
        packet[15] = 1 + from;
        packet[19] = 2 - from;
        self.ends[usize::from(from)].handle_packet(self.now, &mut packet, &Offload::default(), out);
    }

    /// Everything the second end says of itself, and its drops in all.
    fn second(&self) -> (Status, u64) {
        let mut status = self.ends[1].status(self.now);
        let mut drops = std::mem::take(&mut status.drops);
        drops.extend(status.peers.iter_mut().flat_map(|p| std::mem::take(&mut p.drops)));
        (status, drops.iter().map(|d| d.count).sum())
    }
}

fn address(end: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, end], 4_500))
}

/// Valid are datagrams of a live session that were sent and did not arrive, of every type but cookie and
/// response. Whatever is made of them, the session's state stays, and it works on.
#[test]
fn datagrams_into_endpoint() {
    let mut pair = Pair::new(0);
    let mut out = Outbox::new();
    for _ in 0..500 {
        pair.step(None);
    }
    let mut valid: Vec<Vec<u8>> = Vec::new();
    for _ in 0..300 {
        pair.send(1, &mut out);
        for datagram in out.lanes()[0].datagrams() {
            pair.receive(0, datagram, &mut Outbox::new());
        }
        out.clear();
        pair.send(0, &mut out);
        valid.extend(out.lanes()[0].datagrams().map(<[u8]>::to_vec));
        out.clear();
        pair.step(Some(&mut valid));
    }
    let mut of_type = [0; 16];
    valid.retain(|d| {
        of_type[usize::from(d[0] & 0x0f)] += 1;
        of_type[usize::from(d[0] & 0x0f)] <= 12
    });
    pair.ends[0].close(pair.now, &mut out, &mut |_: PeerId, _: &[u8]| ());
    let close: Vec<_> = out.lanes()[0].datagrams().map(<[u8]>::to_vec).collect();
    out.clear();
    // Of the same peer, and never answered.
    let mut restarted = Vec::new();
    Pair::new(0x80).step(Some(&mut restarted));
    let initiation = restarted.swap_remove(0);
    let types = |of: &[Vec<u8>]| of.iter().fold(0u16, |bits, d| bits | 1 << (d[0] & 0x0f));
    assert_eq!(types(&valid) & 0b1011_0000, 0b1011_0000, "data, probes and reports");

    // First the true ones, as `smoke` wants; the state counts from there. The goodbye only ever comes
    // damaged, and the handshake is as good as new.
    let mut seeds = valid.clone();
    seeds.extend(vec![initiation; 6]);
    let count = seeds.len();
    let mut before = None;
    let mut seen = 0;
    let delivered = pair.delivered[1];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    smoke("datagrams into Endpoint", &seeds, |bytes| {
        seen += 1;
        if seen > count && before.is_none() {
            before = Some(pair.second());
        }
        let mut bytes = bytes.to_vec();
        if seen > count && seen % 16 == 0 {
            bytes = close[0].clone();
            let bit = below(&mut rng, bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let meta =
            DatagramMeta { socket: SocketId(0), source: address(1), destination: None, ecn: 0 };
        let mut came = 0;
        let mut sink = |_: PeerId, _: &[u8]| came += 1;
        pair.ends[1].handle_datagram(pair.now, &meta, &mut bytes, &mut out, &mut sink);
        pair.delivered[1] += came;
        let answered = !std::mem::take(&mut out).is_empty();
        seen <= count || answered || came > 0
    });
    let (before, dropped) = before.expect("smoke went beyond the valid ones");
    let (after, dropped_after) = pair.second();
    assert_eq!(after, before);
    assert!(dropped_after - dropped > inputs_per_target() * 9 / 10);
    let data = valid.iter().filter(|d| d[0] == 4).count() as u64;
    assert_eq!(pair.delivered[1] - delivered, data, "the true ones, once");

    // And it goes on.
    for _ in 0..20 {
        pair.step(None);
        pair.send(0, &mut out);
        let sent: Vec<_> = out.lanes()[0].datagrams().map(<[u8]>::to_vec).collect();
        out.clear();
        for d in sent {
            pair.receive(1, &d, &mut Outbox::new());
        }
    }
    // What did not arrive is sent again meanwhile, each packet once at most.
    let came = pair.delivered[1] - delivered;
    assert!((data + 20..=300 + 20).contains(&came), "{came}");
}
