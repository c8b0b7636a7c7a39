//! Cutting super-packets and joining packets, whatever they are: against one another and against naive models.

use super::super::*;
use super::shape::*;
use proptest::prelude::*;

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
    fn cut_alike_when_a_card_vouches_for_the_checksum(shape in shapes(), size in 1u16..3_000) {
        let packet = shape.full();
        let valid = Offload { checksum: Checksum::Valid, transport: 0, ..shape.offload(size) };
        let by_hand = cut_by_hand(&shape, size.into());
        prop_assert_eq!(valid.packets(&packet), by_hand.len() as u64);
        prop_assert_eq!(cut(&packet, &valid), by_hand);
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
        shape.ip_options &= !shape.v6;
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
