//! A path that silently drops what the tunnel's least MTU needs. Needs root or user namespaces, and Debian's
//! `iputils-ping`.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use std::net::IpAddr;
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

/// Of a bridge; a veth lets a VLAN's four bytes more through.
const MTU: u32 = 1_300;

/// A single bridge that drops longer packets, while both routers take it for an Ethernet.
fn small_bridge() -> Testbed {
    let link = LinkSpec::new(20_000_000, Duration::from_millis(5)).mtu(MTU);
    let mut testbed = Testbed::builder(env!("CARGO_BIN_EXE_mpt-lab")).link(link).build().unwrap();
    for site in [testbed.a(), testbed.b()] {
        site.router().set_mtu("wan1", 1_500).unwrap();
    }
    testbed.start(Duration::from_secs(10)).unwrap();
    testbed
}

/// Whether a ping of so many bytes of IP packet, which no router may fragment, is answered.
fn ping(testbed: &Testbed, address: IpAddr, bytes: usize) -> bool {
    let headers = if address.is_ipv4() { 28 } else { 48 };
    let mut command = testbed.a().host().command("ping");
    command.args(["-n", "-c", "1", "-W", "2", "-M", "do", "-s", &(bytes - headers).to_string()]);
    command.arg(address.to_string()).output().unwrap().status.success()
}

#[test]
fn what_the_tunnel_promises_passes() {
    let mut testbed = small_bridge();
    // The search begins at the top.
    let found = |paths: &[mpt_core::control::PathStatus]| paths.iter().all(|p| p.mtu >= 1_290);
    for _ in 0..50 {
        let paths = [0, 1].map(|site| mpt_lab::measure::paths(&mut testbed, site).unwrap());
        if paths.iter().all(|p| found(p)) {
            break;
        }
        sleep(ms(200));
    }
    for site in [0, 1] {
        let path = mpt_lab::measure::paths(&mut testbed, site).unwrap().remove(0);
        assert!((1_290..=1_304).contains(&path.mtu), "{}", path.mtu);
    }
    for address in [testbed.b().host_v4(), testbed.b().host_v6()] {
        for bytes in [1_200, 1_236, 1_237, 1_250, 1_280] {
            assert!(ping(&testbed, address, bytes), "{bytes} bytes to {address}");
        }
    }
    // Longer than the tunnel's MTU: fragments of the inner packet, most of them in parts.
    for size in [1_240, 4_000] {
        let config = StreamConfig {
            size,
            duration: Duration::from_secs(2),
            ..StreamConfig::new(testbed.b().host_port(5000), 8_000_000)
        };
        let result = Stream::run(testbed.a().host(), testbed.b().host(), &config).unwrap();
        assert!(result.sent > 400, "{result:?}");
        assert_eq!((result.lost, result.out_of_order, result.corrupt), (0, 0, 0), "{size} bytes");
    }
}
