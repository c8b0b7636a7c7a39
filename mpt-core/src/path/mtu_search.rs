//! The search for a path's MTU by padded probes (RFC 8899), without ICMP.

use super::{ProbeToSend, TokenSource};
use crate::Time;
use std::time::Duration;

/// Assumed before anything is known: less is rare, and IPv6 guarantees it (RFC 8899's BASE_PLPMTU).
const BASE: u16 = 1_280;

/// Assumed where even that does not pass; nothing smaller is looked for.
const FLOOR: u16 = 576;

/// Sizes that occur, largest first: jumbo frames, Ethernet, PPPoE and what tunnels leave of them.
const COMMON: &[u16] = &[
    9_000, 4_000, 2_000, 1_500, 1_492, 1_480, 1_472, 1_460, 1_454, 1_440, 1_420, 1_400, 1_380,
    1_360, 1_340, 1_320, 1_300, 1_280, 1_240, 1_200, 1_100, 1_006, 800, 576,
];

/// The search ends when what passes and what does not are this close.
const PRECISION: u16 = 8;

/// A size failed when so many probes of it were lost (RFC 8899's MAX_PROBES).
const TRIES: u8 = 3;

/// Loss alone is little of a sign that a size does not pass, for probes are lost like packets: that wants so many of them that
/// all being lost by chance would be as rare as this. Where nearly everything is lost there is little to spoil.
const CHANCE: f64 = 1e-4;
const TRIES_FOR_LOSS: std::ops::RangeInclusive<f64> = 5.0..=30.0;
const NEARLY_ALL: f64 = 0.9;

/// While packets are lost it is asked this often whether the large ones are.
const DOUBTED_AGAIN: Duration = Duration::from_secs(2);

/// An answer is waited for at least this long: three tries then outlast the time in which a path
/// that carries traffic is found dead.
const LEAST_WAIT: Duration = Duration::from_millis(200);

/// And at most this long.
const MOST_WAIT: Duration = Duration::from_secs(3);

/// After this time it is tried whether as much passes still, or more (RFC 8899's PMTU_RAISE_TIMER).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// Sooner where it was loss that made a size fail, and then twice as long each time.
const RAISE_AFTER_LOSS: Duration = Duration::from_secs(15);

/// Tokens remembered; a late answer is still an answer.
const REMEMBERED: usize = 8;

/// Finds out how large an outer IP packet may be on one path.
///
/// The largest size is tried first, so an ordinary path is done after one round trip; then the next
/// common size below, since that is the frequent case (PPPoE); then the common sizes by bisection,
/// and at last the bytes between two of them. Until the first answer 1 280 is assumed.
///
/// All sizes are bytes of the outer IP packet. [`restart`](Self::restart) when the path comes up,
/// [`pause`](Self::pause) when it goes down: probes lost with the path say nothing about sizes.
#[derive(Clone, Debug)]
pub struct MtuSearch {
    tokens: TokenSource,
    max: u16,
    /// Passes, or is assumed to.
    confirmed: u16,
    trust: Trust,
    /// Nothing longer goes by the path until the confirmed size was verified.
    suspect: Option<u16>,
    /// Probes of a stale size that have to be lost.
    verify_tries: u8,
    /// When loss was the reason to verify it last.
    doubted: Option<Time>,
    /// When the search began anew last because the path is well again.
    calm: Option<Time>,
    /// The least size known not to pass; above `max` when none is.
    failed: u32,
    running: bool,
    probe: Option<Probe>,
    sent: [Option<(u64, u16)>; REMEMBERED],
    sent_next: usize,
    raise_at: Option<Time>,
    raise_after: Duration,
    wait: Duration,
    told: u16,
}

/// How well the confirmed size is founded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    /// It was never probed.
    Assumed,
    /// It passed once, and is to be probed again first of all.
    Stale,
    /// It passed.
    Verified,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    size: u16,
    tries: u8,
    at: Time,
}

impl MtuSearch {
    /// A search up to `max`, the MTU of the interface; not yet running. `tokens` must be its own.
    #[must_use]
    pub fn new(tokens: TokenSource, max: u16) -> Self {
        let confirmed = max.min(BASE);
        Self {
            tokens,
            max,
            confirmed,
            trust: Trust::Assumed,
            suspect: None,
            verify_tries: TRIES,
            doubted: None,
            calm: None,
            failed: u32::from(max) + 1,
            running: false,
            probe: None,
            sent: [None; REMEMBERED],
            sent_next: 0,
            raise_at: None,
            raise_after: RAISE_AFTER,
            wait: LEAST_WAIT,
            told: confirmed,
        }
    }

