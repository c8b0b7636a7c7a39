//! `mpt-tund check`: what a configuration amounts to, and what on this machine may stand in its
//! way. Warnings ask for action; notes tell of keys that are read but not used yet.

mod nameservers;
mod networks;
mod routes;
mod ways;

use crate::config::{Config, ConfigError, Host, Mtu, Path, Peer, Route, WhenDown};
use mpt_core::RateLimit;
use mpt_core::config::{Dscp, SchedulerKind};
use networks::{Network, Which};
use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::Path as FilePath;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long all names together may take to resolve.
const RESOLVE_FOR: Duration = Duration::from_secs(5);

/// Reads the configuration that `argument` names (see [`Config::load`]) and judges it here.
///
/// # Errors
/// When the configuration is wrong; the daemon would not start.
pub fn check(argument: &str) -> Result<Report, ConfigError> {
    let config = Config::load(argument)?;
    Ok(Report::new(&config, &Machine::default(), resolves))
}

/// What `check` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the file says, in short.
    pub summary: Vec<String>,
    /// What keeps the tunnel, or a part of it, from working.
    pub warnings: Vec<String>,
    /// What is read but not used in this version.
    pub notes: Vec<String>,
}

impl Report {
    fn new(
        config: &Config,
        machine: &Machine<'_>,
        resolves: impl Fn(&[String]) -> Vec<bool>,
    ) -> Self {
        let mut warnings = Vec::new();
        interfaces(config, machine, &mut warnings);
        names(config, resolves, &mut warnings);
        if config.interface.addresses.iter().any(|a| a.address.is_ipv6()) && machine.lacks_ipv6() {
            warnings.push(
                "IPv6 is switched off here (net.ipv6.conf.default.disable_ipv6), and the tunnel's interface has an IPv6 \
                 address: `up` would fail"
                    .to_owned(),
            );
        }
        warnings.extend(absent(config));
        same_ends(config, &mut warnings);
        routes::judge(config, &mut warnings);
        warnings.extend(machine.troubles(config));
        Self { summary: summary(config), warnings, notes: notes(config, machine) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.summary {
            writeln!(f, "{line}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Where the kernel tells about interfaces; elsewhere in tests.
#[derive(Clone, Copy, Debug)]
struct Machine<'a> {
    interfaces: &'a FilePath,
    /// Where `route` and `ipv6_route` are.
    routes: &'a FilePath,
    ipv4_settings: &'a FilePath,
    ipv6_settings: &'a FilePath,
    resolver: &'a FilePath,
}

impl Default for Machine<'_> {
    fn default() -> Self {
        Self {
            interfaces: FilePath::new("/sys/class/net"),
            routes: FilePath::new("/proc/thread-self/net"),
            ipv4_settings: FilePath::new("/proc/sys/net/ipv4/conf"),
            ipv6_settings: FilePath::new("/proc/sys/net/ipv6/conf"),
            resolver: FilePath::new("/etc/resolv.conf"),
        }
    }
}

impl Machine<'_> {
    fn has(&self, interface: &str) -> bool {
        self.interfaces.join(interface).exists()
    }

    /// The networks that its interfaces are in, or that it knows more of than a default route.
    fn networks(&self, which: Which) -> Vec<Network> {
        let read = |name| std::fs::read_to_string(self.routes.join(name)).unwrap_or_default();
        networks::parse(&read("route"), &read("ipv6_route"), which)
    }

    /// What of `config` this machine has itself, or needs before the tunnel is up.
    fn troubles(&self, config: &Config) -> Vec<String> {
        let resolver = std::fs::read_to_string(self.resolver).unwrap_or_default();
        let servers = nameservers::parse(&resolver);
        let mut troubles = clashes(config, &self.networks(Which::Near));
        let specific = self.networks(Which::Specific);
        troubles.extend(nameservers::behind_the_tunnel(config, &servers, &specific));
        troubles
    }

    /// A new interface takes no IPv6 address.
    fn lacks_ipv6(&self) -> bool {
        let file = self.ipv6_settings.join("default/disable_ipv6");
        std::fs::read_to_string(file).map_or(true, |text| text.trim() != "0")
    }

    /// Unless the kernel says no.
    fn forwards_ipv4(&self) -> bool {
        let file = self.ipv4_settings.join("all/forwarding");
        std::fs::read_to_string(file).map_or(true, |text| text.trim() != "0")
    }

    fn rp_filter(&self, interface: &str) -> Option<u8> {
        let file = self.ipv4_settings.join(interface).join("rp_filter");
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// The kernel takes the larger of the two settings; 1 is strict, 2 is loose.
    fn strict_rp_filter(&self, interface: &str) -> Option<String> {
        let own = self.rp_filter(interface)?;
        if own.max(self.rp_filter("all")?) != 1 {
            return None;
        }
        Some(format!(
            "interface {interface} drops what comes by another way than answers would go (strict rp_filter); \
             run `sysctl -w net.ipv4.conf.{interface}.rp_filter=2`"
        ))
    }
}

/// The warning about `interface`, when its `rp_filter` is strict: answers to a path that is not
/// on the default route are dropped by the kernel then.
#[must_use]
pub fn strict_rp_filter(interface: &str) -> Option<String> {
    Machine::default().strict_rp_filter(interface)
}

/// Where the interfaces of this machine lead, read once: there may be a million routes.
#[derive(Clone, Debug)]
pub struct Ways(Vec<Network>);

impl Ways {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        Self::of(&Machine::default())
    }

    fn of(machine: &Machine<'_>) -> Self {
        Self(machine.networks(Which::All))
    }

    /// What is to be done where path `path`, bound to `interface`, has no way to `remote`; nothing where it has one.
    #[must_use]
    pub fn missing(&self, path: &str, interface: &str, remote: IpAddr) -> Option<String> {
        ways::missing(path, interface, remote, &self.0)
    }
}

/// Warnings about addresses and routes of `config` that this machine has itself, the tunnel's own
/// aside, and about names that only the tunnel could ask for. To be asked before the tunnel is up.
#[must_use]
pub fn troubles_here(config: &Config) -> Vec<String> {
    Machine::default().troubles(config)
}

/// Addresses of `listen` that this machine does not have, as it is now.
#[must_use]
pub fn absent(config: &Config) -> Vec<String> {
    let addresses = config.listen.iter().flat_map(|listen| &listen.addresses);
    let is_absent = |address: &&IpAddr| {
        let bound = UdpSocket::bind((**address, 0));
        bound.is_err_and(|e| e.kind() == ErrorKind::AddrNotAvailable)
    };
    let told = |address| {
        format!("listen: no interface of this machine has the address {address} (waiting for it)")
    };
    addresses.filter(is_absent).map(told).collect()
}

fn clashes(config: &Config, networks: &[Network]) -> Vec<String> {
    let own = &config.interface;
    let others = || networks.iter().filter(|n| n.interface != own.name);
    let addresses = own.addresses.iter().filter_map(|a| {
        let network = others().find(|n| n.prefix.contains(a.address))?;
        Some(format!(
            "interface {}: {} lies within {}, the network of interface {}; \
             give the tunnel addresses that nothing else here has",
            own.name, a.address, network.prefix, network.interface
        ))
    });
    let routes = config.routes.iter().filter_map(|route| {
        let network = others().find(|n| n.prefix == route.to)?;
        Some(format!(
            "route {}: that is the network of interface {} here, whose hosts would be sought \
             through the tunnel; the networks of the two ends must differ",
            route.to, network.interface
        ))
    });
    addresses.chain(routes).collect()
}

fn all_paths(config: &Config) -> impl Iterator<Item = (&Peer, &Path)> {
    config.peers.iter().flat_map(|peer| peer.paths.iter().map(move |path| (peer, path)))
}

fn summary(config: &Config) -> Vec<String> {
    let interface = &config.interface;
    let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
    let mtu = match interface.mtu {
        Mtu::Auto => "MTU as the paths allow".to_owned(),
        Mtu::Fixed(bytes) => format!("MTU {bytes}"),
    };
    let listens = match &config.listen {
        Some(listen) => format!("listens on {listen}"),
        None => "does not listen; it calls its peers".to_owned(),
    };
    let mut lines = vec![
        format!("{}: OK", config.file.display()),
        format!("interface {}: {}, {mtu}", interface.name, addresses.join(", ")),
        format!("public key {}", config.private_key.public_key()),
        listens,
        format!("scheduler {}, cipher {}", scheduler(config), config.cipher),
    ];
    for peer in &config.peers {
        let allowed: Vec<_> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        lines.push(format!("peer {}: {}", peer.name, allowed.join(", ")));
        lines.extend(peer.paths.iter().map(|path| path_line(path, config.scheduler)));
        if peer.paths.is_empty() {
            lines.push("  no paths of our own: it calls us".to_owned());
        }
    }
    lines.extend(config.routes.iter().map(route_line));
    lines.extend(config.policies.own.iter().map(|policy| format!("policy {policy}")));
    if config.policies.built_in.is_empty() {
        lines.push("built-in policies are off".to_owned());
    }
    lines
}

/// What `auto` comes to, as far as this end's file tells: the peer may wish weights.
fn scheduler(config: &Config) -> SchedulerKind {
    let weighted = config.peers.iter().flat_map(|p| &p.paths).any(|path| path.weight.is_some());
    match config.scheduler {
        SchedulerKind::Auto if weighted => SchedulerKind::Weighted,
        SchedulerKind::Auto => SchedulerKind::Adaptive,
        kind => kind,
    }
}

fn path_line(path: &Path, scheduler: SchedulerKind) -> String {
    let mut from: Vec<String> = path.interface.iter().cloned().collect();
    from.extend(path.local.map(|address| address.to_string()));
    from.extend(path.local_port.map(|port| format!("port {port}")));
    if from.is_empty() {
        from.push("any interface".to_owned());
    }
    let to = path.remote.as_ref().map_or("whoever calls".to_owned(), ToString::to_string);
    let mut line = format!("  path {}: {} -> {to}", path.name, from.join(" "));
    if let Some(gateway) = path.gateway {
        line += &format!(" via {gateway}");
    }
    match (scheduler, path.weight) {
        (SchedulerKind::Failover, _) => line += &format!(", priority {}", path.priority),
        (_, Some(weight)) => line += &format!(", weight {}", weight.get()),
        (_, None) => {}
    }
    match path.dscp {
        Dscp::Copy => line += ", DSCP copied",
        Dscp::Fixed(0) => {}
        Dscp::Fixed(value) => line += &format!(", DSCP {value}"),
    }
    match path.rate_limit {
        Some(RateLimit::At(rate)) => line += &format!(", at most {rate}"),
        Some(RateLimit::Off) => line += ", without a limit",
        None => {}
    }
    if !path.enabled {
        line += ", disabled";
    }
    line
}

fn route_line(route: &Route) -> String {
    let protocols: Vec<_> = route.protocols.iter().map(ToString::to_string).collect();
    let what = if protocols.is_empty() { "everything".to_owned() } else { protocols.join(", ") };
    let down = match route.when_down {
        WhenDown::Keep => "kept",
        WhenDown::Bypass => "bypassed",
    };
    format!("route {}: {what}, {down} while no path is up", route.to)
}

/// Interfaces that are not there, or throw answers away.
fn interfaces(config: &Config, machine: &Machine<'_>, warnings: &mut Vec<String>) {
    let mut judged: Vec<&str> = Vec::new();
    let mut ways = None;
    for (_, path) in all_paths(config) {
        let Some(interface) = path.interface.as_deref() else { continue };
        if !machine.has(interface) {
            warnings.push(format!(
                "interface {interface} does not exist; path {} waits until it does",
                path.name
            ));
        } else if !judged.contains(&interface) {
            judged.push(interface);
            warnings.extend(machine.strict_rp_filter(interface));
        }
        if let Some(Host::Address(remote)) = path.remote.as_ref().map(|r| &r.host)
            && path.gateway.is_none()
        {
            let ways = ways.get_or_insert_with(|| Ways::of(machine));
            warnings.extend(ways.missing(&path.name, interface, *remote));
        }
    }
}

/// Names that do not resolve.
fn names(config: &Config, resolves: impl Fn(&[String]) -> Vec<bool>, warnings: &mut Vec<String>) {
    let (paths, hosts): (Vec<_>, Vec<_>) = all_paths(config)
        .filter_map(|(_, path)| match &path.remote.as_ref()?.host {
            Host::Name(name) => Some((path, name.clone())),
            Host::Address(_) => None,
        })
        .unzip();
    for ((path, host), resolved) in paths.iter().zip(&hosts).zip(resolves(&hosts)) {
        if !resolved {
            warnings.push(format!(
                "{host} does not resolve now; path {} waits until it does (try `getent ahosts {host}`)",
                path.name
            ));
        }
    }
}

/// Whether each of `hosts` has an address, asked for all at once.
fn resolves(hosts: &[String]) -> Vec<bool> {
    let deadline = Instant::now() + RESOLVE_FOR;
    let (sender, answers) = mpsc::channel();
    for (i, host) in hosts.iter().enumerate() {
        let (host, sender) = (host.clone(), sender.clone());
        // One that hangs is left behind; it ends with the process.
        std::thread::spawn(move || {
            let found = (host.as_str(), 0).to_socket_addrs().is_ok_and(|mut a| a.next().is_some());
            // Nobody listens any more after the deadline.
            let _ = sender.send((i, found));
        });
    }
    let mut resolved = vec![false; hosts.len()];
    for _ in hosts {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((i, found)) = answers.recv_timeout(left) else { break };
        resolved[i] = found;
    }
    resolved
}

/// Paths that nobody could tell apart by their addresses and ports.
fn same_ends(config: &Config, warnings: &mut Vec<String>) {
    let listen = config.listen.as_ref().map(|listen| listen.port);
    let paths: Vec<_> = all_paths(config).map(|(_, path)| path).collect();
    let ends = |path: &Path| {
        let port = path.local_port.or(listen)?;
        Some((path.interface.clone(), path.local, port, path.remote.clone()?))
    };
    for (i, path) in paths.iter().enumerate() {
        let Some(own) = ends(path) else { continue };
        if let Some(other) = paths[..i].iter().find(|other| ends(other).as_ref() == Some(&own)) {
            warnings.push(format!(
                "paths {} and {} have the same ends; give one a `local_port` of its own",
                other.name, path.name
            ));
        }
    }
}

fn notes(config: &Config, machine: &Machine<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let interfaces: BTreeSet<_> =
        all_paths(config).filter_map(|(_, path)| path.interface.as_deref()).collect();
    for interface in interfaces.into_iter().filter(|i| crate::net::gro(i) == Some(false)) {
        notes.push(format!(
            "{interface} does not join what it receives; `ethtool -K {interface} gro on` saves CPU at high rates"
        ));
    }
    if config.routes.iter().any(|r| r.to.address.is_ipv4()) && !machine.forwards_ipv4() {
        notes.push(
            "this machine forwards no IPv4, so the routes serve itself only; \
             `sysctl -w net.ipv4.ip_forward=1` makes it a router"
                .to_owned(),
        );
    }
    if let Some(v6) = v6_without_address(config) {
        notes.push(v6);
    }
    notes
}

/// A route for IPv6 through a device that has no IPv6 address works for what is forwarded only.
fn v6_without_address(config: &Config) -> Option<String> {
    let has = config.interface.addresses.iter().any(|a| matches!(a.address, IpAddr::V6(_)));
    let route = config.routes.iter().find(|route| route.to.address.is_ipv6())?;
    (!has).then(|| {
        format!(
            "interface {} has no IPv6 address; the route {} serves hosts behind this one only",
            config.interface.name, route.to
        )
    })
}

#[cfg(test)]
mod tests;
