//! Interfaces, addresses and routes of a namespace, by netlink: what `ip` does.

use crate::netns::Namespace;
use crate::sys::{ethtool, packet};
use anyhow::{Context as _, Result, ensure};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage, State};
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::{Handle, IpVersion, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Where it is to be.
    pub namespace: &'a Namespace,
    /// Its name there, at most 15 bytes.
    pub interface: &'a str,
}

/// Whether an interface may leave work to a card that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// As the kernel makes it: frames may be larger than the MTU and lack a checksum.
    On,
    /// Every frame is whole: needed where something reads frames on the way.
    Off,
}

/// Makes a veth pair, both ends up.
///
/// # Errors
/// When a name is taken, or the kernel has no veth.
pub fn add_veth(a: VethEnd<'_>, b: VethEnd<'_>, mtu: u32, offloads: Offloads) -> Result<()> {
    let peer = LinkUnspec::new_with_name(b.interface)
        .index(next_index())
        .setns_by_fd(b.namespace.file().as_raw_fd())
        .mtu(mtu)
        .build();
    let pair = LinkMessageBuilder::<LinkVeth>::new(a.interface, b.interface)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .index(next_index())
        .mtu(mtu)
        .build();
    a.namespace
        .netlink(async |handle| handle.link().add(pair).execute().await)
        .with_context(|| format!("cannot make the veth pair {} – {}", a.interface, b.interface))?;
    for end in [a, b] {
        if offloads == Offloads::Off {
            end.namespace
                .run(|| ethtool::disable_offloads(end.interface))
                .with_context(|| format!("cannot turn off offloads of {}", end.interface))?;
        }
        end.namespace.set_up(end.interface)?;
    }
    // Until the kernel has noticed that both are up, it drops what is sent.
    for end in [a, b] {
        end.namespace.wait_running(end.interface)?;
    }
    Ok(())
}

