//! The control socket's language: one JSON object a line, requests up and responses down.
//!
//! These types are what `mpt-cli` and scripts see; fields are only ever added.

pub use crate::drop_reason::DropCount;
pub use crate::policy::{Explanation, Tried};
use crate::{RateLimit, Weight};
use serde::{Deserialize, Serialize};

/// What a client asks for, one object a line: `{"command":"status"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Everything about the tunnel.
    Status,
    /// Sets a path's weight; it counts from the next packet on.
    SetWeight {
        /// Which path.
        #[serde(flatten)]
        path: PathSelector,
        /// 1 to 10 000; null for none: with `scheduler: auto` and no weight anywhere, paths are used by what is measured.
        #[serde(deserialize_with = "Option::deserialize")]
        weight: Option<Weight>,
    },
    /// Sets a path's rate limit; it counts from the next packet on.
    SetRateLimit {
        /// Which path.
        #[serde(flatten)]
        path: PathSelector,
        /// Such as `"20mbit"`, of outer IP packets; `"off"` for none.
        rate_limit: RateLimit,
    },
    /// Takes a path out of use, or back.
    SetEnabled {
        /// Which path.
        #[serde(flatten)]
        path: PathSelector,
        /// Whether it is to be used.
        enabled: bool,
    },
    /// Adds a policy, from the next packet on.
    AddPolicy {
        /// As [`Policy`](crate::policy::Policy) is written.
        policy: String,
        /// The name or number of the one it goes before; without it, after all that are not built in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
    },
    /// Removes a policy.
    RemovePolicy {
        /// Its name or number.
        policy: String,
    },
    /// Which policy takes a packet, and what happens to it.
    ExplainPolicy {
        /// As [`PacketText`](crate::policy::PacketText) is written.
        packet: String,
    },
    /// Ends the daemon as SIGTERM does.
    Stop,
}

/// A path by name; the peer may be left out where only one peer has a path of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathSelector {
    /// The path's name.
    pub path: String,
    /// The peer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// The answer, one object a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// Done.
    Ok,
    /// The status asked for.
    Status(Box<Status>),
    /// What happens to a packet.
    Explanation(Box<Explanation>),
    /// It did not work; one or two lines for a human, with what to do.
    Error(String),
}

/// Everything about a running tunnel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The TUN device's name.
    pub interface: String,
    /// The daemon's version.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Seconds since the daemon started.
    pub uptime: f64,
    /// The TUN device's MTU now.
    pub mtu: u16,
    /// Name of the scheduler in force; several where `auto` chose another one for another peer.
    pub scheduler: String,
    /// The scheduler as configured, which may be `auto`.
    pub scheduler_configured: String,
    /// The cipher as configured.
    pub cipher: String,
    /// Our public key.
    pub public_key: String,
    /// Port of the listening socket.
    pub listen: Option<u16>,
    /// Things a human should act on.
    pub warnings: Vec<String>,
    /// Packets and bytes read from TUN and written to it.
    pub tun: TunStatus,
    /// Threads that move packets.
    pub workers: u32,
    /// What the TUN device takes off our hands.
    pub offloads: OffloadStatus,
    /// The UDP sockets.
    pub sockets: Vec<SocketStatus>,
    /// Drops that belong to no peer.
    pub drops: Vec<DropCount>,
    /// The policies, in the order in which they are asked; the last one takes what is left.
    pub policies: Vec<PolicyStatus>,
    /// The peers.
    pub peers: Vec<PeerStatus>,
}

/// A policy, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyStatus {
    /// Its number from 1; the built-in ones have none.
    pub number: Option<usize>,
    /// Its name.
    pub name: Option<String>,
    /// As it is written.
    pub policy: String,
    /// Whether it is there without being asked for.
    pub built_in: bool,
    /// Inner packets sent under it.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Offloads of the TUN device that are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OffloadStatus {
    /// Checksums are left to whoever sends or receives at last (`IFF_VNET_HDR`).
    pub vnet_header: bool,
    /// TCP super-packets.
    pub tso: bool,
    /// UDP super-packets.
    pub uso: bool,
}

/// A UDP socket; with several workers, each has one like it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketStatus {
    /// The address and port it is bound to.
    pub local: String,
    /// The interface it is bound to.
    pub interface: Option<String>,
    /// Many datagrams leave as one super-packet.
    pub gso: bool,
    /// Many datagrams come as one super-packet.
    pub gro: bool,
    /// Whether the interface joins what it receives (`ethtool -k`); if not, GRO has little to do.
    pub interface_gro: Option<bool>,
    /// Receive buffer in bytes as the kernel accounts them, about twice the payload.
    pub receive_buffer: u64,
    /// Send buffer in the same bytes.
    pub send_buffer: u64,
    /// Datagrams, or super-packets, that the kernel dropped because the receive buffer was full.
    pub kernel_drops: u64,
}

