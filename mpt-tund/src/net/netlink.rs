//! The netlink connection, and requests on it.

use super::message::{OURS, route_table};
use crate::udp::Family;
use futures_util::{Stream, TryStreamExt};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkMessage,
};
use rtnetlink::packet_route::route::{RouteHeader, RouteMessage, RouteProtocol};
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::{Handle, IpVersion, LinkMessageBuilder, LinkUnspec};
use std::io;
use std::net::IpAddr;

/// Queue of the TUN device in packets; a long one only adds delay in front of the scheduler.
const TX_QUEUE: u32 = 500;

/// A connection to the kernel's routing, in the network namespace of the thread that opened it.
#[derive(Clone, Debug)]
pub struct Netlink {
    pub(super) handle: Handle,
}

/// The kernel refused something.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No connection.
    #[error("cannot talk to the kernel over netlink: {0}")]
    Open(#[source] io::Error),
    /// For lack of rights.
    #[error("not allowed to {what}: run as root, or give the program CAP_NET_ADMIN")]
    NotPermitted {
        /// What was tried.
        what: String,
    },
    /// The kernel gives no IPv6 address to the interface.
    #[error(
        "cannot give the tunnel the address {address}: IPv6 is switched off here; switch it on \
         (`sysctl -w net.ipv6.conf.default.disable_ipv6=0`, and the same with `all` and the interface), or leave that address out"
    )]
    NoIpv6 {
        /// The address.
        address: IpAddr,
    },
    /// For another reason.
    #[error("cannot {what}: {source}")]
    Refused {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl NetError {
    pub(super) fn new(what: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(e) => e.to_io(),
            other => io::Error::other(other.to_string()),
        };
        let what = what.into();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { what },
            _ => Self::Refused { what, source },
        }
    }

    /// The kernel's error number, if it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } | Self::Open(source) => source.raw_os_error(),
            Self::NotPermitted { .. } => Some(libc::EPERM),
            Self::NoIpv6 { .. } => Some(libc::EACCES),
        }
    }
}

impl Netlink {
    /// Opens a connection; its task runs on the current tokio runtime until the last clone is dropped.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> Result<Self, NetError> {
        // With strict checks the kernel filters dumps; without (before 4.20) we do.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()
            .or_else(|_| rtnetlink::new_connection())
            .map_err(NetError::Open)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Gives TUN device `index` its addresses (with prefix lengths) and MTU in bytes, a short queue and no
    /// link-local address, and takes it up.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub async fn configure(
        &self,
        index: u32,
        addresses: &[(IpAddr, u8)],
        mtu: u32,
    ) -> Result<(), NetError> {
        let quiet =
            LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])]);
        let quiet = LinkUnspec::new_with_index(index).append_extra_attribute(quiet).build();
        match self.change(quiet, || "set up the tunnel's interface".into()).await {
            // A kernel without IPv6 makes no link-local addresses either.
            Err(e) if e.errno() == Some(libc::EAFNOSUPPORT) => {}
            result => result?,
        }
        let shape = LinkUnspec::new_with_index(index).mtu(mtu).txqueuelen(TX_QUEUE).build();
        self.change(shape, || format!("set the tunnel's MTU to {mtu}")).await?;
        self.add_addresses(index, addresses).await?;
        let up = LinkUnspec::new_with_index(index).up().build();
        self.change(up, || "take the tunnel's interface up".into()).await
    }

    /// Sets the MTU of interface `index`, bytes. Under 1280 it loses its IPv6 addresses for good.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), NetError> {
        let message = LinkMessageBuilder::<LinkUnspec>::new().index(index).mtu(mtu).build();
        self.change(message, || format!("set the tunnel's MTU to {mtu}")).await
    }

    /// Gives TUN device `index` those of its addresses (with prefix lengths) that it lacks; all that the kernel takes.
    ///
    /// # Errors
    /// Why the kernel refused the first that it refused.
    pub async fn add_addresses(
        &self,
        index: u32,
        addresses: &[(IpAddr, u8)],
    ) -> Result<(), NetError> {
        let mut result = Ok(());
        for &(address, length) in addresses {
            let added = self.add_address(index, address, length).await;
            result = result.and(added);
        }
        result
    }

    async fn change(
        &self,
        message: LinkMessage,
        what: impl FnOnce() -> String,
    ) -> Result<(), NetError> {
        self.handle.link().change(message).execute().await.map_err(|e| NetError::new(what(), &e))
    }

    async fn add_address(&self, index: u32, address: IpAddr, length: u8) -> Result<(), NetError> {
        let mut request = self.handle.address().add(index, address, length).replace();
        if address.is_ipv6() {
            // Nobody else is on a tunnel: without duplicate detection it can be used at once.
            let flags = AddressAttribute::Flags(AddressFlags::Nodad);
            request.message_mut().attributes.push(flags);
        }
        request.execute().await.map_err(|e| match e {
            // For lack of rights it would be EPERM; without IPv6 in the kernel it is the other one.
            rtnetlink::Error::NetlinkError(ref m)
                if address.is_ipv6()
                    && matches!(
                        m.raw_code().abs(),
                        libc::EACCES | libc::EAFNOSUPPORT | libc::EOPNOTSUPP
                    ) =>
            {
                NetError::NoIpv6 { address }
            }
            e => NetError::new(format!("give the tunnel the address {address}/{length}"), &e),
        })
    }

    /// All policy rules of a family.
    pub(super) async fn rules(&self, family: Family) -> Result<Vec<RuleMessage>, NetError> {
        let version = match family {
            Family::V4 => IpVersion::V4,
            Family::V6 => IpVersion::V6,
        };
        collect("list the policy rules", self.handle.rule().get(version).execute()).await
    }

    /// Our routes (of all tunnels) of a family.
    pub(super) async fn our_routes(&self, family: Family) -> Result<Vec<RouteMessage>, NetError> {
        let mut all = collect("list the routes", self.routes(family, OURS, 0)).await?;
        all.retain(|r| r.header.protocol == OURS);
        Ok(all)
    }

    /// Hands each route of the main table of a family to `take`. There may be a million of them.
    pub(super) async fn each_main_route(
        &self,
        family: Family,
        mut take: impl FnMut(&RouteMessage),
    ) -> Result<(), NetError> {
        let table = RouteHeader::RT_TABLE_MAIN;
        let routes = self.routes(family, RouteProtocol::Unspec, table);
        each("list the routes", routes, |route| {
            if route_table(&route) == u32::from(table) {
                take(&route);
            }
        })
        .await
    }

    fn routes(
        &self,
        family: Family,
        protocol: RouteProtocol,
        table: u8,
    ) -> impl Stream<Item = Result<RouteMessage, rtnetlink::Error>> + use<> {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family.into();
        filter.header.protocol = protocol;
        filter.header.table = table;
        self.handle.route().get(filter).execute()
    }
}

/// A whole dump; one of a table or family that the kernel does not have is empty.
pub(super) async fn collect<T>(
    what: &str,
    dump: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, NetError> {
    let mut all = Vec::new();
    each(what, dump, |item| all.push(item)).await?;
    Ok(all)
}

/// The same, of which nothing is kept.
async fn each<T>(
    what: &str,
    dump: impl Stream<Item = Result<T, rtnetlink::Error>>,
    mut take: impl FnMut(T),
) -> Result<(), NetError> {
    let done = dump.try_for_each(|item| {
        take(item);
        std::future::ready(Ok(()))
    });
    match done.await.map_err(|e| NetError::new(what, &e)) {
        Err(e)
            if matches!(e.errno(), Some(libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) =>
        {
            Ok(())
        }
        result => result,
    }
}
