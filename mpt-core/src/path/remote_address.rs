//! Where a path's other end is: learned from authentic packets, believed after a challenge.

use super::{ProbeToSend, TokenSource};
use crate::Time;
use std::net::SocketAddr;
use std::time::Duration;

/// Challenges follow one another at this interval.
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(100);

/// Rounds of challenges: the candidate must answer one, the present address none of them.
const ROUNDS: u32 = 3;

/// After a candidate lost against the present address, the same one is not heard for this long.
const REJECTED_FOR: Duration = Duration::from_secs(1);

/// Bytes that may be sent to an address nobody answered from, for each byte that came from there
/// (RFC 9000 §8.1).
const AMPLIFICATION: u64 = 3;

/// Whether a packet is the newest of its path, by packet number or counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// No later one was received.
    Newest,
    /// A later one was received before: it tells nothing about where the peer is now.
    Older,
}

/// The remote address of one path.
///
/// An authentic packet says who wrote it, not who sent it last: a copy can be made to come from
/// anywhere. So another source only becomes a *candidate*. Candidate and present address are
/// challenged side by side with tokens of their own; the path moves when the candidate answered and
/// the present address left three rounds unanswered, or is known to be silent. Somebody who relays our packets therefore
/// cannot take over a path whose true address answers.
///
/// There is one candidate. It keeps its place until the decision, then the next to come gets it.
/// Whoever floods with false sources (they need fresh authentic packets for it) thus delays a true
/// move, each by a fraction of a second, but allocates nothing and cannot bring it to a stop while
/// packets from the true address get through at all.
#[derive(Clone, Debug)]
pub struct RemoteAddress {
    tokens: TokenSource,
    configured: Option<SocketAddr>,
    current: Option<Known>,
    candidate: Option<Candidate>,
    rejected: Option<(SocketAddr, Time)>,
    told: Option<SocketAddr>,
    /// When somebody answered at an address in use.
    answered: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    address: SocketAddr,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    budget: Budget,
    answered: bool,
    /// Tokens of the rounds so far, for the candidate and for the present address.
    rounds: [Round; ROUNDS as usize],
    sent: u32,
    /// The next challenge goes to the present address: second half of a round.
    halfway: bool,
    /// When the last half round was sent.
    last: Time,
}

#[derive(Clone, Copy, Default, Debug)]
struct Round {
    to_candidate: Option<u64>,
    to_current: Option<u64>,
}

/// What may be sent to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Budget {
    /// Somebody answers there.
    Validated,
    /// So many bytes more.
    Bytes(u64),
}

impl RemoteAddress {
    /// A path to `configured`; `None` where the first authentic packet tells. `tokens` must be its
    /// own.
    #[must_use]
    pub fn new(tokens: TokenSource, configured: Option<SocketAddr>) -> Self {
        let current = configured.map(|address| Known { address, budget: Budget::Validated });
        Self {
            tokens,
            configured,
            current,
            candidate: None,
            rejected: None,
            told: configured,
            answered: None,
        }
    }

    /// Whether nobody configured it: it is where the peer calls from.
    #[must_use]
    pub const fn is_learned(&self) -> bool {
        self.configured.is_none()
    }

    /// The address to send to.
    #[must_use]
    pub fn current(&self) -> Option<SocketAddr> {
        self.current.map(|known| known.address)
    }

    /// The configured address: given as such, or what its name resolved to now. It is believed at
    /// once, being the operator's word; the daemon resolves again only while nobody answers.
    pub fn set_configured(&mut self, address: SocketAddr) {
        self.configured = Some(address);
        if self.current() != Some(address) {
            self.current = Some(Known { address, budget: Budget::Validated });
            self.candidate = None;
        }
    }

    /// A learned address counts no more: another process of the peer calls, which the next authentic packet tells of.
    pub fn forget_learned(&mut self) {
        if self.is_learned() {
            (self.current, self.candidate, self.rejected) = (None, None, None);
        }
    }

    /// The address in use has not answered for a while: back to the configured one, if there is one. A
    /// learned address may be gone for good, and the peer cannot always reach us from its new one.
    pub fn fall_back(&mut self) {
        if let Some(configured) = self.configured {
            self.set_configured(configured);
        }
    }

    /// An authentic packet of this path came from `source`, `bytes` long.
    pub fn on_authenticated(
        &mut self,
        now: Time,
        source: SocketAddr,
        bytes: usize,
        freshness: Freshness,
    ) {
        let Some(current) = &mut self.current else {
            self.current = Some(Known { address: source, budget: Budget::for_received(bytes) });
            return;
        };
        if current.address == source {
            current.budget.on_received(bytes);
            return;
        }
        if let Some(candidate) = &mut self.candidate
            && candidate.address == source
        {
            candidate.budget.on_received(bytes);
            return;
        }
        let rejected = self.rejected.is_some_and(|(a, until)| a == source && now < until);
        if freshness == Freshness::Newest && self.candidate.is_none() && !rejected {
            self.candidate = Some(Candidate::new(now, source, bytes));
        }
    }

