//! Uplinks, routes into the tunnel, and their removal.

use crate::lab::{
    Far, add_default_route, address, connect, default_route, dump, in_namespace, settled, way_out,
};
use mpt_core::config::Prefix;
use mpt_core::{Fragment, LaneKey, Outbox, SocketId};
use mpt_tund::net::{NetState, Netlink, RouteSpec, WhenDown, interface_index};
use mpt_tund::tun::{Offloads, TunDevice, VNET_HEADER_LEN};
use mpt_tund::udp::{Family, PathSocket, RecvBatch, SocketSpec};
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteVia};
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};

const UDP: u8 = 17;
const TCP: u8 = 6;

fn route(to: &str, protocols: &[u8], when_down: WhenDown) -> RouteSpec {
    let (ip, length) = to.split_once('/').unwrap();
    let to = Prefix::new(ip.parse().unwrap(), length.parse().unwrap()).unwrap();
    RouteSpec { to, protocols: protocols.to_vec(), when_down }
}

async fn tun(netlink: &Netlink, name: &str, addresses: &[&str]) -> TunDevice {
    let tun = TunDevice::create(name, Offloads::ALL).unwrap();
    let addresses: Vec<_> = addresses
        .iter()
        .map(|a| {
            let (ip, length) = a.split_once('/').unwrap();
            (ip.parse().unwrap(), length.parse().unwrap())
        })
        .collect();
    netlink.configure(tun.index(), &addresses, 1380).await.unwrap();
    for (ip, _) in addresses {
        settled(&connect(), &ip.to_string()).await;
    }
    tun
}

/// Two uplinks, `wan1` and `wan2`, each to a gateway `.1` of its own network; only `wan1` has the
/// default route. Behind each gateway there is `203.0.113.1` and `2001:db8::1`.
async fn two_uplinks() -> (Far, Far) {
    let (one, two) = (Far::new().await, Far::new().await);
    for (n, far) in [(1, &one), (2, &two)] {
        let (near, there) = (format!("wan{n}"), format!("far{n}"));
        far.cable(&near, &there).await;
        for (net, length) in [(format!("10.{n}.0."), 24), (format!("fd0{n}::"), 64)] {
            address(&near, &format!("{net}2/{length}")).await;
            far.address(&there, &format!("{net}1/{length}")).await;
        }
        far.address("lo", "203.0.113.1/32").await;
        far.address("lo", "2001:db8::1/128").await;
    }
    default_route("10.1.0.1", "wan1", 0).await;
    default_route("fd01::1", "wan1", 1024).await;
    (one, two)
}

#[test]
fn each_path_takes_its_own_gateway_beside_one_default_route() {
    in_namespace(|| async {
        let (one, two) = two_uplinks().await;
        let netlink = Netlink::open().unwrap();
        let mut state = NetState::open(netlink.clone(), "mpt0").await.unwrap();
        let device = tun(&netlink, "mpt0", &["10.77.0.1/30", "fd77::1/64"]).await;
        // Everything goes into the tunnel, even what is addressed like the remote ends.
        let routes = ["0.0.0.0/0", "::/0", "203.0.113.0/24"];
        let routes = routes.map(|to| route(to, &[], WhenDown::Keep)).to_vec();
        state.set_routes(device.index(), routes).await.unwrap();
        let now = netlink.interfaces().await.unwrap();
        let (wan1, wan2) = (now.get("wan1").unwrap(), now.get("wan2").unwrap());
        assert!(wan2.uplink(Family::V4, None).is_none(), "no default route, no gateway");
        let uplinks = [
            wan1.uplink(Family::V4, None),
            wan1.uplink(Family::V6, None),
            wan2.uplink(Family::V4, Some("10.2.0.1".parse().unwrap())),
            wan2.uplink(Family::V6, Some("fd02::1".parse().unwrap())),
        ];
        assert_eq!(uplinks[0].as_ref().unwrap().hop.gateway, "10.1.0.1".parse().ok());
        state.set_uplinks(uplinks.into_iter().flatten().collect()).await.unwrap();

        for (remote, family) in [("203.0.113.1", Family::V4), ("2001:db8::1", Family::V6)] {
            let remote = SocketAddr::new(remote.parse().unwrap(), 4511);
            let any = SocketSpec { port: 4511, ..SocketSpec::any(family) };
            let servers = [&one, &two].map(|f| f.enter(|| PathSocket::open(&any, &[]).unwrap()));
            for (i, interface) in ["wan1", "wan2"].into_iter().enumerate() {
                let spec = SocketSpec {
                    interface: Some(interface.into()),
                    mark: state.numbers().mark(),
                    ..SocketSpec::any(family)
                };
                let path = PathSocket::open(&spec, &[]).unwrap();
                send_one(&path, remote);
                let mut batch = RecvBatch::new(8, 2048);
                poll_fn(|cx| servers[i].poll_readable(cx)).await.unwrap();
                servers[i].receive(&mut batch).unwrap();
                let datagram = batch.datagrams().next().unwrap();
                let network = if family == Family::V4 { "10." } else { "fd0" };
                let from = datagram.source.ip().to_string();
                assert!(from.starts_with(&format!("{network}{}", i + 1)), "{from}");
                assert!(servers[1 - i].receive(&mut batch).is_err());
            }
            // A marked socket without an interface takes the system's way, never the tunnel.
            let mark = state.numbers().mark();
            assert_eq!(way_out(&remote.ip().to_string(), UDP, mark).await, Some(wan1.index));
            assert_eq!(way_out(&remote.ip().to_string(), UDP, 0).await, Some(device.index()));
        }
        assert!(device.read(&mut [0; 2000]).is_err(), "nothing went into the tunnel");
        state.undo().await.unwrap();
    });
}

