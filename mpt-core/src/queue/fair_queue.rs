//! What waits for a limit: a queue a flow, in turn.

use super::blocks::{Blocks, NONE};
use super::{Codel, CodelTimes, Verdict};
use crate::inner::{Capability, mark_congestion};
use crate::policy::Treatment;
use crate::wire::HeaderFlags;
use crate::{Rate, Time, WorkerId};
use std::collections::VecDeque;
use std::time::Duration;

/// Queues.
const FLOWS: usize = 1_024;

/// Queues of which a flow has one: one that nobody has, if there is one. So flows share a queue only where this many meet (CAKE does
/// likewise); with one queue for each hash a call beside a hundred flows would share one with some of them one time in ten.
const WAYS: usize = 8;

const _: () = assert!(FLOWS.is_multiple_of(WAYS));

/// What a flow may send in its turn: a large packet (RFC 8290, section 5.2.4).
const QUANTUM: i32 = 1_514;

/// All that waits: what this time brings, within these bounds in bytes.
const CAP: Duration = Duration::from_millis(100);
const LEAST_CAP: usize = 64 << 10;
const GREATEST_CAP: usize = 4 << 20;

/// Memory may hold this many times the cap, which matters where packets are small.
const MEMORY_TIMES_CAP: usize = 2;

/// Nobody wants what waited for so long, because no path could carry it.
const STALE: Duration = Duration::from_secs(3);

// Flows and blocks of one peer, beside the packets.
const _: () = assert!(FLOWS * size_of::<Flow>() <= 80 << 10);

/// A packet that is to wait.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The packet.
    pub packet: &'a [u8],
    /// The hash of its flow.
    pub flow: u64,
    /// Who read it, and will number it.
    pub worker: WorkerId,
    /// What its header will say of its checksum.
    pub flags: HeaderFlags,
    /// Its TOS or traffic class.
    pub tos: u8,
    /// What is done with it.
    pub treatment: Treatment,
}

/// The packet whose turn it is.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    /// Since when it has been waiting.
    pub since: Time,
    /// Its bytes.
    pub len: usize,
    /// The hash of its flow.
    pub flow: u64,
    /// Who read it, and numbers it.
    pub worker: WorkerId,
    /// What its header says of its checksum.
    pub flags: HeaderFlags,
    /// Its TOS or traffic class, with the mark it got.
    pub tos: u8,
    /// What is done with it.
    pub treatment: Treatment,
}

/// What became of packets that did not go as they came.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Dropped because all that waits passed the cap.
    pub overflow: u64,
    /// Dropped because packets waited too long.
    pub delay: u64,
    /// Marked because packets waited too long.
    pub marked: u64,
}

/// The queue, as the [module](super) tells.
///
/// Fed with [`push`](Self::push); drained by [`front`](Self::front), then [`copy_front`](Self::copy_front) and
/// [`remove_front`](Self::remove_front), or [`pass_over`](Self::pass_over) where it may not go now; in the end
/// [`take_back`](Self::take_back).
#[derive(Debug)]
pub struct FairQueue {
    blocks: Blocks,
    /// By their first block.
    packets: Vec<Packet>,
    flows: Box<[Flow]>,
    /// Flows that began to queue.
    new: VecDeque<u16>,
    /// The others that queue.
    old: VecDeque<u16>,
    /// The flow of the front, which is the first of `new`, or else of `old`.
    chosen: Option<u16>,
    /// Flows whose turn it is, but whose packet may not go now, and whether they were `new`.
    passed_over: Vec<(u16, bool)>,
    /// The flow that had most bytes when that was looked up last, and half of what it had.
    fattest: (u16, u32),
    times: CodelTimes,
    rate: Option<Rate>,
    cap: usize,
    waiting: usize,
    bytes: usize,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    at: Time,
    flow: u64,
    /// The packet behind it in its flow.
    next: u32,
    len: u32,
    worker: WorkerId,
    flags: HeaderFlags,
    tos: u8,
    treatment: Treatment,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    /// Its hash.
    flow: u64,
    head: u32,
    tail: u32,
    bytes: u32,
    deficit: i32,
    in_new: bool,
    in_old: bool,
    codel: Codel,
}

impl Flow {
    /// Nobody's.
    const IDLE: Self = Self {
        flow: 0,
        head: NONE,
        tail: NONE,
        bytes: 0,
        deficit: 0,
        in_new: false,
        in_old: false,
        codel: Codel::IDLE,
    };

    /// Whether nothing waits there, and it has no turn any more.
    const fn is_idle(&self) -> bool {
        self.head == NONE && !self.in_new && !self.in_old
    }
}

impl FairQueue {
    /// An empty queue that drains at `rate`, for flows with this round-trip time.
    #[must_use]
    pub fn new(rate: Option<Rate>, rtt: Duration) -> Self {
        let mut queue = Self {
            blocks: Blocks::new(),
            packets: Vec::new(),
            flows: vec![Flow::IDLE; FLOWS].into_boxed_slice(),
            new: VecDeque::with_capacity(FLOWS),
            old: VecDeque::with_capacity(FLOWS),
            chosen: None,
            passed_over: Vec::new(),
            fattest: (0, 0),
            times: CodelTimes::new(rate, rtt),
            rate,
            cap: 0,
            waiting: 0,
            bytes: 0,
            counts: Counts::default(),
        };
        queue.follow(rate, rtt);
        queue
    }

