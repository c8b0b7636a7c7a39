//! The network of one cell: links, routers, hosts, and what carries between them.

use super::carrier::Carrier;
use crate::bench::process::POLL;
use crate::bench::topology::{self, TCP_BUFFERS};
use crate::emulator::Direction;
use crate::netns::Namespace;
use crate::sim::profiles::Profile;
use crate::sys::packet;
use crate::testbed::{LinkSpec, Site, Testbed};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a tunnel may take until every path is in use: round trips of 640 ms, losses.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// How long the tunnel's MTU must stand, besides three round trips, and how long that may take.
const SETTLED: Duration = Duration::from_millis(600);
const SETTLED_WITHIN: Duration = Duration::from_secs(15);

/// Fewer packets on a link mean that MPTCP did not use it: the questions of a vain handshake.
const SUBFLOW_PACKETS: u64 = 10;

/// A network that is up.
pub(super) struct Network {
    testbed: Testbed,
    carrier: Carrier,
}

/// Between which namespaces traffic flows.
pub(super) struct Ends<'a> {
    pub(super) from: &'a Namespace,
    pub(super) to: &'a Namespace,
    address: IpAddr,
}

impl Ends<'_> {
    /// A port of the receiving end.
    pub(super) fn destination(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }
}

impl Network {
    /// Builds the network of a profile and brings up what carries.
    pub(super) fn start(profile: &Profile, carrier: &Carrier, seed: u64) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let weights = profile.weights();
        let mut builder = Testbed::builder(program).seed(seed);
        for &link in carrier.links() {
            // A weight is 1 to 10 000, and no rate is above 10 Gbit/s.
            let weight = weights[link].clamp(1, 10_000) as u16;
            builder = builder.link(LinkSpec::emulated(profile.links[link]).weight(weight));
        }
        let scheduler = match carrier {
            Carrier::Both(scheduler) => scheduler.clone(),
            _ => "weighted".into(),
        };
        for site in 0..2 {
            let scheduler = scheduler.clone();
            builder = builder.configure(site, move |yaml| yaml["scheduler"] = json!(scheduler));
        }
        let network = Self { testbed: builder.build()?, carrier: carrier.clone() };
        for site in [network.testbed.a(), network.testbed.b()] {
            for namespace in [site.host(), site.router()] {
                TCP_BUFFERS.iter().try_for_each(|(key, value)| namespace.sysctl(key, value))?;
            }
        }
        network.bring_up(profile)
    }

    fn bring_up(mut self, profile: &Profile) -> Result<Self> {
        match self.carrier {
            Carrier::Direct => self.testbed.route_without_tunnel(1)?,
            Carrier::Mptcp => self.prepare_mptcp()?,
            Carrier::Alone(_) | Carrier::Both(_) => {
                self.testbed.start(UP_WITHIN)?;
                let delays = self.carrier.links().iter().map(|&link| profile.links[link].delay);
                self.wait_settled(SETTLED + 6 * delays.max().unwrap_or_default())?;
            }
        }
        Ok(self)
    }

    /// Waits until the tunnel's MTU has not changed for `quiet`.
    fn wait_settled(&self, quiet: Duration) -> Result<()> {
        let routers = [self.testbed.a().router(), self.testbed.b().router()];
        let mtus = || routers.map(|ns| ns.run(|| packet::interface_mtu(Site::TUNNEL)).ok());
        let until = crate::now() + SETTLED_WITHIN;
        let (mut last, mut since) = (mtus(), crate::now());
        while crate::now() < until && crate::now() < since + quiet {
            crate::bench::check_interrupt()?;
            std::thread::sleep(POLL);
            let seen = mtus();
            if seen != last {
                (last, since) = (seen, crate::now());
            }
        }
        Ok(())
    }

    /// MPTCP from router to router: the server offers its second address, and the client takes it up
    /// from the address it has on that link.
    fn prepare_mptcp(&self) -> Result<()> {
        let [client, server] = [self.testbed.a().router(), self.testbed.b().router()];
        for router in [client, server] {
            router.sysctl("net/mptcp/enabled", "1").context("this kernel has no MPTCP")?;
            ip(router, &["mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"])?;
        }
        let second = topology::outer(2, 1).to_string();
        ip(server, &["mptcp", "endpoint", "add", &second, "dev", "wan2", "signal"])
    }

    /// Between which namespaces traffic flows: hosts, or with MPTCP the routers.
    pub(super) fn ends(&self) -> Ends<'_> {
        let (a, b) = (self.testbed.a(), self.testbed.b());
        match self.carrier {
            Carrier::Mptcp => {
                Ends { from: a.router(), to: b.router(), address: topology::outer(1, 1).into() }
            }
            _ => Ends { from: a.host(), to: b.host(), address: b.host_v4() },
        }
    }

    /// Share of the packets towards the receiving end that the links lost or had no room for.
    pub(super) fn lost_on_links(&self) -> f64 {
        let links = 1..=self.testbed.link_count();
        let counters = links.map(|number| self.testbed.link(number).counters(Direction::Forward));
        let (lost, offered) = counters.fold((0, 0), |(lost, offered), c| {
            (lost + c.lost + c.queue_dropped, offered + c.offered_packets)
        });
        lost as f64 / offered.max(1) as f64
    }

    /// Whether what was measured is to be believed.
    pub(super) fn check(&mut self) -> Result<()> {
        for number in 1..=self.testbed.link_count() {
            for direction in Direction::BOTH {
                let counters = self.testbed.link(number).counters(direction);
                ensure!(
                    counters.missed == 0,
                    "the emulator itself missed {} of {} frames",
                    counters.missed,
                    counters.offered_packets
                );
                if self.carrier == Carrier::Mptcp && counters.offered_packets < SUBFLOW_PACKETS {
                    bail!("MPTCP made no second subflow");
                }
            }
        }
        if matches!(self.carrier, Carrier::Alone(_) | Carrier::Both(_)) {
            for site in 0..2 {
                let ended = self.testbed.site_mut(site).daemon()?.ended()?;
                ensure!(ended.is_none(), "the daemon of site {site} ended: {ended:?}");
            }
        }
        Ok(())
    }
}

fn ip(namespace: &Namespace, arguments: &[&str]) -> Result<()> {
    topology::run(namespace.command("ip"), "ip", arguments).map(drop)
}

/// Whether the daemon knows a scheduler.
pub(super) fn accepts(profile: &Profile, scheduler: &str) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let name = scheduler.to_owned();
    let testbed = Testbed::builder(program)
        .link(LinkSpec::emulated(profile.links[0]))
        .configure(0, move |yaml| yaml["scheduler"] = json!(name))
        .build()?;
    let output = testbed
        .a()
        .tund(&["check"])
        .arg(testbed.a().configuration_file())
        .output()
        .context("cannot run the daemon's check")?;
    let words = String::from_utf8_lossy(&output.stderr);
    // Warnings are about this machine; only what the configuration says is refused.
    if !output.status.success()
        && let Some(line) = words.lines().find(|line| line.contains("scheduler"))
    {
        // Where in the file it stands is of no use here.
        let line = line.rsplit_once("`scheduler`: ").map_or(line, |(_, words)| words);
        bail!("the daemon refuses scheduler `{scheduler}`: {line}; choose with --schedulers");
    }
    Ok(())
}