/// What went through the TUN device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TunStatus {
    /// Packets read from it.
    pub read_packets: u64,
    /// Bytes read from it.
    pub read_bytes: u64,
    /// Packets written to it.
    pub written_packets: u64,
    /// Bytes written to it.
    pub written_bytes: u64,
    /// How often packets from it and from the sockets were waited for, to be handled together.
    pub naps: u64,
}

/// A peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerStatus {
    /// As configured.
    pub name: String,
    /// Its public key.
    pub public_key: String,
    /// `connecting`, `established`, or `refused`.
    pub state: String,
    /// Why, when it is not established: what is being waited for, or what the peers disagree on.
    pub why: Option<String>,
    /// Seconds since the session's keys were agreed.
    pub session_age: Option<f64>,
    /// The session's cipher.
    pub cipher: Option<String>,
    /// The scheduler in force for what goes to it.
    pub scheduler: String,
    /// Prefixes, as configured.
    pub allowed_ips: Vec<String>,
    /// Inner packets and bytes to and from the peer.
    pub tx_packets: u64,
    /// Inner bytes to the peer.
    pub tx_bytes: u64,
    /// Inner packets from the peer, as delivered.
    pub rx_packets: u64,
    /// Inner bytes from the peer, as delivered.
    pub rx_bytes: u64,
    /// The reordering of what the peer sends.
    pub reordering: ReorderStatus,
    /// What was sent to it again.
    pub repair: RepairStatus,
    /// What waits for rate limits.
    pub queue: QueueStatus,
    /// What was sent to it twice, and came from it so.
    pub copies: CopyStatus,
    /// Drops by reason.
    pub drops: Vec<DropCount>,
    /// The paths.
    pub paths: Vec<PathStatus>,
}

/// The reordering of what a peer sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReorderStatus {
    /// Packets delivered the moment they came.
    pub direct: u64,
    /// Packets that waited for an earlier one of their flow.
    pub held: u64,
    /// Packets waiting now.
    pub held_now: u64,
    /// Bytes waiting now.
    pub held_bytes: u64,
    /// Most bytes ever waiting at once.
    pub held_bytes_peak: u64,
    /// Median time a held packet waited, seconds.
    pub hold_p50: f64,
    /// 99th percentile of it, seconds.
    pub hold_p99: f64,
    /// Released because the frontier told that what they waited for is lost.
    pub released_lost: u64,
    /// Released because their deadline passed.
    pub released_deadline: u64,
    /// Released because memory or the ring was full.
    pub released_full: u64,
    /// Packets given up as lost.
    pub given_up: u64,
    /// Packets that came after they had been given up; delivered out of order.
    pub late: u64,
    /// Slots of the ring now.
    pub ring_slots: u64,
    /// Packets that came as a copy in time to be delivered in order.
    pub repaired: u64,
    /// Packets that came as a copy after they had been given up; dropped.
    pub repaired_late: u64,
    /// Packets that came again and were removed.
    pub duplicates: u64,
}

/// What was sent to a peer again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepairStatus {
    /// Whether both ends repair.
    pub active: bool,
    /// Packets sent again because they were lost.
    pub sent_again: u64,
    /// Packets sent again because their path failed.
    pub rescued: u64,
    /// Lost packets that were not sent again: too late, or too many.
    pub abandoned: u64,
    /// Messages sent before a pause, so that the loss of the last packet shows.
    pub pauses: u64,
    /// Bytes of memory for what was sent.
    pub memory: u64,
}

/// What waits because no path's rate limit lets it go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueStatus {
    /// Packets that wait now.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Most bytes that may wait; 0 where no path has a limit.
    pub capacity: u64,
    /// Packets dropped because packets waited too long.
    pub dropped_delay: u64,
    /// Packets dropped because the queue was full.
    pub dropped_full: u64,
    /// Packets marked "congestion experienced" because packets waited too long.
    pub marked: u64,
}

/// Packets on two paths at once, and parity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyStatus {
    /// Packets to the peer that went on a second path as well.
    pub sent: u64,
    /// Packets from the peer that had come before, and were removed.
    pub removed: u64,
    /// Parity packets sent.
    pub parity: u64,
    /// Packets from the peer that were missing and made again from parity.
    pub recovered: u64,
    /// Those of them that were not lost but late, and came themselves afterwards.
    pub early: u64,
}

