//! The probes of one path that are under way, and those that were missed.

use super::{ProbeToSend, TokenSource};
use crate::Time;
use std::time::Duration;

/// Probes remembered. A probe that was missed is still recognised when its echo comes late: where
/// the round trip suddenly takes longer, that is the only way to learn of it.
const REMEMBERED: u64 = 64;

/// Probes in the order in which they were sent.
///
/// Three marks divide them: a path that brought probe `n` back was alive when `n` left, so all
/// before it are settled, answered or not; behind those stand the missed ones, then the pending.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    tokens: TokenSource,
    probes: [Sent; REMEMBERED as usize],
    /// Number of the first probe that neither came back nor was refuted by later evidence.
    unsettled: u64,
    /// Number of the first probe that may still come back in time.
    pending: u64,
    /// Number of the next probe.
    next: u64,
    /// Answered since one was missed.
    answered: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Taken by the echo: it counts once.
    token: Option<u64>,
    at: Time,
}

/// A probe came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// When the probe was sent.
    pub sent: Time,
    /// Round-trip time.
    pub rtt: Duration,
}

impl Prober {
    /// No probe sent yet.
    pub(super) fn new(tokens: TokenSource) -> Self {
        let probes = [Sent { token: None, at: Time::ZERO }; REMEMBERED as usize];
        Self { tokens, probes, unsettled: 0, pending: 0, next: 0, answered: 0 }
    }

    /// A new probe, sent now.
    pub(super) fn send(&mut self, now: Time) -> ProbeToSend {
        let token = self.tokens.next_token();
        self.probes[slot(self.next)] = Sent { token: Some(token), at: now };
        self.next += 1;
        self.unsettled = self.unsettled.max(self.next.saturating_sub(REMEMBERED));
        self.pending = self.pending.max(self.unsettled);
        ProbeToSend { token }
    }

    /// When the last probe was sent.
    pub(super) fn last_sent(&self) -> Option<Time> {
        self.next.checked_sub(1).map(|n| self.probes[slot(n)].at)
    }

    /// When the probe with `token` was sent, if it is remembered and was not answered.
    pub(super) fn sent_at(&self, token: u64) -> Option<Time> {
        self.number_of(token).map(|n| self.probes[slot(n)].at)
    }

    /// An echo came; `None` when the token is unknown or was answered before.
    pub(super) fn on_echo(&mut self, now: Time, token: u64) -> Option<Answer> {
        let n = self.number_of(token)?;
        let probe = &mut self.probes[slot(n)];
        probe.token = None;
        let sent = probe.at;
        self.settle_below(n + 1);
        self.answered = self.answered.saturating_add(1);
        Some(Answer { sent, rtt: now.since(sent) })
    }

    /// Something else that left at `sent` arrived: probes sent before prove nothing any more.
    pub(super) fn on_alive(&mut self, sent: Time) {
        let later = (self.unsettled..self.next).find(|&n| self.probes[slot(n)].at > sent);
        self.settle_below(later.unwrap_or(self.next));
    }

    /// Counts as missed what was sent `patience` ago and is still pending. Returns how many that
    /// were.
    pub(super) fn expire(&mut self, now: Time, patience: Duration) -> u64 {
        let before = self.pending;
        while self.deadline(patience).is_some_and(|at| at <= now) {
            self.pending += 1;
        }
        if self.pending > before {
            self.answered = 0;
        }
        self.pending - before
    }

    /// How many were answered since one was missed last.
    pub(super) fn answered(&self) -> u32 {
        self.answered
    }

    /// When the next probe is missed, with that patience.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Time> {
        (self.pending < self.next).then(|| self.probes[slot(self.pending)].at + patience)
    }

    /// Probes missed since the path was last known to be alive.
    pub(super) fn missed(&self) -> u64 {
        self.pending - self.unsettled
    }

    /// Nothing that is under way counts any more.
    pub(super) fn forget(&mut self) {
        self.settle_below(self.next);
    }

    fn number_of(&self, token: u64) -> Option<u64> {
        let oldest = self.next.saturating_sub(REMEMBERED);
        (oldest..self.next).find(|&n| self.probes[slot(n)].token == Some(token))
    }

    fn settle_below(&mut self, n: u64) {
        self.unsettled = self.unsettled.max(n);
        self.pending = self.pending.max(n);
    }
}

const fn slot(n: u64) -> usize {
    (n % REMEMBERED) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn an_echo_counts_once_and_settles_what_left_before() {
        let mut prober = Prober::new(TokenSource::new([1; 16]));
        let first = prober.send(at(0));
        let second = prober.send(at(10));
        assert_eq!(prober.on_echo(at(30), second.token ^ 1), None);
        let answer = prober.on_echo(at(30), second.token).unwrap();
        assert_eq!((answer.sent, answer.rtt), (at(10), Duration::from_millis(20)));
        assert_eq!(prober.on_echo(at(31), second.token), None, "answered twice");
        assert_eq!(prober.expire(at(1_000), PATIENCE), 0, "the first was overtaken, not missed");
        assert!(prober.on_echo(at(60), first.token).is_some(), "late, but a sample");
    }

    #[test]
    fn missed_in_a_row_until_something_arrives() {
        let mut prober = Prober::new(TokenSource::new([1; 16]));
        for i in 0..3 {
            prober.send(at(i * 10));
        }
        assert_eq!(prober.deadline(PATIENCE), Some(at(50)));
        assert_eq!(prober.expire(at(49), PATIENCE), 0);
        assert_eq!((prober.expire(at(60), PATIENCE), prober.missed()), (2, 2));
        prober.on_alive(at(5));
        assert_eq!(prober.missed(), 1, "what left at 5 says nothing about the probe of 10");
        prober.on_alive(at(40));
        assert_eq!((prober.missed(), prober.deadline(PATIENCE)), (0, None));
    }

    #[test]
    fn late_echoes_are_known_and_the_memory_is_bounded() {
        let mut prober = Prober::new(TokenSource::new([1; 16]));
        let first = prober.send(at(0));
        let second = prober.send(at(1));
        for i in 2..=REMEMBERED {
            prober.send(at(i));
        }
        assert_eq!(prober.on_echo(at(99), first.token), None, "overwritten");
        prober.expire(at(10_000), PATIENCE);
        assert_eq!(prober.missed(), REMEMBERED);
        assert!(prober.on_echo(at(10_000), second.token).is_some());
        assert_eq!(prober.missed(), REMEMBERED - 1);
    }
}
