//! Changes are told as they happen.

use crate::lab::{Far, add_address, connect, default_route, in_namespace, up};
use mpt_tund::net::{LinkState, Monitor, NetEvent, Netlink, RpFilter, interface_index, rp_filter};
use rtnetlink::LinkUnspec;
use std::net::IpAddr;
use std::time::Duration;

/// The next event that is about an interface other than `lo`.
async fn next(monitor: &mut Monitor) -> NetEvent {
    loop {
        match monitor.next().await.expect("an event") {
            NetEvent::Link(l) if l.name == "lo" => {}
            NetEvent::AddressAdded { index: 1, .. } | NetEvent::RoutesChanged => {}
            event => return event,
        }
    }
}

fn link(index: u32, up: bool, mtu: u32) -> NetEvent {
    NetEvent::Link(LinkState { index, name: "wan1".into(), mtu, up })
}

/// Skips what comes in between, such as carrier changes.
async fn until(monitor: &mut Monitor, expected: &NetEvent) {
    while next(monitor).await != *expected {}
}

/// In whatever order: the carrier may come before what is there is read, or after.
async fn until_all(monitor: &mut Monitor, mut expected: Vec<NetEvent>) {
    while !expected.is_empty() {
        let event = next(monitor).await;
        expected.retain(|e| *e != event);
    }
}

async fn routes_changed(monitor: &mut Monitor) {
    while monitor.next().await != Some(NetEvent::RoutesChanged) {}
}

#[test]
fn an_interface_goes_and_comes_back() {
    in_namespace(|| async {
        let far = Far::new().await;
        let first = far.cable("wan1", "far1").await;
        let handle = connect();
        add_address(&handle, first, "10.1.0.1/24").await;
        let mut monitor = Monitor::start(Netlink::open().unwrap()).unwrap();
        // What is there at the start.
        let address: IpAddr = "10.1.0.1".parse().unwrap();
        let added = NetEvent::AddressAdded { index: first, address };
        until_all(&mut monitor, vec![link(first, true, 1500), added]).await;

        let change = |l: rtnetlink::packet_route::link::LinkMessage| connect().link().change(l);
        change(LinkUnspec::new_with_index(first).mtu(1400).build()).execute().await.unwrap();
        assert_eq!(next(&mut monitor).await, link(first, true, 1400));
        change(LinkUnspec::new_with_index(first).down().build()).execute().await.unwrap();
        until(&mut monitor, &link(first, false, 1400)).await;
        change(LinkUnspec::new_with_index(first).up().build()).execute().await.unwrap();
        until(&mut monitor, &link(first, true, 1400)).await;

        // A new lease: the old address goes, another comes.
        let get = |ip: IpAddr| async move {
            let all: Vec<_> = futures_util::TryStreamExt::try_collect(
                connect().address().get().set_address_filter(ip).execute(),
            )
            .await
            .unwrap();
            all.into_iter().next().unwrap()
        };
        handle.address().del(get(address).await).execute().await.unwrap();
        assert_eq!(next(&mut monitor).await, NetEvent::AddressRemoved { index: first, address });
        add_address(&handle, first, "10.1.0.77/24").await;
        let address = "10.1.0.77".parse().unwrap();
        assert_eq!(next(&mut monitor).await, NetEvent::AddressAdded { index: first, address });

        routes_changed(&mut monitor).await;
        default_route("10.1.0.2", "wan1", 5).await;
        routes_changed(&mut monitor).await;
        let now = Netlink::open().unwrap().interfaces().await.unwrap();
        let route = now.get("wan1").unwrap().default_v4.unwrap();
        assert_eq!((route.hop.gateway, route.metric), ("10.1.0.2".parse().ok(), 5));
        assert_eq!(now.holding(address).unwrap().index, first);

        handle.link().del(first).execute().await.unwrap();
        until(&mut monitor, &NetEvent::LinkGone { index: first, name: "wan1".into() }).await;
        let second = far.cable("wan1", "far1").await;
        assert_ne!(first, second);
        until(&mut monitor, &link(second, true, 1500)).await;
    });
}

#[test]
fn an_overflow_loses_nothing_for_good() {
    in_namespace(|| async {
        let far = Far::new().await;
        let index = far.cable("wan1", "far1").await;
        let mut monitor = Monitor::start(Netlink::open().unwrap()).unwrap();
        until(&mut monitor, &link(index, true, 1500)).await;
        // From another runtime, so that the monitor cannot read meanwhile: more messages than the
        // kernel's queue holds.
        far_too_many_changes(index);
        let last: IpAddr = "10.9.0.1".parse().unwrap();
        until(&mut monitor, &NetEvent::AddressAdded { index, address: last }).await;
        let gone = async { while monitor.next().await.is_some() {} };
        assert!(tokio::time::timeout(Duration::from_millis(300), gone).await.is_err());
    });
}

fn far_too_many_changes(index: u32) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let namespace = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
    let work = move || {
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        runtime().block_on(async {
            let handle = connect();
            for i in 0..2000 {
                let mtu = 1300 + i % 7;
                let change = LinkUnspec::new_with_index(index).mtu(mtu).build();
                handle.link().change(change).execute().await.unwrap();
            }
            add_address(&handle, index, "10.9.0.1/24").await;
        });
    };
    std::thread::spawn(work).join().unwrap();
}

#[test]
fn the_strictest_reverse_path_filter_is_told() {
    in_namespace(|| async {
        let far = Far::new().await;
        far.cable("wan1", "far1").await;
        up(&connect(), "wan1").await;
        assert!(interface_index("wan1").is_some());
        let set = |name: &str, value: &str| {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), value).unwrap();
        };
        for (all, own, expected) in [
            ("0", "0", RpFilter::Off),
            ("1", "0", RpFilter::Strict),
            ("0", "1", RpFilter::Strict),
            ("1", "2", RpFilter::Loose),
        ] {
            set("all", all);
            set("wan1", own);
            assert_eq!(rp_filter("wan1"), Some(expected));
        }
        assert_eq!(rp_filter("wan9"), None);
    });
}
