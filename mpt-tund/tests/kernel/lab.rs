//! Namespaces, links, addresses and routes for the tests.

use futures_util::TryStreamExt;
use mpt_tund::net::interface_index;
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{Handle, IpVersion, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::fs::File;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Runs a test in a thread with a network namespace of its own, which vanishes with it.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes network namespaces and needs root: \
         sudo -E cargo test -p mpt-tund --test kernel"
    );
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (CONFIG_NET_NS)");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            up(&connect(), "lo").await;
            let limit = Duration::from_secs(20);
            tokio::time::timeout(limit, test()).await.expect("the test hangs");
        });
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// A netlink connection in the namespace the thread is in now.
pub(crate) fn connect() -> Handle {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    handle
}

/// Another namespace.
pub(crate) struct Far {
    home: File,
    there: File,
    pub(crate) handle: Handle,
}

impl Far {
    pub(crate) async fn new() -> Self {
        let current = || File::open("/proc/thread-self/ns/net").unwrap();
        let home = current();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let (there, handle) = (current(), connect());
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
        up(&handle, "lo").await;
        Self { home, there, handle }
    }

    /// Runs `f` over there: what it opens belongs there.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        setns(&self.there, CloneFlags::CLONE_NEWNET).unwrap();
        let result = f();
        setns(&self.home, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }

    /// A cable from here to there, up at both ends. Returns our end's index.
    pub(crate) async fn cable(&self, near: &str, far: &str) -> u32 {
        let home = connect();
        home.link().add(LinkVeth::new(near, far).build()).execute().await.unwrap();
        let moved = LinkUnspec::new_with_name(far).setns_by_fd(self.there.as_raw_fd()).build();
        home.link().change(moved).execute().await.unwrap();
        for (handle, name) in [(&self.handle, far), (&home, near)] {
            // Link-local addresses would come in the middle of a test.
            let quiet = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
                AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
            ])]);
            let quiet = LinkUnspec::new_with_name(name).append_extra_attribute(quiet).build();
            handle.link().change(quiet).execute().await.unwrap();
            up(handle, name).await;
        }
        interface_index(near).unwrap()
    }

    pub(crate) async fn address(&self, interface: &str, address: &str) {
        let index = self.enter(|| interface_index(interface)).unwrap();
        add_address(&self.handle, index, address).await;
    }
}

pub(crate) async fn up(handle: &Handle, name: &str) {
    handle.link().change(LinkUnspec::new_with_name(name).up().build()).execute().await.unwrap();
}

/// `10.0.0.1/24`, without duplicate detection, and waits until it can be used: for IPv6 that is
/// shortly after the kernel's answer.
pub(crate) async fn add_address(handle: &Handle, index: u32, address: &str) {
    let (ip, length) = address.split_once('/').unwrap();
    let mut request = handle.address().add(index, ip.parse().unwrap(), length.parse().unwrap());
    if ip.contains(':') {
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    request.execute().await.unwrap();
    settled(handle, ip).await;
}

/// Waits until the kernel takes packets for an address of its own.
pub(crate) async fn settled(handle: &Handle, ip: &str) {
    while route(handle, ip, Vec::new()).await.is_none_or(|r| r.header.kind != RouteType::Local) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// An address here.
pub(crate) async fn address(interface: &str, address: &str) {
    add_address(&connect(), interface_index(interface).unwrap(), address).await;
}

/// A default route here.
pub(crate) async fn default_route(gateway: &str, interface: &str, metric: u32) {
    add_default_route(&connect(), gateway, interface_index(interface).unwrap(), metric).await;
}

pub(crate) async fn add_default_route(handle: &Handle, gateway: &str, index: u32, metric: u32) {
    let message = match gateway.parse().unwrap() {
        IpAddr::V4(ip) => RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(ip)
            .output_interface(index)
            .priority(metric)
            .build(),
        IpAddr::V6(ip) => RouteMessageBuilder::<Ipv6Addr>::new()
            .gateway(ip)
            .output_interface(index)
            .priority(metric)
            .build(),
    };
    handle.route().add(message).execute().await.unwrap();
}

/// Every rule and every route of every table, both families, as text.
pub(crate) async fn dump() -> Vec<String> {
    let handle = connect();
    let mut lines = Vec::new();
    for version in [IpVersion::V4, IpVersion::V6] {
        let rules: Vec<_> = handle.rule().get(version).execute().try_collect().await.unwrap();
        lines.extend(rules.iter().map(|r| format!("rule {r:?}")));
    }
    let all = [
        RouteMessageBuilder::<Ipv4Addr>::new().build(),
        RouteMessageBuilder::<Ipv6Addr>::new().build(),
    ];
    for filter in all {
        let routes: Vec<RouteMessage> =
            handle.route().get(filter).execute().try_collect().await.unwrap();
        for mut route in routes {
            // Ages and use counts.
            route.attributes.retain(|a| !matches!(a, RouteAttribute::CacheInfo(_)));
            lines.push(format!("route {route:?}"));
        }
    }
    lines.sort();
    lines
}

/// The index of the interface a packet of this kind would leave by.
pub(crate) async fn way_out(to: &str, protocol: u8, mark: u32) -> Option<u32> {
    let kind = vec![RouteAttribute::IpProto(protocol), RouteAttribute::Mark(mark)];
    route(&connect(), to, kind).await?.attributes.iter().find_map(|a| match a {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

/// The kernel's choice for a destination.
async fn route(handle: &Handle, to: &str, kind: Vec<RouteAttribute>) -> Option<RouteMessage> {
    let to: IpAddr = to.parse().unwrap();
    let mut query = RouteMessage::default();
    (query.header.address_family, query.header.destination_prefix_length) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    query.attributes = kind;
    query.attributes.push(RouteAttribute::Destination(to.into()));
    handle.route().get(query).execute().try_next().await.ok()?
}