fn send_one(socket: &PathSocket, destination: SocketAddr) {
    let mut out = Outbox::new();
    let key = LaneKey {
        peer: None,
        socket: SocketId(0),
        destination,
        source: None,
        fragment: Fragment::Never,
    };
    out.push(key, 0, 100);
    assert_eq!(socket.send(&out.lanes()[0], 0, |_, e| panic!("{e}")), 1);
}

#[test]
fn only_the_protocols_asked_for_go_in_and_the_lan_stays() {
    in_namespace(|| async {
        let _far = two_uplinks().await;
        let netlink = Netlink::open().unwrap();
        let mut state = NetState::open(netlink.clone(), "mpt0").await.unwrap();
        let device = tun(&netlink, "mpt0", &["10.77.0.1/30", "fd77::1/64"]).await;
        let routes = vec![
            route("0.0.0.0/0", &[UDP], WhenDown::Bypass),
            route("::/0", &[UDP], WhenDown::Bypass),
            route("192.168.12.0/24", &[], WhenDown::Keep),
        ];
        state.set_routes(device.index(), routes).await.unwrap();
        state.set_carrying(true).await.unwrap();
        let now = netlink.interfaces().await.unwrap();
        let (wan1, wan2) = (now.get("wan1").unwrap().index, now.get("wan2").unwrap().index);
        let mpt = device.index();
        for (to, protocol, expected) in [
            ("198.51.100.1", UDP, mpt),
            ("198.51.100.1", TCP, wan1),
            ("10.2.0.1", UDP, wan2),
            ("192.168.12.7", UDP, mpt),
            ("192.168.12.7", TCP, mpt),
            ("2001:db8:1::1", UDP, mpt),
            ("2001:db8:1::1", TCP, wan1),
            ("fd02::1", UDP, wan2),
        ] {
            assert_eq!(way_out(to, protocol, 0).await, Some(expected), "{to} {protocol}");
        }
        // While no path is up, what may be bypassed is.
        state.set_carrying(false).await.unwrap();
        assert_eq!(way_out("198.51.100.1", UDP, 0).await, Some(wan1));
        assert_eq!(way_out("2001:db8:1::1", UDP, 0).await, Some(wan1));
        assert_eq!(way_out("192.168.12.7", UDP, 0).await, Some(mpt), "`keep` stays");
        state.set_carrying(true).await.unwrap();
        assert_eq!(way_out("198.51.100.1", UDP, 0).await, Some(mpt));
        state.undo().await.unwrap();
    });
}

