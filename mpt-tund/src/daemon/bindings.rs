//! Which local end each configured path has now.

use super::worker::Order;
use super::{Daemon, Unbound};
use crate::config;
use crate::net::{Interface, Interfaces, Known, Uplink, choose, fits, interface_index, reaches};
use crate::udp::{Family, OpenError, Presence, SocketSpec};
use mpt_core::config::LocalEnd;
use mpt_core::{PathId, PeerId, SocketId};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A name none of whose addresses the interface can use is asked again after this long: an answer may have
/// been in part.
const STRANDED_PAUSE: Duration = Duration::from_secs(30);

/// An address of a name has this long to answer, beside the one that did so last; and while none did, each.
pub(super) const TURN: Duration = Duration::from_secs(3);

/// A configured path, and what the daemon knows of its two ends.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) peer: PeerId,
    pub(super) path: PathId,
    pub(super) config: config::Path,
    /// What the remote is, or which of the answers was chosen last.
    pub(super) remote: Option<SocketAddr>,
    /// Where the peer calls from, of a path without a configured remote.
    pub(super) learned: Option<SocketAddr>,
    /// The name's addresses, as the resolver told them last.
    pub(super) answers: Vec<SocketAddr>,
    /// The remote does not answer: another answer has its turn.
    pub(super) turn: bool,
    /// The answer over which the path carried data last.
    pub(super) proven: Option<SocketAddr>,
    /// The answer that had its turn last beside that one.
    pub(super) tried: Option<SocketAddr>,
    /// Its turn will be over.
    pub(super) turning: bool,
    /// The path carries data.
    pub(super) up: bool,
    /// Being resolved.
    pub(super) resolving: bool,
    /// Why the name has no address, when it was asked last.
    pub(super) unresolved: Option<String>,
    /// What the core was told last.
    pub(super) local: Option<LocalEnd>,
}

impl Binding {
    /// Whether nothing is said of either end: the path goes where the peer calls.
    pub(super) const fn is_called(&self) -> bool {
        let c = &self.config;
        c.remote.is_none() && c.interface.is_none() && c.local.is_none() && c.local_port.is_none()
    }

    /// Where the other end is, as far as that is known; of what was learned, if this end has an address for it: else the peer may
    /// call by another one.
    fn far(&self, interfaces: &Interfaces) -> Option<SocketAddr> {
        let reachable = |r: &SocketAddr| match self.config.local {
            Some(local) => Family::of(local) == Family::of(r.ip()),
            None => self.has(interfaces, Family::of(r.ip())),
        };
        self.remote.or(self.learned.filter(reachable))
    }

    /// Whether its interface has an address of this family.
    fn has(&self, interfaces: &Interfaces, family: Family) -> bool {
        let interface = self.config.interface.as_deref().and_then(|name| interfaces.get(name));
        interface.is_some_and(|i| i.addresses.iter().any(|&a| Family::of(a) == family))
    }

    /// IPv4 or IPv6, as the remote or the local address says. While a name has no address it is what the
    /// interface has: a path without a local end would not have the name asked again.
    pub(super) fn family(&self, interfaces: &Interfaces) -> Family {
        let far = self.far(interfaces).map(|r| r.ip());
        let ip = far.or(self.config.local).or(match &self.config.remote {
            Some(config::Remote { host: config::Host::Address(ip), .. }) => Some(*ip),
            _ => None,
        });
        let has = |family| self.has(interfaces, family);
        match ip {
            Some(ip) => Family::of(ip),
            None if has(Family::V6) && !has(Family::V4) => Family::V6,
            None => Family::V4,
        }
    }

    /// The addresses that the path's packets can have now; `None` where that is the system's choice.
    fn sources<'i>(&'i self, interfaces: &'i Interfaces) -> Option<&'i [IpAddr]> {
        if let Some(local) = &self.config.local {
            return Some(std::slice::from_ref(local));
        }
        let interface = interfaces.get(self.config.interface.as_deref()?);
        Some(interface.map_or(&[], |i| &i.addresses))
    }

    /// Chooses among the name's addresses, by what the interface has now. Returns a choice that is new.
    fn choose_remote(&mut self, interfaces: &Interfaces) -> Option<SocketAddr> {
        // It may have come up while the name was asked.
        let turn = std::mem::take(&mut self.turn) && !self.up;
        let sources = self.sources(interfaces);
        let known = Known { current: self.remote, proven: self.proven, tried: self.tried };
        let chosen = choose(&self.answers, sources, known, turn)?;
        if self.remote == Some(chosen) {
            return None;
        }
        if turn && self.remote.is_some_and(|r| self.answers.contains(&r)) {
            tracing::debug!(path = %self.config.name, address = %chosen, "trying another address");
        } else {
            tracing::info!(path = %self.config.name, address = %chosen, "remote resolved");
        }
        self.remote = Some(chosen);
        if self.proven != Some(chosen) {
            self.tried = Some(chosen);
        }
        Some(chosen)
    }