/// A path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStatus {
    /// Its number here, 0 to 15.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// `probing`, `up`, `suspected`, `down` or `disabled`.
    pub state: String,
    /// Whether the scheduler may use it now; an `up` path in hold-down is not.
    pub in_use: bool,
    /// Why the state last changed.
    pub why: String,
    /// Seconds since it last changed.
    pub last_change: f64,
    /// The interface it is bound to.
    pub interface: Option<String>,
    /// The local address.
    pub local: Option<String>,
    /// The remote address.
    pub remote: Option<String>,
    /// Its weight.
    pub weight: u16,
    /// Its rank with `failover`.
    pub priority: u16,
    /// Bytes a second that are sent at most, outer IP packets.
    pub rate_limit: Option<f64>,
    /// Whose limit that is: `own` (configured or set here), `peer` (the peer wishes it), or `estimate`.
    pub rate_limit_source: Option<String>,
    /// Smoothed round-trip time, seconds.
    pub srtt: Option<f64>,
    /// Median round-trip time, seconds.
    pub rtt_p50: Option<f64>,
    /// 99th percentile of the round-trip time, seconds.
    pub rtt_p99: Option<f64>,
    /// Share of our packets that did not arrive over the last seconds, 0 to 1.
    pub loss_up: Option<f64>,
    /// Share of the peer's packets that did not arrive over the last seconds, 0 to 1.
    pub loss_down: Option<f64>,
    /// Bytes a second sent, outer UDP payload, over the last second.
    pub rate_up: f64,
    /// Bytes a second received, outer UDP payload, over the last second.
    pub rate_down: f64,
    /// This path's part of the data sent to the peer, 0 to 1, over the last second.
    pub share_up: f64,
    /// This path's part of the data the peer sends, 0 to 1, over the last second.
    pub share_down: f64,
    /// Largest outer IP packet known to pass.
    pub mtu: u16,
    /// How much later than newer packets one may come and still be expected, seconds.
    pub extent: f64,
    /// Datagrams sent.
    pub tx_packets: u64,
    /// Bytes sent, outer UDP payload.
    pub tx_bytes: u64,
    /// Datagrams received.
    pub rx_packets: u64,
    /// Bytes received, outer UDP payload.
    pub rx_bytes: u64,
    /// Data packets sent: those the weights divide.
    pub tx_data_packets: u64,
    /// Their bytes, outer UDP payload.
    pub tx_data_bytes: u64,
    /// Times it went down.
    pub downs: u64,
    /// The kernel's drops on this path's socket, receive side.
    pub kernel_drops: u64,
    /// What is estimated of the way to the peer; nothing before it reported.
    #[serde(default)]
    pub estimate: Option<PathEstimate>,
}

/// What is estimated of a path on the way to the peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathEstimate {
    /// Bytes a second that it delivers, outer UDP payload.
    pub rate: f64,
    /// Whether that is its limit; else nobody has asked for more.
    pub rate_is_limit: bool,
    /// One-way delay beyond that of the fastest path when both are empty, seconds.
    pub extra_delay: f64,
    /// What stands in its queue, seconds.
    pub queue: f64,
    /// Deviation of its one-way delay, seconds.
    pub jitter: f64,
    /// Share of packets it loses whatever it carries, 0 to 1.
    pub loss_random: f64,
    /// Share lost beyond that while its queue is long, 0 to 1.
    pub loss_congestive: f64,
}

impl Status {
    /// All paths called `name`, with their peer.
    pub fn paths_named<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a PeerStatus, &'a PathStatus)> {
        self.peers.iter().flat_map(move |p| {
            p.paths.iter().filter(move |path| path.name == name).map(move |path| (p, path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_flat_objects() {
        let line = r#"{"command":"set-weight","path":"bridge-5180","weight":3}"#;
        let Request::SetWeight { path, weight } = serde_json::from_str(line).unwrap() else {
            panic!("not a set-weight");
        };
        let three = Weight::new(3).ok();
        assert_eq!((path.path.as_str(), path.peer, weight), ("bridge-5180", None, three));
        let ask = |weight| format!(r#"{{"command":"set-weight","path":"a"{weight}}}"#);
        let none = serde_json::from_str::<Request>(&ask(r#","weight":null"#));
        assert!(matches!(none.unwrap(), Request::SetWeight { weight: None, .. }));
        assert!(serde_json::from_str::<Request>(&ask("")).is_err());
        let err = serde_json::from_str::<Request>(
            r#"{"command":"set-weight","path":"a","weight":10001}"#,
        );
        assert!(err.unwrap_err().to_string().contains("1 to 10000"));
    }
}
