//! Which flows are sparse, and which are answered by nobody.

use crate::Time;

/// Flows that share an entry count as one. 10 KiB, within any cache.
const ENTRIES: usize = 512;

/// Entries of which a flow has one: one that is nobody's, if there is one. So flows share one only where this many meet that are not idle.
const WAYS: usize = 4;

/// A flow that stays below this many bytes a second (1 Mbit/s) …
const RATE: u64 = 125_000;

/// … after its first so many is sparse: calls, games, DNS, and the beginning of everything.
const BURST: u32 = 16_000;

/// Beyond this a bucket does not fill: a flow that ends being busy is sparse again after half a second.
const MOST: u32 = BURST + 62_500;

/// A flow that was answered is so for this long: longer than the round trips of those that wait for answers.
const ANSWERED: u32 = 700;

/// A flow is young until it has sent so many bytes since it is busy: most of what people wait for on the web is shorter.
const YOUNG: u32 = 256_000;

/// A flow that waits for answers sends no more than a first window without any (RFC 6928; RFC 9002, section 7.2), however
/// long that takes: whoever is busy for so long without one waits for none.
const BUSY: u32 = 100;

/// What a flow needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// To arrive soon.
    Sparse,
    /// To be carried soon: it has only begun, and is perhaps over before a slower path has delivered anything.
    Young,
    /// To be carried; it is answered, and may slow down when it is not carried well.
    Busy,
    /// To be carried as it comes: nothing comes back from where it goes, so nothing can tell it to slow down.
    Unanswered,
}

/// Where a flow is counted.
enum Place {
    /// In its own entry.
    Own(usize),
    /// It may have this one.
    Idle(usize),
    /// With another one.
    Shared(usize),
}

/// Leaky buckets.
#[derive(Clone, Debug)]
pub(super) struct FlowTable {
    buckets: Box<[Bucket; ENTRIES]>,
}

/// Times are in units of 2^20 ns, about a millisecond, wrapping after 52 days.
#[derive(Clone, Copy, Default, Debug)]
struct Bucket {
    /// Bits of its flow's hash that did not choose it.
    tag: u32,
    at: u32,
    /// Not drained yet, bytes.
    level: u32,
    /// Busy since then.
    busy_since: u32,
    /// Sent since then, bytes.
    sent: u32,
    /// When something came back; 0: never.
    answered: u32,
}

impl Default for FlowTable {
    fn default() -> Self {
        Self { buckets: Box::new([Bucket::default(); ENTRIES]) }
    }
}

impl FlowTable {
    /// What kind of flow a packet of `bytes` belongs to. It is not counted before it goes. `watched`: answers are told.
    #[inline]
    pub(super) fn kind(&self, now: Time, flow: u64, bytes: usize, watched: bool) -> Kind {
        let tick = tick(now);
        let bucket = match self.find(tick, flow) {
            Place::Own(at) | Place::Shared(at) => self.buckets[at],
            Place::Idle(_) => Bucket::default(),
        };
        if bucket.filled(tick, bytes) <= BURST {
            Kind::Sparse
        } else if watched
            && bucket.filled(tick, 0) > BURST
            && tick.wrapping_sub(bucket.busy_since) >= BUSY
            && (bucket.answered == 0 || tick.wrapping_sub(bucket.answered) >= ANSWERED)
        {
            Kind::Unanswered
        } else if bucket.sent < YOUNG {
            Kind::Young
        } else {
            Kind::Busy
        }
    }

    /// The packet goes.
    #[inline]
    pub(super) fn count(&mut self, now: Time, flow: u64, bytes: usize) {
        let tick = tick(now);
        let bucket = self.bucket(tick, flow);
        let level = bucket.filled(tick, bytes);
        if bucket.filled(tick, 0) <= BURST && level > BURST {
            (bucket.busy_since, bucket.sent) = (tick, 0);
        }
        bucket.sent = bucket.sent.saturating_add(bytes as u32);
        (bucket.at, bucket.level) = (tick, level);
    }

    /// A packet came back, of the flow whose hash that way is `flow`.
    pub(super) fn on_answer(&mut self, now: Time, flow: u64) {
        let tick = tick(now);
        self.bucket(tick, flow).answered = tick.max(1);
    }

