//! Whether a path works: probes, reports and what the daemon knows, brought together.

use super::health::{Change, Health, Outstanding, Peer};
use super::prober::Prober;
use super::workers_progress::WorkersProgress;
use super::{ProbeToSend, Rtt, State, TokenSource, Usability};
use crate::config::ProbeIntervals;
use crate::{DownReason, Time, WorkerId};
use std::time::Duration;

/// Traffic is flowing while the last packet is not older than this.
const ACTIVE_FOR: Duration = Duration::from_secs(1);

/// Probes in a hurry are not closer together than this.
const LEAST_QUICK: Duration = Duration::from_millis(20);

/// At most this many probes in a hurry are under way at once, whatever the round trip takes.
const MAX_UNDER_WAY: u32 = 32;

/// A peer that is busy for this long has not failed: quick probes are given that much more time. It
/// delays only *down*; a path that is suspected is out of use already.
const LEAST_GRACE: Duration = Duration::from_millis(100);

/// The longest interval of probes to a path that is down.
const MAX_DOWN_INTERVAL: Duration = Duration::from_secs(1);

/// After the peer took back its word that the path is down, that word is not believed for so long:
/// reports overtake one another, and an old one would take the path down again.
const REMOTE_DEBOUNCE: Duration = Duration::from_secs(1);

/// An echo that refutes a suspicion while no data arrives tells of sizes where so many packets are missing. Of a few it may be the
/// report that was lost …
const MISSING_FOR_SIZE: u32 = 16;

/// … but not this often in a row.
const STALLS_FOR_SIZE: u32 = 2;

/// So many probes answered in a row after one was missed: what was lost with it is no longer lost.
const ANSWERED_FOR_CALM: u32 = 10;

/// Health of one path, as seen from the end that sends on it.
///
/// Fed with `on_*` and `set_*`; after each batch [`handle_timeout`](Self::handle_timeout), then
/// drained: [`poll_probe`](Self::poll_probe) until nothing comes, and
/// [`poll_change`](Self::poll_change). [`poll_timeout`](Self::poll_timeout) says when to come back.
/// While there is no session it is left alone, timeouts included.
#[derive(Clone, Debug)]
pub struct PathHealth {
    intervals: ProbeIntervals,
    health: Health,
    prober: Prober,
    progress: WorkersProgress,
    rtt: Rtt,
    last_traffic: Option<Time>,
    last_heard: Option<Time>,
    /// A probe is due at once.
    urgent: bool,
    remote: RemoteWord,
    /// A probe's echo has just refuted a suspicion, and no data has arrived since: larger packets than probes may not get through.
    stalled: bool,
    /// How often that was so since data arrived.
    stalls: u32,
    /// The longest of the data packets that may not have arrived, bytes of UDP: of those sent since all had.
    longest: usize,
    /// Data packets sent since one arrived.
    unseen: u32,
    /// Probes were missed, and too few answered since.
    unsteady: bool,
}

/// What the peer says of the path.
#[derive(Clone, Copy, Debug)]
enum RemoteWord {
    Fine { since: Option<Time> },
    Down,
}

impl PathHealth {
    /// A path nobody answered over yet. `tokens` must be this path's own.
    #[must_use]
    pub fn new(now: Time, intervals: ProbeIntervals, tokens: TokenSource) -> Self {
        Self {
            intervals,
            health: Health::new(now),
            prober: Prober::new(tokens),
            progress: WorkersProgress::default(),
            rtt: Rtt::new(),
            last_traffic: None,
            last_heard: None,
            urgent: true,
            remote: RemoteWord::Fine { since: None },
            stalled: false,
            stalls: 0,
            longest: 0,
            unseen: 0,
            unsteady: false,
        }
    }

    /// Traffic flows through the tunnel, over whatever path and in whatever direction: probes are
    /// sent at the active interval from now on.
    pub fn on_traffic(&mut self, now: Time) {
        self.last_traffic = Some(now);
    }

    /// A data packet of `worker` (or whatever else is counted in its path sequence) left over this path, `len` bytes of UDP.
    #[inline]
    pub fn on_sent_data(&mut self, now: Time, worker: WorkerId, seq: u32, len: usize) {
        self.last_traffic = Some(now);
        self.longest = self.longest.max(len);
        self.unseen = self.unseen.saturating_add(u32::from(len > 0));
        self.progress.on_sent(now, worker, seq);
    }

    /// Something authentic came from the peer over this path.
    pub fn on_heard(&mut self, now: Time) {
        self.last_heard = Some(now);
    }

    /// The peer reports the highest path sequence of `worker` that it received, and how often it reports.
    pub fn on_report(&mut self, now: Time, worker: WorkerId, highest_seq: u32, interval: Duration) {
        if let Some(sent) = self.progress.on_report(now, worker, highest_seq, interval) {
            (self.stalled, self.stalls, self.unseen) = (false, 0, 0);
            if !self.progress.outstanding() {
                self.longest = 0;
            }
            self.prober.on_alive(sent);
            self.health.on_progress(now);
        }
    }

