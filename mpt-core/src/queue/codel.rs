//! Controlled delay (RFC 8289): drops when packets have waited too long for too long.

use crate::{Rate, Time};
use std::time::Duration;

/// Bytes of a large packet. A queue that holds no more behind the packet judged is never too long.
const PACKET: u64 = 1_500;

/// A queue that was too long less than this many intervals ago begins where it left off.
const LATELY: u32 = 16;

/// No flow is to be kept waiting longer than this to fill what it has, …
const MOST_TO_FILL: Duration = Duration::from_millis(40);

/// … or what it may have in a moment.
const MOST_TO_GROW: Duration = Duration::from_millis(80);

/// How long packets may wait, and for how long they may wait longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodelTimes {
    /// Waiting so long is fine.
    pub target: Duration,
    /// Waiting longer is fine for so long: a flow takes a round trip to respond.
    pub interval: Duration,
}

impl CodelTimes {
    /// For a queue that drains at `rate`, of flows with this round-trip time: RFC 8289, sections 4.2 and 4.3. A
    /// packet and a half are to fit the target.
    #[must_use]
    pub fn new(rate: Option<Rate>, rtt: Duration) -> Self {
        let packet = |rate: Rate| PACKET as f64 * 1.5 / rate.bytes_per_second() as f64;
        let packets = rate.map_or(Duration::ZERO, |r| Duration::from_secs_f64(packet(r)));
        Self {
            target: packets.max(Duration::from_millis(5)),
            interval: rtt.max(Duration::from_millis(100)),
        }
    }

    /// For a rate that nobody set, which a single flow is to be able to fill: one that slows down to 0.7 (CUBIC, RFC 9438) leaves it idle if less
    /// than 0.43 round trips waited. RFC 8289 speaks of 5 to 10 % of a round trip, where many flows share a queue; here each has one of its
    /// own.
    #[must_use]
    pub fn filled_by_one(self, rtt: Duration) -> Self {
        Self { target: self.target.max((rtt / 2).min(MOST_TO_FILL)), ..self }
    }

    /// What waits a flow has at once when a path becomes longer or carries more, or another one comes; else it would be slow for as long
    /// as its window takes to grow, which are seconds. So as much as it has on the way may wait, and so much more. Not on top of what
    /// bursts make wait: where packets are lost TCP gets less the more of it waits.
    #[must_use]
    pub fn with_room_to_grow(self, rtt: Duration, more: Duration) -> Self {
        Self { target: self.target.max(rtt.min(MOST_TO_GROW) + more), ..self }
    }

    /// For a queue that holds no more than waits for so long: what waits too long is to be found before that.
    #[must_use]
    pub fn within(self, holds: Duration) -> Self {
        Self { target: self.target.min(holds * 4 / 5), ..self }
    }

    /// For flows that come in bursts of this length: as much may wait, and they respond so much later.
    #[must_use]
    pub fn lengthened(self, bursts: Duration) -> Self {
        Self { target: self.target + bursts, interval: self.interval + bursts * 2 }
    }
}

/// What is to become of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes.
    Pass,
    /// Its flow is to slow down: it is marked or dropped.
    Congested,
}

/// The state of one queue.
#[derive(Clone, Copy, Default, Debug)]
pub struct Codel {
    /// When packets will have waited too long for an interval, if they do now.
    above_until: Option<Time>,
    dropping: bool,
    /// When the next packet is dropped, while dropping; else when one would have been.
    next: Time,
    /// Packets dropped since dropping began.
    count: u32,
    /// What `count` was when dropping began last.
    began_with: u32,
}

impl Codel {
    /// Nothing has waited yet.
    pub(super) const IDLE: Self =
        Self { above_until: None, dropping: false, next: Time::ZERO, count: 0, began_with: 0 };

    /// Judges the packet at the head of the queue, which waited for `sojourn`; `behind` bytes are queued
    /// behind it.
    pub fn judge(
        &mut self,
        now: Time,
        sojourn: Duration,
        behind: usize,
        times: CodelTimes,
    ) -> Verdict {
        let too_long = self.too_long(now, sojourn, behind, times);
        if !too_long {
            self.dropping = false;
            return Verdict::Pass;
        }
        if self.dropping {
            if now < self.next {
                return Verdict::Pass;
            }
            self.count = self.count.saturating_add(1);
            self.next += self.pause(times);
            return Verdict::Congested;
        }
        self.dropping = true;
        // What was needed to control it the last time, if that was just now.
        let before = self.count - self.began_with;
        let lately = now.since(self.next) < times.interval * LATELY;
        self.count = if before > 1 && lately { before } else { 1 };
        self.began_with = self.count;
        self.next = now + self.pause(times);
        Verdict::Congested
    }

    /// Whether packets have waited longer than the target for an interval.
    fn too_long(&mut self, now: Time, sojourn: Duration, behind: usize, times: CodelTimes) -> bool {
        if sojourn < times.target || behind as u64 <= PACKET {
            self.above_until = None;
            return false;
        }
        match self.above_until {
            Some(until) => now >= until,
            None => {
                self.above_until = Some(now + times.interval);
                false
            }
        }
    }

    /// Drops come faster by the square root of their number, which raises the drop rate of a TCP linearly.
    fn pause(&self, times: CodelTimes) -> Duration {
        times.interval.div_f64(f64::from(self.count).sqrt())
    }
}