/// An interface index no other veth of this process has, in whichever namespace. Where both ends
/// of a pair happen to have the same one, the kernel thinks the carrier's return not urgent and
/// takes up to a second to notice it.
fn next_index() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Namespace {
    /// Brings an interface up.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn set_up(&self, interface: &str) -> Result<()> {
        let message = LinkUnspec::new_with_name(interface).up().build();
        self.change_link(message)
            .with_context(|| format!("{}: cannot bring up {interface}", self.name()))
    }

    /// Takes an interface down. Its routes and IPv6 addresses go; a veth's other end loses its
    /// carrier.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn set_down(&self, interface: &str) -> Result<()> {
        let message = LinkUnspec::new_with_name(interface).down().build();
        self.change_link(message)
            .with_context(|| format!("{}: cannot take down {interface}", self.name()))
    }

    /// Changes an interface's MTU, in bytes of an IP packet.
    ///
    /// # Errors
    /// When there is none of that name, or the value is out of its range.
    pub fn set_mtu(&self, interface: &str, mtu: u32) -> Result<()> {
        let message = LinkUnspec::new_with_name(interface).mtu(mtu).build();
        self.change_link(message)
            .with_context(|| format!("{}: cannot set the MTU of {interface} to {mtu}", self.name()))
    }

    /// Removes an interface; a veth's other end goes with it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn delete_interface(&self, interface: &str) -> Result<()> {
        let index = self.interface_index(interface)?;
        self.netlink(async |handle| handle.link().del(index).execute().await)
            .with_context(|| format!("{}: cannot delete {interface}", self.name()))
    }

    /// Whether there is an interface of that name.
    #[must_use]
    pub fn has_interface(&self, interface: &str) -> bool {
        self.interface_index(interface).is_ok()
    }

    /// Gives an interface an address with its prefix length.
    ///
    /// # Errors
    /// When there is no such interface, or it has the address already.
    pub fn add_address(&self, interface: &str, address: IpAddr, prefix_length: u8) -> Result<()> {
        let index = self.interface_index(interface)?;
        self.netlink(async |handle| {
            handle.address().add(index, address, prefix_length).execute().await
        })
        .with_context(|| format!("{}: cannot give {interface} the address {address}", self.name()))
    }

    /// Takes an address from an interface; routes that came with it go too.
    ///
    /// # Errors
    /// When the interface does not have it.
    pub fn delete_address(
        &self,
        interface: &str,
        address: IpAddr,
        prefix_length: u8,
    ) -> Result<()> {
        let index = self.interface_index(interface)?;
        self.netlink(async |handle| {
            let message = match address {
                IpAddr::V4(a) => rtnetlink::AddressMessageBuilder::<std::net::Ipv4Addr>::new()
                    .index(index)
                    .address(a, prefix_length)
                    .build(),
                IpAddr::V6(a) => rtnetlink::AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                    .index(index)
                    .address(a, prefix_length)
                    .build(),
            };
            handle.address().del(message).execute().await
        })
        .with_context(|| format!("{}: cannot take {address} from {interface}", self.name()))
    }

    /// Adds a route to `network/prefix_length` by way of `gateway`.
    ///
    /// # Errors
    /// When the gateway is out of reach, or there is such a route.
    pub fn add_route(&self, network: IpAddr, prefix_length: u8, gateway: IpAddr) -> Result<()> {
        let describe = || {
            format!("{}: cannot add a route to {network}/{prefix_length} by {gateway}", self.name())
        };
        let message = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(network, prefix_length)
            .and_then(|m| m.gateway(gateway))
            .with_context(describe)?
            .build();
        self.netlink(async |handle| handle.route().add(message).execute().await)
            .with_context(describe)
    }

    /// Adds a default route by way of `gateway`, of its address family.
    ///
    /// # Errors
    /// As with [`Namespace::add_route`].
    pub fn add_default_route(&self, gateway: IpAddr) -> Result<()> {
        let any = match gateway {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0u16; 8]),
        };
        self.add_route(any, 0, gateway)
    }

    /// All interfaces, addresses, routes and rules there are, a line each: to compare before and after.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn network_state(&self) -> Result<BTreeSet<String>> {
        self.netlink(async |handle| {
            let mut lines = BTreeSet::new();
            let links: Vec<_> = handle.link().get().execute().try_collect().await?;
            for link in links {
                let name = link.attributes.iter().find_map(|a| match a {
                    LinkAttribute::IfName(name) => Some(name.as_str()),
                    _ => None,
                });
                let (index, flags) = (link.header.index, link.header.flags);
                lines.insert(format!("link {index} {name:?} {flags:?}"));
            }
            let addresses: Vec<_> = handle.address().get().execute().try_collect().await?;
            for mut address in addresses {
                // Only these change by themselves.
                address.attributes.retain(|a| !matches!(a, AddressAttribute::CacheInfo(_)));
                lines.insert(format!("{address:?}"));
            }
            for message in [
                RouteMessageBuilder::<Ipv4Addr>::new().build(),
                RouteMessageBuilder::<Ipv6Addr>::new().build(),
            ] {
                let routes: Vec<_> = handle.route().get(message).execute().try_collect().await?;
                for mut route in routes {
                    route.attributes.retain(|a| !matches!(a, RouteAttribute::CacheInfo(_)));
                    lines.insert(format!("{route:?}"));
                }
            }
            for version in [IpVersion::V4, IpVersion::V6] {
                let rules: Vec<_> = handle.rule().get(version).execute().try_collect().await?;
                lines.extend(rules.iter().map(|rule| format!("{rule:?}")));
            }
            Ok(lines)
        })
    }

    /// Waits until an interface that is up may send.
    fn wait_running(&self, interface: &str) -> Result<()> {
        let index = self.interface_index(interface)?;
        let up = LinkAttribute::OperState(State::Up);
        let running = self.netlink(async |handle| {
            for _ in 0..1500 {
                let links: Vec<_> =
                    handle.link().get().match_index(index).execute().try_collect().await?;
                if links.iter().any(|link| link.attributes.contains(&up)) {
                    return Ok(true);
                }
                // Nothing else is to run on this thread.
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(false)
        })?;
        ensure!(running, "{}: {interface} got no carrier within 3 s", self.name());
        Ok(())
    }

    fn interface_index(&self, interface: &str) -> Result<u32> {
        self.run(|| packet::interface_index(interface))
            .with_context(|| format!("{}: no interface {interface}", self.name()))
    }

    fn change_link(&self, message: LinkMessage) -> Result<()> {
        self.netlink(async |handle| handle.link().change(message).execute().await)
    }

    /// Does one conversation with the namespace's kernel side.
    fn netlink<R: Send>(
        &self,
        talk: impl AsyncFnOnce(Handle) -> Result<R, rtnetlink::Error> + Send,
    ) -> Result<R> {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection()?;
                tokio::spawn(connection);
                Ok(talk(handle).await?)
            })
        })
    }
}
