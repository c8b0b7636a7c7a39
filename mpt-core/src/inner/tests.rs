use super::*;
use crate::DropReason;
use crate::config::MssClamp;
use proptest::prelude::*;

mod shape;
mod super_packets;
mod super_packets_at_random;

/// The Internet checksum (RFC 1071) of `bytes`.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|c| u32::from(u16::from_be_bytes([c[0], c.get(1).copied().unwrap_or(0)])))
        .sum()
}

fn fold(mut s: u32) -> u16 {
    while s > 0xffff {
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}

fn v4(tos: u8, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, tos, 0, 0, 0, 7, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    p[6..8].copy_from_slice(&fragment.to_be_bytes());
    let len = (20 + payload.len()) as u16;
    p[2..4].copy_from_slice(&len.to_be_bytes());
    let c = fold(sum(&p));
    p[10..12].copy_from_slice(&c.to_be_bytes());
    p.extend(payload);
    p
}

fn v6(tos: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60 | tos >> 4, tos << 4, 0, 0, 0, 0, next, 64];
    p[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    p.extend([0xfd; 16]);
    p.extend([0xfe; 16]);
    p.extend(payload);
    p
}

fn tcp_checksum(packet: &[u8]) -> u16 {
    let (addresses, tcp) = if packet[0] >> 4 == 4 {
        (&packet[12..20], &packet[20..])
    } else {
        (&packet[8..40], &packet[40..])
    };
    fold(sum(addresses) + 6 + tcp.len() as u32 + sum(tcp))
}

fn syn(options: &[u8]) -> Vec<u8> {
    let mut t = vec![0, 80, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 255, 255, 0, 0, 0, 0];
    t.extend(options);
    t.resize(t.len().next_multiple_of(4), 0);
    t[12] = ((t.len() / 4) << 4) as u8;
    t
}

fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 } + 16;
    let c = tcp_checksum(&packet);
    packet[at..at + 2].copy_from_slice(&c.to_be_bytes());
    packet
}

#[test]
fn lengths_have_to_add_up() {
    let p = v4(0, 17, 0, &[1; 20]);
    assert!(InnerPacket::parse(&p).is_ok());
    assert!(InnerPacket::parse(&p[..30]).is_err());
    assert!(InnerPacket::parse(&[p.as_slice(), &[0]].concat()).is_err());
    let mut short = p;
    short[0] = 0x44;
    assert!(InnerPacket::parse(&short).is_err());
    assert!(InnerPacket::parse(&[]).is_err());
    assert!(InnerPacket::parse(&[0x75; 40]).is_err());
}

