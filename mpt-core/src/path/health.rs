//! The state machine of one path. It hears what happened and decides; probes, reports and clocks
//! are [`PathHealth`](super::PathHealth)'s.

use super::flap_guard::FlapGuard;
use super::prober::Answer;
use super::{State, Usability};
use crate::{DownReason, Time};
use std::borrow::Cow;

/// Probes missed in a row that make a path down.
const MISSED_FOR_DOWN: u64 = 3;

/// The same while the peer is heard over the path. It is not dead then; echoes may be lost in a queue
/// that the peer's own traffic keeps full. Where both ends offer 180 %, 70 % of the echoes do not come
/// back: twelve in a row are lost once in seventy tries, twenty-four once in 5 000. If it is our
/// direction alone that fails, lack of progress tells.
const MISSED_WHILE_HEARD: u64 = 24;

/// Probes answered in a row that bring a path back which was up before.
const ANSWERS_FOR_UP: u32 = 3;

/// There is no local end yet.
pub const STARTING: &str = "starting";

/// What happened to a path since it was asked last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It carries data (again).
    Up,
    /// It carries data no more.
    Down(DownReason),
    /// Its state or its rank among the paths changed otherwise.
    Other,
}

/// State, reasons and rank of one path.
#[derive(Clone, Debug)]
pub(super) struct Health {
    state: State,
    since: Time,
    why: Cow<'static, str>,
    disabled_here: bool,
    disabled_by_peer: bool,
    /// Why there is no local end.
    local_gone: Option<String>,
    /// What took it down last.
    fault: Fault,
    /// It was up once since the session began.
    proven: bool,
    /// Probes answered in a row while down.
    answers: u32,
    flaps: FlapGuard,
    /// Ranked last until then.
    held_until: Option<Time>,
    downs: u64,
    told: Told,
}

/// What took a path down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Unanswered,
    Local,
    Remote,
    Other,
}

/// What [`Health::poll_change`] has told, and has to tell.
#[derive(Clone, Debug, Default)]
struct Told {
    in_service: bool,
    down: Option<DownReason>,
    other: bool,
}

impl Health {
    pub(super) fn new(now: Time) -> Self {
        Self {
            state: State::Probing,
            since: now,
            why: Cow::Borrowed("no answer yet"),
            disabled_here: false,
            disabled_by_peer: false,
            local_gone: None,
            fault: Fault::Unanswered,
            proven: false,
            answers: 0,
            flaps: FlapGuard::default(),
            held_until: None,
            downs: 0,
            told: Told::default(),
        }
    }

    /// A probe came back.
    pub(super) fn on_answer(&mut self, now: Time, answer: Answer) {
        match self.state {
            State::Probing => self.rise(now, "answers"),
            State::Suspected if answer.sent >= self.since => self.rise(now, "answers again"),
            State::Down if self.local_gone.is_none() && answer.sent >= self.since => {
                self.answers += 1;
                if self.answers >= ANSWERS_FOR_UP || !self.proven {
                    self.rise(now, "answers again");
                }
            }
            _ => {}
        }
    }

    /// A handshake message was answered over the path.
    pub(super) fn on_proven(&mut self, now: Time) {
        self.on_answer(now, Answer { sent: now, rtt: std::time::Duration::ZERO });
    }

    /// Something new arrived, the peer says.
    pub(super) fn on_progress(&mut self, now: Time) {
        if self.state == State::Suspected {
            self.rise(now, "data arrives again");
        }
    }

    /// A probe was missed; `missed` in a row by now.
    pub(super) fn on_missed(
        &mut self,
        now: Time,
        missed: u64,
        outstanding: Outstanding,
        peer: Peer,
    ) {
        self.answers = 0;
        let limit = match peer {
            Peer::Heard => MISSED_WHILE_HEARD,
            Peer::Silent => MISSED_FOR_DOWN,
        };
        match self.state {
            State::Probing | State::Up | State::Suspected if missed >= limit => {
                self.fail(now, DownReason::ProbesMissed);
            }
            State::Up if outstanding == Outstanding::Data && peer == Peer::Silent => {
                self.enter(now, State::Suspected, "a probe is unanswered".into());
            }
            _ => {}
        }
    }

    /// Reports show no progress.
    pub(super) fn on_no_progress(&mut self, now: Time) {
        if self.state == State::Up {
            self.enter(now, State::Suspected, DownReason::NoProgress.to_string().into());
        }
    }

    /// It is known not to work.
    pub(super) fn fail(&mut self, now: Time, reason: DownReason) {
        self.answers = 0;
        if self.state == State::Disabled {
            return;
        }
        if self.state.in_service() {
            self.downs += 1;
            self.flaps.on_down(now);
        }
        self.fault = match reason {
            DownReason::Local(_) => Fault::Local,
            DownReason::Remote => Fault::Remote,
            DownReason::ProbesMissed | DownReason::NoProgress => Fault::Unanswered,
            _ => Fault::Other,
        };
        let why = reason.to_string().into();
        self.leave(now, State::Down, reason, why);
    }

    /// The local end is gone.
    pub(super) fn set_local_gone(&mut self, now: Time, why: String) {
        self.fail(now, DownReason::Local(why.clone()));
        self.local_gone = Some(why);
    }

