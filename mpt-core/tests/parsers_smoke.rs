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
use mpt_core::config::{MssClamp, Prefix};
use mpt_core::inner::{Checksum, FlowHasher, InnerPacket, MssLimit, clamp_mss, decapsulate_ecn};
use mpt_core::parts::{Assembler, PART_HEADER_LEN, Part};
use mpt_core::protect::Recoverer;
use mpt_core::repair::Flight;
use mpt_core::wire::{
    Abandon, Arrived, Beside, Close, CloseReason, ControlHeader, Covered, DATA_HEADER_LEN,
    DataHeader, Echo, MAX_COVERED, Marker, MessageType, Open, Parity, PathGaps, PathReport, Piece,
    Probe, Report,
};
use mpt_core::{PacketNumber, PathId, PeerId, WorkerId};
use smoke::smoke;
use std::net::IpAddr;
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
    let caller = PathId::new(3);
    let open = Open { weight: 2, priority: 1, rate_limit: 2_500_000, name: "bridge-ü", caller };
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
            flight.settle(gaps, |_, _, _| {});
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
    let valid = [
        (Piece::Whole, covered, &bytes[..]),
        (Piece::Head, covered, &bytes[..120]),
        (Piece::Tail, covered, &bytes[120..]),
        (Piece::Whole, one, &[][..]),
    ]
    .map(|(piece, covered, bytes)| Parity { worker, piece, covered, beside, bytes })
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