    /// An echo of one of the path's ordinary probes came from `source`.
    pub fn on_answer(&mut self, now: Time, source: SocketAddr) {
        if let Some(current) = &mut self.current
            && current.address == source
        {
            current.budget = Budget::Validated;
            self.answered = Some(now);
        }
    }

    /// Whether somebody answered at the address in use after `since`.
    #[must_use]
    pub fn answered_since(&self, since: Time) -> bool {
        self.answered.is_some_and(|at| at > since)
    }

    /// An echo brought `token` from `source`. Returns whether it was one of ours. `silent`: the path is down as nobody
    /// answers at the present address, which had its chance then, or as the peer said that its side is down.
    pub fn on_challenge_answered(
        &mut self,
        now: Time,
        token: u64,
        source: SocketAddr,
        silent: bool,
    ) -> bool {
        let Some(candidate) = &mut self.candidate else { return false };
        let rounds = &mut candidate.rounds;
        if rounds.iter().any(|r| r.to_candidate == Some(token)) {
            if source == candidate.address {
                candidate.answered = true;
                candidate.budget = Budget::Validated;
                if silent {
                    self.decide();
                }
            }
            return true;
        }
        if rounds.iter().any(|r| r.to_current == Some(token)) {
            let old = self.current.map(|known| known.address);
            if Some(source) == old {
                self.on_answer(now, source);
                self.reject(now);
            }
            return true;
        }
        false
    }

    /// A challenge that is due, and where to send it. `patience` is how long an answer on this path
    /// may take ([`Rtt::timeout`](super::Rtt::timeout)). To be called until there is none; this is
    /// also where the path moves.
    #[must_use]
    pub fn poll_challenge(
        &mut self,
        now: Time,
        patience: Duration,
    ) -> Option<(ProbeToSend, SocketAddr)> {
        let old = self.current()?;
        let candidate = self.candidate.as_mut()?;
        if candidate.due(patience).is_none_or(|due| due > now) {
            return None;
        }
        if candidate.sent == ROUNDS && !candidate.halfway {
            self.decide();
            return None;
        }
        let token = self.tokens.next_token();
        candidate.last = now;
        let to = if candidate.halfway {
            candidate.rounds[candidate.sent as usize - 1].to_current = Some(token);
            old
        } else {
            candidate.rounds[candidate.sent as usize].to_candidate = Some(token);
            candidate.sent += 1;
            candidate.address
        };
        candidate.halfway = !candidate.halfway;
        Some((ProbeToSend { token }, to))
    }

    /// The address the path moved to, if it did since the last call.
    #[must_use]
    pub fn poll_change(&mut self) -> Option<SocketAddr> {
        let current = self.current();
        if self.told == current {
            return None;
        }
        self.told = current;
        current
    }

    /// When [`poll_challenge`](Self::poll_challenge) wants to be called next: a challenge is due,
    /// or the time to answer is over.
    #[must_use]
    pub fn poll_timeout(&self, patience: Duration) -> Option<Time> {
        self.candidate.as_ref()?.due(patience)
    }

    /// Whether `bytes` may be sent to `to`; if so, they count as sent. Nothing but answers may be
    /// sent to addresses this path does not know.
    #[must_use]
    pub fn may_send(&mut self, to: SocketAddr, bytes: usize) -> bool {
        if let Some(current) = &mut self.current
            && current.address == to
        {
            return current.budget.take(bytes);
        }
        match &mut self.candidate {
            Some(candidate) if candidate.address == to => candidate.budget.take(bytes),
            _ => false,
        }
    }

    /// All rounds are over and the present address did not answer.
    fn decide(&mut self) {
        if let Some(candidate) = self.candidate.take()
            && candidate.answered
        {
            self.current = Some(Known { address: candidate.address, budget: Budget::Validated });
        }
    }

    /// The present address answered.
    fn reject(&mut self, now: Time) {
        if let Some(candidate) = self.candidate.take() {
            self.rejected = Some((candidate.address, now + REJECTED_FOR));
        }
    }
}

impl Candidate {
    fn new(now: Time, address: SocketAddr, bytes: usize) -> Self {
        Self {
            address,
            budget: Budget::for_received(bytes),
            answered: false,
            rounds: [Round::default(); ROUNDS as usize],
            sent: 0,
            halfway: false,
            last: now,
        }
    }

    /// When something is to be done.
    fn due(&self, patience: Duration) -> Option<Time> {
        Some(match (self.halfway, self.sent) {
            (true, _) | (false, 0) => self.last,
            (false, ROUNDS) => self.last + CHALLENGE_INTERVAL.max(patience),
            (false, _) => self.last + CHALLENGE_INTERVAL,
        })
    }
}

impl Budget {
    fn for_received(bytes: usize) -> Self {
        Self::Bytes(AMPLIFICATION * bytes as u64)
    }

    fn on_received(&mut self, bytes: usize) {
        if let Self::Bytes(left) = self {
            *left = left.saturating_add(AMPLIFICATION * bytes as u64);
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self {
            Self::Validated => true,
            Self::Bytes(left) => match left.checked_sub(bytes as u64) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
        }
    }
}
