//! Cutting super-packets and joining packets, against one another and against naive models.

use super::super::*;
use proptest::prelude::*;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;

/// Headers of a packet, from which its bytes are made.
#[derive(Clone, Debug)]
struct Shape {
    v6: bool,
    tcp: bool,
    flow: u8,
    tos: u8,
    ttl: u8,
    df: bool,
    id: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    /// Words of TCP options, IPv4 options or an IPv6 extension header.
    options: u8,
    ip_options: bool,
    payload: Vec<u8>,
}

impl Shape {
    fn tcp(payload: usize) -> Self {
        Self {
            v6: false,
            tcp: true,
            flow: 1,
            tos: 0,
            ttl: 64,
            df: true,
            id: 100,
            seq: 1_000,
            ack: 5,
            flags: ACK,
            window: 99,
            options: 3,
            ip_options: false,
            payload: (0..payload).map(|i| (i * 7 + i / 256) as u8).collect(),
        }
    }

    fn udp(payload: usize) -> Self {
        Self { tcp: false, ..Self::tcp(payload) }
    }

    /// The packet with a complete checksum.
    fn full(&self) -> Vec<u8> {
        let mut packet = self.partial();
        let inner = InnerPacket::parse(&packet).unwrap();
        complete_checksum(&mut packet, &inner).unwrap();
        packet
    }

    /// The packet with the pseudo header's sum for a checksum.
    fn partial(&self) -> Vec<u8> {
        let mut transport = Vec::new();
        transport.extend_from_slice(&[1, self.flow, 2, 2]);
        if self.tcp {
            transport.extend_from_slice(&self.seq.to_be_bytes());
            transport.extend_from_slice(&self.ack.to_be_bytes());
            transport.extend_from_slice(&[(5 + self.options) << 4, self.flags]);
            transport.extend_from_slice(&self.window.to_be_bytes());
            transport.extend_from_slice(&[0; 4]);
            transport.extend((0..self.options * 4).map(|_| 1));
        } else {
            let len = (8 + self.payload.len()) as u16;
            transport.extend_from_slice(&len.to_be_bytes());
            transport.extend_from_slice(&[0; 2]);
        }
        transport.extend_from_slice(&self.payload);
        let protocol = if self.tcp { 6 } else { 17 };
        let mut packet = if self.v6 {
            self.v6(protocol, transport.len())
        } else {
            self.v4(protocol, transport.len())
        };
        let at = packet.len() + if self.tcp { 16 } else { 6 };
        packet.extend_from_slice(&transport);
        let inner = InnerPacket::parse(&packet).unwrap();
        assert_eq!(inner.protocol(), protocol);
        let sum = checksum::pseudo_header(&inner, transport.len());
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn v4(&self, protocol: u8, rest: usize) -> Vec<u8> {
        let options = if self.ip_options { 4 } else { 0 };
        let total = (20 + options + rest) as u16;
        let mut p = vec![0x45 + options as u8 / 4, self.tos];
        p.extend_from_slice(&total.to_be_bytes());
        p.extend_from_slice(&self.id.to_be_bytes());
        p.extend_from_slice(&[if self.df { 0x40 } else { 0 }, 0, self.ttl, protocol, 0, 0]);
        p.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        p.extend((0..options).map(|_| 1));
        let sum = !checksum::sum(&p);
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p
    }

    fn v6(&self, protocol: u8, rest: usize) -> Vec<u8> {
        let extension = if self.ip_options { 8 } else { 0 };
        let mut p = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 7];
        p.extend_from_slice(&((extension + rest) as u16).to_be_bytes());
        p.extend_from_slice(&[if self.ip_options { 60 } else { protocol }, self.ttl]);
        p.extend((0..32).map(|i| i as u8));
        if self.ip_options {
            p.extend_from_slice(&[protocol, 0, 1, 4, 0, 0, 0, 0]);
        }
        p
    }

    fn offload(&self, size: u16) -> Offload {
        let segments = if self.tcp { Segments::Tcp { size } } else { Segments::Udp { size } };
        let packet = self.partial();
        let transport = InnerPacket::parse(&packet).unwrap().transport() as u16;
        Offload { checksum: Checksum::Partial, segments, transport }
    }
}

/// What a network card would make of a super-packet: written down field by field.
fn cut_by_hand(shape: &Shape, size: usize) -> Vec<Vec<u8>> {
    let count = shape.payload.len().div_ceil(size);
    let pieces = shape.payload.chunks(size).enumerate();
    pieces
        .map(|(i, piece)| {
            let (first, last) = (i == 0, i + 1 == count);
            let mut flags = shape.flags;
            if !last {
                flags &= !(FIN | PSH);
            }
            if !first {
                flags &= !CWR;
            }
            let seq = shape.seq.wrapping_add((i * size) as u32);
            let id = shape.id.wrapping_add(i as u16);
            Shape { flags, seq, id, payload: piece.to_vec(), ..shape.clone() }.partial()
        })
        .collect()
}

