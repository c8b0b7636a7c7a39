//! Up and down.

use super::bindings::Binding;
use super::clock::Clock;
use super::coalesce::Coalescing;
use super::log::Log;
use super::machine::machine;
use super::plane::{Counters, Plane, Shared};
use super::stray::Strays;
use super::worker::Worker;
use super::{Daemon, Message};
use crate::config::{Config, Host, Workers};
use crate::control::ControlServer;
use crate::net::{Monitor, NetEvent, NetState, Netlink, RouteSpec, WhenDown};
use crate::tun::{Offloads, TunQueue};
use crate::udp::{Family, Presence, SocketSpec};
use anyhow::Context as _;
use mpt_core::config::{PeerConfig, WorkerCount};
use mpt_core::{Endpoint, PathId, SocketId, WorkerId};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages that may wait for the loop; each worker keeps a place for the news of its end.
const QUEUE: usize = 64;

/// The TUN device has lost an address (IPv6 ones go when somebody takes it down) for so long before it is given back: whoever takes it away
/// again and again is to cost little.
const RESTORE_AFTER: Duration = Duration::from_millis(300);

/// Runs a tunnel until it is asked to stop; logs to standard error, at the level that `RUST_LOG` says.
///
/// # Errors
/// Whatever keeps the tunnel from coming up, or from going on.
pub fn run(config: Config) -> anyhow::Result<()> {
    let _log = Log::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(up(config));
    // A name being resolved must not keep it from ending.
    runtime.shutdown_background();
    result
}

/// Runs a tunnel until it is asked to stop; everything it made is undone then.
///
/// # Errors
/// Whatever keeps the tunnel from coming up, or from going on.
async fn up(config: Config) -> anyhow::Result<()> {
    let name = config.name().to_owned();
    // First of all: only one daemon of a name, and nothing of a running one is touched.
    let control = ControlServer::bind(&name)?;
    let count = worker_count(config.workers);
    let queues = TunQueue::create(&name, Offloads::from(config.offloads), count)?;
    let netlink = Netlink::open()?;
    let net = NetState::open(netlink.clone(), &name).await?;
    let (sender, messages) = mpsc::channel(QUEUE);
    let mut daemon = Daemon::build(config, queues, netlink, net, sender, messages)?;
    let result = match daemon.start(control).await {
        Ok(()) => daemon.run().await.map_err(Into::into),
        Err(error) => Err(error),
    };
    let undone = daemon.shut_down().await;
    result.and(undone)
}

