//! What the control socket asks for.

use super::Daemon;
use mpt_core::control::{PathSelector, Request, Response, Status};
use mpt_core::{DropReason, PathId, PeerId};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

impl Daemon {
    /// Answers a request; breaks when the daemon is to stop.
    pub(super) fn on_request(&mut self, request: Request) -> (Response, ControlFlow<()>) {
        let now = self.clock.now();
        let result = match request {
            Request::Status => return (self.status(), ControlFlow::Continue(())),
            Request::Stop => {
                tracing::info!("asked to stop");
                return (Response::Ok, ControlFlow::Break(()));
            }
            Request::SetWeight { path, weight } => self.select(&path).map(|(peer, path)| {
                self.endpoint.set_weight(peer, path, weight);
            }),
            Request::SetEnabled { path, enabled } => self.select(&path).map(|(peer, path)| {
                self.endpoint.set_enabled(now, peer, path, enabled);
            }),
        };
        let response = match result {
            Ok(()) => Response::Ok,
            Err(text) => Response::Error(text),
        };
        (response, ControlFlow::Continue(()))
    }

    /// The one path that `selector` names.
    fn select(&self, selector: &PathSelector) -> Result<(PeerId, PathId), String> {
        let found = self.endpoint.paths_named(&selector.path, selector.peer.as_deref());
        match found.as_slice() {
            [(_, peer, path)] => Ok((*peer, *path)),
            [] => {
                let known = self.endpoint.path_names();
                Err(match &selector.peer {
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

    fn status(&mut self) -> Response {
        let now = self.clock.now();
        for (socket, total) in self.sockets.kernel_drops() {
            self.endpoint.set_kernel_drops(socket, total);
        }
        self.endpoint.count_drops(DropReason::TunWrite, self.sink.take_refused());
        let mut core = self.endpoint.status(now);
        for binding in &self.bindings {
            let Some(why) = binding.unresolved.as_ref().filter(|_| binding.remote.is_none()) else {
                continue;
            };
            let peer = core.peers.get_mut(binding.peer.0 as usize);
            let paths = peer.map(|peer| &mut peer.paths).into_iter().flatten();
            for path in paths.filter(|p| p.id == binding.path.get()) {
                path.why.clone_from(why);
            }
        }
        let mut tun = self.tun_counters;
        let written = self.sink.written();
        tun.written_packets = written.packets;
        tun.written_bytes = written.bytes;
        Response::Status(Box::new(Status {
            interface: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: self.clock.uptime().as_secs_f64(),
            mtu: self.mtu,
            listen: self.config.listen.as_ref().map(|l| l.port),
            warnings: self
                .warnings
                .iter()
                .cloned()
                .chain(self.routing.iter().map(|trouble| format!("routing: {trouble}")))
                .chain(self.strict_filters())
                .collect(),
            tun,
            ..core
        }))
    }
}
