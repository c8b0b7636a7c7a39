//! Our own initiation: sent over all paths at once, again and again, until somebody answers.

use crate::Time;
use crate::handshake::Pending;
use std::time::Duration;

/// Copies of one initiation go out after these pauses; identical copies get the same answer, so a
/// slow path's answer still counts when a later copy was already sent.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_millis(1_000),
];

/// An attempt that nobody answered for this long starts anew with a fresh ephemeral key.
const LIFETIME: Duration = Duration::from_secs(5);

/// After a minute without an answer the copies become rarer, and again after ten.
const PATIENCE: [(Duration, Duration); 2] = [
    (Duration::from_secs(600), Duration::from_secs(5)),
    (Duration::from_secs(60), Duration::from_secs(2)),
];

/// Responses to one attempt that are read, however many others wait: the right one, and a few that somebody made up who saw its index.
const MOST_READ: u32 = 8;

/// While ours is younger than this and the smaller public key is ours, the peer's initiation is left
/// unanswered: it will answer ours. Not longer, or a firewall in one direction would lock both out.
const PRECEDENCE: Duration = Duration::from_millis(500);

/// An initiation under way.
pub struct Attempt {
    /// Who we say we are.
    pub instance: u64,
    /// Waits for the response.
    pub pending: Pending,
    /// Type, version, index and Noise message, with `mac1` and room for `mac2`.
    pub message: Vec<u8>,
    begun: Time,
    /// Responses read.
    read: u32,
    copies: u32,
    next_copy: Time,
}

impl Attempt {
    /// An attempt whose first copy is due now.
    pub fn new(now: Time, instance: u64, pending: Pending, message: Vec<u8>) -> Self {
        Self { instance, pending, message, begun: now, read: 0, copies: 0, next_copy: now }
    }

    /// Whether a copy is due.
    pub fn due(&self, now: Time) -> bool {
        now >= self.next_copy
    }

    /// A copy went out. `since` is when the peer was last heard or the endpoint started: the longer
    /// ago, the rarer the copies.
    pub fn on_copy_sent(&mut self, now: Time, since: Time) {
        let pause = PAUSES[(self.copies as usize).min(PAUSES.len() - 1)];
        let waited = now.since(since);
        let rare = PATIENCE.iter().find(|(after, _)| waited >= *after).map(|(_, pause)| *pause);
        self.copies += 1;
        self.next_copy = now + rare.unwrap_or(pause);
    }

    /// A path became usable, or a cookie came: send a copy at this time, if none is due before.
    pub fn hurry(&mut self, at: Time) {
        self.next_copy = self.next_copy.min(at);
    }

    /// Whether to begin anew.
    pub fn stale(&self, now: Time) -> bool {
        self.due(now) && now.since(self.begun) >= LIFETIME
    }

    /// Whether another response may be read without a look at the load.
    pub fn may_read(&self) -> bool {
        self.read < MOST_READ
    }

    /// A response was read.
    pub fn on_response_read(&mut self) {
        self.read += 1;
    }

    /// Whether ours goes first when the peer began at the same time.
    pub fn takes_precedence(&self, now: Time) -> bool {
        self.copies > 0 && now.since(self.begun) < PRECEDENCE
    }

    /// When the next copy is due.
    pub fn poll_timeout(&self) -> Time {
        self.next_copy
    }
}
