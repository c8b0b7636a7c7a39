//! What became of each segment in the window, and which of them are lost: RACK, RFC 8985, as Linux has it.

use mpt_core::Time;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Segments that have to overtake others before those are lost at once.
const THRESHOLD: u64 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Flying,
    Sacked,
    /// And not yet sent again.
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Time,
    again: bool,
    state: State,
}

/// What an ACK told.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct News {
    /// Segments delivered that were not known to be.
    pub delivered: u64,
    /// The longest and the least round trip of what was sent once.
    pub rtt: Option<Duration>,
    pub least_rtt: Option<Duration>,
}

/// The segments from [`una`](Self::una) to [`next`](Self::next), by number.
#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    una: u64,
    sent: VecDeque<Sent>,
    flying: u64,
    sacked: u64,
    lost: u64,
    /// None before it is lost.
    lost_from: u64,
    /// Sent again, and not acknowledged.
    again: u64,
    /// One more than the last that was sacked.
    reached: u64,
    /// The last one sent of those delivered: when, and its number.
    latest: (Time, u64),
    /// The round trip of the last one delivered.
    rtt: Duration,
    /// Something came behind a later one without having been sent again.
    pub reordered: bool,
}

impl Scoreboard {
    /// The first that is not acknowledged.
    pub(super) const fn una(&self) -> u64 {
        self.una
    }

    /// The next that was never sent.
    pub(super) fn next(&self) -> u64 {
        self.una + self.sent.len() as u64
    }

    pub(super) const fn flying(&self) -> u64 {
        self.flying
    }

    pub(super) const fn sacked(&self) -> u64 {
        self.sacked
    }

    pub(super) fn on_sent(&mut self, now: Time) -> u64 {
        self.sent.push_back(Sent { at: now, again: false, state: State::Flying });
        self.flying += 1;
        self.next() - 1
    }

    /// It need not be lost, as for a probe.
    pub(super) fn on_sent_again(&mut self, number: u64, now: Time) {
        self.set(number, State::Flying);
        let sent = &mut self.sent[(number - self.una) as usize];
        self.again += u64::from(!sent.again);
        (sent.at, sent.again) = (now, true);
    }

    /// The first that is lost and not yet sent again.
    pub(super) fn next_lost(&mut self) -> Option<u64> {
        if self.lost == 0 {
            return None;
        }
        self.lost_from = self.lost_from.max(self.una);
        while self.state(self.lost_from)? != State::Lost {
            self.lost_from += 1;
        }
        Some(self.lost_from)
    }

    /// An ACK: all before `una` have come, and these ranges. `least_rtt` is the least ever.
    pub(super) fn on_ack(
        &mut self,
        now: Time,
        una: u64,
        sacks: &[Range<u64>],
        least_rtt: Duration,
    ) -> News {
        let mut news = News::default();
        let reached = self.reached;
        let una = una.min(self.next());
        for range in sacks {
            let range = range.start.max(una)..range.end.min(self.next());
            self.reached = self.reached.max(range.end);
            for number in range {
                if self.state(number) != Some(State::Sacked) {
                    self.on_delivered(now, number, reached, least_rtt, &mut news);
                    self.set(number, State::Sacked);
                }
            }
        }
        while self.una < una {
            if self.state(self.una) != Some(State::Sacked) {
                self.on_delivered(now, self.una, reached, least_rtt, &mut news);
            }
            self.set(self.una, State::Sacked);
            self.sacked -= 1;
            if let Some(sent) = self.sent.pop_front() {
                self.again -= u64::from(sent.again);
            }
            self.una += 1;
        }
        news
    }

    fn on_delivered(
        &mut self,
        now: Time,
        number: u64,
        reached: u64,
        least_rtt: Duration,
        news: &mut News,
    ) {
        let sent = self.sent[(number - self.una) as usize];
        let rtt = now.since(sent.at);
        news.delivered += 1;
        if !sent.again {
            self.reordered |= number < reached;
            news.rtt = news.rtt.max(Some(rtt));
            news.least_rtt = Some(news.least_rtt.map_or(rtt, |l| l.min(rtt)));
        } else if rtt < least_rtt {
            // Not this copy came, but one before it.
            return;
        }
        self.rtt = rtt;
        self.latest = self.latest.max((sent.at, number));
    }