    /// Whether another address is to have its turn soon: this one has not answered, and there are others.
    fn takes_turns(&self, interfaces: &Interfaces) -> bool {
        let sources = self.sources(interfaces);
        let fitting = self.answers.iter().filter(|&&a| fits(sources, a)).count();
        !self.up && fitting > 1 && self.remote != self.proven
    }

    /// The interface has addresses, but none for any address that the name had when it was asked last. The
    /// endpoint does not ask for paths without a local end.
    fn is_stranded(&self, interfaces: &Interfaces) -> bool {
        let sources = self.sources(interfaces);
        matches!(self.local, Some(LocalEnd::Gone { .. }))
            && (!self.answers.is_empty() || self.unresolved.is_some())
            && sources.is_some_and(|s| !s.is_empty())
            && !self.answers.iter().any(|&a| fits(sources, a))
    }

    /// The family that the configuration insists on, for the resolver.
    pub(super) fn required_family(&self) -> Option<Family> {
        self.config.local.map(Family::of)
    }
}

/// Logs that a path waits, or no longer does.
fn tell(path: &str, before: Option<&LocalEnd>, now: &LocalEnd) {
    match (before, now) {
        (_, LocalEnd::Gone { why }) => tracing::warn!(path, "path waits: {why}"),
        (Some(LocalEnd::Gone { .. }), LocalEnd::Ready { address: Some(local), .. }) => {
            tracing::info!(path, %local, "path waits no longer");
        }
        _ => tracing::debug!(path, ?now, "local end"),
    }
}

/// Why a path's local end cannot be used, or the interface it uses.
///
/// For a global IPv6 remote an interface with only a link-local address is usable if the system can take the
/// source from another one (a prefix delegated to the LAN); the address of `tunnel` itself is of no use.
fn usable<'i>(
    config: &config::Path,
    family: Family,
    remote: Option<SocketAddr>,
    interfaces: &'i Interfaces,
    tunnel: &str,
) -> Result<Option<&'i Interface>, String> {
    let version = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let Some(name) = &config.interface else {
        let Some(local) = config.local else { return Ok(None) };
        let holder = interfaces
            .holding(local)
            .ok_or_else(|| format!("no interface has the address {local} (waiting for it)"))?;
        return if holder.up {
            Ok(None)
        } else {
            Err(format!("interface {} is down", holder.name))
        };
    };
    let interface = interfaces
        .get(name)
        .ok_or_else(|| format!("interface {name} does not exist (waiting for it)"))?;
    if !interface.up {
        return Err(format!("interface {name} is down"));
    }
    match config.local {
        Some(local) if !interface.addresses.contains(&local) => {
            Err(format!("interface {name} does not have the address {local}"))
        }
        None if !interface.addresses.iter().any(|&a| Family::of(a) == family) => {
            Err(format!("interface {name} has no {version} address"))
        }
        None if remote.is_some_and(|remote| {
            let mut lenders = interfaces.iter().filter(|i| i.name != tunnel);
            !lenders.any(|i| fits(Some(&i.addresses), remote))
        }) =>
        {
            Err(format!("interface {name} has no global {version} address"))
        }
        _ => Ok(Some(interface)),
    }
}

impl Daemon {
    /// Looks at the interfaces anew and tells the core what changed; opens and closes sockets.
    pub(super) async fn bind_paths(&mut self) {
        let interfaces = match self.netlink.interfaces().await {
            Ok(interfaces) => interfaces,
            Err(error) => {
                if self.unbound.replace(Unbound::Unread) != Some(Unbound::Unread) {
                    tracing::warn!(%error, "cannot read the interfaces; trying again");
                }
                return;
            }
        };
        self.unbound = None;
        let now = self.plane.clock.now();
        let mut used = Vec::new();
        let mut bindings = std::mem::take(&mut self.bindings);
        for binding in &mut bindings {
            if let Some(remote) = binding.choose_remote(&interfaces) {
                self.plane.endpoint().set_remote(now, binding.peer, binding.path, remote);
            }
            let local = self.local_end(binding, &interfaces);
            if let LocalEnd::Ready { socket, .. } = &local {
                used.push(*socket);
            }
            if binding.local.as_ref() != Some(&local) {
                tell(&binding.config.name, binding.local.as_ref(), &local);
                self.plane.endpoint().set_local(now, binding.peer, binding.path, local.clone());
                binding.local = Some(local);
            }
        }
        let stranded: Vec<_> = bindings
            .iter()
            .filter(|b| b.is_stranded(&interfaces))
            .map(|b| (b.peer, b.path))
            .collect();
        let turning: Vec<_> = bindings
            .iter()
            .filter(|b| b.takes_turns(&interfaces))
            .map(|b| (b.peer, b.path))
            .collect();
        self.bindings = bindings;
        for (peer, path) in turning {
            self.start_turn(peer, path);
        }
        for (peer, path) in stranded {
            self.start_resolving(peer, path, STRANDED_PAUSE);
        }
        let listening = self.listening.clone();
        let workers = &self.workers;
        self.plane.sockets.retain(|id| {
            let wanted = used.contains(&id) || listening.contains(&id);
            if !wanted {
                workers.iter().for_each(|w| w.tell(Order::Close(id)));
            }
            wanted
        });
        let uplinks = self.uplinks(&interfaces);
        let result = self.net.set_uplinks(uplinks).await;
        self.routing_done(result);
    }

