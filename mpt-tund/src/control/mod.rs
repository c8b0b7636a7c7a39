//! The control socket: `/run/mpt/NAME.sock`, where `mpt-cli` and scripts ask and steer.
//!
//! A client writes one JSON object a line ([`mpt_core::control::Request`]) and reads one line for
//! each ([`mpt_core::control::Response`]). Every client is a task of its own, between it and the
//! daemon's loop stands a channel: the loop answers from what it has at hand and never waits for a
//! client. What a client may cost is bounded: 16 clients, lines of 64 KiB, seconds to ask for the first time and
//! to take an answer, a minute of silence between. When all places are taken, who has been silent longest gives way.
//!
//! The kernel says who asks: root, the daemon's own user, and members of the socket's group (`mpt`
//! where there is one) are answered, others are told why not.

mod access;
mod client;
mod down;
mod seats;
mod socket;

pub use down::down;
pub use socket::{RUN_DIR_VARIABLE, run_dir, socket_file};

use access::Access;
use mpt_core::control::{Request, Response};
use seats::Seats;
use socket::Socket;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Most clients at once.
pub const MOST_CLIENTS: usize = 16;

/// Most bytes of a request's line, its end included.
pub const LONGEST_LINE: usize = 64 * 1024;

/// A request, and where its answer goes.
pub type Call = (Request, oneshot::Sender<Response>);

/// What a client may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Time from connecting to the end of the first request.
    first: Duration,
    /// Silence after that after which a client is let go.
    idle: Duration,
    /// Time for the daemon to answer, and for the client to take the answer.
    answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { first: seconds(5), idle: seconds(60), answer: seconds(5) }
    }
}

/// The listening end of the control socket; its file goes when this does.
#[derive(Debug)]
pub struct ControlServer {
    socket: Socket,
    listener: UnixListener,
    access: Access,
    limits: Limits,
}

impl ControlServer {
    /// Opens the control socket of tunnel `name` in [`run_dir`]. Needs a tokio runtime.
    ///
    /// # Errors
    /// When a daemon of that name is running, or the socket cannot be made.
    pub fn bind(name: &str) -> anyhow::Result<Self> {
        Self::bind_in(&run_dir(), name)
    }

    /// Opens the control socket of tunnel `name` in `dir`.
    ///
    /// # Errors
    /// When a daemon of that name is running, or the socket cannot be made.
    pub fn bind_in(dir: &Path, name: &str) -> anyhow::Result<Self> {
        let access = Access::of_this_machine();
        let (socket, listener) = Socket::bind(dir, name, access.group())?;
        Ok(Self { socket, listener, access, limits: Limits::default() })
    }

    /// The socket's file.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.socket.file()
    }

    /// Serves clients until `calls` is closed, or this future is dropped.
    pub async fn serve(self, calls: mpsc::Sender<Call>) {
        let mut seats = Seats::default();
        let mut clients = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = clients.join_next() => continue,
                () = calls.closed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: it passes, but not by spinning.
                    tracing::warn!(%error, "control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Err(why) =
                stream.peer_cred().map_err(|e| e.to_string()).and_then(|c| self.access.judge(&c))
            {
                client::refuse(stream, why);
                continue;
            }
            match seats.take() {
                Some(seat) => {
                    clients.spawn(client::serve(stream, calls.clone(), self.limits, seat));
                }
                None => {
                    let busy = format!("{MOST_CLIENTS} clients are being answered; try again");
                    client::refuse(stream, busy);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