fn cut(packet: &[u8], offload: &Offload) -> Vec<Vec<u8>> {
    let inner = InnerPacket::parse(packet).unwrap();
    let split = Split::new(packet, offload, &inner).unwrap();
    let size = usize::from(split.segment_size());
    let starts = (0..split.payload_len()).step_by(size);
    starts
        .enumerate()
        .map(|(i, at)| {
            let range = at..(at + size).min(split.payload_len());
            let mut out = vec![0xee; split.header_len() + range.len()];
            split.write(packet, i as u16, range, &mut out);
            out
        })
        .collect()
}

/// Everything given out, packet and offload.
fn merge(packets: &[(Vec<u8>, Checksum)]) -> Vec<(Vec<u8>, Offload)> {
    let mut merger = Merger::new();
    let mut out = Vec::new();
    let mut emit = |p: &mut [u8], o: &Offload| out.push((p[HEADROOM..].to_vec(), *o));
    for (packet, checksum) in packets {
        merger.push(packet, *checksum, &mut emit);
    }
    merger.flush(&mut emit);
    out
}

fn merged(packets: &[Vec<u8>]) -> Vec<usize> {
    let all: Vec<_> = packets.iter().map(|p| (p.clone(), Checksum::Partial)).collect();
    merge(&all).iter().map(|(p, o)| o.packets(p) as usize).collect()
}

fn shapes() -> impl Strategy<Value = Shape> {
    let ip =
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<u8>(), any::<u16>(), any::<bool>());
    let transport = (any::<u32>(), 0u8..10, 0u8..8);
    (ip, transport, 1usize..9_000).prop_map(
        |((v6, tcp, df, tos, id, ip_options), (seq, options, f), len)| {
            let flags = ACK | [0, PSH, FIN, CWR, PSH | FIN, CWR | PSH, 0x40, 0][usize::from(f)];
            Shape { v6, tcp, df, tos, id, ip_options, seq, options, flags, ..Shape::tcp(len) }
        },
    )
}

