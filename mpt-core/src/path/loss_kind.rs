//! Random loss, told from that of a full queue.

use crate::Time;
use std::time::Duration;

/// What was counted loses half its weight in this time.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// A pause between two reports of a kind counts as no more than this.
const AGES: Duration = Duration::from_millis(100);

/// Fewer packets say nothing.
const LEAST_PACKETS: f64 = 200.0;

/// A late packet is missing for a while; what still is after so many rounds of reports is lost.
const SETTLED: usize = 8;

/// What is taken for lost and comes after all is among the last losses that were counted: so many times as long as this.
const COUNTED: usize = 16;
const TOGETHER: Duration = Duration::from_millis(100);

/// No peer counts so far; one that claims to must not make sums overflow.
const MOST_PACKETS: u64 = 1 << 60;

/// What was lost becomes known a while after the queue stood that it was lost to.
const LINGERS: Duration = Duration::from_millis(600);

/// A path that loses this share at random is avoided by what could go elsewhere, so that it is not measured any more.
const NOTABLE: f64 = 0.03;

/// That is believed for so long after the last packet that was measured, twice as long each time that it was doubted and
/// found true, …
const FIRST_BELIEF: Duration = Duration::from_secs(2);

/// … up to 32 s.
const MOST_DOUBTS: u32 = 4;

/// Less keeps nothing away, and is believed as long as a delay is.
const BELIEVED: Duration = Duration::from_secs(60);

/// It is doubted at once when so many probes in a row are answered that it would take this chance: ten a second are tried.
const UNLIKELY: f64 = 1e-4;

/// What was doubted is known again after fewer packets, if half of it is found.
const LEAST_AGAIN: f64 = 30.0;

/// Packets of a batch: what the last one or two lost, loss that goes on cannot exceed by much.
const BATCH: f64 = 250.0;

/// Loss of this share that is over is not waited for to be forgotten. With less it may be that less was sent for a moment: a policer's comes
/// and goes.
const HEAVY: f64 = 0.1;

/// Nor is a lesser one, that would be notable, when it has been over for so long: while a queue stands now and then, only what is lost besides is
/// counted, and what was known of random loss would not change.
const OVER: Duration = Duration::from_secs(5);

/// The share of packets a path loses while nothing stands in its queue. What is lost
/// beyond that when something does is the queue's. (Distinguishing the two by the delay at the time of the loss: S. Biaz,
/// N. Vaidya, "Discriminating congestion losses from wireless losses", ASSET 1999; TCP Veno, JSAC 2003.)
///
/// Only packets tell, and a lossy path is given none. So what was found is doubted after a while, or as soon as probes say otherwise;
/// then nothing is known, the path is tried, and a few packets are enough to find the same again.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossKind {
    random: Count,
    congestive: Count,
    /// The last whole batch, and the one that is being filled.
    recent: [Count; 2],
    /// Since when they show that the random loss is over.
    over_since: Option<Time>,
    /// When packets were reported last.
    heard: Option<Time>,
    /// Probes answered in a row since then.
    answered: u32,
    /// What was believed when it was doubted, and how often that was.
    doubted: Option<f64>,
    doubts: u32,
    highest: Option<u32>,
    /// Packets missing in all at the end of each of the last rounds, and now: a ring.
    missing: [i64; SETTLED],
    round: usize,
    /// When the peer made the reports of this round, by its clock: one for each of its sender's workers.
    at: Option<u32>,
    /// Rounds until losses are known of as many packets as there are.
    unsettled: usize,
    lost: i64,
    sent: i64,
    base: i64,
    stood: Option<Time>,
    /// What was counted last, to be taken back where it comes after all: a ring.
    counted: [Counted; COUNTED],
    next_counted: usize,
}

/// Losses that were counted from this time on.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    at: Time,
    congestive: bool,
    lost: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: f64,
    lost: f64,
    aged: Time,
}

impl Count {
    /// `doubted`: what was believed before.
    fn share(&self, doubted: Option<f64>) -> Option<f64> {
        let share = (self.lost / self.sent.max(1.0)).clamp(0.0, 1.0);
        let again = self.sent >= LEAST_AGAIN && doubted.is_some_and(|before| share > before / 2.0);
        (self.sent >= LEAST_PACKETS || again).then_some(share)
    }
}