    /// The rate at which it drains, where there is a limit to that, or the round-trip time changed.
    pub fn follow(&mut self, rate: Option<Rate>, rtt: Duration) {
        self.times = CodelTimes::new(rate, rtt);
        self.rate = rate;
        let bytes = |rate: Rate| rate.bytes_per_second() as f64 * CAP.as_secs_f64();
        let cap = rate.map_or(GREATEST_CAP, |rate| bytes(rate) as usize);
        self.cap = cap.clamp(LEAST_CAP, GREATEST_CAP);
    }

    /// Its rate is one that nobody set, until [`follow`](Self::follow) is told something again.
    pub fn follow_estimate(&mut self, rtt: Duration) {
        self.times = self.times.filled_by_one(rtt);
    }

    /// Flows come in bursts of this length, until [`follow`](Self::follow) is told something again.
    pub fn follow_bursts(&mut self, bursts: Duration) {
        self.times = self.times.lengthened(bursts);
        // As much more may wait, or what is full would be found before what waits too long.
        let longer = 1.0 + bursts.as_secs_f64() / CAP.as_secs_f64();
        self.cap = ((self.cap as f64 * longer) as usize).min(GREATEST_CAP);
    }

    /// Flows may find more in a moment: their round-trip time is worth waiting, and `more`, until [`follow`](Self::follow) is told
    /// something again.
    pub fn follow_growth(&mut self, rtt: Duration, more: Duration) {
        self.times = self.times.with_room_to_grow(rtt, more);
        if let Some(rate) = self.rate {
            let holds = self.cap as f64 / rate.bytes_per_second() as f64;
            self.times = self.times.within(Duration::from_secs_f64(holds));
        }
    }

    /// How long packets may wait.
    #[cfg(test)]
    pub(super) const fn times(&self) -> CodelTimes {
        self.times
    }

    /// A packet waits from now on. Others may be dropped for it.
    pub fn push(&mut self, now: Time, arrival: &Arrival<'_>) {
        let Arrival { packet, flow, worker, flags, tos, treatment } = *arrival;
        self.make_room(packet.len());
        let id = self.blocks.put(packet);
        let entry = Packet {
            at: now,
            flow,
            next: NONE,
            len: packet.len() as u32,
            worker,
            flags,
            tos,
            treatment,
        };
        if self.packets.len() < self.blocks.len() {
            self.packets.resize(self.blocks.len(), entry);
        }
        self.packets[id as usize] = entry;
        let bucket = self.queue_of(flow);
        let queue = &mut self.flows[usize::from(bucket)];
        queue.bytes += packet.len() as u32;
        match std::mem::replace(&mut queue.tail, id) {
            NONE => {
                queue.head = id;
                self.list(bucket);
            }
            before => self.packets[before as usize].next = id,
        }
        self.waiting += 1;
        self.bytes += packet.len();
    }

    /// The packet whose turn it is; the same until it is removed.
    pub fn front(&mut self, now: Time) -> Option<Front> {
        if self.chosen.is_none() {
            self.chosen = self.choose(now);
        }
        let head = self.flows[usize::from(self.chosen?)].head;
        let Packet { at, flow, len, worker, flags, tos, treatment, .. } =
            self.packets[head as usize];
        Some(Front { since: at, len: len as usize, flow, worker, flags, tos, treatment })
    }

    /// Writes the front, as it is to be sent, into `out`, which has its length.
    ///
    /// # Panics
    /// When there is none.
    pub fn copy_front(&self, out: &mut [u8]) {
        let chosen = self.chosen.expect("there is a front");
        self.blocks.copy(self.flows[usize::from(chosen)].head, out);
    }

    /// The front went.
    pub fn remove_front(&mut self) {
        if let Some(flow) = self.chosen.take() {
            let len = self.packets[self.flows[usize::from(flow)].head as usize].len;
            self.drop_head(flow);
            self.flows[usize::from(flow)].deficit -= len as i32;
        }
    }

    /// The front may not go now: it is the others' turn, until [`take_back`](Self::take_back).
    pub fn pass_over(&mut self) {
        let Some(flow) = self.chosen.take() else { return };
        let is_new = self.new.front() == Some(&flow);
        let list = if is_new { &mut self.new } else { &mut self.old };
        debug_assert_eq!(list.front(), Some(&flow));
        if list.pop_front().is_some() {
            self.passed_over.push((flow, is_new));
        }
    }