    /// The largest outer IP packet to send.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.suspect.map_or(self.confirmed, |suspect| suspect.min(self.confirmed))
    }

    /// By how much [`mtu`](Self::mtu) is less than what passed, or was assumed to, before large packets seemed not to arrive.
    #[must_use]
    pub fn withheld(&self) -> u16 {
        self.confirmed - self.mtu()
    }

    /// Whether [`mtu`](Self::mtu) was found out rather than assumed.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.trust != Trust::Assumed
    }

    /// The path came up: what passed before is verified first, then more is tried.
    pub fn restart(&mut self) {
        if self.trust == Trust::Verified {
            self.trust = Trust::Stale;
        }
        self.verify_tries = TRIES;
        self.running = true;
        self.search_again();
    }

    /// The path went down.
    pub fn pause(&mut self) {
        self.running = false;
        self.probe = None;
    }

    /// The interface's MTU is `max` now.
    pub fn set_max(&mut self, max: u16) {
        if max == self.max {
            return;
        }
        self.max = max;
        if self.trust == Trust::Assumed {
            self.confirmed = max.min(BASE);
        }
        self.confirmed = self.confirmed.min(max);
        self.search_again();
    }

    /// The kernel refused a packet of `size` (`EMSGSIZE`).
    pub fn on_packet_too_big(&mut self, size: u16) {
        if self.probe.is_some_and(|p| p.size >= size) {
            self.probe = None;
        }
        self.fails(size);
    }

    /// Packets of up to `size` bytes seem not to arrive, while small ones do: large ones go elsewhere, or in parts, until it
    /// is known. Few probes tell, also where loss was the reason to verify.
    pub fn on_large_loss(&mut self, size: usize) {
        let smaller = [BASE.min(self.max), self.floor()].into_iter();
        let Some(smaller) = smaller.filter(|&s| s < self.mtu() && usize::from(s) < size).max()
        else {
            return;
        };
        self.suspect = Some(smaller);
        self.verify();
        // A larger one that is under way has time.
        if self.trust == Trust::Stale && self.probe.is_some_and(|p| p.size > self.confirmed) {
            self.probe = None;
        }
    }

    /// What passed once is to be probed again.
    fn verify(&mut self) {
        if self.is_known() && self.confirmed > self.floor() {
            self.trust = Trust::Stale;
            self.verify_tries = TRIES;
        }
    }

    /// Probes were missed for a while, and are answered again: a size that failed meanwhile may pass.
    pub fn on_calm(&mut self, now: Time) {
        let lately = self.calm.is_some_and(|at| now.since(at) < RAISE_AFTER_LOSS);
        if self.failed <= u32::from(self.max) && !lately {
            self.calm = Some(now);
            self.search_again();
        }
    }

    /// This share of the packets is lost, 0 to 1, and the others arrive. That may be for their size: small ones hide that
    /// large ones are lost, all of them.
    pub fn on_loss(&mut self, now: Time, share: f64) {
        let lately = self.doubted.is_some_and(|at| now.since(at) < DOUBTED_AGAIN);
        if self.trust == Trust::Verified && self.confirmed > self.floor() && !lately {
            self.trust = Trust::Stale;
            let (least, most) = TRIES_FOR_LOSS.into_inner();
            let tries = match share {
                NEARLY_ALL.. => least,
                share => CHANCE.ln() / share.max(0.01).ln(),
            };
            self.verify_tries = tries.ceil().clamp(least, most) as u8;
            self.doubted = Some(now);
        }
    }

    /// An echo brought `token`. Returns whether it was one of ours.
    pub fn on_echo(&mut self, token: u64) -> bool {
        let Some((_, size)) = self
            .sent
            .iter_mut()
            .find(|s| s.is_some_and(|(t, _)| t == token))
            .and_then(Option::take)
        else {
            return false;
        };
        if size > self.max {
            return true;
        }
        if u32::from(size) >= self.failed {
            self.failed = u32::from(self.max) + 1;
        }
        if size >= self.confirmed {
            self.confirmed = size;
            self.trust = Trust::Verified;
            self.suspect = None;
        }
        if self.probe.is_some_and(|p| p.size <= size) {
            self.probe = None;
        }
        true
    }

    /// A probe that is due, to be padded to that many bytes of outer IP packet. `patience` is how
    /// long an answer on this path may take ([`Rtt::timeout`](super::Rtt::timeout)).
    #[must_use]
    pub fn poll_probe(&mut self, now: Time, patience: Duration) -> Option<(ProbeToSend, u16)> {
        if !self.running {
            return None;
        }
        self.wait = patience.clamp(LEAST_WAIT, MOST_WAIT);
        if self.raise_at.is_some_and(|at| at <= now) {
            self.search_again();
            self.verify();
        }
        let mut tries = 0;
        if let Some(probe) = self.probe {
            if now < probe.at + self.wait {
                return None;
            }
            self.probe = None;
            let verifies = self.trust == Trust::Stale && probe.size == self.confirmed;
            if probe.tries >= if verifies { self.verify_tries } else { TRIES } {
                if verifies && self.verify_tries > TRIES {
                    (self.raise_at, self.raise_after) = (None, RAISE_AFTER_LOSS);
                }
                self.fails(probe.size);
            } else {
                tries = probe.tries;
            }
        }
        let Some(size) = self.next_size() else {
            if self.raise_at.is_none() {
                self.raise_at = Some(now + self.raise_after);
                self.raise_after = (self.raise_after * 2).min(RAISE_AFTER);
            }
            return None;
        };
        let token = self.tokens.next_token();
        self.sent[self.sent_next] = Some((token, size));
        self.sent_next = (self.sent_next + 1) % REMEMBERED;
        self.probe = Some(Probe { size, tries: tries + 1, at: now });
        Some((ProbeToSend { token }, size))
    }

    /// The new MTU, if it changed since the last call.
    #[must_use]
    pub fn poll_change(&mut self) -> Option<u16> {
        let mtu = self.mtu();
        (std::mem::replace(&mut self.told, mtu) != mtu).then_some(mtu)
    }

    /// When [`poll_probe`](Self::poll_probe) wants to be called next: a probe is due or was lost,
    /// or it is time to try larger sizes.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if !self.running {
            return None;
        }
        match self.probe {
            Some(probe) => Some(probe.at + self.wait),
            None if self.next_size().is_some() => Some(Time::ZERO),
            None => Some(self.raise_at.unwrap_or(Time::ZERO)),
        }
    }

    fn next_size(&self) -> Option<u16> {
        let untried = self.failed > u32::from(self.max);
        match self.trust {
            Trust::Stale => return Some(self.confirmed),
            _ if untried && self.confirmed < self.max => return Some(self.max),
            Trust::Assumed => return Some(self.confirmed),
            Trust::Verified => {}
        }
        if untried || self.failed - u32::from(self.confirmed) <= u32::from(PRECISION) {
            return None;
        }
        let between = |&&size: &&u16| size > self.confirmed && u32::from(size) < self.failed;
        let common = COMMON.iter().filter(between);
        let count = common.clone().count();
        let first_below_max = self.failed == u32::from(self.max);
        common
            .copied()
            .nth(if first_below_max { 0 } else { count / 2 })
            .or_else(|| u16::try_from((u32::from(self.confirmed) + self.failed) / 2).ok())
    }

    /// `size` does not pass.
    fn fails(&mut self, size: u16) {
        if size <= self.floor() {
            // Nothing smaller is looked for: believe in it until something answers.
            (self.trust, self.suspect) = (Trust::Verified, None);
            return;
        }
        self.failed = self.failed.min(u32::from(size));
        if size <= self.confirmed {
            let base = BASE.min(self.max);
            let (confirmed, trust) = match size > base {
                true => (base, Trust::Assumed),
                false => (self.floor(), Trust::Verified),
            };
            self.confirmed = confirmed;
            self.trust = trust;
        }
    }

    fn search_again(&mut self) {
        self.failed = u32::from(self.max) + 1;
        self.probe = None;
        self.raise_at = None;
    }

    fn floor(&self) -> u16 {
        FLOOR.min(self.max)
    }
}

#[cfg(test)]
mod tests;
