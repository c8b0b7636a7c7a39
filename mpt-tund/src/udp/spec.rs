//! What a socket is to be, and why it could not be had.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// `0.0.0.0` or `::`.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// What a socket is bound to. Paths with equal specs share one socket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SocketSpec {
    /// IPv4 or IPv6; IPv6 sockets take no IPv4.
    pub family: Family,
    /// Bound to this interface: sends and receives by it alone.
    pub interface: Option<String>,
    /// Bound to this address, which must be of `family`.
    pub address: Option<IpAddr>,
    /// Whether that address must be here.
    pub presence: Presence,
    /// Bound to this port; 0 lets the kernel choose.
    pub port: u16,
    /// `SO_MARK` of what it sends, 0 for none.
    pub mark: u32,
    /// Offloads to use where the kernel knows them.
    pub offloads: UdpOffloads,
}

/// Whether a socket's address must be here when it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Presence {
    /// An interface has it.
    #[default]
    Now,
    /// An interface may get it later: datagrams come then.
    Later,
}

/// Offloads of a UDP socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UdpOffloads {
    /// Many datagrams leave as one super-packet (`UDP_SEGMENT`).
    pub gso: bool,
    /// Many datagrams come as one super-packet (`UDP_GRO`).
    pub gro: bool,
}

impl From<crate::config::PathOffloads> for UdpOffloads {
    fn from(wanted: crate::config::PathOffloads) -> Self {
        Self { gso: wanted.gso.wanted(), gro: wanted.gro.wanted() }
    }
}

impl Default for UdpOffloads {
    fn default() -> Self {
        Self { gso: true, gro: true }
    }
}

impl SocketSpec {
    /// A socket bound to nothing.
    #[must_use]
    pub const fn any(family: Family) -> Self {
        Self {
            family,
            interface: None,
            address: None,
            presence: Presence::Now,
            port: 0,
            mark: 0,
            offloads: UdpOffloads { gso: true, gro: true },
        }
    }

    /// Whether both are bound to the same: two sockets there would steal each other's datagrams.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self == &Self { offloads: self.offloads, presence: self.presence, ..other.clone() }
    }

    /// The address to bind to, without an IPv6 scope.
    pub(super) fn bind_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(self.family.unspecified()), self.port)
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The interface is not there (yet).
    #[error("interface {0} does not exist")]
    NoInterface(String),
    /// The local address is not there (yet).
    #[error("no interface of this machine has the address {0}")]
    NoAddress(IpAddr),
    /// Somebody else holds the port.
    #[error(
        "port {port} is already in use by another program; end that program (`ss -lunp 'sport = :{port}'` \
         names it) or choose another port"
    )]
    PortBusy {
        /// The port.
        port: u16,
    },
    /// The address is not of the socket's family.
    #[error("{address} is not an address of this path's IP version")]
    WrongFamily {
        /// The address.
        address: IpAddr,
    },
    /// The kernel refuses an option for lack of rights.
    #[error(
        "not allowed to {what}: run as root, or give the program CAP_NET_ADMIN and CAP_NET_RAW, and CAP_NET_BIND_SERVICE for ports below 1024"
    )]
    NotPermitted {
        /// What was refused.
        what: &'static str,
    },
    /// Anything else.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether it goes away by itself when the interface or the address comes.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        matches!(self, Self::NoInterface(_) | Self::NoAddress(_))
    }

    pub(super) fn option(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { what },
            _ => Self::Io { what, source },
        }
    }
}