#[test]
fn extension_headers_are_looked_through() {
    let ports = [1, 2, 3, 4, 0, 8, 0, 0];
    let hop = [43, 0, 0, 0, 0, 0, 0, 0];
    let routing = [17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let p = v6(0xb8, 0, &[&hop[..], &routing, &ports].concat());
    let inner = InnerPacket::parse(&p).unwrap();
    assert_eq!((inner.protocol(), inner.transport(), inner.tos()), (17, 64, 0xb8));
    assert!(!inner.is_fragment());
    let fragment = [17, 0, 0x05, 0xa9, 0, 0, 0, 1];
    let p = v6(0, 44, &[&fragment[..], &ports].concat());
    assert!(InnerPacket::parse(&p).unwrap().is_fragment());
    let atomic = [17, 0, 0, 0, 0, 0, 0, 1];
    let p = v6(0, 44, &[&atomic[..], &ports].concat());
    assert!(!InnerPacket::parse(&p).unwrap().is_fragment());
}

#[test]
fn fragments_of_a_packet_look_alike_whatever_is_in_them() {
    // Destination options, then UDP, cut in two: the second half happens to look like options too.
    let hasher = FlowHasher::new([1, 2]);
    let [first, second] =
        [(0x0001u16, [17, 0, 0, 0, 0, 0, 0, 0]), (0x0008, [6, 0, 9, 9, 9, 9, 9, 9])].map(
            |(field, payload)| {
                let [high, low] = field.to_be_bytes();
                let p =
                    v6(0, 44, &[&[60, 0, high, low, 0, 0, 0, 1][..], &payload, &[0; 16]].concat());
                let inner = InnerPacket::parse(&p).unwrap();
                assert_eq!(
                    (inner.protocol(), inner.transport(), inner.is_fragment()),
                    (60, 48, true)
                );
                hasher.hash(&inner, &p)
            },
        );
    assert_eq!(first, second);
}

#[test]
fn extension_headers_that_make_no_sense_end_the_search() {
    let parse = |next: u8, payload: &[u8]| {
        let inner = InnerPacket::parse(&v6(0, next, payload)).unwrap();
        (inner.protocol(), inner.transport(), inner.is_fragment())
    };
    assert_eq!(parse(0, &[]), (0, 40, false), "none there");
    assert_eq!(parse(0, &[17, 1, 0, 0, 0, 0, 0, 0]), (0, 40, false), "longer than the packet");
    assert_eq!(parse(0, &[0; 8 * 100]), (0, 40 + 8 * 8, false), "too many");
    let authentication = [17, 4, 0, 0].iter().chain(&[0; 20]).copied().collect::<Vec<u8>>();
    assert_eq!(parse(51, &authentication), (17, 64, false), "counted in units of four bytes");
}

#[test]
fn flows() {
    let hasher = FlowHasher::new([1, 2]);
    let hash = |p: &[u8]| hasher.hash(&InnerPacket::parse(p).unwrap(), p);
    let udp = |ports: [u8; 4], rest: u8| v4(0, 17, 0, &[&ports[..], &[0, 9, 0, 0, rest]].concat());
    assert_eq!(hash(&udp([1, 2, 3, 4], 7)), hash(&udp([1, 2, 3, 4], 8)));
    assert_ne!(hash(&udp([1, 2, 3, 4], 7)), hash(&udp([1, 2, 3, 5], 7)));
    // The first fragment has ports, the second has not.
    let first = v4(0, 17, 0x2000, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let second = v4(0, 17, 0x0001, &[9; 8]);
    assert_eq!(hash(&first), hash(&second));
    // GRE keys, with and without a checksum in front.
    let gre = |flags: u8, rest: &[u8]| v4(0, 47, 0, &[&[flags, 0, 8, 0][..], rest].concat());
    assert_ne!(hash(&gre(0x20, &[0, 0, 0, 1])), hash(&gre(0x20, &[0, 0, 0, 2])));
    assert_ne!(
        hash(&gre(0xa0, &[7, 7, 7, 7, 0, 0, 0, 1])),
        hash(&gre(0xa0, &[7, 7, 7, 7, 0, 0, 0, 2]))
    );
    assert_eq!(hash(&gre(0, &[0, 0, 0, 1])), hash(&gre(0, &[0, 0, 0, 2])));
    // PPTP: each packet has its length beside the call's number.
    let pptp = |length: u8, call: u8| v4(0, 47, 0, &[0x30, 1, 0x88, 0x0b, 0, length, 0, call]);
    assert_eq!(hash(&pptp(100, 1)), hash(&pptp(200, 1)));
    assert_ne!(hash(&pptp(100, 1)), hash(&pptp(100, 2)));
    let esp = |spi: u8| v4(0, 50, 0, &[0, 0, 0, spi, 0, 0, 0, 9]);
    assert_ne!(hash(&esp(1)), hash(&esp(2)));
    let echo = |id: u8, seq: u8| v4(0, 1, 0, &[8, 0, 0, 0, 0, id, 0, seq]);
    assert_eq!(hash(&echo(1, 1)), hash(&echo(1, 2)));
    assert_ne!(hash(&echo(1, 1)), hash(&echo(2, 1)));
    assert_ne!(
        FlowHasher::new([3, 4]).hash(&InnerPacket::parse(&first).unwrap(), &first),
        hash(&first)
    );
}

#[test]
fn an_answer_has_the_hash_of_what_it_answers() {
    let hasher = FlowHasher::new([1, 2]);
    let udp = |ports: [u8; 4]| v4(0, 17, 0, &[&ports[..], &[0, 9, 0, 0, 7]].concat());
    let there = udp([1, 2, 3, 4]);
    let mut back = udp([3, 4, 1, 2]);
    let (source, destination) = (back[12..16].to_vec(), back[16..20].to_vec());
    back[12..16].copy_from_slice(&destination);
    back[16..20].copy_from_slice(&source);
    let parsed = |p: &[u8]| InnerPacket::parse(p).unwrap();
    assert_eq!(hasher.hash_back(&parsed(&back), &back), hasher.hash(&parsed(&there), &there));
    assert_ne!(hasher.hash_back(&parsed(&there), &there), hasher.hash(&parsed(&there), &there));
    let esp = v4(0, 50, 0, &[0, 0, 0, 1, 0, 0, 0, 9]);
    let fragment = v4(0, 17, 0x2000, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(answers_are_known(&parsed(&there)));
    assert!(![esp, fragment].iter().any(|p| answers_are_known(&parsed(p))));
}

#[test]
fn ecn_as_rfc_6040_says() {
    // Rows: inner Not-ECT, ECT(1), ECT(0), CE; columns: outer Not-ECT, ECT(1), ECT(0), CE.
    let table: [[Option<u8>; 4]; 4] = [
        [Some(0), Some(0), Some(0), None],
        [Some(1), Some(1), Some(1), Some(3)],
        [Some(2), Some(1), Some(2), Some(3)],
        [Some(3), Some(3), Some(3), Some(3)],
    ];
    for (inner, row) in table.iter().enumerate() {
        for (outer, expected) in row.iter().enumerate() {
            let tos = 0xb8 | inner as u8;
            for mut p in [v4(tos, 17, 0, &[0; 8]), v6(tos, 17, &[0; 8])] {
                let result = decapsulate_ecn(&mut p, outer as u8);
                match expected {
                    None => assert_eq!(result, Err(DropReason::EcnNotCapable)),
                    Some(ecn) => {
                        assert_eq!(result, Ok(()));
                        assert_eq!(InnerPacket::parse(&p).unwrap().tos(), 0xb8 | ecn);
                    }
                }
                if p[0] >> 4 == 4 {
                    assert_eq!(fold(sum(&p[..20])), 0, "header checksum");
                }
            }
        }
    }
}

#[test]
fn mss_is_only_ever_lowered() {
    let limit = MssLimit::of(MssClamp::Auto, 1400).unwrap();
    let mss = |v: u16| [&[2, 4][..], &v.to_be_bytes()].concat();
    for (options, at) in [
        (mss(1460), 2),
        ([&[1][..], &mss(1460)].concat(), 3),
        ([&[4, 2][..], &mss(1460)].concat(), 4),
    ] {
        for (build, expected) in
            [(v4(0, 6, 0, &syn(&options)), 1360u16), (v6(0, 6, &syn(&options)), 1340)]
        {
            let mut p = with_checksum(build);
            let inner = InnerPacket::parse(&p).unwrap();
            clamp_mss(&mut p, &inner, Checksum::Full, limit);
            let at = inner.transport() + 20 + at;
            assert_eq!(u16::from_be_bytes([p[at], p[at + 1]]), expected);
            assert_eq!(tcp_checksum(&p), 0);
            let before = p.clone();
            clamp_mss(&mut p, &inner, Checksum::Full, limit);
            assert_eq!(p, before);
        }
    }
    // A wrong checksum stays wrong.
    let mut p = with_checksum(v4(0, 6, 0, &syn(&mss(1460))));
    p[36] ^= 0x55;
    let inner = InnerPacket::parse(&p).unwrap();
    clamp_mss(&mut p, &inner, Checksum::Full, limit);
    assert_ne!(tcp_checksum(&p), 0);
}

#[test]
fn not_a_syn_is_left_alone() {
    let limit = MssLimit::of(MssClamp::Fixed(500), 1400).unwrap();
    let mut segment = syn(&[2, 4, 5, 180]);
    segment[13] = 0x10;
    let mut p = v4(0, 6, 0, &segment);
    let before = p.clone();
    let inner = InnerPacket::parse(&p).unwrap();
    clamp_mss(&mut p, &inner, Checksum::Full, limit);
    assert_eq!(p, before);
    assert_eq!(MssLimit::of(MssClamp::Off, 1400), None);
}

/// What the bytes add up to in one's complement arithmetic. A checksum over them is right when this is 0;
/// while it does not change, a right one stays right and a wrong one wrong.
fn residue(bytes: &[u8]) -> u32 {
    sum(bytes) % 0xffff
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        3 => Just(vec![1]),
        3 => any::<u16>().prop_map(|v| [&[2, 4][..], &v.to_be_bytes()].concat()),
        2 => Just(vec![4, 2]),
        1 => Just(vec![3, 3, 7]),
        1 => proptest::collection::vec(any::<u8>(), 1..6),
    ];
    proptest::collection::vec(option, 0..8).prop_map(|o| o.concat()).prop_map(|mut o| {
        o.truncate(40);
        o
    })
}

/// The MSS that a receiver finds among well-formed options, by a second reading of RFC 9293.
fn first_mss(mut options: &[u8]) -> Option<u16> {
    loop {
        options = match *options {
            [1, ref rest @ ..] => rest,
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([high, low])),
            [kind, length, ..] if kind != 0 && length >= 2 => options.get(length as usize..)?,
            _ => return None,
        }
    }
}

proptest! {
    #[test]
    fn only_a_large_mss_changes_and_its_checksum_keeps_its_truth(
        options in options(),
        mtu in 1280u16..1500,
        v6_: bool,
        checksum: [u8; 2],
        ack: bool,
    ) {
        let mut segment = syn(&options);
        segment[13] |= if ack { 0x10 } else { 0 };
        segment[16..18].copy_from_slice(&checksum);
        let end = segment.len();
        let before = if v6_ { v6(0, 6, &segment) } else { v4(0, 6, 0, &segment) };
        let limit = if v6_ { mtu - 60 } else { mtu - 40 };
        let mut p = before.clone();
        let inner = InnerPacket::parse(&p).unwrap();
        clamp_mss(&mut p, &inner, Checksum::Full, MssLimit::of(MssClamp::Auto, mtu).unwrap());

        let (header, tcp) = p.split_at(inner.transport());
        prop_assert_eq!(header, &before[..inner.transport()]);
        let found = first_mss(&segment[20..end]);
        prop_assert_eq!(first_mss(&tcp[20..]), found.map(|mss| mss.min(limit)));
        prop_assert_eq!(residue(tcp), residue(&segment));
        let changed = segment.iter().zip(tcp).filter(|(a, b)| a != b).count();
        let most = if found.is_some_and(|mss| mss > limit) { 4 } else { 0 };
        prop_assert!(changed <= most);
    }

    #[test]
    fn ecn_changes_two_bits_and_the_header_checksum_keeps_its_truth(
        tos: u8,
        outer: u8,
        checksum: Option<[u8; 2]>,
    ) {
        let mut p = v4(tos, 17, 0, &[0; 8]);
        if let Some(checksum) = checksum {
            p[10..12].copy_from_slice(&checksum);
        }
        let before = p.clone();
        let dropped = decapsulate_ecn(&mut p, outer).is_err();
        prop_assert_eq!(dropped, tos & 3 == 0 && outer & 3 == 3);
        prop_assert_eq!(residue(&p), residue(&before));
        prop_assert_eq!(p[1] & !3, tos & !3);
        p[1] = tos;
        p[10..12].copy_from_slice(&before[10..12]);
        prop_assert_eq!(p, before);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), first in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()], fix in any::<bool>()) {
        if let Some(b) = bytes.first_mut() { *b = first; }
        if fix && bytes.len() >= 40 {
            let len = bytes.len() as u16;
            if first >> 4 == 4 {
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                bytes[9] = 6;
            } else {
                bytes[4..6].copy_from_slice(&(len - 40).to_be_bytes());
            }
        }
        let _ = decapsulate_ecn(&mut bytes.clone(), 3);
        if let Ok(inner) = InnerPacket::parse(&bytes) {
            prop_assert!(inner.transport() <= bytes.len());
            let _ = FlowHasher::new([1, 2]).hash(&inner, &bytes);
            clamp_mss(&mut bytes, &inner, Checksum::Full, MssLimit::of(MssClamp::Auto, 1280).unwrap());
        }
    }
}
