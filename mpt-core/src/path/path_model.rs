//! What is known of a path as a carrier: the estimators together, and what they say to schedulers.

use super::bottleneck::{Bottleneck, Finding, Seen};
use super::bursts::Bursts;
use super::delivery_rate::DeliveryRate;
use super::joint_sequence::JointSequence;
use super::loss_kind::LossKind;
use super::one_way_delay::{DelaySample, OneWayDelay};
use super::overflow::Overflow;
use super::own_queue::OwnQueue;
use super::packet_size::PacketSize;
use super::sent_log::SentLog;
use super::told_delay::{CommonTurn, ToldDelay};
use crate::schedule::Estimate;
use crate::wire::PathReport;
use crate::{Time, WorkerId};
use std::time::Duration;

/// With this, each report's least delay shows a queue as it is.
const STEADY: Duration = Duration::from_micros(800);

/// A queue of fewer bytes is none: with jitter a thin stream of acknowledgements is not to be kept to what it happens to be.
const LEAST_QUEUE: f64 = 8_000.0;

/// So few are none anywhere: what stands there then is somebody else's, who may be another path of ours through the same
/// bottleneck, and does not leave because less is sent here.
const LEAST_OWN: f64 = 4_000.0;

/// What is sent beyond what was measured is predicted to queue for no more than this: the prediction rests on an
/// estimated rate, and is corrected by the next report anyway.
const MOST_PREDICTED: Duration = Duration::from_millis(40);

/// A path nobody has measured is taken for one of so many bytes a round trip (ten packets, RFC 6928), …
const FIRST_WINDOW: f64 = 14_000.0;

/// … and of so much more than it delivered, for as long as it delivers all it is given without a queue.
const STARTUP_GAIN: f64 = 1.5;

/// So much more is tried of one that was measured, when it delivers nearly all of that and no queue stands (the gain of
/// BBR's probing).
const PROBING_GAIN: f64 = 1.25;
const NEARLY: f64 = 0.8;

/// A path carries little below this share of what it can do: no queue of ours stands there.
const LITTLE: f64 = 0.6;

/// Loss beyond the random one of this share is a full queue that the delays did not show.
const OVERFLOW: f64 = 0.05;

/// A path that loses this share to its queue is full, however its packets come: bursts explain nothing there.
const FULL: f64 = 0.2;

/// Each worker's jitter is measured by itself: before the report with this packet of its own it is not known, and may look like a queue.
const UNKNOWN: u32 = 24;

/// A limit is kept to after so many packets, and not before so long: a steady path may turn out not to be, while it is seldom
/// that one with jitter is not.
const KNOWN_AFTER: [(u64, Duration); 2] =
    [(1_000, Duration::from_secs(1)), (200, Duration::from_millis(300))];

/// What stands for so long, and is so much, is a queue whatever the jitter, once so many packets came: a slow path takes ten seconds for a thousand.
const CERTAIN: (u64, Duration, Duration) =
    (100, Duration::from_millis(400), Duration::from_millis(40));

/// Without an answer yet.
const NO_RTT: Duration = Duration::from_secs(1);

/// A queue is longer than round trips tell by this at most, and a few times: those are smoothed, and a queue grows.
const GROWS: Duration = Duration::from_millis(500);

/// What a queue lost so long ago is not told as if it were now.
const LATELY: Duration = Duration::from_secs(10);

/// Bytes a second. A queue of a faster path is gone before a report tells of it.
const MOST_SHAPED: f64 = 60e6;

/// A flow that slows down to 0.7 leaves a path busy if it queued for 0.43 round trips or more; with some to spare for round
/// trips that repair makes longer. Bounded by what others bear, and by what any queue holds.
const LEAST_LONG: Duration = Duration::from_millis(20);
const MOST_LONG: Duration = Duration::from_millis(50);

/// A path's model, fed by what is sent and by the peer's reports.
#[derive(Clone, Debug, Default)]
pub struct PathModel {
    workers: Vec<Sent>,
    delay: OneWayDelay,
    rate: DeliveryRate,
    joint: JointSequence,
    loss: LossKind,
    overflow: Overflow,
    /// As much is under way as a queue that stands there takes.
    filled: bool,
    estimate: Estimate,
    bottleneck: Bottleneck,
    bursts: Bursts,
    own: OwnQueue,
    size: PacketSize,
    /// When the first report came.
    first: Option<Time>,
    /// Since when a long queue has been standing.
    long_since: Option<Time>,
}

