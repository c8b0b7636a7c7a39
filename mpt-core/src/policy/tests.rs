//! Texts that are read as they are written, and the first policy that matches.

use super::*;
use crate::config::Prefix;
use crate::inner::{InnerPacket, Offload, Segments};
use proptest::prelude::*;

fn facts(text: &str) -> Facts {
    text.parse::<PacketText>().unwrap().0
}

fn policy(text: &str) -> Policy {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn table(own: &[&str]) -> PolicyTable {
    PolicyTable::new(&PolicyConfig {
        own: own.iter().map(|t| policy(t)).collect(),
        ..Default::default()
    })
}

/// The name of the policy that takes a packet.
fn taker(table: &PolicyTable, packet: &str) -> String {
    let tried = table.tried(&facts(packet));
    tried.last().unwrap().name.clone().unwrap_or_default()
}

#[test]
fn the_built_in_classes() {
    let t = table(&[]);
    for (packet, name) in [
        ("udp 10.0.0.1:5004 -> 10.1.0.9:5004 dscp ef size 200", "voice"),
        ("udp 10.0.0.1:5004 -> 10.1.0.9:5004 dscp cs5 size 400", "voice"),
        ("udp 10.0.0.1:5004 -> 10.1.0.9:5004 dscp ef size 401", "rest"),
        ("udp 10.0.0.1:5004 -> 10.1.0.9:53", "dns"),
        ("tcp 10.0.0.1:53 -> 10.1.0.9:5004", "dns"),
        ("sctp 10.0.0.1:53 -> 10.1.0.9:5004", "rest"),
        ("icmp 10.0.0.1 -> 10.1.0.9", "icmp"),
        ("icmpv6 fd77::1 -> fd77::2", "icmp"),
        ("tcp [fd77::1]:80 -> [fd77::2]:443", "rest"),
    ] {
        assert_eq!(taker(&t, packet), name, "{packet}");
    }
    let none = PolicyTable::new(&PolicyConfig::NONE);
    assert_eq!(taker(&none, "icmp 10.0.0.1 -> 10.1.0.9"), "rest");
}

#[test]
fn the_first_that_matches_wins() {
    let mut t = table(&["name a ports 5000-5100 send fastest", "dscp ef send spread"]);
    let packet = "udp 10.0.0.1:5004 -> 10.1.0.9:9 dscp ef size 200";
    assert_eq!(taker(&t, packet), "a");
    t.add(policy("name first from 10.0.0.0/24 order free"), Some("a")).unwrap();
    assert_eq!(taker(&t, packet), "first");
    t.add(policy("name last send protect"), None).unwrap();
    assert_eq!(taker(&t, "icmp 10.9.0.1 -> 10.1.0.9"), "last");
    let status = t.status();
    let names: Vec<_> = status.iter().map(|s| s.name.as_deref().unwrap_or("-")).collect();
    assert_eq!(names, ["first", "a", "-", "last", "voice", "dns", "icmp", "rest"]);
    assert_eq!(t.remove("2").unwrap().name.as_deref(), Some("a"));
    assert_eq!(t.remove("first").unwrap().class.order, FlowOrder::Free);
    let wrong = |t: &mut PolicyTable, which| t.remove(which).unwrap_err().0;
    assert_eq!(wrong(&mut t, "lsat"), "no policy is called `lsat`; did you mean `last`?");
    assert_eq!(wrong(&mut t, "x"), "no policy is called `x`; there are: 1, last");
    assert!(wrong(&mut t, "voice").contains("builtin_policies: off"));
    assert!(wrong(&mut t, "0").starts_with("no policy is called `0`"));
    assert!(t.add(policy("name last send spread"), None).unwrap_err().0.contains("already"));
    assert!(t.add(policy("send spread"), Some("y")).is_err());
}

#[test]
fn what_was_tried_says_which_condition_failed() {
    let t = table(&["name calls dscp ef protocol udp ports 5000-5100 size ..200 send duplicate"]);
    let why = |packet| {
        let tried = t.tried(&facts(packet));
        (tried[0].takes, tried[0].why.clone())
    };
    let is = |why: &str| (false, why.to_owned());
    assert_eq!(why("tcp 10.0.0.1:5004 -> 10.1.0.9:1"), is("dscp is cs0, not ef"));
    assert_eq!(why("tcp 10.0.0.1:5004 -> 10.1.0.9:1 dscp ef"), is("protocol is tcp, not udp"));
    assert_eq!(why("udp 10.0.0.1:1 -> 10.1.0.9:2 dscp ef"), is("size is 1000, not ..200"));
    assert_eq!(
        why("udp 10.0.0.1:1 -> 10.1.0.9:2 dscp ef size 60"),
        is("ports is 1 and 2, not 5000-5100")
    );
    let (takes, why) = why("udp 10.0.0.1:1 -> 10.1.0.9:5100 dscp ef size 60");
    assert!(takes && why == "dscp ef protocol udp ports 5000-5100 size ..200", "{why}");
}

#[test]
fn mistakes_are_told_with_the_remedy() {
    let wrong = |text: &str| text.parse::<Policy>().unwrap_err().0;
    for (text, words) in [
        ("dcsp ef send spread", "did you mean `dscp`?"),
        ("colour red", "expected one of name, send"),
        ("dscp efe send spread", "`dscp`: expected a DSCP: ef, cs0 to cs7"),
        ("dscp 64 send spread", "0 to 63; found `64`"),
        ("protocol upd send spread", "did you mean `udp`?"),
        ("ports 5100-5000 send spread", "write 5000-5100"),
        ("ports 70000 send spread", "0 to 65535"),
        ("size 500..100 send spread", "write 100..500"),
        ("size big send spread", "`size`: expected bytes"),
        ("from 10.0.0.1/8 send spread", "write 10.0.0.0/8"),
        ("send fastset", "did you mean `fastest`?"),
        ("send pin", "pin needs the name of a path"),
        ("order fre", "did you mean `free`?"),
        ("patience 80", "without a unit"),
        ("patience 11s", "1ms to 10s"),
        ("send", "`send` has no value; for example `send fastest`"),
        ("send spread send fastest", "twice"),
        ("dscp ef", "a policy says what is done"),
        ("name voice send spread", "built-in"),
        ("name 3 send spread", "number"),
        ("protocol icmp ports 53 send spread", "icmp has no ports"),
        ("from 10.0.0.0/8 to fd77::/64 send spread", "different families"),
        ("protocol icmp to fd77::/64 send spread", "icmp is not spoken over IPv6"),
        ("protocol icmpv6 from 10.0.0.0/8 send spread", "icmpv6 is not spoken over IPv4"),
        ("size 0 send spread", "header alone has 20 bytes"),
        ("to fd77::/64 size ..39 send spread", "header alone has 40 bytes"),
        ("", "a policy says what is done"),
    ] {
        assert!(wrong(text).contains(words), "{text}: {}", wrong(text));
    }
    let wrong = |text: &str| text.parse::<PacketText>().unwrap_err().0;
    for (text, words) in [
        ("", "the protocol is missing"),
        ("udp", "the source is missing"),
        ("upd 1.2.3.4:5 -> 1.2.3.4:5", "did you mean `udp`?"),
        ("udp 1.2.3:4 -> 1.2.3.4:5", "`1.2.3:4` is no address"),
        ("udp 1.2.3.4 -> 1.2.3.4", "udp has a port at either end, as in 1.2.3.4:5004"),
        ("icmp 1.2.3.4:5 -> 1.2.3.4:5", "icmp has no ports"),
        ("icmp 1.2.3.4 -> ::1", "different families"),
        ("icmp 1.2.3.4 -> 1.2.3.4 dcsp ef", "did you mean `dscp`?"),
        ("icmp 1.2.3.4 -> 1.2.3.4 size", "`size` has no value"),
        ("icmp 1.2.3.4 -> 1.2.3.4 size 3", "20 to 65535"),
    ] {
        assert!(wrong(text).contains(words), "{text}: {}", wrong(text));
    }
}

#[test]
fn a_super_packet_is_judged_by_its_segments() {
    let mut packet = vec![0; 20 + 20 + 3_000];
    packet[0] = 0x45;
    packet[1] = 46 << 2;
    packet[2..4].copy_from_slice(&3_040u16.to_be_bytes());
    packet[9] = 6;
    packet[20..24].copy_from_slice(&[0, 53, 1, 0]);
    packet[32] = 5 << 4;
    let inner = InnerPacket::parse(&packet).unwrap();
    let segments = Segments::Tcp { size: 300 };
    let facts = Facts::of(&packet, &inner, &Offload { segments, ..Default::default() });
    assert_eq!((facts.size, facts.ports), (340, Some((53, 256))));
    assert_eq!(facts.dscp, Codepoint::EF);
    packet[6] = 0x20;
    let inner = InnerPacket::parse(&packet).unwrap();
    assert_eq!(Facts::of(&packet, &inner, &Offload::default()).ports, None, "a fragment");
}

fn ports() -> impl Strategy<Value = Vec<PortRange>> {
    let range =
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
    prop::collection::vec(range, 0..3)
}

fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
    let prefix = (any::<[u8; 4]>(), 0u8..33).prop_map(|(a, l)| Prefix::new(a.into(), l).unwrap());
    prop::collection::vec(prefix, 0..3)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let dscp = prop::collection::vec((0u8..64).prop_map(|v| Codepoint::of_tos(v << 2)), 0..3);
    let protocol = prop::collection::vec((1u8..).prop_map(Protocol), 0..3);
    let size = prop::option::of(
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| SizeRange::new(a.min(b), a.max(b)).unwrap()),
    );
    (dscp, protocol, ports(), ports(), ports(), prefixes(), prefixes(), size).prop_map(
        |(dscp, protocol, ports, source_ports, destination_ports, from, to, size)| Matcher {
            dscp,
            protocol,
            ports,
            source_ports,
            destination_ports,
            from,
            to,
            size,
        },
    )
}