    /// The socket for `spec`; with those of the other workers it is a group.
    pub(super) fn obtain(
        &mut self,
        spec: &SocketSpec,
        index: Option<u32>,
    ) -> Result<SocketId, OpenError> {
        let workers = &self.workers;
        self.plane.sockets.obtain(spec, index, workers.len() + 1, |worker, order| {
            if let Some(worker) = workers.get(worker - 1) {
                worker.tell(order);
            }
        })
    }

    fn local_end(&mut self, binding: &Binding, interfaces: &Interfaces) -> LocalEnd {
        if binding.is_called() {
            return LocalEnd::Called;
        }
        let config = &binding.config;
        let family = binding.family(interfaces);
        let interface =
            match usable(config, family, binding.far(interfaces), interfaces, &self.name) {
                Ok(interface) => interface,
                Err(why) => return LocalEnd::Gone { why },
            };
        let spec = SocketSpec {
            family,
            interface: config.interface.clone(),
            address: config.local.or_else(|| self.called_address(binding, interface?, family)),
            presence: Presence::Now,
            port: config.local_port.or(self.config.listen.as_ref().map(|l| l.port)).unwrap_or(0),
            mark: self.net.numbers().mark(),
            offloads: config.offloads.into(),
        };
        let index = config.interface.as_deref().and_then(interface_index);
        match self.obtain(&spec, index) {
            Ok(socket) => LocalEnd::Ready {
                socket,
                interface: config.interface.clone(),
                address: self.address_of(
                    socket,
                    binding,
                    binding.far(interfaces),
                    family,
                    interface,
                ),
                mtu: interface.map_or(1_500, |i| u16::try_from(i.mtu).unwrap_or(u16::MAX)),
            },
            Err(error) => {
                if !error.is_waiting() {
                    self.unbound = Some(Unbound::Refused);
                }
                LocalEnd::Gone { why: error.to_string() }
            }
        }
    }

    /// The address on which we listen alone, where a path that waits to be called has it: the peer knows no other.
    fn called_address(
        &self,
        binding: &Binding,
        interface: &Interface,
        family: Family,
    ) -> Option<IpAddr> {
        if binding.config.remote.is_some() {
            return None;
        }
        let listens = self.config.listen.iter().flat_map(|l| &l.addresses).copied();
        let here = |a: &IpAddr| Family::of(*a) == family && interface.addresses.contains(a);
        let mut own = listens.filter(here);
        own.next().filter(|_| own.next().is_none())
    }

    /// For the status: where the path's packets come from.
    fn address_of(
        &self,
        socket: SocketId,
        binding: &Binding,
        far: Option<SocketAddr>,
        family: Family,
        interface: Option<&Interface>,
    ) -> Option<SocketAddr> {
        let bound = self.plane.sockets.get(socket)?.local_address();
        let is_source = |&a: &IpAddr| {
            Family::of(a) == family && far.is_none_or(|remote| reaches(a, remote.ip()))
        };
        let ip = (binding.config.local)
            .or_else(|| interface?.addresses.iter().copied().find(is_source))
            .unwrap_or(bound.ip());
        Some(SocketAddr::new(ip, bound.port()))
    }

    /// Of two paths over one interface, the one with a `gateway` says how packets leave.
    fn uplinks(&self, interfaces: &Interfaces) -> Vec<Uplink> {
        let (first, then): (Vec<_>, Vec<_>) =
            self.bindings.iter().partition(|b| b.config.gateway.is_some());
        first
            .into_iter()
            .chain(then)
            .filter_map(|b| {
                let interface = interfaces.get(b.config.interface.as_deref()?)?;
                interface
                    .up
                    .then(|| interface.uplink(b.family(interfaces), b.config.gateway))
                    .flatten()
            })
            .collect()
    }
}