    /// When the probe with `token` was sent, if it is not answered or forgotten.
    #[must_use]
    pub fn probe_sent(&self, token: u64) -> Option<Time> {
        self.prober.sent_at(token)
    }

    /// An echo brought `token`. Returns whether it was one of this path's probes, answered for the
    /// first time.
    pub fn on_echo(&mut self, now: Time, token: u64) -> bool {
        let Some(answer) = self.prober.on_echo(now, token) else { return false };
        self.rtt.sample(now, answer.rtt);
        let before = self.health.state();
        self.health.on_answer(now, answer);
        if before != State::Up && self.health.state() == State::Up {
            self.progress.write_off(answer.sent);
            if before == State::Suspected {
                (self.stalled, self.stalls) = (true, self.stalls.saturating_add(1));
            }
        }
        true
    }

    /// How many probes were answered since one was missed last.
    #[must_use]
    pub fn answered_in_a_row(&self) -> u32 {
        self.prober.answered()
    }

    /// A handshake message came back over the path: as good as an echo. `rtt` is taken for the
    /// round-trip time if there is none yet.
    pub fn on_proven(&mut self, now: Time, rtt: Option<Duration>) {
        if let (Some(rtt), None) = (rtt, self.rtt.smoothed()) {
            self.rtt.sample(now, rtt);
        }
        self.prober.on_alive(now);
        self.health.on_proven(now);
    }

    /// The local end is gone: "interface wan1 does not exist".
    pub fn set_local_gone(&mut self, now: Time, why: String) {
        self.prober.forget();
        self.health.set_local_gone(now, why);
    }

    /// The local end is there, again or still. For one that is there elsewhere (another address),
    /// call [`restart_probes`](Self::restart_probes) as well.
    pub fn set_local_ready(&mut self, now: Time) {
        if self.health.set_local_ready(now) {
            self.restart_probes();
        }
    }

    /// An end of the path moved: what is under way proves nothing, and a probe is due at once.
    pub fn restart_probes(&mut self) {
        self.prober.forget();
        self.urgent = true;
    }

    /// It is known not to work (a refusal, a local error that lasts). Probes bring it back.
    pub fn on_failed(&mut self, now: Time, reason: DownReason) {
        self.prober.forget();
        self.health.fail(now, reason);
    }

    /// The peer says that the path is down, or is not; to be called with each report. The path goes
    /// down when that becomes true, and comes back by its own probes whatever the peer says.
    pub fn set_unusable_for_peer(&mut self, now: Time, unusable: bool) {
        self.remote = match (self.remote, unusable) {
            (RemoteWord::Fine { since }, true) => {
                if since.is_some_and(|since| now.since(since) < REMOTE_DEBOUNCE) {
                    return;
                }
                if self.health.state() != State::Down {
                    self.on_failed(now, DownReason::Remote);
                }
                RemoteWord::Down
            }
            (RemoteWord::Down, false) => {
                self.urgent = true;
                RemoteWord::Fine { since: Some(now) }
            }
            (word, _) => word,
        };
    }

    /// Whether the peer is to be told that the path is down, for a reason that it cannot know.
    #[must_use]
    pub fn is_unusable_here(&self) -> bool {
        self.health.is_down_locally()
    }