fn class() -> impl Strategy<Value = Class> {
    let sending = prop_oneof![
        Just(Sending::Spread),
        Just(Sending::Fastest),
        Just(Sending::Duplicate),
        Just(Sending::Protect),
        "[a-z][a-z0-9-]{0,9}".prop_map(Sending::Pin),
    ];
    let order = prop_oneof![Just(FlowOrder::Keep), Just(FlowOrder::Free)];
    let patience =
        prop::option::of((1u16..10_001).prop_map(|ms| ClassPatience::from_millis(ms).unwrap()));
    (sending, order, patience).prop_map(|(sending, order, patience)| Class {
        sending,
        order,
        patience,
    })
}

proptest! {
    #[test]
    fn a_policy_is_read_as_it_is_written(
        name in prop::option::of("[A-Za-z][A-Za-z_-]{5,9}"),
        matcher in matcher(),
        class in class(),
    ) {
        let policy = Policy { name, matcher, class };
        let text = policy.to_string();
        match text.parse::<Policy>() {
            Ok(read) => prop_assert_eq!(read, policy, "{}", text),
            Err(e) => prop_assert!(policy.check().is_err(), "{}: {}", text, e),
        }
    }

    #[test]
    fn a_packet_is_read_as_it_is_written(
        addresses in any::<([u8; 4], [u8; 4])>(),
        wide in any::<Option<([u8; 16], [u8; 16])>>(),
        dscp in 0u8..64,
        protocol in 1u8..,
        ports in any::<(u16, u16)>(),
        size in 20u16..,
    ) {
        let protocol = Protocol(protocol);
        let (source, destination) = match wide {
            Some((a, b)) => (a.into(), b.into()),
            None => (addresses.0.into(), addresses.1.into()),
        };
        let dscp = Codepoint::of_tos(dscp << 2);
        let ports = protocol.has_ports().then_some(ports);
        let packet = PacketText(Facts { source, destination, dscp, protocol, ports, size });
        prop_assert_eq!(packet.to_string().parse::<PacketText>(), Ok(packet));
    }

    #[test]
    fn whatever_is_typed_is_no_panic(text in "(name|send|pin|dscp|ports|from|size|patience|ef|53|10.0.0.0/8|\\.\\.|-|,| |\\PC){0,12}") {
        let _ = text.parse::<Policy>();
        let _ = text.parse::<PacketText>();
    }
}
