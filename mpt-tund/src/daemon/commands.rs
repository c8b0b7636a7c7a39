//! What the control socket asks for.

use super::Daemon;
use super::bindings::Binding;
use crate::check::Ways;
use mpt_core::config::LocalEnd;
use mpt_core::control::{OffloadStatus, PathSelector, Request, Response, Status, TunStatus};
use mpt_core::policy::BadPolicy;
use mpt_core::{DropReason, PathId, PeerId, SocketId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::PoisonError;

impl Daemon {
    /// Answers a request; breaks when the daemon is to stop.
    pub(super) fn on_request(&mut self, request: Request) -> (Response, ControlFlow<()>) {
        let now = self.plane.clock.now();
        let result = match request {
            Request::Status => return (self.status(), ControlFlow::Continue(())),
            Request::Stop => {
                tracing::info!("asked to stop");
                return (Response::Ok, ControlFlow::Break(()));
            }
            Request::SetWeight { path, weight } => self.select(&path).map(|(peer, path)| {
                self.plane.endpoint().set_weight(peer, path, weight);
            }),
            Request::SetRateLimit { path, rate_limit } => self.select(&path).map(|(peer, path)| {
                self.plane.endpoint().set_rate_limit(now, peer, path, rate_limit);
            }),
            Request::SetEnabled { path, enabled } => self.select(&path).map(|(peer, path)| {
                self.plane.endpoint().set_enabled(now, peer, path, enabled);
            }),
            Request::AddPolicy { policy, before } => policy
                .parse()
                .and_then(|p| self.plane.endpoint().add_policy(p, before.as_deref()))
                .map_err(|BadPolicy(why)| why),
            Request::RemovePolicy { policy } => {
                let removed = self.plane.endpoint().remove_policy(&policy);
                removed.map(|_| ()).map_err(|BadPolicy(why)| why)
            }
            Request::ExplainPolicy { packet } => match packet.parse() {
                Ok(packet) => {
                    let explanation =
                        self.plane.endpoint().explain(self.plane.clock.now(), &packet);
                    let response = Response::Explanation(Box::new(explanation));
                    return (response, ControlFlow::Continue(()));
                }
                Err(BadPolicy(why)) => Err(why),
            },
        };
        let response = match result {
            Ok(()) => Response::Ok,
            Err(text) => Response::Error(text),
        };
        (response, ControlFlow::Continue(()))
    }

    /// The one path that `selector` names.
    fn select(&self, selector: &PathSelector) -> Result<(PeerId, PathId), String> {
        let endpoint = self.plane.endpoint();
        let found = endpoint.paths_named(&selector.path, selector.peer.as_deref());
        match found.as_slice() {
            [(_, peer, path)] => Ok((*peer, *path)),
            [] => {
                let known = endpoint.path_names();
                Err(match &selector.peer {
                    Some(peer) if !self.config.peers.iter().any(|p| p.name == *peer) => {
                        let names: Vec<_> =
                            self.config.peers.iter().map(|p| p.name.as_str()).collect();
                        format!("no peer `{peer}`; there are: {}", names.join(", "))
                    }
                    Some(peer) => format!(
                        "peer `{peer}` has no path `{}`; there are: {}",
                        selector.path,
                        known.join(", ")
                    ),
                    None => {
                        format!("no path `{}`; there are: {}", selector.path, known.join(", "))
                    }
                })
            }
            several => {
                let peers: Vec<_> = several.iter().map(|(peer, ..)| *peer).collect();
                Err(format!(
                    "several peers have a path `{}`: {}; say which with `--peer NAME`",
                    selector.path,
                    peers.join(", ")
                ))
            }
        }
    }

    /// The interfaces that drop what comes by another way than answers would go, as it is now.
    pub(super) fn strict_filters(&self) -> Vec<String> {
        let interfaces: BTreeSet<_> =
            self.bindings.iter().filter_map(|b| b.config.interface.as_deref()).collect();
        interfaces.into_iter().filter_map(crate::check::strict_rp_filter).collect()
    }

    /// Paths that are not up, and whose interface has no way to their remote, as it is now.
    fn without_way(&self) -> Vec<String> {
        let waiting = self.bindings.iter().filter(|b| !b.up && b.config.gateway.is_none());
        let mut ways = None;
        let judge = |b: &Binding| {
            let (interface, remote) = (b.config.interface.as_deref()?, b.remote?.ip());
            ways.get_or_insert_with(Ways::now).missing(&b.config.name, interface, remote)
        };
        waiting.filter_map(judge).collect()
    }

    fn status(&mut self) -> Response {
        let now = self.plane.clock.now();
        let counted = self.counted();
        let sockets = self.plane.sockets.statuses(&counted.kernel_drops);
        let mut endpoint = self.plane.endpoint();
        for (&socket, &total) in &counted.kernel_drops {
            endpoint.set_kernel_drops(socket, total);
        }
        let refused = counted.refused - std::mem::replace(&mut self.refused_told, counted.refused);
        endpoint.count_drops(DropReason::TunWrite, refused);
        let full = crate::tun::queue_drops(&self.name).unwrap_or(self.full_told);
        let before = std::mem::replace(&mut self.full_told, full);
        endpoint.count_drops(DropReason::TunFull, full.saturating_sub(before));
        let mut core = endpoint.status(now);
        drop(endpoint);
        for binding in &self.bindings {
            // Without a local end nobody asks; that it is missing comes first.
            let asks = !matches!(binding.local, Some(LocalEnd::Gone { .. }));
            let unresolved = binding.unresolved.as_ref();
            let Some(why) = unresolved.filter(|_| asks && binding.remote.is_none()) else {
                continue;
            };
            let peer = core.peers.get_mut(binding.peer.0 as usize);
            let paths = peer.map(|peer| &mut peer.paths).into_iter().flatten();
            for path in paths.filter(|p| p.id == binding.path.get()) {
                path.why.clone_from(why);
            }
        }
        Response::Status(Box::new(Status {
            interface: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: self.plane.clock.uptime().as_secs_f64(),
            mtu: self.mtu,
            listen: self.config.listen.as_ref().map(|l| l.port),
            warnings: self
                .warnings
                .iter()
                .cloned()
                .chain(self.routing.iter().map(|trouble| format!("routing: {trouble}")))
                .chain(self.strict_filters())
                .chain(crate::check::absent(&self.config))
                .chain(self.without_way())
                .collect(),
            tun: counted.tun,
            workers: 1 + self.workers.len() as u32,
            offloads: counted.offloads,
            sockets,
            ..core
        }))
    }
}

/// What all workers counted.
#[derive(Default)]
struct Counted {
    tun: TunStatus,
    refused: u64,
    kernel_drops: BTreeMap<SocketId, u64>,
    offloads: OffloadStatus,
}

impl Daemon {
    fn counted(&self) -> Counted {
        let mut sum = Counted::default();
        let others = self.workers.iter().map(|w| &w.counters);
        for (i, counters) in std::iter::once(&self.counters).chain(others).enumerate() {
            let c = counters.lock().unwrap_or_else(PoisonError::into_inner);
            sum.tun.read_packets += c.tun.read_packets;
            sum.tun.read_bytes += c.tun.read_bytes;
            sum.tun.written_packets += c.tun.written_packets;
            sum.tun.written_bytes += c.tun.written_bytes;
            sum.tun.naps += c.tun.naps;
            sum.refused += c.refused;
            for &(socket, drops) in &c.kernel_drops {
                *sum.kernel_drops.entry(socket).or_default() += drops;
            }
            // In use is what every worker uses.
            let all = |sum: bool, one: bool| (i == 0 || sum) && one;
            if let Some(tun) = c.offloads {
                sum.offloads.vnet_header = all(sum.offloads.vnet_header, tun.vnet);
                sum.offloads.tso = all(sum.offloads.tso, tun.tso);
                sum.offloads.uso = all(sum.offloads.uso, tun.uso);
            }
        }
        sum
    }
}
