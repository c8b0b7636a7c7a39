//! What the daemon is told.

use crate::{PathId, PeerId};
use std::fmt;
use std::net::SocketAddr;

/// Something that happened; drained with [`Endpoint::poll_event`](crate::Endpoint::poll_event).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session with this peer is usable (the first time, or after it was lost).
    PeerUp(PeerId),
    /// No path to this peer is usable any more.
    PeerDown(PeerId),
    /// The path carries data.
    PathUp(PeerId, PathId),
    /// The path carries no data any more.
    PathDown(PeerId, PathId, DownReason),
    /// The path's remote does not answer: if it was given by name, the name wants to be resolved
    /// again. Repeated with a growing interval while it stays so.
    ResolveRemote(PeerId, PathId),
    /// The peer is at this address by this path, which was learned from what it sent.
    RemoteMoved(PeerId, PathId, SocketAddr),
    /// Inner packets up to this many bytes fit through the paths in use; the TUN device's MTU should follow.
    TunnelMtu(u16),
    /// A human must act: the same text stands in the status.
    Warning(String),
}

/// Why a path is not in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// Three probes in a row were not answered.
    ProbesMissed,
    /// Data was sent and the peer's reports show no progress.
    NoProgress,
    /// The daemon said so: interface gone, link down, address gone.
    Local(String),
    /// The peer said so over another path.
    Remote,
    /// Taken out of use by the operator, here.
    Disabled,
    /// Taken out of use by the operator, at the other end.
    RemoteDisabled,
    /// The handshake was refused (cipher, version); the text says why.
    Refused(String),
    /// The session ended: the peer closed it or was restarted.
    SessionEnded,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProbesMissed => f.write_str("probes unanswered"),
            Self::NoProgress => f.write_str("sent data does not arrive"),
            Self::Local(why) | Self::Refused(why) => f.write_str(why),
            Self::Remote => f.write_str("peer says its side is down"),
            Self::Disabled => f.write_str("disabled here"),
            Self::RemoteDisabled => f.write_str("disabled by the peer"),
            Self::SessionEnded => f.write_str("session ended"),
        }
    }
}