    /// Who was passed over is next, as before.
    pub fn take_back(&mut self) {
        if !self.passed_over.is_empty() {
            // Who was chosen meanwhile is behind them.
            self.chosen = None;
        }
        while let Some((flow, was_new)) = self.passed_over.pop() {
            if was_new { &mut self.new } else { &mut self.old }.push_front(flow);
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Packets that wait.
    #[must_use]
    pub const fn packets(&self) -> usize {
        self.waiting
    }

    /// Bytes that wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Most bytes that may wait.
    #[must_use]
    pub const fn cap(&self) -> usize {
        self.cap
    }

    /// What was counted since the last time.
    #[must_use]
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// The queue that a flow has, which may become its own.
    fn queue_of(&mut self, flow: u64) -> u16 {
        // The hash is keyed; any of its bits will do.
        let first = flow as usize % (FLOWS / WAYS) * WAYS;
        let ways = &mut self.flows[first..first + WAYS];
        let own = ways.iter().position(|queue| queue.flow == flow);
        let way = own.or_else(|| {
            let idle = ways.iter().position(Flow::is_idle)?;
            ways[idle] = Flow { flow, ..Flow::IDLE };
            Some(idle)
        });
        (first + way.unwrap_or((flow >> 32) as usize % WAYS)) as u16
    }

    /// The flow has something again. It goes first if it had all it may, or has some of that left: beside many
    /// flows a call's packets come faster than the old ones' turns, and would wait for one whenever they do.
    fn list(&mut self, flow: u16) {
        let queue = &mut self.flows[usize::from(flow)];
        if queue.in_new {
            return;
        }
        if !queue.in_old {
            queue.deficit = QUANTUM;
        }
        if queue.deficit > 0 {
            queue.in_new = true;
            self.new.push_back(flow);
        }
    }

    fn make_room(&mut self, len: usize) {
        let most_blocks = Blocks::needed(MEMORY_TIMES_CAP * self.cap);
        let needed = Blocks::needed(len);
        while self.bytes + len > self.cap || self.blocks.used() + needed > most_blocks {
            let fattest = self.fattest();
            if !self.drop_head(fattest) {
                return;
            }
            self.counts.overflow += 1;
        }
    }

    /// RFC 8290, section 4.2: new flows first, each with what it may send in its turn; what waited too long is
    /// dropped on the way.
    fn choose(&mut self, now: Time) -> Option<u16> {
        loop {
            let is_new = !self.new.is_empty();
            let flow = *self.new.front().or(self.old.front())?;
            let has_some = self.flows[usize::from(flow)].deficit > 0;
            if has_some && self.passes(now, flow) {
                return Some(flow);
            }
            if !has_some {
                self.flows[usize::from(flow)].deficit += QUANTUM;
            }
            // A flow that was new has a turn among the old ones even when it is empty: if it came back as new at
            // once, it would starve them.
            let stays = !has_some || is_new && !self.old.is_empty();
            let queue = &mut self.flows[usize::from(flow)];
            if is_new {
                self.new.pop_front();
                queue.in_new = false;
                if queue.in_old {
                    // Its turn is to come.
                    continue;
                }
            } else {
                self.old.pop_front();
            }
            queue.in_old = stays;
            if stays {
                self.old.push_back(flow);
            }
        }
    }

    /// Whether the flow has a packet that may go.
    fn passes(&mut self, now: Time, flow: u16) -> bool {
        let at = usize::from(flow);
        while self.flows[at].head != NONE {
            let head = self.flows[at].head;
            let packet = &mut self.packets[head as usize];
            let sojourn = now.since(packet.at);
            let behind = (self.flows[at].bytes - packet.len) as usize;
            let verdict = self.flows[at].codel.judge(now, sojourn, behind, self.times);
            if sojourn < STALE {
                if verdict == Verdict::Pass {
                    return true;
                }
                let header = self.blocks.head(head, packet.len as usize);
                if mark_congestion(header) == Capability::Capable {
                    packet.tos |= CE;
                    self.counts.marked += 1;
                    return true;
                }
            }
            self.counts.delay += 1;
            self.drop_head(flow);
        }
        false
    }

    /// Forgets the flow's oldest packet; whether it had one.
    fn drop_head(&mut self, flow: u16) -> bool {
        let queue = &mut self.flows[usize::from(flow)];
        let head = queue.head;
        if head == NONE {
            return false;
        }
        let Packet { next, len, .. } = self.packets[head as usize];
        queue.head = next;
        queue.bytes -= len;
        if next == NONE {
            queue.tail = NONE;
            self.chosen.take_if(|chosen| *chosen == flow);
        }
        self.blocks.release(head);
        self.waiting -= 1;
        self.bytes -= len as usize;
        true
    }

    /// The flow with most bytes, or one that had most and still has half of that: looking through all of them for
    /// each packet of a flood would cost more than the packet.
    fn fattest(&mut self) -> u16 {
        let (flow, least) = self.fattest;
        if least > 0 && self.flows[usize::from(flow)].bytes >= least {
            return flow;
        }
        let most = self.flows.iter().enumerate().max_by_key(|(_, flow)| flow.bytes);
        self.fattest = most.map_or((0, 0), |(i, flow)| (i as u16, flow.bytes / 2));
        self.fattest.0
    }
}

/// Both ECN bits: congestion experienced.
const CE: u8 = 3;