proptest! {
    #[test]
    fn cut_as_a_card_would(shape in shapes(), size in 1u16..3_000) {
        let packet = shape.partial();
        prop_assert_eq!(cut(&packet, &shape.offload(size)), cut_by_hand(&shape, size.into()));
    }

    #[test]
    fn segments_have_right_checksums(shape in shapes(), size in 1u16..3_000) {
        for mut segment in cut(&shape.partial(), &shape.offload(size)) {
            let inner = InnerPacket::parse(&segment).unwrap();
            complete_checksum(&mut segment, &inner).unwrap();
            prop_assert!(checksum::is_right(&segment, &inner));
            if !shape.v6 {
                prop_assert_eq!(checksum::sum(&segment[..inner.transport()]), 0xffff);
            }
        }
    }

    #[test]
    fn what_was_cut_is_joined_again(mut shape in shapes(), size in 100u16..3_000) {
        shape.flags &= !CWR;
        let packet = shape.partial();
        let segments: Vec<_> =
            cut(&packet, &shape.offload(size)).into_iter().map(|s| (s, Checksum::Partial)).collect();
        let out = merge(&segments);
        let limit = if shape.tcp { usize::MAX } else { 64 };
        if segments.len() > 1 && segments.len() <= limit {
            prop_assert_eq!(out, vec![(packet, shape.offload(size))]);
        } else {
            prop_assert_eq!(out.len(), segments.len().div_ceil(limit));
        }
    }

    #[test]
    fn flows_keep_their_packets_and_their_order(
        steps in prop::collection::vec((0u8..7, 0usize..4, 0u8..12, any::<bool>(), 0u8..10), 1..120)
    ) {
        let mut next = [(0u32, 0u16); 7];
        let mut packets = Vec::new();
        for (flow, len, event, full, damage) in steps {
            let len = [1_000, 1_000, 400, 0][len];
            let (seq, id) = &mut next[usize::from(flow)];
            let flags = match event { 0 => ACK | PSH, 1 => ACK | FIN, 2 => SYN, 3 => ACK | CWR, _ => ACK };
            if event == 4 { *seq = seq.wrapping_add(1); }
            let shape = Shape {
                v6: flow % 2 == 1, tcp: flow < 5, flow, seq: *seq, id: *id, flags,
                df: flow % 3 == 0, tos: u8::from(event == 5), ttl: 64 - u8::from(event == 6),
                ..Shape::tcp(len)
            };
            *seq = seq.wrapping_add(len as u32);
            *id = id.wrapping_add(1);
            let mut packet = if full { shape.full() } else { shape.partial() };
            if full && damage == 0 {
                let last = packet.len() - 1;
                packet[last] ^= 0x10;
            }
            packets.push((packet, if full { Checksum::Full } else { Checksum::Partial }));
        }
        // Cut again, and as it arrives: complete.
        let mut got = Vec::new();
        for (packet, offload) in merge(&packets) {
            if offload.segments == Segments::One {
                got.push((packet, offload.checksum));
            } else {
                got.extend(cut(&packet, &offload).into_iter().map(|p| (p, Checksum::Partial)));
            }
        }
        prop_assert_eq!(got.len(), packets.len());
        let by_flow = |all: &[(Vec<u8>, Checksum)]| {
            let mut flows = std::collections::BTreeMap::<_, Vec<_>>::new();
            for (packet, checksum) in all {
                let mut packet = packet.clone();
                let inner = InnerPacket::parse(&packet).unwrap();
                if *checksum == Checksum::Partial {
                    complete_checksum(&mut packet, &inner).unwrap();
                }
                if inner.version() == Version::V4 && packet[6] & 0x40 != 0 {
                    // With DF it means nothing, and may come out another.
                    packet[4..6].fill(0);
                    packet[10..12].fill(0);
                }
                let port = packet[inner.transport() + 1];
                flows.entry((inner.version() == Version::V4, inner.protocol(), port)).or_default().push(packet);
            }
            flows
        };
        prop_assert_eq!(by_flow(&got), by_flow(&packets));
    }

    #[test]
    fn whatever_comes_nothing_panics(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..120), 0u8..3, any::<bool>()), 0..20),
        size: u16, transport: u16, tcp: bool,
    ) {
        let segments = if tcp { Segments::Tcp { size } } else { Segments::Udp { size } };
        let offload = Offload { checksum: Checksum::Partial, segments, transport };
        let mut merger = Merger::new();
        let mut given = 0;
        let mut emit = |p: &mut [u8], o: &Offload| {
            assert!(p.len() >= HEADROOM);
            given += o.packets(&p[HEADROOM..]).max(1);
        };
        let count = packets.len() as u64;
        for (mut bytes, kind, looks_right) in packets {
            if looks_right && bytes.len() >= 20 {
                let len = bytes.len() as u16;
                bytes[0] = 0x45;
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                bytes[6] = 0;
                bytes[7] = 0;
                bytes[9] = if bytes[9] % 2 == 0 { 6 } else { 17 };
            }
            let checksum = [Checksum::Full, Checksum::Partial, Checksum::Valid][usize::from(kind)];
            if let Ok(inner) = InnerPacket::parse(&bytes) {
                let _ = Split::new(&bytes, &offload, &inner);
                let _ = complete_checksum(&mut bytes.clone(), &inner);
            }
            let _ = offload.packets(&bytes);
            merger.push(&bytes, checksum, &mut emit);
        }
        merger.flush(&mut emit);
        prop_assert_eq!(given, count);
    }
}

/// `n` packets as cut from one of `n × 1000` bytes.
fn train(shape: &Shape, n: usize) -> Vec<Vec<u8>> {
    let shape = Shape { payload: vec![7; n * 1_000], ..shape.clone() };
    cut(&shape.partial(), &shape.offload(1_000))
}

#[test]
fn a_train_of_each_kind_is_one_super_packet() {
    for v6 in [false, true] {
        for shape in [Shape::tcp(0), Shape::udp(0)] {
            let shape = Shape { v6, ..shape };
            assert_eq!(merged(&train(&shape, 20)), [20]);
            assert_eq!(merged(&train(&shape, 1)), [1]);
        }
    }
    assert_eq!(merged(&train(&Shape::tcp(0), 65)), [65], "65 052 bytes");
    let long = [train(&Shape::udp(0), 60), train(&Shape { id: 160, ..Shape::udp(0) }, 6)].concat();
    assert_eq!(merged(&long), [64, 2], "UDP_MAX_SEGMENTS");
    let long: Vec<_> = [0, 1]
        .iter()
        .flat_map(|i| train(&Shape { seq: i * 40_000, ..Shape::tcp(0) }, 40))
        .collect();
    assert_eq!(merged(&long), [65, 15], "65 535 bytes");
}

