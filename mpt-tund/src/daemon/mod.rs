//! The running daemon: the core's endpoint with its sockets, its TUN device and its surroundings.
//!
//! `up` builds everything and takes it down again, `plane` moves packets, `run` is the loop around it, `worker` the
//! same in further threads, `bindings` follows interfaces
//! and addresses, `commands` answers the control socket.

mod alarm;
mod bindings;
mod brief_wait;
mod clock;
mod coalesce;
mod collected;
mod commands;
mod errors;
mod events;
mod log;
mod machine;
mod opening;
mod plane;
mod refusals;
mod run;
mod signals;
mod sink;
mod sockets;
mod stray;
mod tun_batch;
mod up;
mod worker;

pub use up::run;

use crate::config::Config;
use crate::net::{NetState, Netlink};
use bindings::Binding;
use mpt_core::control::{Request, Response};
use mpt_core::{PathId, PeerId, SocketId, WorkerId};
use plane::{Counters, Plane};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};
use worker::Worker;

/// What the loop is told by the tasks beside it.
enum Message {
    /// Links, addresses or routes changed.
    Net,
    /// The TUN device was deleted.
    TunGone,
    /// It lost an address a moment ago.
    AddressGone,
    /// A remote's name was resolved, or not.
    Resolved(PeerId, PathId, Result<Vec<SocketAddr>, String>),
    /// An address of a path's name had its time to answer.
    Turn(PeerId, PathId),
    /// What was refused is to be tried again.
    Again,
    /// A control request.
    Control(Request, oneshot::Sender<Response>),
    /// SIGTERM, SIGINT or SIGHUP.
    Signal(&'static str),
    /// A worker's turn left events of the endpoint.
    Events,
    /// A worker's thread ended, which it does only by an error while the loop runs.
    WorkerEnded(WorkerId),
}

/// Why paths could not be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unbound {
    /// The kernel did not tell the interfaces.
    Unread,
    /// It refused a socket: a port in use, no more descriptors, no memory.
    Refused,
}

/// A running daemon.
struct Daemon {
    name: String,
    config: Config,
    /// The first worker's part.
    plane: Plane,
    counters: Arc<Mutex<Counters>>,
    /// The other workers.
    workers: Vec<Worker>,
    /// The sockets of `listen`.
    listening: Vec<SocketId>,
    bindings: Vec<Binding>,
    netlink: Netlink,
    net: NetState,
    /// Links, addresses or routes changed since the paths were bound.
    net_changed: bool,
    /// The TUN device lost an address a moment ago.
    address_gone: bool,
    /// It could not be given back.
    lacks_address: bool,
    /// The interfaces could not be read, or a socket not be opened, and nothing that is watched would tell of a change.
    unbound: Option<Unbound>,
    /// The MTU that the kernel refused to the TUN device.
    refused_mtu: Option<u16>,
    /// What was refused is to be tried again now.
    again: bool,
    /// Or will be.
    again_soon: bool,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    /// Peers with a usable path.
    peers_up: Vec<PeerId>,
    warnings: Vec<String>,
    /// Packets that TUN refused, as far as the endpoint has counted them.
    refused_told: u64,
    /// What the kernel dropped in front of it, as far as that was counted.
    full_told: u64,
    /// What the kernel refuses of rules and routes now.
    routing: Option<String>,
    mtu: u16,
}