impl LossKind {
    /// The highest sequence that arrived, and how many packets in all, as the peer told `at` a time of its clock; `stands`: a queue
    /// stands. Gives packets sent, and those found lost, since the report before; fewer than none where more came than was still missing.
    pub fn on_report(
        &mut self,
        now: Time,
        at: u32,
        (highest, packets): (u32, u64),
        stands: bool,
    ) -> (f64, f64) {
        let packets = packets.min(MOST_PACKETS) as i64;
        let silent = self.heard.is_some_and(|at| now.since(at) >= FIRST_BELIEF);
        let doubted = self.believed_until().is_some_and(|until| now >= until);
        (self.heard, self.answered) = (Some(now), 0);
        if doubted {
            self.doubt();
        }
        let begins = self.at.replace(at) != Some(at);
        let Some(before) = self.highest.filter(|_| !silent && !doubted) else {
            // What is missing from before a silence was lost to an outage, or long ago.
            (self.missing, self.lost, self.sent) = ([0; SETTLED], 0, 0);
            self.unsettled = SETTLED + 1;
            (self.counted, self.over_since) = Default::default();
            (self.highest, self.base) = (Some(highest), packets);
            return (0.0, 0.0);
        };
        let sent = i64::from(highest.wrapping_sub(before) as i32);
        if sent < 0 {
            return (0.0, 0.0);
        }
        self.highest = Some(highest);
        self.sent += sent;
        let mut missing = self.sent - (packets - self.base);
        if missing < 0 {
            // From before the silence.
            self.base -= missing;
            missing = 0;
        }
        if begins {
            self.round = (self.round + 1) % SETTLED;
            self.unsettled = self.unsettled.saturating_sub(1);
        }
        self.missing[self.round] = missing;
        let settled = self.missing.iter().min().copied().unwrap_or(0);
        // Less than before where what was taken for lost has come: while a burst is under way, more is missing each time.
        let lost = settled - std::mem::replace(&mut self.lost, settled);
        if stands {
            self.stood = Some(now);
        }
        let stood = self.stood.is_some_and(|at| now.since(at) < LINGERS);
        let count = if stood { &mut self.congestive } else { &mut self.random };
        // What is known of one kind stays known while only the other is seen.
        let age = now.since(count.aged).min(AGES);
        let keep = 0.5f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        count.aged = now;
        let counted = if self.unsettled > 0 { 0.0 } else { sent as f64 };
        count.sent = count.sent * keep + counted;
        count.lost = count.lost * keep + lost.max(0) as f64;
        self.book(now, stood, lost);
        self.follow_recent(now, counted, lost as f64);
        if self.random.sent >= LEAST_PACKETS && self.random() < NOTABLE {
            (self.doubted, self.doubts) = (None, 0);
        }
        (sent as f64, lost as f64)
    }

    /// A probe was answered, and `in_a_row` of them.
    pub fn on_probe_answered(&mut self, in_a_row: u32) {
        self.answered = (self.answered + 1).min(in_a_row);
    }

    /// Until when the random loss is believed, if no packet is measured and no probe answered before; nothing if it is not known.
    #[must_use]
    pub fn believed_until(&self) -> Option<Time> {
        let (heard, random) = (self.heard?, self.random());
        if random < NOTABLE {
            return Some(heard + BELIEVED);
        }
        let unlikely = (1.0 - random).powi(self.answered as i32) < UNLIKELY;
        Some(if unlikely { heard } else { heard + FIRST_BELIEF * (1 << self.doubts) })
    }

    /// The share lost whatever is sent, 0 to 1; the least of both, for congestion comes on top.
    #[must_use]
    pub fn random(&self) -> f64 {
        match (self.random.share(self.doubted), self.congestive.share(None)) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) => a,
            // All of it may be the queue's.
            (None, _) => 0.0,
        }
    }

    /// The share lost while a queue stands, beyond that.
    #[must_use]
    pub fn congestive(&self) -> f64 {
        (self.congestive.share(None).unwrap_or(0.0) - self.random()).max(0.0)
    }

    /// Notes what was counted, or takes back what has come after all: from where it was counted, the last first.
    fn book(&mut self, now: Time, congestive: bool, lost: i64) {
        if lost > 0 {
            let last = &mut self.counted[(self.next_counted + COUNTED - 1) % COUNTED];
            if last.congestive == congestive && now.since(last.at) < TOGETHER {
                last.lost += lost as f64;
            } else {
                self.counted[self.next_counted] =
                    Counted { at: now, congestive, lost: lost as f64 };
                self.next_counted = (self.next_counted + 1) % COUNTED;
            }
        }
        let mut back = lost.min(0).unsigned_abs() as f64;
        for i in 1..=COUNTED {
            let counted = &mut self.counted[(self.next_counted + COUNTED - i) % COUNTED];
            let part = back.min(counted.lost);
            if part == 0.0 {
                continue;
            }
            back -= part;
            counted.lost -= part;
            let age = now.since(counted.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
            let count = if counted.congestive { &mut self.congestive } else { &mut self.random };
            count.lost = (count.lost - part * 0.5f64.powf(age)).max(0.0);
        }
    }

    /// What was measured is known no more.
    fn doubt(&mut self) {
        let random = self.random();
        if random >= NOTABLE {
            self.doubted = Some(random);
            self.doubts = (self.doubts + 1).min(MOST_DOUBTS);
        }
        (self.random, self.congestive, self.over_since) = Default::default();
        self.recent = Default::default();
    }

    fn follow_recent(&mut self, now: Time, sent: f64, lost: f64) {
        let [last, filling] = &mut self.recent;
        filling.sent += sent;
        filling.lost += lost;
        if filling.lost < 0.0 {
            last.lost = (last.lost + filling.lost).max(0.0);
            filling.lost = 0.0;
        }
        if filling.sent >= BATCH {
            *last = std::mem::take(filling);
        }
        let random = self.random();
        if random < NOTABLE || self.most() >= random / 4.0 {
            self.over_since = None;
            return;
        }
        let since = *self.over_since.get_or_insert(now);
        if random >= HEAVY || now.since(since) >= OVER {
            (self.random, self.congestive, self.over_since) = Default::default();
        }
    }

    /// The share that the last batches allow: what was lost of them, two deviations (of a Poisson number) more, and three for
    /// where there was nothing.
    fn most(&self) -> f64 {
        let [last, filling] = &self.recent;
        if last.sent < BATCH {
            return 1.0;
        }
        let lost = last.lost + filling.lost;
        (lost + 2.0 * lost.sqrt() + 3.0) / (last.sent + filling.sent)
    }
}

#[cfg(test)]
mod tests;
