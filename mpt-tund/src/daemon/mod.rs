//! The running daemon: the core's endpoint with its sockets, its TUN device and its surroundings.
//!
//! `up` builds everything and takes it down again, `run` is the loop, `bindings` follows interfaces
//! and addresses, `commands` answers the control socket.

mod bindings;
mod clock;
mod commands;
mod errors;
mod events;
mod run;
mod sink;
mod sockets;
mod up;

pub use up::run;

use crate::config::Config;
use crate::net::{NetState, Netlink};
use crate::tun::TunDevice;
use bindings::Binding;
use clock::Clock;
use errors::SendErrors;
use mpt_core::control::{Request, Response, TunStatus};
use mpt_core::{Endpoint, Outbox, PathId, PeerId, SocketId, Time};
use sink::Sink;
use sockets::Sockets;
use std::net::SocketAddr;
use tokio::sync::{mpsc, oneshot};

/// What the loop is told by the tasks beside it.
enum Message {
    /// Links, addresses or routes changed.
    Net,
    /// A remote's name was resolved, or not.
    Resolved(PeerId, PathId, Result<SocketAddr, String>),
    /// A control request.
    Control(Request, oneshot::Sender<Response>),
    /// SIGTERM, SIGINT or SIGHUP.
    Signal(&'static str),
}

/// A running daemon.
struct Daemon {
    name: String,
    config: Config,
    clock: Clock,
    endpoint: Endpoint,
    out: Outbox,
    sink: Sink,
    tun: TunDevice,
    tun_readable: bool,
    tun_counters: TunStatus,
    sockets: Sockets,
    /// The sockets of `listen`.
    listening: Vec<SocketId>,
    bindings: Vec<Binding>,
    netlink: Netlink,
    net: NetState,
    /// Links, addresses or routes changed since the paths were bound.
    net_changed: bool,
    send_errors: SendErrors,
    messages: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    /// Peers with a usable path.
    peers_up: Vec<PeerId>,
    /// When the endpoint judged its deadlines last.
    batch_ended: Time,
    warnings: Vec<String>,
    /// What the kernel refuses of rules and routes now.
    routing: Option<String>,
    mtu: u16,
}