    /// Where a flow is counted.
    #[inline]
    fn find(&self, tick: u32, flow: u64) -> Place {
        // The high bits: the low ones choose the predecessor's bucket.
        let first = (flow >> 57) as usize % (ENTRIES / WAYS) * WAYS;
        let ways = &self.buckets[first..first + WAYS];
        if let Some(own) = ways.iter().position(|b| b.tag == tag(flow)) {
            return Place::Own(first + own);
        }
        match ways.iter().position(|b| b.filled(tick, 0) == 0) {
            Some(idle) => Place::Idle(first + idle),
            None => Place::Shared(first + flow as usize % WAYS),
        }
    }

    /// The same, which becomes its own if it is nobody's.
    #[inline]
    fn bucket(&mut self, tick: u32, flow: u64) -> &mut Bucket {
        match self.find(tick, flow) {
            Place::Own(at) | Place::Shared(at) => &mut self.buckets[at],
            Place::Idle(at) => {
                self.buckets[at] = Bucket { tag: tag(flow), ..Bucket::default() };
                &mut self.buckets[at]
            }
        }
    }
}

impl Bucket {
    /// The level with `bytes` more.
    fn filled(&self, tick: u32, bytes: usize) -> u32 {
        let drained = u64::from(tick.wrapping_sub(self.at)) * (RATE << 20) / 1_000_000_000;
        self.level
            .saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX))
            .saturating_add(bytes as u32)
            .min(MOST)
    }
}

/// Zero is an entry's that was never used.
fn tag(flow: u64) -> u32 {
    ((flow >> 25) as u32).max(1)
}

fn tick(now: Time) -> u32 {
    (now.as_nanos() >> 20) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet that goes at once; whether its flow is sparse.
    fn is_sparse(t: &mut FlowTable, now: Time, flow: u64, bytes: usize) -> bool {
        let kind = t.kind(now, flow, bytes, true);
        t.count(now, flow, bytes);
        kind == Kind::Sparse
    }

    #[test]
    fn a_call_is_sparse_and_a_download_is_not_but_for_its_start() {
        let mut t = FlowTable::default();
        for i in 0..2_000u64 {
            let now = Time::from_millis(i);
            if i % 20 == 0 {
                assert!(is_sparse(&mut t, now, 0, 200));
            }
            assert_eq!(is_sparse(&mut t, now, u64::MAX, 1_400), i < 11 || i < 12 && i > 10, "{i}");
        }
        assert!(!is_sparse(&mut t, Time::from_millis(2_300), u64::MAX, 1_400));
        assert!(is_sparse(&mut t, Time::from_millis(2_700), u64::MAX, 1_400));
    }

    #[test]
    fn a_call_beside_twenty_busy_flows_is_told_from_them() {
        let mut random = 7u64;
        let mut hash = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random ^ random.rotate_left(29)
        };
        for _ in 0..300 {
            let (call, busy) = (hash(), [(); 20].map(|()| hash()));
            let mut t = FlowTable::default();
            for i in 0..200u64 {
                let now = Time::from_millis(1_000 + i);
                for flow in busy {
                    assert!(is_sparse(&mut t, now, flow, 1_400) == (i < 12), "{i}");
                }
                assert!(i % 20 != 0 || is_sparse(&mut t, now, call, 200), "{i}");
            }
        }
    }

    #[test]
    fn a_flow_that_nobody_answers_is_told_from_one_that_is() {
        let mut t = FlowTable::default();
        let (stream, transfer) = (0, u64::MAX);
        for i in 1_000..4_000u64 {
            let now = Time::from_millis(i);
            if i % 600 == 0 || i == 1_000 {
                t.on_answer(now, transfer);
            }
            for flow in [stream, transfer] {
                t.count(now, flow, 1_400);
            }
            let kind = |flow| t.kind(now, flow, 1_400, true);
            assert!(i > 1_100 || kind(stream) != Kind::Unanswered, "{i}");
            assert!(i < 1_150 || kind(stream) == Kind::Unanswered, "{i}");
            assert_ne!(kind(transfer), Kind::Unanswered, "{i}");
        }
        let later = Time::from_millis(5_000);
        t.count(later, transfer, 40_000);
        t.count(later, transfer, 40_000);
        assert_eq!(t.kind(later, transfer, 1_400, true), Kind::Young, "it begins anew");
    }

    #[test]
    fn what_waits_and_is_asked_for_again_counts_once() {
        let mut t = FlowTable::default();
        for i in 0..1_000u64 {
            assert_eq!(t.kind(Time::from_millis(i), 7, 1_000, true), Kind::Sparse);
        }
        t.count(Time::from_millis(1_000), 7, 1_000);
        assert_eq!(t.kind(Time::from_millis(1_000), 7, 1_000, true), Kind::Sparse);
    }
}
