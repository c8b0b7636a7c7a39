//! Why a packet was dropped: at once the error's text, the log's field and the counter's label.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal),+ $(,)?) => {
        /// Why a packet or datagram was dropped.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ #[error($label)] $name),+ }

        impl DropReason {
            /// Every reason, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The counter's label, in kebab case.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),+ }
            }
        }
    };
}

reasons! {
    /// In front of TUN: its queue was full, as the daemon had no time to read it.
    TunFull = "tun-full",
    /// From TUN: not an IPv4 or IPv6 packet, or its lengths do not add up.
    NotIp = "not-ip",
    /// From TUN: no peer's `allowed_ips` covers the destination.
    NoPeer = "no-peer",
    /// From TUN: the peer has no session yet, and the short queue for that is full.
    NoSession = "no-session",
    /// From TUN: no path can be used.
    NoPath = "no-path",
    /// From TUN: a super-packet whose headers do not add up.
    BadSuperPacket = "bad-super-packet",
    /// From TUN: beyond the rate limits of all paths, and the queue in front of them is full.
    QueueFull = "queue-full",
    /// From TUN: packets waited too long for rate limits; flows are to slow down.
    QueueDelay = "queue-delay",
    /// From TUN: larger than the tunnel carries.
    TooLarge = "too-large",
    /// From the network: shorter than its type needs, or an unknown type.
    Malformed = "malformed",
    /// From the network: a receiver index that names no session.
    UnknownIndex = "unknown-index",
    /// From the network: the tag or MAC does not fit (forged, damaged, or old keys).
    BadTag = "bad-tag",
    /// From the network: a packet number or counter seen before, or older than the replay window.
    Replayed = "replayed",
    /// From the network: a handshake message of somebody unknown, or with a wrong pre-shared key.
    BadHandshake = "bad-handshake",
    /// From the network: handshake messages beyond the rate limit of their source.
    HandshakeRate = "handshake-rate",
    /// From the network: plain data although encryption is required, or the other way round.
    CipherMismatch = "cipher-mismatch",
    /// From the network: the inner source address is outside the peer's `allowed_ips`.
    NotAllowed = "not-allowed",
    /// From the network: the inner packet is not IP, or its lengths do not add up.
    BadInner = "bad-inner",
    /// From the network: ECN says congestion on a packet that does not take part in ECN (RFC 6040).
    EcnNotCapable = "ecn-not-capable",
    /// From the network: another copy was delivered before.
    Duplicate = "duplicate",
    /// From the network: the packet was too long for every path and came in parts, of which one is missing.
    Incomplete = "incomplete",
    /// From the network: beyond the reordering ring, or memory for held packets is exhausted.
    RingFull = "ring-full",
    /// To the network: the socket's buffer was full.
    SocketFull = "socket-full",
    /// To the network: the kernel refused the datagram (unreachable, no buffer, interface gone).
    SendFailed = "send-failed",
    /// To TUN: the kernel refused the packet.
    TunWrite = "tun-write",
    /// From the network: a data packet of a path the sender never opened.
    UnknownPath = "unknown-path",
}

/// One counter a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one more.
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `n` more.
    pub fn add(&mut self, reason: DropReason, n: u64) {
        self.0[reason as usize] += n;
    }

    /// How many so far.
    #[must_use]
    pub const fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// The reasons that occurred, with their counts, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&r| (r, self.get(r))).filter(|&(_, n)| n > 0)
    }

    /// Adds another set.
    pub fn merge(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a += b;
        }
    }
}

/// A count with its label, as it stands in the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCount {
    /// [`DropReason::label`].
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl From<&DropCounters> for Vec<DropCount> {
    fn from(c: &DropCounters) -> Self {
        c.iter().map(|(r, count)| DropCount { reason: r.label().to_owned(), count }).collect()
    }
}