impl Daemon {
    fn build(
        config: Config,
        queues: Vec<TunQueue>,
        netlink: Netlink,
        net: NetState,
        sender: mpsc::Sender<Message>,
        messages: mpsc::Receiver<Message>,
    ) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("no random numbers from the kernel")?;
        let clock = Clock::start();
        let workers = WorkerCount::nearest(queues.len());
        let endpoint = Endpoint::new(config.to_endpoint(&machine(workers)), seed);
        let shared = Shared::new(endpoint);
        let mut strays = Strays::of(queues.len()).into_iter();
        let mut parts = (0..).map_while(WorkerId::new).zip(queues).zip(&mut strays);
        let counters = Arc::<Mutex<Counters>>::default();
        let ((first, queue), own) = parts.next().context("there is no queue")?;
        let (tun, coalescing) = (queue.watch()?, Coalescing::new(config.coalesce));
        let plane =
            Plane::new(first, clock, shared.clone(), tun, own, counters.clone(), coalescing)?;
        let workers = parts
            .map(|((id, queue), strays)| {
                let sender = sender.clone();
                Worker::start(id, clock, shared.clone(), queue, strays, sender, config.coalesce)
            })
            .collect::<std::io::Result<Vec<_>>>()
            .context("cannot start a worker")?;
        let mut bindings = Vec::new();
        let mut endpoint = plane.endpoint();
        for peer in &config.peers {
            let id = endpoint.add_peer(clock.now(), PeerConfig::from(peer))?;
            for (path, number) in peer.paths.iter().zip(PathId::all()) {
                let remote = path.remote.as_ref().and_then(|r| match r.host {
                    Host::Address(ip) => Some(SocketAddr::new(ip, r.port)),
                    Host::Name(_) => None,
                });
                if let Some(remote) = remote {
                    endpoint.set_remote(clock.now(), id, number, remote);
                }
                bindings.push(Binding {
                    peer: id,
                    path: number,
                    config: path.clone(),
                    remote,
                    learned: None,
                    answers: Vec::new(),
                    turn: false,
                    up: false,
                    proven: None,
                    tried: None,
                    turning: false,
                    resolving: false,
                    unresolved: None,
                    local: None,
                });
            }
        }
        let mtu = endpoint.mtu();
        drop(endpoint);
        let mut daemon = Self {
            name: config.name().to_owned(),
            config,
            plane,
            counters,
            workers,
            listening: Vec::new(),
            refused_told: 0,
            full_told: 0,
            bindings,
            netlink,
            net,
            net_changed: false,
            address_gone: false,
            lacks_address: false,
            unbound: None,
            refused_mtu: None,
            again: false,
            again_soon: false,
            messages,
            sender,
            peers_up: Vec::new(),
            warnings: Vec::new(),
            routing: None,
            mtu,
        };
        daemon.listening = daemon.open_listening()?;
        Ok(daemon)
    }

    /// Addresses, routes, sockets, and the tasks beside the loop.
    async fn start(&mut self, control: ControlServer) -> anyhow::Result<()> {
        for text in crate::check::troubles_here(&self.config) {
            self.warn(text);
        }
        let addresses = self.addresses();
        self.netlink.configure(self.plane.tun.index(), &addresses, u32::from(self.mtu)).await?;
        self.plane.prove_tun();
        let routes = self.config.routes.iter().map(route_spec).collect();
        self.net.set_routes(self.plane.tun.index(), routes).await?;
        self.bind_paths().await;
        for i in 0..self.bindings.len() {
            let (peer, path) = (self.bindings[i].peer, self.bindings[i].path);
            self.start_resolving(peer, path, Duration::ZERO);
        }
        for text in self.strict_filters().into_iter().chain(crate::check::absent(&self.config)) {
            tracing::warn!("{text}");
        }
        self.watch_network()?;
        self.watch_signals()?;
        self.serve_control(control);
        tracing::info!(
            interface = %self.name,
            mtu = self.mtu,
            peers = self.config.peers.len(),
            paths = self.bindings.len(),
            "mpt-tund is up"
        );
        Ok(())
    }

    /// The TUN device's, with the lengths of their networks.
    pub(super) fn addresses(&self) -> Vec<(IpAddr, u8)> {
        self.config.interface.addresses.iter().map(|a| (a.address, a.length)).collect()
    }

    fn watch_network(&self) -> anyhow::Result<()> {
        let mut monitor = Monitor::start(self.netlink.clone())?;
        let (sender, own) = (self.sender.clone(), self.plane.tun.index());
        let addresses: Vec<_> = self.addresses().into_iter().map(|(address, _)| address).collect();
        tokio::spawn(async move {
            let mut restoring: Option<tokio::task::JoinHandle<()>> = None;
            while let Some(event) = monitor.next().await {
                tracing::debug!(?event, "network");
                let message = match event {
                    NetEvent::LinkGone { index, .. } if index == own => Message::TunGone,
                    NetEvent::AddressRemoved { index, address }
                        if index == own && addresses.contains(&address) =>
                    {
                        if restoring.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                            let sender = sender.clone();
                            restoring = Some(tokio::spawn(async move {
                                tokio::time::sleep(RESTORE_AFTER).await;
                                // The loop is gone: nothing is to be restored.
                                let _ = sender.send(Message::AddressGone).await;
                            }));
                        }
                        Message::Net
                    }
                    _ => Message::Net,
                };
                if sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn serve_control(&self, control: ControlServer) {
        let sender = self.sender.clone();
        let (calls, mut received) = mpsc::channel(QUEUE);
        tokio::spawn(control.serve(calls));
        tokio::spawn(async move {
            while let Some((request, answer)) = received.recv().await {
                if sender.send(Message::Control(request, answer)).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Says goodbye, delivers what is held, and undoes what was made.
    async fn shut_down(mut self) -> anyhow::Result<()> {
        // The others end first: nobody else may send after the goodbye.
        self.workers.clear();
        self.plane.close();
        self.net.undo().await.context("cannot remove all routes and rules")?;
        tracing::info!(interface = %self.name, "mpt-tund is down");
        Ok(())
    }
}

impl Daemon {
    fn open_listening(&mut self) -> anyhow::Result<Vec<SocketId>> {
        let Some(listen) = self.config.listen.clone() else { return Ok(Vec::new()) };
        let (mark, offloads) = (self.net.numbers().mark(), self.config.offloads.paths.into());
        let spec = |family, address| {
            let port = listen.port;
            // At boot it may not be there yet.
            let presence = Presence::Later;
            SocketSpec { family, interface: None, address, presence, port, mark, offloads }
        };
        let specs: Vec<_> = if listen.addresses.is_empty() {
            vec![spec(Family::V4, None), spec(Family::V6, None)]
        } else {
            listen.addresses.iter().map(|&a| spec(Family::of(a), Some(a))).collect()
        };
        let mut open = Vec::new();
        for spec in &specs {
            match self.obtain(spec, None) {
                Ok(id) => open.push(id),
                // A kernel without IPv6.
                Err(crate::udp::OpenError::Io { ref source, .. })
                    if spec.family == Family::V6
                        && source.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => return Err(error).context("cannot listen"),
            }
        }
        Ok(open)
    }
}

/// How many workers to start. `auto` means one for each processor, up to four; but of two processors the kernel's
/// own share of the work fills the second.
fn worker_count(wanted: Workers) -> usize {
    match wanted {
        Workers::Fixed(count) => usize::from(count),
        Workers::Auto => match std::thread::available_parallelism().map_or(1, |n| n.get()) {
            ..=2 => 1,
            processors => processors.min(AUTO_WORKERS),
        },
    }
}

/// More than this many workers take turns at the endpoint's lock.
const AUTO_WORKERS: usize = 4;

fn route_spec(route: &crate::config::Route) -> RouteSpec {
    RouteSpec {
        to: route.to,
        protocols: route.protocols.iter().map(|p| p.0).collect(),
        when_down: match route.when_down {
            crate::config::WhenDown::Keep => WhenDown::Keep,
            crate::config::WhenDown::Bypass => WhenDown::Bypass,
        },
    }
}