#[derive(Clone, Debug)]
struct Sent {
    log: SentLog,
    /// Bytes that left with what is known to have arrived or to be lost.
    resolved: u64,
    /// The last packet reported, what all until then were expected to wait, microseconds, and what those did that were reported
    /// with it, in the mean.
    sequence: u32,
    waits: u64,
    own: u64,
    /// Arrived, by the last report.
    packets: u64,
    bytes: u64,
    /// Its delays, as the peer counts them.
    delay: ToldDelay,
    /// Packets whose delays were told, [`UNKNOWN`] at most.
    told: u32,
}

impl PathModel {
    /// A parity leaves: no packet of the path sequence, but reports count its bytes.
    pub fn on_parity_sent(&mut self, now: Time, bytes: usize) {
        if self.estimate.jittery {
            self.own.on_sent(now, bytes);
        }
        self.bursts.on_sent(now, bytes);
    }

    /// Packet `sequence` of `worker`, `bytes` long, leaves.
    #[inline]
    pub fn on_sent(&mut self, now: Time, worker: WorkerId, sequence: u32, bytes: usize) {
        let i = usize::from(worker.get());
        while self.workers.len() <= i {
            let log = SentLog::new();
            let delay = ToldDelay::default();
            self.workers.push(Sent {
                log,
                resolved: 0,
                sequence: 0,
                waits: 0,
                own: 0,
                packets: 0,
                bytes: 0,
                delay,
                told: 0,
            });
        }
        // Elsewhere each report's least delay shows the queue.
        let wait = if self.estimate.jittery { self.own.on_sent(now, bytes) } else { 0 };
        let sent = &mut self.workers[i];
        if sent.log.is_empty() {
            sent.sequence = sequence.wrapping_sub(1);
        }
        sent.log.on_sent(now, sequence, bytes, wait);
        self.bursts.on_sent(now, bytes);
    }

