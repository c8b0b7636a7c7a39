//! The sending half of a connection: what it sends, when, and what it makes of ACKs. Segments are numbered from 0.

use super::cubic::Cubic;
use super::round_trip::RoundTrip;
use super::scoreboard::Scoreboard;
use mpt_core::Time;
use std::ops::Range;
use std::time::Duration;

/// A probe of the tail waits two round trips, this, …
const PROBE_SLACK: Duration = Duration::from_millis(2);

/// … and for a delayed ACK where only one segment is under way.
const PROBE_ALONE: Duration = Duration::from_millis(200);

/// What an ACK says.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    /// All before this have come.
    pub una: u64,
    pub sacks: Vec<Range<u64>>,
    /// When what made it advance had been sent.
    pub echo: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// Until this is acknowledged.
    Recovery(u64),
    /// After a timeout, likewise.
    Loss(u64),
}

/// Proportional rate reduction, RFC 6937, since recovery began.
#[derive(Clone, Copy, Default, Debug)]
struct Reduction {
    prior: u64,
    delivered: u64,
    out: u64,
}

/// What is restored when the reduction was for nothing.
#[derive(Clone, Copy, Debug)]
struct Undo {
    cubic: Cubic,
    /// The first segment that was sent again.
    again: Option<Time>,
}

/// What it has done.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counters {
    pub sent: u64,
    pub lost: u64,
    pub timeouts: u64,
    pub recoveries: u64,
    pub undone: u64,
}

#[derive(Debug)]
pub(super) struct Sender {
    /// Segments that there are to be sent.
    total: u64,
    board: Scoreboard,
    cubic: Cubic,
    rtt: RoundTrip,
    phase: Phase,
    reduction: Reduction,
    undo: Option<Undo>,
    /// The window was what kept more from being sent.
    limited: bool,
    /// What the timeout, and the probe of the tail, count from.
    timeout_from: Time,
    probe_from: Time,
    doubled: u32,
    /// When reordering is no excuse any more.
    look_again: Option<Time>,
    /// Up to where all had been sent when the tail was probed.
    probed: Option<u64>,
    /// A probe is to be sent, whatever the window.
    probes: bool,
    counters: Counters,
}

impl Sender {
    /// The handshake took `rtt`.
    pub(super) fn new(total: u64, rtt: Option<Duration>) -> Self {
        let mut round_trip = RoundTrip::default();
        if let Some(rtt) = rtt {
            round_trip.on_sample(rtt);
        }
        Self {
            total,
            board: Scoreboard::default(),
            cubic: Cubic::default(),
            rtt: round_trip,
            phase: Phase::Open,
            reduction: Reduction::default(),
            undo: None,
            limited: false,
            timeout_from: Time::ZERO,
            probe_from: Time::ZERO,
            doubled: 0,
            look_again: None,
            probed: None,
            probes: false,
            counters: Counters::default(),
        }
    }

    pub(super) const fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn smoothed_rtt(&self) -> Duration {
        self.rtt.smoothed()
    }

