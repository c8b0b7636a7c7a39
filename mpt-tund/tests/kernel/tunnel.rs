//! The TUN device.

use crate::lab::{connect, dump, in_namespace};
use mpt_core::inner::{Checksum, InnerPacket, Offload, complete_checksum};
use mpt_tund::net::{Netlink, interface_index};
use mpt_tund::tun::{Offloads, TunDevice, TunError, VNET_HEADER_LEN};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

fn addresses() -> [(IpAddr, u8); 2] {
    [("10.77.0.1".parse().unwrap(), 30), ("fd77::1".parse().unwrap(), 64)]
}

/// The next packet, whose checksum is complete, behind room for a header.
async fn next_packet(tun: &TunDevice) -> Vec<u8> {
    let mut buffer = [0; 2048];
    loop {
        poll_fn(|cx| tun.poll_readable(cx)).await.unwrap();
        match tun.read(&mut buffer) {
            Ok((packet, offload)) => {
                let inner = InnerPacket::parse(packet).unwrap();
                // The kernel leaves it to us where it was told that it may.
                assert_eq!(offload.checksum == Checksum::Partial, tun.offloads().vnet);
                if offload.checksum == Checksum::Partial {
                    complete_checksum(packet, &inner).unwrap();
                }
                return [&[0; VNET_HEADER_LEN][..], packet].concat();
            }
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

#[test]
fn packets_pass_both_ways_and_nothing_else_comes() {
    in_namespace(|| async {
        passes_both_ways(Offloads::ALL).await;
        passes_both_ways(Offloads::NONE).await;
    });
}

async fn passes_both_ways(offloads: Offloads) {
    let netlink = Netlink::open().unwrap();
    let tun = TunDevice::create("mpt0", offloads).unwrap();
    assert_eq!(tun.offloads().vnet, offloads.vnet);
    netlink.configure(tun.index(), &addresses(), 1380).await.unwrap();
    let mut buffer = [0; 2048];
    for (local, remote) in [("10.77.0.1", "10.77.0.2"), ("fd77::1", "fd77::2")] {
        let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        // Usable at once, without the second of duplicate detection.
        let start = Instant::now();
        let socket = loop {
            match UdpSocket::bind(at(local, 4000)) {
                Ok(socket) => break socket,
                Err(e) => assert!(start.elapsed().as_millis() < 300, "{e}"),
            }
        };
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        socket.send_to(b"out", at(remote, 5000)).unwrap();
        // The first packet is ours: no router solicitations, no multicast reports.
        let mut with_header = next_packet(&tun).await;
        let packet = &mut with_header[VNET_HEADER_LEN..];
        let header = if local.contains(':') { 40 } else { 20 };
        assert_eq!(&packet[header + 8..], b"out");
        // Turned round it is an answer; swapped words leave the checksums right.
        let (addresses, len) = if header == 20 { (12, 4) } else { (8, 16) };
        for i in 0..len {
            packet.swap(addresses + i, addresses + len + i);
        }
        packet.swap(header, header + 2);
        packet.swap(header + 1, header + 3);
        let mut answer = [0; 100];
        let (got, from) = loop {
            // The kernel completes an IPv6 address a moment after a socket can be bound to it.
            tun.write(&mut with_header, &Offload::default()).unwrap();
            match socket.recv_from(&mut answer) {
                Ok(got) => break got,
                Err(e) => assert!(start.elapsed().as_secs() < 2, "{e}"),
            }
        };
        assert_eq!((&answer[..got], from), (&b"out"[..], at(remote, 5000)));
    }
    assert!(tun.write(&mut [0xff; 50], &Offload::default()).is_err(), "not IP");
    assert_eq!(tun.read(&mut buffer).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn it_has_its_mtu_and_vanishes_with_its_descriptor() {
    in_namespace(|| async {
        let netlink = Netlink::open().unwrap();
        let before = dump().await;
        let tun = TunDevice::create("mpt0", Offloads::ALL).unwrap();
        netlink.configure(tun.index(), &addresses(), 1380).await.unwrap();
        let now = netlink.interfaces().await.unwrap();
        let interface = now.get("mpt0").unwrap();
        assert_eq!((interface.index, interface.mtu, interface.up), (tun.index(), 1380, true));
        assert_eq!(interface.addresses, addresses().map(|a| a.0), "and no link-local one");
        netlink.set_mtu(tun.index(), 1300).await.unwrap();
        assert_eq!(netlink.interfaces().await.unwrap().get("mpt0").unwrap().mtu, 1300);
        drop(tun);
        while interface_index("mpt0").is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(dump().await, before);
    });
}

#[test]
fn a_name_in_use_is_told_with_its_owner() {
    in_namespace(|| async {
        let _tun = TunDevice::create("mpt0", Offloads::ALL).unwrap();
        let error = TunDevice::create("mpt0", Offloads::ALL).unwrap_err();
        assert!(matches!(error, TunError::Busy { .. }));
        let pid = format!("(pid {})", std::process::id());
        assert!(error.to_string().contains(&pid), "{error}");
        let cable = rtnetlink::LinkVeth::new("wan1", "far1").build();
        connect().link().add(cable).execute().await.unwrap();
        let error = TunDevice::create("wan1", Offloads::ALL).unwrap_err().to_string();
        assert!(
            error.starts_with("interface wan1 exists already and is no TUN device;"),
            "{error}"
        );
    });
}