    /// The local end is there. Returns whether that is news.
    pub(super) fn set_local_ready(&mut self, now: Time) -> bool {
        let Some(gone) = self.local_gone.take() else { return false };
        if self.state == State::Down {
            let state = if self.proven { State::Down } else { State::Probing };
            let why = match gone == STARTING {
                true => "no answer yet",
                false => "the local end is back; no answer yet",
            };
            self.enter(now, state, why.into());
        }
        true
    }

    /// An operator took the path out of use here, or back.
    pub(super) fn set_disabled_here(&mut self, now: Time, disabled: bool) {
        self.disabled_here = disabled;
        self.judge_disabled(now);
    }

    /// An operator took the path out of use at the other end, or back.
    pub(super) fn set_disabled_by_peer(&mut self, now: Time, disabled: bool) {
        self.disabled_by_peer = disabled;
        self.judge_disabled(now);
    }

    /// The session is over; the path starts anew in the next one.
    pub(super) fn on_session_ended(&mut self, now: Time) {
        self.proven = false;
        self.answers = 0;
        if self.local_gone.is_none() && !matches!(self.state, State::Probing | State::Disabled) {
            let why = "session ended; no answer yet".into();
            self.leave(now, State::Probing, DownReason::SessionEnded, why);
        }
    }

    /// Time passed.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
            self.told.other = true;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do: the hold-down ends.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.held_until
    }

    pub(super) fn poll_change(&mut self) -> Option<Change> {
        if let Some(reason) = self.told.down.take() {
            self.told.in_service = false;
            self.told.other = false;
            return Some(Change::Down(reason));
        }
        if self.state.in_service() && !self.told.in_service {
            self.told.in_service = true;
            self.told.other = false;
            return Some(Change::Up);
        }
        std::mem::take(&mut self.told.other).then_some(Change::Other)
    }

    pub(super) fn usability(&self, now: Time) -> Usability {
        match self.state {
            State::Up if self.held_until.is_some_and(|until| now < until) => Usability::LastResort,
            State::Up => Usability::Preferred,
            State::Suspected => Usability::LastResort,
            State::Probing | State::Down | State::Disabled => Usability::No,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Since when it is in that state.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    pub(super) fn why(&self) -> &str {
        &self.why
    }

    pub(super) fn downs(&self) -> u64 {
        self.downs
    }

    pub(super) fn is_disabled_here(&self) -> bool {
        self.disabled_here
    }

    pub(super) fn has_local(&self) -> bool {
        self.local_gone.is_none()
    }

    /// Down, and coming back: the first probes were answered.
    pub(super) fn is_returning(&self) -> bool {
        self.state == State::Down && self.answers > 0
    }

    /// Down because of something at this end: the peer cannot know, and is to be told. (That probes
    /// are not answered is no such thing: the peer has probes of its own, and where only one direction
    /// fails the other may still carry its data.)
    pub(super) fn is_down_locally(&self) -> bool {
        self.state == State::Down && self.fault == Fault::Local
    }

    /// Down for want of answers, and nothing else.
    pub(super) fn is_unanswered(&self) -> bool {
        self.state == State::Down && self.fault == Fault::Unanswered
    }

    /// Down as the peer says that its side is.
    pub(super) fn is_down_for_peer(&self) -> bool {
        self.state == State::Down && self.fault == Fault::Remote
    }

    fn judge_disabled(&mut self, now: Time) {
        let disabled = self.disabled_here || self.disabled_by_peer;
        if disabled {
            let reason =
                if self.disabled_here { DownReason::Disabled } else { DownReason::RemoteDisabled };
            let why = reason.to_string();
            if self.state != State::Disabled || self.why != why {
                self.leave(now, State::Disabled, reason, why.into());
            }
        } else if self.state == State::Disabled {
            self.enter(now, State::Probing, "enabled; no answer yet".into());
            if let Some(why) = self.local_gone.clone() {
                self.fail(now, DownReason::Local(why));
            }
        }
    }

    /// Into service.
    fn rise(&mut self, now: Time, why: &'static str) {
        if self.state != State::Suspected {
            let hold = self.flaps.on_up(now);
            self.held_until = (!hold.is_zero()).then(|| now + hold);
        }
        self.proven = true;
        let why = match self.held_until.map(|until| until.since(now)) {
            Some(hold) if !hold.is_zero() => {
                let failures = self.flaps.failures();
                Cow::Owned(format!(
                    "{why}; ranked last for {:.0} s after {failures} failures",
                    hold.as_secs_f64().ceil()
                ))
            }
            _ => Cow::Borrowed(why),
        };
        self.enter(now, State::Up, why);
    }

    /// Out of service, if it was in it.
    fn leave(&mut self, now: Time, to: State, reason: DownReason, why: Cow<'static, str>) {
        if self.state.in_service() {
            self.told.down = Some(reason);
        }
        self.held_until = None;
        self.enter(now, to, why);
    }

    fn enter(&mut self, now: Time, state: State, why: Cow<'static, str>) {
        self.answers = 0;
        self.state = state;
        self.since = now;
        self.why = why;
        self.told.other = true;
    }
}

/// Whether anything came from the peer over this path within the time that an answer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    Heard,
    Silent,
}

/// Whether data was sent that is not known to have arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outstanding {
    Data,
    Nothing,
}
