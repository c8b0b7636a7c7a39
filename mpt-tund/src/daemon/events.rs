//! What the endpoint wants done, and what the tasks beside the loop have to say.

use super::bindings::{Binding, TURN};
use super::signals::HANGUP;
use super::{Daemon, Message};
use crate::config::{Host, Interface};
use crate::net::{NetError, resolve};
use mpt_core::config::LocalEnd;
use mpt_core::{Event, PathId, PeerId};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// What the kernel refused is tried again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Those of a name's addresses that are not in the tunnel's own network: the kernel would send packets that are bound to no
/// interface into the tunnel.
fn outside_of(
    tunnel: &Interface,
    host: &str,
    mut answers: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, String> {
    let inside = answers.iter().find_map(|a| Some((a.ip(), tunnel.network_of(a.ip())?)));
    answers.retain(|a| tunnel.network_of(a.ip()).is_none());
    match inside {
        Some((address, network)) if answers.is_empty() => Err(format!(
            "{host} is {address}, which lies within {network}, the tunnel's own network"
        )),
        _ => Ok(answers),
    }
}

impl Daemon {
    /// Serves the endpoint's events.
    pub(super) async fn serve_events(&mut self) {
        let mut carrying = !self.peers_up.is_empty();
        while let Some(event) = self.next_event() {
            match event {
                Event::PeerUp(peer) => {
                    if !self.peers_up.contains(&peer) {
                        self.peers_up.push(peer);
                    }
                }
                Event::PeerDown(peer) => self.peers_up.retain(|&p| p != peer),
                Event::ResolveRemote(peer, path) => {
                    self.start_resolving(peer, path, Duration::ZERO)
                }
                Event::RemoteMoved(peer, path, address) => self.on_moved(peer, path, address),
                Event::TunnelMtu(mtu) => self.set_mtu(mtu).await,
                Event::Warning(text) => self.warn(text),
                Event::PathUp(peer, path) => self.note_path(peer, path, true),
                Event::PathDown(peer, path, _) => self.note_path(peer, path, false),
            }
        }
        if carrying == self.peers_up.is_empty() {
            carrying = !carrying;
            let result = self.net.set_carrying(carrying).await;
            self.routing_done(result);
        }
        let net_changed = std::mem::take(&mut self.net_changed);
        let again = std::mem::take(&mut self.again);
        let look = net_changed || again;
        if std::mem::take(&mut self.address_gone) || look && self.lacks_address {
            self.restore_addresses().await;
        }
        if net_changed || again && self.unbound.is_some() {
            self.bind_paths().await;
        }
        if net_changed || again && self.routing.is_some() {
            let result = self.net.refresh().await;
            self.routing_done(result);
        }
        if again && let Some(mtu) = self.refused_mtu {
            self.set_mtu(mtu).await;
        }
        if self.lacks_address
            || self.unbound.is_some()
            || self.routing.is_some()
            || self.refused_mtu.is_some()
        {
            self.try_again_soon();
        }
    }

    /// Nobody tells that a port came free, or memory.
    fn try_again_soon(&mut self) {
        if !std::mem::replace(&mut self.again_soon, true) {
            let sender = self.sender.clone();
            tokio::spawn(async move {
                tokio::time::sleep(AGAIN_AFTER).await;
                let _ = sender.send(Message::Again).await;
            });
        }
    }

    /// A path without a configured remote is bound by what called last: IPv4 or IPv6.
    fn on_moved(&mut self, peer: PeerId, path: PathId, address: SocketAddr) {
        let learns = |b: &&mut Binding| b.config.remote.is_none() && !b.is_called();
        let mut bindings = self.bindings.iter_mut().filter(learns);
        if let Some(binding) = bindings.find(|b| b.peer == peer && b.path == path) {
            // Another port changes nothing.
            let before = binding.learned.replace(address);
            self.net_changed |= before.map(|a| a.ip()) != Some(address.ip());
        }
    }

    /// Gives the TUN device its addresses again, without which the routes into it lead nowhere.
    async fn restore_addresses(&mut self) {
        let addresses = self.addresses();
        let result = self.netlink.add_addresses(self.plane.tun.index(), &addresses).await;
        self.lacks_address = result.is_err();
        let lost = format!("{} lost an address: ", self.name);
        match result {
            Ok(()) => {
                tracing::info!("{} has its addresses again", self.name);
                self.warnings.retain(|warning| !warning.starts_with(&lost));
            }
            Err(error) => self.warn(format!("{lost}{error}")),
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.plane.endpoint().poll_event()
    }

    /// Handles a message; breaks when the daemon is to stop, or cannot go on.
    pub(super) fn on_message(&mut self, message: Message) -> ControlFlow<io::Result<()>> {
        match message {
            Message::Net => self.net_changed = true,
            Message::AddressGone => self.address_gone = true,
            Message::TunGone => {
                let text = format!("interface {} was deleted", self.name);
                return ControlFlow::Break(Err(io::Error::new(io::ErrorKind::NotFound, text)));
            }
            Message::Again => (self.again, self.again_soon) = (true, false),
            // They are served after each turn.
            Message::Events => {}
            Message::WorkerEnded(id) => {
                let text = format!("worker {} ended, see the log", id.get());
                return ControlFlow::Break(Err(io::Error::other(text)));
            }
            Message::Resolved(peer, path, result) => self.on_resolved(peer, path, result),
            Message::Turn(peer, path) => self.on_turn(peer, path),
            Message::Control(request, answer) => {
                let (response, flow) = self.on_request(request);
                // Whoever asked may be gone; nothing to do about it.
                let _ = answer.send(response);
                return flow.map_break(Ok);
            }
            Message::Signal(name) => {
                tracing::info!("{name}: shutting down");
                // The terminal is gone; or somebody hopes for a reload, who is better served by a supervisor that starts it again.
                let result = match name {
                    HANGUP => Err(io::Error::other(
                        "ended by SIGHUP; the configuration is read at the start only",
                    )),
                    _ => Ok(()),
                };
                return ControlFlow::Break(result);
            }
        }
        ControlFlow::Continue(())
    }

    fn binding_mut(&mut self, peer: PeerId, path: PathId) -> Option<&mut Binding> {
        self.bindings.iter_mut().find(|b| b.peer == peer && b.path == path)
    }

    fn note_path(&mut self, peer: PeerId, path: PathId, up: bool) {
        if let Some(binding) = self.binding_mut(peer, path) {
            binding.up = up;
            if up {
                binding.proven = binding.remote;
            }
        }
    }

    /// Asks the resolver for a path's remote, in a task of its own, after a pause.
    pub(super) fn start_resolving(&mut self, peer: PeerId, path: PathId, pause: Duration) {
        let Some(binding) = self.binding_mut(peer, path) else { return };
        let Some(remote) = &binding.config.remote else { return };
        let Host::Name(host) = &remote.host else { return };
        if std::mem::replace(&mut binding.resolving, true) {
            return;
        }
        let (host, port, family) = (host.clone(), remote.port, binding.required_family());
        let bound = binding.config.interface.is_some();
        let sender = self.sender.clone();
        let tunnel = (!bound).then(|| self.config.interface.clone());
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let result = resolve(&host, port, family).await.map_err(|e| e.to_string());
            let result = match &tunnel {
                Some(tunnel) => result.and_then(|answers| outside_of(tunnel, &host, answers)),
                None => result,
            };
            // The loop is gone: nobody wants to know.
            let _ = sender.send(Message::Resolved(peer, path, result)).await;
        });
    }

    /// Has another address of the name tried when this one's turn is over.
    pub(super) fn start_turn(&mut self, peer: PeerId, path: PathId) {
        let Some(binding) = self.binding_mut(peer, path) else { return };
        if std::mem::replace(&mut binding.turning, true) {
            return;
        }
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(TURN).await;
            let _ = sender.send(Message::Turn(peer, path)).await;
        });
    }

    fn on_turn(&mut self, peer: PeerId, path: PathId) {
        let Some(binding) = self.binding_mut(peer, path) else { return };
        binding.turning = false;
        binding.turn = !binding.up && binding.remote != binding.proven;
        self.net_changed |= self.binding_mut(peer, path).is_some_and(|b| b.turn);
    }

    /// Keeps the answers; which of them is used is chosen where the interfaces are known.
    fn on_resolved(&mut self, peer: PeerId, path: PathId, result: Result<Vec<SocketAddr>, String>) {
        let Some(binding) = self.binding_mut(peer, path) else { return };
        binding.resolving = false;
        let mut choose = matches!(binding.local, Some(LocalEnd::Gone { .. }));
        match result {
            Ok(answers) => {
                binding.unresolved = None;
                // An address that is being tried has its whole turn.
                binding.turn = !binding.turning;
                let known = binding.remote.is_some_and(|r| answers.contains(&r));
                choose |=
                    !known || binding.answers != answers || (answers.len() > 1 && !binding.up);
                binding.answers = answers;
            }
            Err(error) => {
                let news = binding.unresolved.as_ref() != Some(&error);
                if news {
                    tracing::warn!(path = %binding.config.name, "{error}; trying again");
                }
                binding.unresolved = Some(error);
            }
        }
        self.net_changed |= choose;
    }

    async fn set_mtu(&mut self, mtu: u16) {
        let refused = self.refused_mtu.take();
        if mtu == self.mtu {
            return;
        }
        match self.netlink.set_mtu(self.plane.tun.index(), u32::from(mtu)).await {
            Ok(()) => {
                tracing::info!(mtu, "tunnel MTU");
                self.mtu = mtu;
            }
            Err(error) => {
                self.refused_mtu = Some(mtu);
                if refused != Some(mtu) {
                    tracing::warn!(%error, "trying again");
                }
            }
        }
    }

    /// Notes what came of a change to rules and routes: each trouble is told once, and shown while it
    /// lasts.
    pub(super) fn routing_done(&mut self, result: Result<(), NetError>) {
        let trouble = result.err().map(|error| error.to_string());
        if self.routing != trouble {
            match &trouble {
                Some(text) => tracing::warn!("routing: {text}"),
                None => tracing::info!("routing: all rules and routes are in place"),
            }
            self.routing = trouble;
        }
    }

    /// Notes something a human should act on.
    pub(super) fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            tracing::warn!("{text}");
            self.warnings.push(text);
        }
    }
}