#[test]
fn udp_of_a_lan_host_behind_the_router_goes_in() {
    in_namespace(|| async {
        let _far = two_uplinks().await;
        let lan = Far::new().await;
        lan.cable("lan1", "host").await;
        address("lan1", "192.168.1.1/24").await;
        lan.address("host", "192.168.1.2/24").await;
        let host = lan.enter(|| interface_index("host")).unwrap();
        add_default_route(&lan.handle, "192.168.1.1", host, 0).await;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let netlink = Netlink::open().unwrap();
        let mut state = NetState::open(netlink.clone(), "mpt0").await.unwrap();
        let device = tun(&netlink, "mpt0", &["10.77.0.1/30"]).await;
        let routes = vec![route("0.0.0.0/0", &[UDP], WhenDown::Keep)];
        state.set_routes(device.index(), routes).await.unwrap();

        let socket = lan.enter(|| std::net::UdpSocket::bind("192.168.1.2:4000").unwrap());
        // First to where it must not go in: an uplink's own network.
        socket.send_to(b"stays", "10.2.0.1:9").unwrap();
        socket.send_to(b"goes in", "198.51.100.1:9").unwrap();
        let mut packet = [0; 2000];
        let (mut buffer, offload) = loop {
            poll_fn(|cx| device.poll_readable(cx)).await.unwrap();
            if let Ok((packet, offload)) = device.read(&mut packet) {
                break ([&[0; VNET_HEADER_LEN][..], packet].concat(), offload);
            }
        };
        let inner = &mut buffer[VNET_HEADER_LEN..];
        assert_eq!(inner[12..20], [192, 168, 1, 2, 198, 51, 100, 1]);
        assert_eq!(&inner[28..], b"goes in");
        // And back, through the reverse-path check.
        for i in 12..16 {
            inner.swap(i, i + 4);
        }
        inner.swap(20, 22);
        inner.swap(21, 23);
        // A checksum left to us then is right for the answer too.
        device.write(&mut buffer, &offload).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        let (length, from) = socket.recv_from(&mut packet).unwrap();
        assert_eq!(
            (&packet[..length], from.to_string().as_str()),
            (&b"goes in"[..], "198.51.100.1:9")
        );
        state.undo().await.unwrap();
    });
}

#[test]
fn all_is_undone_and_another_tunnel_untouched() {
    in_namespace(|| async {
        let _far = two_uplinks().await;
        let netlink = Netlink::open().unwrap();
        let before = dump().await;
        let other = populate(&netlink, "mpt1").await;
        let with_other = dump().await;
        assert!(with_other.len() > before.len() + 10);
        let (device, state) = populate(&netlink, "mpt0").await;
        assert!(dump().await.len() > with_other.len() + 10);
        state.undo().await.unwrap();
        drop(device);
        settle("mpt0").await;
        assert_eq!(dump().await, with_other);
        other.1.undo().await.unwrap();
        drop(other.0);
        settle("mpt1").await;
        assert_eq!(dump().await, before);
    });
}

#[test]
fn the_next_start_removes_what_a_killed_daemon_left() {
    in_namespace(|| async {
        let _far = two_uplinks().await;
        let netlink = Netlink::open().unwrap();
        let before = dump().await;
        let other = populate(&netlink, "mpt1").await;
        let with_other = dump().await;
        // As after a kill: the descriptor is closed, nothing else is done.
        drop(populate(&netlink, "mpt0").await);
        settle("mpt0").await;
        assert_ne!(dump().await, with_other, "the kernel keeps rules and uplinks");
        let state = NetState::open(netlink.clone(), "mpt0").await.unwrap();
        assert_eq!(dump().await, with_other);
        state.undo().await.unwrap();
        drop(other);
        settle("mpt1").await;
        NetState::open(netlink, "mpt1").await.unwrap();
        assert_eq!(dump().await, before);
    });
}

/// A tunnel with everything.
async fn populate(netlink: &Netlink, name: &str) -> (TunDevice, NetState) {
    let mut state = NetState::open(netlink.clone(), name).await.unwrap();
    // Each its own: an address on two interfaces counts on one of them only.
    let addresses = match name {
        "mpt0" => ("10.77.0.1/30", "fd77::1/64"),
        _ => ("10.78.0.1/30", "fd78::1/64"),
    };
    let device = tun(netlink, name, &[addresses.0, addresses.1]).await;
    let routes = vec![
        route("0.0.0.0/0", &[UDP, 1], WhenDown::Bypass),
        route("::/0", &[], WhenDown::Keep),
        route("10.200.0.0/16", &[], WhenDown::Keep),
        route("10.200.0.0/16", &[UDP], WhenDown::Bypass),
    ];
    state.set_routes(device.index(), routes).await.unwrap();
    state.set_carrying(true).await.unwrap();
    let now = netlink.interfaces().await.unwrap();
    let uplinks = [
        now.get("wan1").unwrap().uplink(Family::V4, None),
        now.get("wan1").unwrap().uplink(Family::V6, None),
        now.get("wan2").unwrap().uplink(Family::V4, "10.2.0.1".parse().ok()),
    ];
    state.set_uplinks(uplinks.into_iter().flatten().collect()).await.unwrap();
    // Saying it again changes nothing.
    let made = dump().await;
    state.refresh().await.unwrap();
    assert_eq!(dump().await, made);
    (device, state)
}