    /// Everything is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.board.una() >= self.total
    }

    /// The first that is not acknowledged.
    pub(super) const fn una(&self) -> u64 {
        self.board.una()
    }

    pub(super) fn on_ack(&mut self, now: Time, ack: &Ack) {
        let before = self.board.una();
        if ack.una < before {
            return;
        }
        let least = self.rtt.least.unwrap_or_default();
        let news = self.board.on_ack(now, ack.una, &ack.sacks, least);
        let una = self.board.una();
        let advanced = una > before;
        if let Some(rtt) = news.rtt.or(advanced.then(|| now.since(ack.echo))) {
            self.rtt.on_sample(rtt);
        }
        if let Some(rtt) = news.least_rtt {
            self.cubic.on_sample(rtt, una, self.board.next());
        }
        if advanced {
            self.doubled = 0;
            self.timeout_from = now;
            self.probe_from = now;
            self.undo_if_needless(ack.echo);
            self.probed = self.probed.filter(|&until| una < until);
            self.leave_if_over(una);
        }
        let lost = self.look(now);
        if matches!(self.phase, Phase::Recovery(_)) {
            self.reduce(news.delivered, advanced && lost == 0);
        } else if self.limited && (advanced || self.board.reordered) {
            self.cubic.on_delivered(now, news.delivered, self.rtt.smoothed());
        }
    }

    /// All that was sent when recovery began has come. What is lost of the rest begins another one.
    fn leave_if_over(&mut self, una: u64) {
        match self.phase {
            Phase::Recovery(until) if una >= until => self.cubic.window = self.cubic.threshold,
            Phase::Loss(until) if una >= until => {}
            _ => return,
        }
        self.phase = Phase::Open;
        self.undo = None;
    }

    /// Looks for losses; how many there are. With the first ones recovery begins.
    fn look(&mut self, now: Time) -> u64 {
        let least = self.rtt.least.unwrap_or_default();
        let slack = (least / 4).min(self.rtt.smoothed());
        let (lost, again) = self.board.detect(now, slack, self.phase != Phase::Open);
        self.look_again = again;
        self.counters.lost += lost;
        if lost > 0 && self.phase == Phase::Open {
            self.enter_recovery();
        }
        lost
    }

    fn enter_recovery(&mut self) {
        self.undo = Some(Undo { cubic: self.cubic, again: None });
        self.phase = Phase::Recovery(self.board.next());
        self.reduction = Reduction { prior: self.cubic.allows(), ..Reduction::default() };
        self.cubic.on_loss();
        self.counters.recoveries += 1;
    }

    /// In recovery: as much is sent as is delivered, in the proportion of the reduction.
    fn reduce(&mut self, delivered: u64, all_well: bool) {
        let (flying, threshold) = (self.board.flying(), self.cubic.threshold as u64);
        let r = &mut self.reduction;
        r.delivered += delivered;
        let sends = if flying > threshold {
            (threshold * r.delivered).div_ceil(r.prior.max(1)).saturating_sub(r.out)
        } else {
            let sends = r.delivered.saturating_sub(r.out).max(delivered) + u64::from(all_well);
            sends.min(threshold - flying)
        };
        // The first one goes at once.
        let sends = sends.max(u64::from(r.out == 0));
        self.cubic.window = (flying + sends) as f64;
    }

    /// What made the ACK advance had been sent before anything was sent again: nothing was lost.
    fn undo_if_needless(&mut self, echo: Time) {
        let Some(Undo { cubic, again: Some(again) }) = self.undo else { return };
        // The echo has microseconds.
        if echo.as_micros() >= again.as_micros() {
            return;
        }
        let window = cubic.window.max(self.cubic.window);
        self.cubic = cubic;
        self.cubic.window = window;
        self.phase = Phase::Open;
        self.undo = None;
        self.board.reordered = true;
        self.counters.undone += 1;
        self.counters.lost -= self.board.forgive();
    }

    /// When something is due without an ACK.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        if self.board.una() == self.board.next() {
            return None;
        }
        self.look_again.into_iter().chain(self.probe_at()).chain([self.timeout_at()]).min()
    }

    fn timeout_at(&self) -> Time {
        self.timeout_from + self.rtt.timeout(self.doubled)
    }

    /// Not while losses are being recovered from, and once only (RFC 8985, section 7).
    fn probe_at(&self) -> Option<Time> {
        let quiet = self.phase == Phase::Open && self.board.sacked() == 0;
        if !quiet || self.probed.is_some() || self.doubled > 0 {
            return None;
        }
        let alone = self.board.next() - self.board.una() == 1;
        let slack = if alone { PROBE_ALONE } else { PROBE_SLACK };
        Some((self.probe_from + 2 * self.rtt.smoothed() + slack).min(self.timeout_at()))
    }

    fn on_timers(&mut self, now: Time) {
        if self.board.una() == self.board.next() {
            return;
        }
        if self.look_again.is_some_and(|at| at <= now) {
            let lost = self.look(now);
            if lost > 0 && matches!(self.phase, Phase::Recovery(_)) {
                self.reduce(1, false);
            }
        }
        if self.probe_at().is_some_and(|at| at <= now) {
            self.probed = Some((self.board.next() + 1).min(self.total));
            self.probes = true;
            self.timeout_from = now;
        } else if self.timeout_at() <= now {
            self.on_timeout(now);
        }
    }

    fn on_timeout(&mut self, now: Time) {
        // In recovery it has been reduced already.
        if self.phase == Phase::Open {
            self.undo = Some(Undo { cubic: self.cubic, again: None });
            self.cubic.on_loss();
        }
        self.cubic.on_timeout();
        self.counters.lost += self.board.on_timeout(now);
        self.counters.timeouts += 1;
        self.phase = Phase::Loss(self.board.next());
        self.doubled += 1;
        self.timeout_from = now;
        self.look_again = None;
        self.probed = None;
        // Nothing that may be lost counts as under way: the window of one is for the first of them.
        self.cubic.window = (self.board.flying() + 1) as f64;
    }

    /// The segment that leaves now.
    pub(super) fn poll(&mut self, now: Time) -> Option<u64> {
        self.on_timers(now);
        if std::mem::take(&mut self.probes) {
            return Some(match self.board.next() < self.total {
                true => self.send_new(now),
                false => self.send_again(self.board.next() - 1, now),
            });
        }
        let lost = self.board.next_lost();
        if lost.is_none() && self.board.next() >= self.total {
            self.limited = false;
            return None;
        }
        if self.board.flying() >= self.cubic.allows() {
            self.limited = true;
            return None;
        }
        Some(match lost {
            Some(number) => self.send_again(number, now),
            None => self.send_new(now),
        })
    }

    fn send_new(&mut self, now: Time) -> u64 {
        if self.board.una() == self.board.next() {
            self.timeout_from = now;
        }
        self.probe_from = now;
        self.on_sending();
        self.board.on_sent(now)
    }

    fn send_again(&mut self, number: u64, now: Time) -> u64 {
        if number == self.board.una() {
            self.timeout_from = now;
        }
        if let Some(undo) = &mut self.undo {
            undo.again.get_or_insert(now);
        }
        self.on_sending();
        self.board.on_sent_again(number, now);
        number
    }

    fn on_sending(&mut self) {
        self.counters.sent += 1;
        self.reduction.out += 1;
    }
}