    /// The peer reports on what `worker` sent. `srtt`: by probes; `turn`: of all paths of the peer.
    pub fn on_report(
        &mut self,
        now: Time,
        worker: WorkerId,
        report: &PathReport,
        srtt: Option<Duration>,
        turn: &mut CommonTurn,
    ) {
        let Some(sent) = self.workers.get_mut(usize::from(worker.get())) else { return };
        let Some(found) = sent.log.find(report.highest_seq) else { return };
        let (left_at, left_bytes) = (found.at, found.bytes);
        if report.packets < sent.packets || left_bytes < sent.resolved {
            return;
        }
        // What a worker's first report tells may have come at any time.
        if sent.packets > 0 {
            let bytes = report.bytes.saturating_sub(sent.bytes);
            self.size.on_arrived(now, report.packets - sent.packets, bytes);
        }
        (sent.packets, sent.bytes, sent.resolved) = (report.packets, report.bytes, left_bytes);
        let since = report.highest_seq.wrapping_sub(sent.sequence) as i32;
        if since > 0 {
            sent.own = found.waits.saturating_sub(sent.waits) / u64::from(since.unsigned_abs());
            (sent.sequence, sent.waits) = (report.highest_seq, found.waits);
        }
        // Else those came that were overtaken, or the same report by another path.
        let own = sent.own;
        let joint = self.joint.on_report(now, worker, report.highest_seq, report.packets);
        let Some(told) = report.delays else {
            self.expire(now);
            return;
        };

        let busy = self.rate.capacity().is_none_or(|c| self.rate.latest() > LITTLE * c);
        if told.packets > 0 {
            let least = sent.delay.unwrap(now, told.least, turn);
            let sample = DelaySample {
                least,
                mean: least + i64::from(told.mean) * 100,
                packets: u32::from(told.packets),
                jitter: i64::from(told.jitter) * 100,
                own: own as i64,
            };
            sent.told = sent.told.saturating_add(sample.packets).min(UNKNOWN);
            if sent.told == UNKNOWN {
                self.delay.on_sample(now, sample, busy);
            }
            // Probes wait in the same queue.
            if srtt.is_some_and(|srtt| self.delay.standing() > srtt * 4 + GROWS) {
                self.delay.rebase(now);
            }
        }
        self.first.get_or_insert(now);
        let jitter = self.delay.jitter();
        let (standing, uncertain) = (self.delay.standing(), self.delay.uncertain());
        let threshold = uncertain * 2;
        let latest = self.rate.latest().max(1.0);
        let bursts = self.bursts.on_report(told.at, latest);
        let bursts = if self.loss.congestive() > FULL { 0.0 } else { bursts };
        let none =
            if jitter > STEADY { bursts.max(LEAST_QUEUE / latest) } else { LEAST_OWN / latest };
        let none = Duration::from_secs_f64(none.min(1.0));
        let uncertain = uncertain.max(none);
        let all = self.workers.iter().fold(0u64, |all, w| all.wrapping_add(w.bytes));
        let flying = self.flying(now, worker, srtt);
        let queues = if jitter > STEADY {
            // A reading is an average, and what it speaks of may be gone.
            let under_way = srtt.unwrap_or(NO_RTT).as_secs_f64() / 2.0 * latest;
            standing > threshold.max(none) && flying as f64 > under_way
        } else {
            standing > uncertain
        };
        let queues = queues && !self.bottleneck.is_trial();
        self.rate.on_arrived(told.at, all, queues, self.bottleneck.given(), jitter);
        self.follow_bottleneck(now, uncertain, srtt);
        let standing = self.delay.standing();
        let stands = standing > threshold;
        let lost =
            joint.map_or((0.0, 0.0), |joint| self.loss.on_report(now, told.at, joint, stands));
        self.overflow.on_report(now, lost, standing);

        let rate = self.usable_rate(srtt, standing < threshold / 2);
        // A stalled flow leaves a full queue behind and nothing after it; jitter alone leaves no bytes.
        self.filled =
            jitter <= STEADY || busy && flying as f64 > rate * standing.as_secs_f64() / 2.0;
        let drains = now.since(left_at);
        let beyond = Duration::from_secs_f64(flying as f64 / rate)
            .saturating_sub(drains)
            .min(MOST_PREDICTED);
        self.own.on_report(now, self.seen_rate(srtt));
        let queue = match jitter > STEADY {
            true => self.delay.predicted(self.own.at(now)),
            false => standing + beyond,
        };
        self.estimate = Estimate {
            at: now,
            idle_at: now + queue.saturating_sub(threshold / 2),
            rate: rate as u64,
            capacity: self.rate.capacity().unwrap_or(0.0) as u64,
            measured: self.rate.is_measured()
                || jitter > STEADY && self.loss.congestive() > OVERFLOW,
            delay: self.delay.base_micros(),
            standing,
            threshold,
            jittery: jitter > STEADY,
            jitter,
            overflowing_since: self.overflow.since(),
            delivered: all,
            random_loss: self.loss.random() as f32,
            loss_until: self.loss.believed_until(),
            probed: self.estimate.probed,
        };
    }

    /// Bytes under way when `worker` reports. What others sent long ago is not: its end was lost, and no report will tell of it
    /// before they send again.
    fn flying(&self, now: Time, worker: WorkerId, srtt: Option<Duration>) -> u64 {
        let old = srtt.unwrap_or(NO_RTT) * 4;
        let flies = |&(i, w): &(usize, &Sent)| {
            i == usize::from(worker.get()) || now.since(w.log.last_sent()) < old
        };
        let workers = self.workers.iter().enumerate().filter(flies);
        workers.map(|(_, w)| w.log.bytes() - w.resolved).sum()
    }

    /// What was seen to pass, bytes a second. What is sent beyond that is expected to wait, until the delays say that it does not; but
    /// what a thin flow was seen to send is no limit.
    fn seen_rate(&self, srtt: Option<Duration>) -> f64 {
        let first = FIRST_WINDOW / known(srtt).as_secs_f64();
        let least = if self.rate.is_measured() { first / 4.0 } else { first };
        self.rate.capacity().unwrap_or(0.0).max(least)
    }

    /// A probe that left at `sent` was answered, so much `longer` after that than the quickest one, and `in_a_row` of them were: of a
    /// path that lost much that says that it does no more.
    pub fn on_probe_answered(&mut self, sent: Time, longer: Duration, in_a_row: u32) {
        self.estimate.probed = Some((sent, longer));
        self.loss.on_probe_answered(in_a_row);
        self.estimate.loss_until = self.loss.believed_until();
    }

