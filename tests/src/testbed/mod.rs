//! Whole networks: routers with `mpt-tund`, a LAN host behind each, links between them.
//!
//! ```text
//!                       ┌─ wan1 ══ link 1 ══ wan1 ─┐
//!  host a ── lan0  router a                      router b  lan0 ── host b
//!                       └─ wan2 ══ link 2 ══ wan2 ─┘
//! ```
//!
//! Numbers are the same in every testbed. Site *s* (0, 1, …) has the LANs `192.168.{11+s}.0/24` and
//! `fd01:{s}::/64`, where the router is `.1` and the host `.2`, and the tunnel addresses
//! `10.77.0.{1+s}` and `fd77::{1+s}`. Link *n* (1, 2, …) has `10.{n}.0.0/24` and `fd00:{n}::/64`,
//! where the site of the lower number is `.1`; its interface is `wan{n}` at both ends, and the path
//! over it is called `bridge{n}`. Routers have no default route, hosts have nothing but an address
//! and a default route.
//!
//! A pair has sites 0 and 1, called `a` and `b`, and all links between them; each router configures
//! every path. A hub has site 0 and clients 1, 2, …, with a link each; the hub configures no paths.

mod builder;
mod configuration;
mod daemon;
mod site;

pub use builder::{Family, LinkSpec, TestbedBuilder};
pub use daemon::Daemon;
pub(crate) use daemon::status_at;
pub use site::Site;

use crate::emulator::{Emulator, LinkHandle};
use anyhow::{Context as _, Result, ensure};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::time::Duration;
use tempfile::TempDir;

/// The UDP port routers listen at.
pub const PORT: u16 = 4511;

/// A network that is up. Everything in it ends when it is dropped.
///
/// While there is one, [`exclusive`](crate::exclusive) keeps every other of this process waiting: a
/// test has one at most.
#[derive(Debug)]
pub struct Testbed {
    // The daemons go first, then what they used.
    sites: Vec<Site>,
    links: Vec<Link>,
    _emulator: Emulator,
    directory: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// A link of a testbed.
#[derive(Debug)]
struct Link {
    sites: [usize; 2],
    /// `None`: a plain veth pair.
    emulated: Option<LinkHandle>,
}

impl Testbed {
    /// Begins a testbed whose daemons are `program`, which must be `mpt-lab`: in integration tests
    /// `env!("CARGO_BIN_EXE_mpt-lab")`.
    #[must_use]
    pub fn builder(program: impl Into<PathBuf>) -> TestbedBuilder {
        TestbedBuilder::new(program.into())
    }

    /// Starts all daemons and waits until every path of every one is in use.
    ///
    /// # Errors
    /// When one ends, or not all is up within `timeout`: with the end of its log.
    pub fn start(&mut self, timeout: Duration) -> Result<()> {
        for site in &mut self.sites {
            site.start()?;
        }
        let until = crate::now() + timeout;
        for site in &mut self.sites {
            let left = until.since(crate::now());
            site.daemon()?.wait_up(left)?;
        }
        Ok(())
    }

    /// Site `index`: of a pair 0 or 1, of a hub 0 for the hub and 1, 2, … for its clients.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn site(&self, index: usize) -> &Site {
        &self.sites[index]
    }

    /// As [`Testbed::site`], to start or stop its daemon.
    ///
    /// # Panics
    /// When there is none.
    pub fn site_mut(&mut self, index: usize) -> &mut Site {
        &mut self.sites[index]
    }

    /// The first site of a pair.
    #[must_use]
    pub fn a(&self) -> &Site {
        self.site(0)
    }

    /// The second site of a pair.
    #[must_use]
    pub fn b(&self) -> &Site {
        self.site(1)
    }

    /// The emulated link `number`, from 1. Forward is from the site of the lower number.
    ///
    /// # Panics
    /// When there is none, or it is a plain one.
    #[must_use]
    pub fn link(&self, number: usize) -> &LinkHandle {
        let link = self.links[number - 1].emulated.as_ref();
        link.unwrap_or_else(|| panic!("link {number} is not emulated"))
    }

    /// How many links there are.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Routes between the LANs of the sites of link `number` over that link alone, without a
    /// tunnel: to compare with.
    ///
    /// # Errors
    /// When there is a route already, such as a running tunnel's.
    pub fn route_without_tunnel(&self, number: usize) -> Result<()> {
        let link = self.links.get(number - 1).context("no such link")?;
        ensure!(self.sites.iter().all(|s| !s.is_running()), "the tunnel is running");
        for end in 0..2 {
            let router = self.sites[link.sites[end]].router();
            let there = link.sites[1 - end];
            router.add_route(lan_v4(there, 0), 24, link_v4(number, 1 - end))?;
            router.add_route(lan_v6(there, 0), 64, link_v6(number, 1 - end))?;
        }
        Ok(())
    }

    /// The directory of keys, configurations, logs and control sockets.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// An address of a site's LAN: 0 is the network, 1 the router, 2 the host.
fn lan_v4(site: usize, host: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 11 + site as u8, host).into()
}

/// As [`lan_v4`].
fn lan_v6(site: usize, host: u16) -> IpAddr {
    Ipv6Addr::new(0xfd01, site as u16, 0, 0, 0, 0, 0, host).into()
}

/// The address of a link's first (0) or second (1) end.
fn link_v4(number: usize, end: usize) -> IpAddr {
    Ipv4Addr::new(10, number as u8, 0, 1 + end as u8).into()
}

/// As [`link_v4`].
fn link_v6(number: usize, end: usize) -> IpAddr {
    Ipv6Addr::new(0xfd00, number as u16, 0, 0, 0, 0, 0, 1 + end as u16).into()
}

/// A site's tunnel address.
fn tunnel_v4(site: usize) -> IpAddr {
    Ipv4Addr::new(10, 77, 0, 1 + site as u8).into()
}

/// As [`tunnel_v4`].
fn tunnel_v6(site: usize) -> IpAddr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1 + site as u16).into()
}
