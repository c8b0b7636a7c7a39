//! The mpt protocol as a pure state machine: wire format, sessions, path health, schedulers,
//! order and statistics.
//!
//! Nothing here does IO, reads a clock or draws ambient randomness: the time, a seed, datagrams
//! and inner packets come in as arguments; datagrams (in an [`Outbox`]) and inner packets (through
//! [`Deliver`]) come out. The same inputs give the same outputs.

#![forbid(unsafe_code)]

pub mod allowed_ips;
pub mod config;
pub mod control;
mod deliver;
mod drop_reason;
mod endpoint;
mod event;
pub mod handshake;
mod id;
pub mod inner;
pub mod keys;
pub mod order;
mod outbox;
pub mod parts;
pub mod path;
mod peer;
pub mod policy;
pub mod protect;
pub mod queue;
mod rate;
pub mod repair;
pub mod schedule;
pub mod session;
mod shown;
mod time;
pub mod wire;

pub use deliver::Deliver;
pub use drop_reason::{DropCounters, DropReason};
pub use endpoint::{AddPeerError, Endpoint, SendError};
pub use event::{DownReason, Event};
pub use id::{MAX_PATHS, PacketNumber, PathId, PeerId, SocketId, Weight, WorkerId};
pub use outbox::{Fragment, Lane, LaneKey, LaneRef, Outbox, Run};
pub use peer::{DatagramMeta, Incoming};
pub use rate::{Rate, RateError, RateLimit};
pub use shown::is_shown;
pub use time::{LatestTime, Time};