    /// Whether it is down for want of answers, and nothing else.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.health.is_unanswered()
    }

    /// Whether it is down as the peer says that its side is.
    #[must_use]
    pub fn is_down_for_peer(&self) -> bool {
        self.health.is_down_for_peer()
    }

    /// An operator took the path out of use here, or back. Slow probes go on: they carry the word.
    pub fn set_disabled(&mut self, now: Time, disabled: bool) {
        if self.health.is_disabled_here() != disabled {
            self.health.set_disabled_here(now, disabled);
            self.restart_probes();
        }
    }

    /// An operator took the path out of use at the other end, or back.
    pub fn set_disabled_by_peer(&mut self, now: Time, disabled: bool) {
        let before = self.health.state();
        self.health.set_disabled_by_peer(now, disabled);
        if self.health.state() != before {
            self.restart_probes();
        }
    }

    /// Whether an operator took it out of use here; the peer is to be told.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.health.is_disabled_here()
    }

    /// The session ended, or a restarted peer counts from nothing.
    pub fn on_session_ended(&mut self, now: Time) {
        self.progress.reset();
        self.remote = RemoteWord::Fine { since: None };
        (self.stalled, self.stalls, self.longest, self.unseen) = (false, 0, 0, 0);
        self.restart_probes();
        self.health.on_session_ended(now);
    }

    /// Judges what did not come. To be called when every readable socket was drained, or packets
    /// that wait there count as lost.
    pub fn handle_timeout(&mut self, now: Time) {
        self.health.handle_timeout(now);
        if self.prober.expire(now, self.patience(now)) > 0 {
            self.unsteady = true;
            let outstanding = match self.progress.outstanding() {
                true => Outstanding::Data,
                false => Outstanding::Nothing,
            };
            let lately = now.before(self.patience(now));
            let peer = match self.last_heard {
                Some(at) if at >= lately => Peer::Heard,
                _ => Peer::Silent,
            };
            self.health.on_missed(now, self.prober.missed(), outstanding, peer);
        }
        if self.suspicious_at().is_some_and(|at| at <= now) {
            self.health.on_no_progress(now);
        }
    }

    /// A probe that is due. If it cannot be sent after all, it will count as missed.
    #[must_use]
    pub fn poll_probe(&mut self, now: Time) -> Option<ProbeToSend> {
        if self.probe_due(now)? > now {
            return None;
        }
        self.urgent = false;
        Some(self.prober.send(now))
    }

    /// What happened to the path since the last call; to be asked until there is nothing.
    #[must_use]
    pub fn poll_change(&mut self) -> Option<Change> {
        self.health.poll_change()
    }

    /// Whether small packets get through while data seems not to; once each time that is noticed. The longest of it, bytes of
    /// UDP: the MTU wants to be verified.
    #[must_use]
    pub fn poll_large_loss(&mut self) -> Option<usize> {
        let noticed = std::mem::take(&mut self.stalled)
            && (self.unseen >= MISSING_FOR_SIZE || self.stalls >= STALLS_FOR_SIZE);
        noticed.then(|| {
            self.stalls = 0;
            std::mem::take(&mut self.longest)
        })
    }

    /// Whether probes are answered in a row again after some were missed; true once each time.
    #[must_use]
    pub fn poll_calm(&mut self) -> bool {
        let calm = self.unsteady && self.prober.answered() >= ANSWERED_FOR_CALM;
        self.unsteady &= !calm;
        calm
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_probe`](Self::poll_probe) want to
    /// be called next: a probe is due or missed, lack of progress becomes suspicious, or a
    /// hold-down ends.
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        let missed = self.prober.deadline(self.patience(now));
        let hold = self.health.poll_timeout();
        [self.probe_due(now), missed, self.suspicious_at(), hold].into_iter().flatten().min()
    }

    /// What it is good for now. Changes only when [`poll_change`](Self::poll_change) says so.
    #[must_use]
    pub fn usability(&self, now: Time) -> Usability {
        self.health.usability(now)
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.health.state()
    }

    /// When the state changed last.
    #[must_use]
    pub fn changed(&self) -> Time {
        self.health.since()
    }

    /// Why it did, for people.
    #[must_use]
    pub fn why(&self) -> &str {
        self.health.why()
    }

    /// How often it went from in service to down.
    #[must_use]
    pub fn downs(&self) -> u64 {
        self.health.downs()
    }

    /// Round-trip times, from probes.
    #[must_use]
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    fn suspicious_at(&self) -> Option<Time> {
        match self.health.state() {
            State::Up => self.progress.suspicious_at(&self.rtt),
            _ => None,
        }
    }

    fn probe_due(&self, now: Time) -> Option<Time> {
        if !self.health.has_local() {
            return None;
        }
        match self.prober.last_sent() {
            Some(last) if !self.urgent => Some(last + self.interval(now)),
            _ => Some(now),
        }
    }

    /// How long an echo may take before its probe is missed.
    fn patience(&self, now: Time) -> Duration {
        match self.rtt.smoothed() {
            Some(_) => self.rtt.timeout() + self.interval(now).max(LEAST_GRACE),
            None => self.rtt.timeout(),
        }
    }

    /// The interval of probes now.
    ///
    /// Quick when the next answer decides something; never quicker than the active interval for
    /// a path that is simply dead, and slower the longer nobody needs it.
    fn interval(&self, now: Time) -> Duration {
        let active = self.last_traffic.is_some_and(|last| now.since(last) <= ACTIVE_FOR);
        match self.health.state() {
            State::Disabled => self.intervals.idle,
            State::Down if self.health.is_returning() => self.quick_interval(),
            State::Probing | State::Down if active => self.intervals.active,
            State::Probing | State::Down => {
                let slowest = MAX_DOWN_INTERVAL.max(self.intervals.active);
                let last = self.prober.last_sent().unwrap_or(now);
                (last.since(self.health.since()) / 8).clamp(self.intervals.active, slowest)
            }
            State::Suspected => self.quick_interval(),
            State::Up if self.prober.missed() > 0 => self.quick_interval(),
            State::Up if active => self.intervals.active,
            State::Up => self.intervals.idle,
        }
    }

    fn quick_interval(&self) -> Duration {
        let srtt = self.rtt.smoothed().unwrap_or(self.intervals.active);
        let bound = self.rtt.timeout() / MAX_UNDER_WAY;
        (self.intervals.active / 4).min(srtt / 2).max(LEAST_QUICK).max(bound)
    }
}