    /// What a scheduler may count on, bytes a second.
    fn usable_rate(&self, srtt: Option<Duration>, idle: bool) -> f64 {
        let first = FIRST_WINDOW / known(srtt).as_secs_f64();
        match self.rate.capacity() {
            // What was its limit is none now.
            Some(rate) if self.rate.is_measured() && idle && self.rate.latest() > NEARLY * rate => {
                (rate * PROBING_GAIN).max(first / 4.0)
            }
            Some(rate) if self.rate.is_measured() || self.loss.congestive() > OVERFLOW => {
                rate.max(first / 4.0)
            }
            Some(rate) => (rate * STARTUP_GAIN).max(first),
            None => first,
        }
    }

    /// Time has passed: what stood in its queue leaves, whether that is told or not.
    pub fn expire(&mut self, now: Time) {
        self.bottleneck.expire(now, self.rate.capacity().unwrap_or(0.0));
    }

    /// What the path is to be given at most, bytes a second of what reports count, so that what waits waits here and not in
    /// the path's own queue. `None` while its limit was not seen, or is beyond what is worth shaping.
    #[must_use]
    pub fn bottleneck(&self) -> Option<f64> {
        self.bottleneck.given()
    }

    fn follow_bottleneck(&mut self, now: Time, uncertain: Duration, srtt: Option<Duration>) {
        let packets = self.workers.iter().fold(0u64, |all, w| all.saturating_add(w.packets));
        let (least, first) = KNOWN_AFTER[usize::from(self.delay.jitter() > STEADY)];
        let known = packets >= least && self.first.is_some_and(|at| now.since(at) >= first);
        let (least, stood, long) = CERTAIN;
        self.long_since = (self.delay.standing() >= long).then(|| self.long_since.unwrap_or(now));
        let certain = self.long_since.is_some_and(|since| now.since(since) >= stood);
        // Once it is kept to, nothing stands any more.
        let kept = self.bottleneck.given().is_some();
        let known = known || packets >= least && (certain || kept);
        let rate = self.rate.capacity().filter(|&r| self.rate.is_measured() && r < MOST_SHAPED);
        let Some(capacity) = rate.filter(|_| known) else {
            self.bottleneck.release();
            return;
        };
        let seen = Seen {
            capacity,
            latest: self.rate.latest(),
            standing: self.delay.standing(),
            uncertain,
            srtt: srtt.unwrap_or(NO_RTT),
        };
        if let Some(Finding::Longer(rate)) = self.bottleneck.follow(now, &seen) {
            self.delay.rebase(now);
            self.rate.restore(rate);
        }
    }

    /// The part that `headers` bytes a packet add to what it carries.
    #[must_use]
    pub fn share_of(&self, headers: u16) -> f64 {
        self.size.share_of(headers)
    }

    /// If a queue stands that is long: the round trip through it.
    #[must_use]
    pub fn long_queue(&self, min_rtt: Duration) -> Option<Duration> {
        let long = (min_rtt * 3 / 4).clamp(LEAST_LONG, MOST_LONG);
        let e = &self.estimate;
        (self.filled && e.standing > long + e.threshold).then(|| min_rtt + e.standing)
    }

    /// For schedulers.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// What it delivers at most as far as known, bytes a second.
    #[must_use]
    pub fn capacity(&self) -> Option<f64> {
        self.rate.capacity()
    }

    /// The share lost at random, and that lost to full queues, as far as that is believed at `now`.
    #[must_use]
    pub fn losses(&self, now: Time) -> (f64, f64) {
        let believed = self.loss.believed_until().is_some_and(|until| now < until);
        let lately = now.since(self.estimate.at) < LATELY;
        (
            if believed { self.loss.random() } else { 0.0 },
            if lately { self.loss.congestive() } else { 0.0 },
        )
    }

    /// What stands in its queue at `now`: what was told, less what has left since.
    #[must_use]
    pub fn standing(&self, now: Time) -> Duration {
        self.delay.standing().saturating_sub(now.since(self.estimate.at))
    }

    /// The one-way delay.
    #[must_use]
    pub fn delay(&self) -> &OneWayDelay {
        &self.delay
    }
}

/// A round-trip time to divide by.
fn known(srtt: Option<Duration>) -> Duration {
    srtt.unwrap_or(Duration::from_millis(100)).max(Duration::from_millis(2))
}

#[cfg(test)]
mod tests;
