//! Which super-packets are cut where, and which packets are joined.

use super::super::*;
use super::shape::*;

fn merged(packets: &[Vec<u8>]) -> Vec<usize> {
    let all: Vec<_> = packets.iter().map(|p| (p.clone(), Checksum::Partial)).collect();
    merge(&all).iter().map(|(p, o)| o.packets(p) as usize).collect()
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
fn extension_headers_are_not_joined_and_ipv4_options_are() {
    for shape in [Shape::tcp(0), Shape::udp(0)] {
        let with = |v6| train(&Shape { v6, ip_options: true, ..shape.clone() }, 3);
        assert_eq!(merged(&with(false)), [3]);
        assert_eq!(merged(&with(true)), [1, 1, 1]);
    }
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
fn long_runs_leave_no_more_memory_than_they_need() {
    let mut merger = Merger::new();
    for packet in train(&Shape::tcp(0), 60).iter().cycle().take(600) {
        merger.push(packet, Checksum::Partial, &mut |_, _| {});
    }
    assert_eq!(merger.memory(), HEADROOM + 65_535, "one flow takes one buffer");
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
    let udp = Shape::udp(3_000);
    let (mut packet_without, inner_udp) = (udp.full(), InnerPacket::parse(&udp.full()).unwrap());
    let valid = Offload { checksum: Checksum::Valid, transport: 0, ..udp.offload(1_400) };
    assert!(Split::new(&packet_without, &valid, &inner_udp).is_ok());
    packet_without[26..28].fill(0);
    assert!(Split::new(&packet_without, &valid, &inner_udp).is_err(), "without a checksum");
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
