//! Says what a testbed is to be, and builds it.

use super::configuration::{self, Edit, Plan};
use super::site::Site;
use super::{Link, Testbed, link_v4, link_v6};
use crate::emulator::Emulator;
use crate::keys;
use crate::link::LinkProfile;
use crate::netlink::{Offloads, VethEnd, add_veth};
use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Which addresses the paths run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// A link to be built.
#[derive(Clone, Copy, Debug)]
pub struct LinkSpec {
    /// What it does to packets, both ways; `None` is a plain veth pair, without limits and as fast
    /// as the CPU.
    pub profile: Option<LinkProfile>,
    /// MTU of its interfaces, bytes of an IP packet.
    pub mtu: u32,
    /// Which addresses the path over it uses.
    pub family: Family,
    /// The path's weight.
    pub weight: u16,
}

impl LinkSpec {
    /// A link with this profile.
    #[must_use]
    pub fn emulated(profile: LinkProfile) -> Self {
        Self { profile: Some(profile), ..Self::plain() }
    }

    /// A link of `rate_bps` bits a second of IP packets, and a delay.
    #[must_use]
    pub fn new(rate_bps: u64, delay: Duration) -> Self {
        Self::emulated(LinkProfile { rate_bps: Some(rate_bps), delay, ..LinkProfile::default() })
    }

    /// A plain veth pair.
    #[must_use]
    pub fn plain() -> Self {
        Self { profile: None, mtu: 1500, family: Family::V4, weight: 1 }
    }

    /// The same with another weight of its path.
    #[must_use]
    pub fn weight(self, weight: u16) -> Self {
        Self { weight, ..self }
    }

    /// The same with a path over these addresses.
    #[must_use]
    pub fn family(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// The same with another MTU.
    #[must_use]
    pub fn mtu(self, mtu: u32) -> Self {
        Self { mtu, ..self }
    }
}

/// A testbed to be built.
pub struct TestbedBuilder {
    program: PathBuf,
    links: Vec<LinkSpec>,
    hub: bool,
    seed: u64,
    edits: Vec<Edit>,
}

impl TestbedBuilder {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program, links: Vec::new(), hub: false, seed: 1, edits: Vec::new() }
    }

    /// Adds a link: of a pair one more between the two, of a hub one more client.
    #[must_use]
    pub fn link(mut self, link: LinkSpec) -> Self {
        self.links.push(link);
        self
    }

    /// Adds many links.
    #[must_use]
    pub fn links(mut self, links: impl IntoIterator<Item = LinkSpec>) -> Self {
        self.links.extend(links);
        self
    }

    /// Makes it a hub, with a client at the other end of each link.
    #[must_use]
    pub fn hub(mut self) -> Self {
        self.hub = true;
        self
    }

    /// Decides the accidents of the links.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Changes the configuration of site `index` before it is written, such as
    /// `|yaml| yaml["scheduler"] = json!("failover")`.
    #[must_use]
    pub fn configure(mut self, index: usize, edit: impl FnOnce(&mut Value) + 'static) -> Self {
        self.edits.push((index, Box::new(edit)));
        self
    }

    /// Builds it. The daemons are not started.
    ///
    /// # Errors
    /// When this process may not make networks.
    pub fn build(self) -> Result<Testbed> {
        ensure!(!self.links.is_empty(), "a testbed needs a link");
        ensure!(self.links.len() <= 200, "a testbed has 200 links at most");
        let alone = crate::exclusive();
        let mut directory = tempfile::Builder::new().prefix("mpt-lab-").tempdir()?;
        // To read the daemons' logs afterwards.
        directory.disable_cleanup(std::env::var_os("MPT_LAB_KEEP").is_some());
        let emulator = Emulator::new()?;
        let mut plan = Plan { keys: Vec::new(), links: Vec::new() };
        let mut sites: Vec<Site> = Vec::new();
        for index in 0..if self.hub { 1 + self.links.len() } else { 2 } {
            let name = match (self.hub, index) {
                (false, 0) => "a".to_owned(),
                (false, _) => "b".to_owned(),
                (true, 0) => "hub".to_owned(),
                (true, client) => format!("client{client}"),
            };
            sites.push(Site::new(&name, index, directory.path(), &self.program)?);
            plan.keys.push(keys::generate()?);
        }
        let mut links = Vec::new();
        for (i, spec) in self.links.iter().enumerate() {
            let number = i + 1;
            let ends = [0, if self.hub { number } else { 1 }];
            let interface = format!("wan{number}");
            let [a, b] =
                ends.map(|site| VethEnd { namespace: sites[site].router(), interface: &interface });
            let emulated = match spec.profile {
                None => {
                    add_veth(a, b, spec.mtu, Offloads::On)?;
                    None
                }
                Some(profile) => {
                    let seed = self.seed.wrapping_mul(1000).wrapping_add(number as u64);
                    Some(emulator.add_link(a, b, spec.mtu, profile, seed)?)
                }
            };
            for (end, &site) in ends.iter().enumerate() {
                let router = sites[site].router();
                router.add_address(&interface, link_v4(number, end), 24)?;
                router.add_address(&interface, link_v6(number, end), 64)?;
            }
            plan.links.push((ends, *spec));
            links.push(Link { sites: ends, emulated });
        }
        configuration::write(&sites, &plan, self.hub, self.edits)?;
        Ok(Testbed { sites, links, _emulator: emulator, directory, _alone: alone })
    }
}