#[test]
fn what_differs_in_one_field_does_not_join() {
    let base = Shape { df: false, ..Shape::tcp(1_000) };
    let next = Shape { seq: 2_000, id: 101, ..base.clone() };
    let two = |next: &Shape| merged(&[base.partial(), next.partial()]);
    assert_eq!(two(&next), [2]);
    let different = [
        Shape { tos: 1, ..next.clone() },
        Shape { ttl: 63, ..next.clone() },
        Shape { df: true, ..next.clone() },
        Shape { id: 102, ..next.clone() },
        Shape { seq: 2_001, ..next.clone() },
        Shape { seq: 1_999, ..next.clone() },
        Shape { ack: 6, ..next.clone() },
        Shape { window: 98, ..next.clone() },
        Shape { options: 4, ..next.clone() },
        Shape { ip_options: true, ..next.clone() },
        Shape { flags: ACK | 0x40, ..next.clone() },
        Shape { flags: ACK | CWR, ..next.clone() },
        Shape { flags: ACK | SYN, ..next.clone() },
        Shape { flags: ACK | 0x04, ..next.clone() },
        Shape { flags: ACK | 0x20, ..next.clone() },
        Shape { flags: 0, ..next.clone() },
        Shape { payload: vec![7; 1_001], ..next.clone() },
        Shape { payload: vec![], ..next.clone() },
        Shape { flow: 2, ..next.clone() },
    ];
    for shape in different {
        assert_eq!(two(&shape), [1, 1], "{shape:?}");
    }
    // The identification of a packet with DF means nothing.
    let base = Shape { df: true, ..base };
    let same_id = Shape { seq: 2_000, ..base.clone() };
    assert_eq!(merged(&[base.partial(), same_id.partial()]), [2]);
}

#[test]
fn a_short_packet_or_psh_or_fin_is_the_last() {
    let base = Shape::tcp(1_000);
    let at =
        |seq, len, flags| Shape { seq, flags, payload: vec![1; len], ..base.clone() }.partial();
    let short =
        [at(1_000, 1_000, ACK), at(2_000, 500, ACK), at(2_500, 500, ACK), at(3_000, 500, ACK)];
    assert_eq!(merged(&short), [2, 2]);
    for flag in [PSH, FIN] {
        let pushed = [at(1_000, 1_000, ACK), at(2_000, 1_000, ACK | flag), at(3_000, 1_000, ACK)];
        let all: Vec<_> = pushed.iter().map(|p| (p.clone(), Checksum::Partial)).collect();
        let out = merge(&all);
        assert_eq!(out.len(), 2);
        assert_eq!(out[0].0[33], ACK | flag, "the flag is the super-packet's too");
        assert_eq!(out[1].0[33], ACK);
    }
}