/// A TUN device vanishes shortly after its descriptor.
async fn settle(name: &str) {
    while mpt_tund::net::interface_index(name).is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[test]
fn routes_come_back_with_their_interface() {
    in_namespace(|| async {
        let (_one, two) = two_uplinks().await;
        let netlink = Netlink::open().unwrap();
        let (device, mut state) = populate(&netlink, "mpt0").await;
        let made = dump().await;
        let down = |up: bool| {
            let link = rtnetlink::LinkUnspec::new_with_name("wan2");
            let link = if up { link.up() } else { link.down() };
            connect().link().change(link.build())
        };
        down(false).execute().await.unwrap();
        assert_ne!(dump().await, made, "the kernel drops the routes of an interface that is down");
        down(true).execute().await.unwrap();
        state.refresh().await.unwrap();
        let strip = |lines: Vec<String>| -> Vec<_> {
            // IPv6 addresses, and the link's own routes, are the kernel's affair.
            lines.into_iter().filter(|l| l.contains("Other(109)")).collect()
        };
        assert_eq!(strip(dump().await), strip(made));
        // A gateway that cannot be reached directly is refused with its name; the rest is done.
        let now = netlink.interfaces().await.unwrap();
        let bad = now.get("wan2").unwrap().uplink(Family::V4, "192.0.2.1".parse().ok());
        let error = state.set_uplinks(bad.into_iter().collect()).await.unwrap_err().to_string();
        assert!(error.contains("gateway 192.0.2.1 on interface wan2"), "{error}");
        assert_eq!(way_out("10.200.1.1", UDP, 0).await, Some(device.index()));
        drop(two);
    });
}

#[test]
fn a_next_hop_stays_as_it_is() {
    in_namespace(|| async {
        let far = Far::new().await;
        let index = far.cable("wan1", "far1").await;
        // As hosters have it: the router is in no network of the interface.
        address("wan1", "10.8.0.9/32").await;
        address("wan1", "10.8.0.10/32").await;
        let mut onlink = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway([192, 0, 2, 1].into())
            .output_interface(index)
            .pref_source([10, 8, 0, 10].into())
            .build();
        onlink.header.flags = RouteFlags::Onlink;
        let handle = connect();
        handle.route().add(onlink.clone()).execute().await.unwrap();
        let netlink = Netlink::open().unwrap();
        let mut state = NetState::open(netlink.clone(), "mpt0").await.unwrap();
        let uplink = async |gateway: Option<&str>| {
            let now = netlink.interfaces().await.unwrap();
            let gateway = gateway.map(|g| g.parse().unwrap());
            now.get("wan1").unwrap().uplink(Family::V4, gateway)
        };
        let own = uplink(None).await.unwrap();
        assert_eq!(uplink(Some("192.0.2.1")).await, Some(own.clone()), "said twice");
        state.set_uplinks(vec![own]).await.unwrap();
        let made = dump().await;
        let copied = made.iter().find(|l| l.contains("Other(109)") && l.contains("Gateway"));
        assert!(copied.unwrap().contains("PrefSource(Inet(10.8.0.10))"), "{made:#?}");
        state.refresh().await.unwrap();
        assert_eq!(dump().await, made);
        state.set_uplinks(Vec::new()).await.unwrap();

        // A router of the other family is left to the main table.
        handle.route().del(onlink).execute().await.unwrap();
        let mut via = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(index).build();
        via.attributes.push(RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap())));
        handle.route().add(via).execute().await.unwrap();
        assert_eq!(uplink(None).await, None);
    });
}
