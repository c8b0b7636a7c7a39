//! Sockets and batches.

use crate::lab::{Far, address, in_namespace};
use mpt_core::wire::{MessageType, ordered_worker};
use mpt_core::{Fragment, LaneKey, Outbox, SocketId};
use mpt_tund::udp::{
    Family, MAX_DATAGRAM, OpenError, PathSocket, RecvBatch, SendError, SocketSpec, UdpOffloads,
    UnwatchedSocket,
};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

fn key(destination: SocketAddr) -> LaneKey {
    LaneKey {
        peer: None,
        socket: SocketId(0),
        destination,
        source: None,
        fragment: Fragment::Never,
    }
}

fn open(spec: &SocketSpec) -> PathSocket {
    PathSocket::open(spec, &[]).unwrap()
}

fn at(ip: &str, port: u16) -> SocketSpec {
    let address: IpAddr = ip.parse().unwrap();
    SocketSpec { address: Some(address), port, ..SocketSpec::any(Family::of(address)) }
}

async fn receive(socket: &PathSocket, batch: &mut RecvBatch) -> usize {
    loop {
        poll_fn(|cx| socket.poll_readable(cx)).await.unwrap();
        match socket.receive(batch) {
            Ok(n) => return n,
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

/// Sends all of the outbox; returns what was refused, by number.
fn send(socket: &PathSocket, out: &mut Outbox) -> Vec<(usize, SendError)> {
    let mut errors = Vec::new();
    for lane in out.lanes() {
        let done = socket.send(lane, 0, |i, e| errors.push((i, e)));
        assert_eq!(done, lane.len());
    }
    errors
}

async fn round_trip(local: &str, second: &str) {
    let server =
        open(&SocketSpec { port: 4511, ..SocketSpec::any(Family::of(local.parse().unwrap())) });
    let client = open(&at(local, 0));
    let second: IpAddr = second.parse().unwrap();
    let mut out = Outbox::new();
    for i in 0..150u8 {
        out.push(key(SocketAddr::new(second, 4511)), 0xb8 | 2, 1200).fill(i);
    }
    assert_eq!(send(&client, &mut out), []);
    let mut batch = RecvBatch::new(64, MAX_DATAGRAM);
    let mut next = 0;
    while next < 150 {
        receive(&server, &mut batch).await;
        for d in batch.datagrams() {
            assert!(*d.data == [next; 1200], "number {next}: order and content, not {}", d.data[0]);
            assert_eq!(d.source, client.local_address());
            assert_eq!(d.destination, Some(second), "the address that was addressed");
            assert_eq!((d.tos, d.ecn()), (0xba, 2));
            assert_eq!(d.interface, 1, "came in by lo");
            assert_eq!((d.truncated, d.kernel_drops.unwrap_or(0)), (false, 0));
            next += 1;
        }
    }
    assert!(server.receive(&mut batch).is_err() && batch.is_empty());
    // The answer leaves from the address that was addressed, though the socket is bound to none.
    out.clear();
    out.push(LaneKey { source: Some(second), ..key(client.local_address()) }, 0, 3000);
    assert_eq!(send(&server, &mut out), []);
    let mut batch = RecvBatch::new(64, 2048);
    receive(&client, &mut batch).await;
    let answer = batch.datagrams().next().unwrap();
    assert_eq!(answer.source, SocketAddr::new(second, 4511));
    assert_eq!((answer.data.len(), answer.truncated), (2048, true), "larger than its buffer");
    // A source that is none of ours.
    let foreign: IpAddr = if second.is_ipv4() { "10.9.9.9" } else { "fd09::9" }.parse().unwrap();
    out.clear();
    out.push(LaneKey { source: Some(foreign), ..key(client.local_address()) }, 0, 10);
    let expected = if second.is_ipv4() { SendError::Unreachable } else { SendError::SourceGone };
    assert_eq!(send(&server, &mut out), [(0, expected)]);
}

#[test]
fn batches_pass_with_tos_and_addresses_v4() {
    in_namespace(|| round_trip("127.0.0.1", "127.0.0.2"));
}

#[test]
fn batches_pass_with_tos_and_addresses_v6() {
    in_namespace(|| async {
        address("lo", "fd00::2/128").await;
        round_trip("::1", "fd00::2").await;
    });
}

#[test]
fn datagrams_of_a_lane_have_their_own_tos() {
    in_namespace(|| async {
        for local in ["127.0.0.1", "::1"] {
            let (server, client) = (open(&at(local, 0)), open(&at(local, 0)));
            // In turn, and in rows that leave as super-packets.
            let tos = |i: u8| if i < 64 { i % 2 * 2 } else { 0xb8 | (i / 8 % 4) };
            let mut out = Outbox::new();
            for i in 0..128 {
                out.push(key(server.local_address()), tos(i), 1200).fill(i);
            }
            assert_eq!(out.lanes().len(), 1);
            assert_eq!(send(&client, &mut out), []);
            let mut batch = RecvBatch::new(64, MAX_DATAGRAM);
            let mut got = Vec::new();
            while got.len() < 128 {
                receive(&server, &mut batch).await;
                got.extend(batch.datagrams().map(|d| (d.data[0], d.data.len(), d.tos)));
            }
            assert_eq!(got, (0..128).map(|i| (i, 1200, tos(i))).collect::<Vec<_>>(), "{local}");
        }
    });
}

#[test]
fn one_datagram_too_large_does_not_end_the_batch() {
    in_namespace(|| async {
        let far = Far::new().await;
        far.cable("wan1", "far1").await;
        for (near, there) in [("10.1.0.1", "10.1.0.2"), ("fd01::1", "fd01::2")] {
            let length = if near.contains(':') { 64 } else { 24 };
            address("wan1", &format!("{near}/{length}")).await;
            far.address("far1", &format!("{there}/{length}")).await;
            let client = open(&at(near, 0));
            let server = far.enter(|| open(&at(there, 4511)));
            let key = key(server.local_address());
            let mut out = Outbox::new();
            for (i, len) in [100, 1600, 200, 1601, 300].into_iter().enumerate() {
                out.push(key, 0, len).fill(i as u8);
            }
            let refused = [(1, SendError::TooLarge), (3, SendError::TooLarge)];
            assert_eq!(send(&client, &mut out), refused);
            let mut lengths = Vec::new();
            let mut batch = RecvBatch::new(64, 9000);
            while lengths.len() < 3 {
                receive(&server, &mut batch).await;
                lengths.extend(batch.datagrams().map(|d| d.data.len()));
            }
            assert_eq!(lengths, [100, 200, 300]);
            // With fragments allowed it passes, and afterwards it is as before.
            let mut out = Outbox::new();
            out.push(LaneKey { fragment: Fragment::Allow, ..key }, 0, 5000);
            assert_eq!(send(&client, &mut out), []);
            receive(&server, &mut batch).await;
            assert_eq!(batch.datagrams().next().unwrap().data.len(), 5000);
            out.clear();
            out.push(key, 0, 5000);
            assert_eq!(send(&client, &mut out), [(0, SendError::TooLarge)]);
        }
    });
}

#[test]
fn a_busy_port_is_named_and_stays_ours() {
    in_namespace(|| async {
        let foreign = UdpSocket::bind("0.0.0.0:4511").unwrap();
        let listen = SocketSpec { port: 4511, ..SocketSpec::any(Family::V4) };
        let error = PathSocket::open(&listen, &[]).unwrap_err();
        assert!(matches!(error, OpenError::PortBusy { port: 4511 }) && !error.is_waiting());
        assert!(error.to_string().starts_with("port 4511 is already in use by another program"));
        drop(foreign);

        let listening = PathSocket::open(&listen, &[]).unwrap();
        // Not even a program that is ready to share gets in, before and after a path joined.
        let intrude = || {
            let s =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            s.set_reuse_address(true).unwrap();
            s.bind(&"0.0.0.0:4511".parse::<SocketAddr>().unwrap().into())
        };
        assert!(intrude().is_err());
        let bound = SocketSpec { interface: Some("lo".into()), ..listen.clone() };
        assert!(matches!(PathSocket::open(&bound, &[]), Err(OpenError::PortBusy { .. })));
        let path = PathSocket::open(&bound, &[&listening]).unwrap();
        assert!(intrude().is_err());
        assert_eq!(path.local_address().port(), 4511);
    });
}

#[test]
fn the_socket_bound_to_the_interface_gets_what_comes_in_there() {
    in_namespace(|| async {
        let far = Far::new().await;
        for n in [1, 2] {
            far.cable(&format!("wan{n}"), &format!("far{n}")).await;
            address(&format!("wan{n}"), &format!("10.{n}.0.1/24")).await;
            far.address(&format!("far{n}"), &format!("10.{n}.0.2/24")).await;
        }
        // The order in which they are opened does not matter.
        for listen_first in [true, false] {
            let listen = SocketSpec { port: 4511, ..SocketSpec::any(Family::V4) };
            let bound = SocketSpec { interface: Some("wan1".into()), ..listen.clone() };
            let (first, second) = if listen_first { (&listen, &bound) } else { (&bound, &listen) };
            let first = PathSocket::open(first, &[]).unwrap();
            let second = PathSocket::open(second, &[&first]).unwrap();
            let (listening, path) = if listen_first { (first, second) } else { (second, first) };
            let mut batch = RecvBatch::new(8, 2048);
            for (n, expected, other) in [(1, &path, &listening), (2, &listening, &path)] {
                let client = far.enter(|| open(&at(&format!("10.{n}.0.2"), 0)));
                let mut out = Outbox::new();
                out.push(key(format!("10.{n}.0.1:4511").parse().unwrap()), 0, 50);
                assert_eq!(send(&client, &mut out), []);
                receive(expected, &mut batch).await;
                assert!(other.receive(&mut batch).is_err(), "one copy only");
            }
        }
    });
}

#[test]
fn what_a_path_waits_for_is_told_apart() {
    in_namespace(|| async {
        let missing = SocketSpec { interface: Some("wan9".into()), ..SocketSpec::any(Family::V6) };
        let error = PathSocket::open(&missing, &[]).unwrap_err();
        assert!(error.is_waiting());
        assert_eq!(error.to_string(), "interface wan9 does not exist");
        let error = PathSocket::open(&at("10.5.5.5", 0), &[]).unwrap_err();
        assert!(error.is_waiting(), "{error}");
        let mixed = SocketSpec { family: Family::V6, ..at("10.5.5.5", 0) };
        assert!(matches!(PathSocket::open(&mixed, &[]), Err(OpenError::WrongFamily { .. })));
    });
}

#[test]
fn buffers_are_large_and_overflows_counted() {
    in_namespace(|| async {
        // Datagram by datagram: of a super-packet that finds no room the kernel counts one.
        let alone = UdpOffloads { gso: false, gro: false };
        let server = open(&SocketSpec { offloads: alone, ..at("127.0.0.1", 4511) });
        let sizes = server.buffer_sizes().unwrap();
        assert!(sizes.receive >= 8 << 20 && sizes.send >= 8 << 20, "{sizes:?}");
        let client = open(&SocketSpec { offloads: alone, ..at("127.0.0.1", 0) });
        assert!(!client.gso() && !server.gro());
        let mut sent = 0u32;
        let mut batch = RecvBatch::new(64, 2048);
        let mut out = Outbox::new();
        for _ in 0..60 {
            out.push(key(server.local_address()), 0, 1400);
        }
        for _ in 0..400 {
            assert_eq!(send(&client, &mut out), []);
            sent += 60;
        }
        let mut received = receive(&server, &mut batch).await as u32;
        while let Ok(n) = server.receive(&mut batch) {
            received += n as u32;
        }
        assert!(received < sent, "the test must overflow the buffer");
        // The counter comes with the next datagram that finds room.
        send(&client, &mut out);
        let limit = Duration::from_secs(2);
        tokio::time::timeout(limit, receive(&server, &mut batch)).await.unwrap();
        assert_eq!(batch.datagrams().next().unwrap().kernel_drops, Some(sent - received));
    });
}

#[test]
fn super_packets_are_one_call_and_one_buffer_and_can_be_done_without() {
    in_namespace(|| async {
        for (gso, gro, buffers) in [(true, true, 3), (true, false, 150), (false, true, 150)] {
            let offloads = UdpOffloads { gso, gro };
            let server = open(&SocketSpec { offloads, ..at("127.0.0.1", 0) });
            let client = open(&SocketSpec { offloads, ..at("127.0.0.1", 0) });
            assert_eq!((client.gso(), server.gro()), (gso, gro));
            let mut out = Outbox::new();
            for i in 0..150u8 {
                // The last one is shorter and ends its run.
                let len = if i == 149 { 500 } else { 1300 };
                out.push(key(server.local_address()), 0, len).fill(i);
            }
            assert_eq!(send(&client, &mut out), []);
            let mut batch = RecvBatch::new(64, MAX_DATAGRAM);
            let (mut got, mut filled) = (Vec::new(), 0);
            while got.len() < 150 {
                filled += receive(&server, &mut batch).await;
                got.extend(batch.datagrams().map(|d| (d.data[0], d.data.len())));
            }
            let sent = (0..150).map(|i| (i, if i == 149 { 500 } else { 1300 }));
            assert!(got.into_iter().eq(sent), "gso {gso}, gro {gro}");
            // 50 datagrams of 1300 bytes are 65 000.
            assert_eq!(filled, buffers, "gso {gso}, gro {gro}");
        }
    });
}

#[test]
fn what_is_about_order_reaches_the_worker_that_restores_it() {
    in_namespace(|| async {
        let group: Vec<_> = UnwatchedSocket::open_group(&at("127.0.0.1", 4511), &[], 3)
            .unwrap()
            .into_iter()
            .map(|socket| socket.watch().unwrap())
            .collect();
        let client = open(&at("127.0.0.1", 0));
        let mut batch = RecvBatch::new(8, 2048);
        for kind in 0..=255u8 {
            for sender in 0..=15u8 {
                let mut out = Outbox::new();
                let datagram = out.push(key("127.0.0.1:4511".parse().unwrap()), 0, 20);
                datagram[..2].copy_from_slice(&[kind, sender << 4 | 1]);
                let expected = ordered_worker(datagram).map_or(0, |w| usize::from(w.get()) % 3);
                // What no end sends may go anywhere.
                if MessageType::of(datagram).is_none() {
                    continue;
                }
                assert_eq!(send(&client, &mut out), []);
                receive(&group[expected], &mut batch).await;
                assert_eq!(batch.datagrams().next().unwrap().data[..1], [kind]);
            }
        }
    });
}

#[test]
fn a_vanished_interface_is_an_error_of_the_datagram() {
    in_namespace(|| async {
        let far = Far::new().await;
        let index = far.cable("wan1", "far1").await;
        address("wan1", "10.1.0.1/24").await;
        let spec = SocketSpec { interface: Some("wan1".into()), ..SocketSpec::any(Family::V4) };
        let socket = open(&spec);
        crate::lab::connect().link().del(index).execute().await.unwrap();
        let mut out = Outbox::new();
        out.push(key("10.1.0.2:4511".parse().unwrap()), 0, 50);
        out.push(key("10.1.0.2:4511".parse().unwrap()), 0, 50);
        let errors = send(&socket, &mut out);
        assert_eq!(errors.iter().map(|e| e.0).collect::<Vec<_>>(), [0, 1]);
        assert!(
            matches!(errors[0].1, SendError::InterfaceGone | SendError::Unreachable),
            "{errors:?}"
        );
    });
}