#[test]
fn a_full_checksum_joins_only_when_right_and_a_wrong_one_stays_wrong() {
    let at = |i: u32| Shape { seq: 1_000 + 1_000 * i, ..Shape::tcp(1_000) }.full();
    let mut packets = [at(0), at(1), at(2), at(3)];
    packets[2][700] ^= 1;
    let all: Vec<_> = packets.iter().map(|p| (p.clone(), Checksum::Full)).collect();
    let out = merge(&all);
    assert_eq!(out.iter().map(|(p, o)| o.packets(p)).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!((&out[1].0, out[1].1.checksum), (&packets[2], Checksum::Full));
    assert_eq!((&out[2].0, out[2].1.checksum), (&packets[3], Checksum::Full), "alone: as it came");
    // Vouched for by the sender's kernel: not looked at again.
    let all: Vec<_> = packets.iter().map(|p| (p.clone(), Checksum::Valid)).collect();
    assert_eq!(merge(&all).len(), 1);
}

#[test]
fn acknowledgements_and_fragments_overtake_nothing() {
    let data = Shape::tcp(1_000).partial();
    let ack = Shape { seq: 2_000, ..Shape::tcp(0) }.partial();
    let other = Shape { flow: 9, ..Shape::tcp(1_000) }.partial();
    let mut fragment = Shape::udp(100).partial();
    fragment[6] = 0x20;
    let push = |packets: &[&Vec<u8>]| {
        let all: Vec<_> = packets.iter().map(|&p| (p.clone(), Checksum::Partial)).collect();
        merge(&all).into_iter().map(|(p, _)| p).collect::<Vec<_>>()
    };
    assert_eq!(push(&[&other, &data, &ack]), [data.clone(), ack.clone(), other.clone()]);
    assert_eq!(push(&[&other, &data, &fragment]), [other, data, fragment]);
}

#[test]
fn what_is_not_to_be_joined_passes() {
    for tcp in [true, false] {
        let mut merger = Merger::new();
        merger.set_tcp(!tcp);
        merger.set_udp(tcp);
        let mut out = Vec::new();
        for packet in train(&Shape { tcp, ..Shape::tcp(0) }, 5) {
            merger.push(&packet, Checksum::Partial, &mut |p, o| {
                out.push((p[HEADROOM..].to_vec(), *o))
            });
        }
        assert_eq!(out.len(), 5, "at once, without a flush");
        assert!(out.iter().all(|(_, o)| o.segments == Segments::One));
    }
}

#[test]
fn tcp_may_be_cut_anywhere() {
    let shape = Shape { flags: ACK | PSH | CWR, ..Shape::tcp(3_000) };
    let packet = shape.partial();
    let inner = InnerPacket::parse(&packet).unwrap();
    let split = Split::new(&packet, &shape.offload(1_400), &inner).unwrap();
    let mut rebuilt = Vec::new();
    for (i, range) in [0..900, 900..1_400, 1_400..3_000].into_iter().enumerate() {
        let mut out = vec![0; split.header_len() + range.len()];
        split.write(&packet, i as u16, range.clone(), &mut out);
        let seq = u32::from_be_bytes(out[24..28].try_into().unwrap());
        assert_eq!(seq, 1_000 + range.start as u32);
        assert_eq!(out[33] & CWR != 0, i == 0);
        assert_eq!(out[33] & PSH != 0, i == 2);
        rebuilt.extend_from_slice(&out[split.header_len()..]);
    }
    assert_eq!(rebuilt, shape.payload);
}

#[test]
fn headers_that_do_not_add_up_are_refused() {
    let shape = Shape::tcp(3_000);
    let packet = shape.partial();
    let inner = InnerPacket::parse(&packet).unwrap();
    let good = shape.offload(1_400);
    assert!(Split::new(&packet, &good, &inner).is_ok());
    for bad in [
        Offload { segments: Segments::Tcp { size: 0 }, ..good },
        Offload { segments: Segments::Udp { size: 1_400 }, ..good },
        Offload { segments: Segments::One, ..good },
        Offload { checksum: Checksum::Full, ..good },
        Offload { transport: 24, ..good },
    ] {
        assert!(Split::new(&packet, &bad, &inner).is_err(), "{bad:?}");
    }
    let mut short = packet.clone();
    short[32] = 0x40;
    assert!(Split::new(&short, &good, &inner).is_err(), "a TCP header of 16 bytes");
}

#[test]
fn nothing_wrong_comes_out_right_and_nothing_gets_a_checksum_that_had_none() {
    let ones = |packets: &[Vec<u8>], checksum| {
        let all: Vec<_> = packets.iter().map(|p| (p.clone(), checksum)).collect();
        let out = merge(&all);
        assert_eq!(out.len(), packets.len());
        assert!(out.iter().zip(packets).all(|((p, _), before)| p == before), "as it came");
    };
    for tcp in [true, false] {
        let train = train(&Shape { tcp, ..Shape::tcp(0) }, 2);
        // The header's checksum, and the partial one.
        for at in [11, if tcp { 37 } else { 27 }] {
            for which in [0, 1] {
                let mut bad = train.clone();
                bad[which][at] ^= 1;
                ones(&bad, Checksum::Partial);
            }
        }
    }
    let mut none = train(&Shape::udp(0), 2);
    for packet in &mut none {
        packet[26..28].fill(0);
    }
    ones(&none, Checksum::Valid);
    ones(&none, Checksum::Full);

    // Cut, a wrong partial checksum is as wrong as it was.
    let shape = Shape::tcp(3_000);
    let mut packet = shape.partial();
    packet[36] ^= 0x20;
    for mut segment in cut(&packet, &shape.offload(1_000)) {
        let inner = InnerPacket::parse(&segment).unwrap();
        complete_checksum(&mut segment, &inner).unwrap();
        assert!(!checksum::is_right(&segment, &inner));
    }
    let shape = Shape::udp(3_000);
    let mut packet = shape.partial();
    packet[25] ^= 1;
    let inner = InnerPacket::parse(&packet).unwrap();
    assert!(Split::new(&packet, &shape.offload(1_000), &inner).is_err(), "another UDP length");
}

#[test]
fn a_packet_cut_short_does_not_overtake() {
    let data = Shape::tcp(1_000).partial();
    // Ports, and no more of a TCP header.
    let mut short = Shape::tcp(0).partial()[..30].to_vec();
    short[3] = 30;
    let all = [(data.clone(), Checksum::Partial), (short.clone(), Checksum::Full)];
    let out: Vec<_> = merge(&all).into_iter().map(|(p, _)| p).collect();
    assert_eq!(out, [data, short]);
}