    /// Marks what is lost by now: what was sent before something that has come, with a slack for reordering. How many
    /// those are, and when to look again. `hurried`: the first losses are known, so that no more slack is given to the others.
    pub(super) fn detect(
        &mut self,
        now: Time,
        slack: Duration,
        hurried: bool,
    ) -> (u64, Option<Time>) {
        if self.sacked == 0 && self.again == 0 {
            return (0, None);
        }
        let at_once = !self.reordered && (hurried || self.sacked >= THRESHOLD);
        let slack = if at_once { Duration::ZERO } else { slack };
        let (mut lost, mut later) = (0, None::<Time>);
        for number in self.una..self.next() {
            let sent = self.sent[(number - self.una) as usize];
            if sent.state != State::Flying || (sent.at, number) >= self.latest {
                continue;
            }
            let due = sent.at + self.rtt + slack;
            if due <= now {
                self.set(number, State::Lost);
                lost += 1;
            } else {
                later = Some(later.map_or(due, |l| l.min(due)));
            }
        }
        (lost, later)
    }

    /// The timeout came: the first is lost, and all others of which nothing was heard for longer than a round trip.
    pub(super) fn on_timeout(&mut self, now: Time) -> u64 {
        let mut lost = 0;
        for number in self.una..self.next() {
            let sent = self.sent[(number - self.una) as usize];
            let old = number == self.una || sent.at + self.rtt <= now;
            if sent.state == State::Flying && old {
                self.set(number, State::Lost);
                lost += 1;
            }
        }
        lost
    }

    /// Nothing is lost after all.
    pub(super) fn forgive(&mut self) -> u64 {
        let forgiven = self.lost;
        for number in self.una..self.next() {
            if self.state(number) == Some(State::Lost) {
                self.set(number, State::Flying);
            }
        }
        forgiven
    }

    fn state(&self, number: u64) -> Option<State> {
        Some(self.sent.get(number.checked_sub(self.una)? as usize)?.state)
    }

    fn set(&mut self, number: u64, to: State) {
        let state = &mut self.sent[(number - self.una) as usize].state;
        let count = |state| match state {
            State::Flying => 0,
            State::Sacked => 1,
            State::Lost => 2,
        };
        let mut counts = [self.flying, self.sacked, self.lost];
        counts[count(*state)] -= 1;
        counts[count(to)] += 1;
        [self.flying, self.sacked, self.lost] = counts;
        *state = to;
        if to == State::Lost {
            self.lost_from = self.lost_from.min(number);
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a single block")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ten() -> Scoreboard {
        let mut board = Scoreboard::default();
        for _ in 0..10 {
            board.on_sent(Time::ZERO);
        }
        board
    }

    #[test]
    fn three_that_overtook_one_make_it_lost() {
        let mut board = ten();
        let now = Time::from_millis(20);
        for sacked in [1..2, 1..3] {
            board.on_ack(now, 0, &[sacked], 20 * MS);
            assert_eq!(board.detect(now, 5 * MS, false), (0, Some(Time::from_millis(25))));
        }
        board.on_ack(now, 0, &[1..4], 20 * MS);
        assert_eq!(board.detect(now, 5 * MS, false), (1, None));
        assert_eq!((board.next_lost(), board.flying()), (Some(0), 6));
        board.on_sent_again(0, now);
        assert_eq!((board.next_lost(), board.flying()), (None, 7));
        // The copy is lost as well: what was sent after it comes.
        let later = board.on_sent(now + MS);
        let now = Time::from_millis(41);
        board.on_ack(now, 0, &[1..later + 1], 20 * MS);
        assert_eq!(board.detect(now, 5 * MS, true), (1, None));
    }

    #[test]
    fn once_order_was_broken_there_is_slack() {
        let mut board = ten();
        let now = Time::from_millis(20);
        board.on_ack(now, 0, &[1..2], 20 * MS);
        let news = board.on_ack(now + MS, 2, &[], 20 * MS);
        assert_eq!((news.delivered, board.reordered, board.una()), (1, true, 2));
        board.on_ack(now + MS, 2, &[4..10], 20 * MS);
        let (lost, later) = board.detect(now + MS, 5 * MS, true);
        assert_eq!((lost, later), (0, Some(Time::from_millis(26))));
        assert_eq!(board.detect(Time::from_millis(26), 5 * MS, true), (2, None));
        assert_eq!(board.forgive(), 2);
    }
}
