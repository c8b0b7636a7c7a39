//! Rate limits: the queue in front of paths that have some.
//!
//! While a path of the peer has a limit, every packet goes through the [`FairQueue`], and most leave it at
//! once. It stands before step 3 of [`send`](super::send): packets that wait have no number, so that nothing is out
//! of order or missing when one is dropped; and a packet keeps the worker that read it, whoever sends it. Super-packets are
//! cut before they wait, so that nothing waits behind more than a packet.
//!
//! What is not data never waits, and neither does what is sent again; both are paid for.

use super::absence::Absence;
use super::path_limit::LimitSource;
use super::send::Batch;
use super::{Outgoing, Path, Peer};
use crate::control::QueueStatus;
use crate::inner::{Segments, Split};
use crate::policy::{Route, Treatment};
use crate::queue::{Arrival, Counts, FairQueue};
use crate::schedule::{PathView, Tokens};
use crate::wire::HeaderFlags;
use crate::{DropReason, Outbox, Rate, Time, WorkerId};
use std::time::Duration;

/// A queue that did not overflow for so long does not any more.
const OVERFLOWED: Duration = Duration::from_millis(300);

/// A burst is as long as the latest of some dozen packets are late; less jitter than this makes none.
const BURST_JITTERS: u32 = 2;
const STEADY: Duration = Duration::from_micros(800);
const MOST_BURST: Duration = Duration::from_millis(50);

/// With so many losses something waits for a repair at most times, …
const LOSES: f64 = 0.002;

/// … and a burst is as long as that takes, up to this.
const MOST_STALL: Duration = Duration::from_millis(100);

/// The queue, while there are limits.
#[derive(Debug, Default)]
pub(super) struct Shaper {
    queue: Option<Box<FairQueue>>,
    /// When tokens come back that something waits for.
    wake: Option<Time>,
    marked: u64,
    absence: Absence,
    /// Since when the queue has been overflowing, and when it did so last.
    overflowing: Option<(Time, Time)>,
    /// While the queue is being drained: whether something is in it still.
    draining: bool,
    /// A segment on its way into the queue.
    segment: Vec<u8>,
}

impl Shaper {
    /// Whether packets go through the queue.
    #[inline]
    pub(super) const fn is_active(&self) -> bool {
        self.queue.is_some()
    }

    /// Since when the queue has been overflowing again and again: whoever fills it does not slow down.
    pub(super) fn overflowing_since(&self, now: Time) -> Option<Time> {
        self.overflowing.filter(|(_, last)| now.since(*last) < OVERFLOWED).map(|(since, _)| since)
    }

    fn note_overflow(&mut self, now: Time) {
        let since = self.overflowing_since(now).unwrap_or(now);
        self.overflowing = Some((since, now));
    }

    pub(super) const fn poll_timeout(&self) -> Option<Time> {
        self.wake
    }
}

impl Peer {
    /// Whether something waits for tokens.
    pub fn has_queue(&self) -> bool {
        self.shaper.wake.is_some()
    }

    /// Whether packets wait for tokens.
    pub(super) fn is_holding_back(&self) -> bool {
        self.shaper.draining || self.shaper.queue.as_ref().is_some_and(|q| !q.is_empty())
    }

    /// The queue comes with the first limit and goes with the last, once it is empty.
    pub(super) fn tick_limits(&mut self, now: Time) {
        self.paths.iter_mut().flatten().for_each(|p| p.expire_bottleneck(now));
        let limited = self.paths.iter().flatten().any(|p| p.pacer.is_some());
        if !limited && self.shaper.queue.as_ref().is_none_or(|q| q.is_empty()) {
            if self.shaper.queue.take().is_some() {
                self.views.iter_mut().for_each(|v| v.tokens = Tokens::Left);
            }
            return;
        }
        let (rate, rtt, bursts) = (self.drain_rate(), self.slowest_rtt(), self.bursts(now));
        let mut limits = self.paths.iter().flatten().filter_map(|p| p.limit());
        let estimated = limits.all(|(_, source)| source == LimitSource::Estimate);
        let queue = match &mut self.shaper.queue {
            Some(queue) => {
                queue.follow(rate, rtt);
                queue
            }
            queue => queue.insert(Box::new(FairQueue::new(rate, rtt))),
        };
        let best = self.views.iter().map(|v| v.rank).min();
        let in_use = self.views.iter().filter(|v| Some(v.rank) == best).count();
        let absent = self.shaper.absence.follow(now, in_use);
        if estimated {
            queue.follow_estimate(rtt);
            queue.follow_bursts(bursts.max(absent));
            queue.follow_growth(rtt, absent);
        } else {
            queue.follow_bursts(bursts);
        }
    }

    /// Sends `outgoing` after what waits already, or has it wait.
    ///
    /// # Errors
    /// Why it was dropped, as a whole.
    pub(super) fn send_in_turn(
        &mut self,
        now: Time,
        worker: WorkerId,
        outgoing: &Outgoing<'_>,
        treatment: Treatment,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let Outgoing { packet, offload, inner, flow, .. } = *outgoing;
        let tos = inner.tos();
        if offload.segments == Segments::One {
            let flags = HeaderFlags::of(offload.checksum);
            self.enqueue(now, &Arrival { packet, flow, worker, flags, tos, treatment });
            self.drain_queue(now, out);
            return Ok(());
        }
        let split = Split::new(packet, &offload, &inner).map_err(|_| DropReason::BadSuperPacket)?;
        let (header, payload) = (split.header_len(), split.payload_len());
        let full = usize::from(split.segment_size());
        let size = Batch::begin(self, now, worker, tos, flow, treatment).fitting(
            header,
            full,
            split.is_tcp(),
        );
        let mut segment = std::mem::take(&mut self.shaper.segment);
        for (index, at) in (0..payload).step_by(size).enumerate() {
            let range = at..payload.min(at + size);
            segment.resize(header + range.len(), 0);
            split.write(packet, index as u16, range, &mut segment);
            let flags = HeaderFlags::PARTIAL_CHECKSUM;
            self.enqueue(now, &Arrival { packet: &segment, flow, worker, flags, tos, treatment });
            // One by one: what may go at once is not to overflow the queue.
            self.drain_queue(now, out);
        }
        self.shaper.segment = segment;
        Ok(())
    }

    /// Sends what waits, as far as tokens go.
    pub(super) fn drain_queue(&mut self, now: Time, out: &mut Outbox) {
        self.shaper.wake = None;
        let Some(mut queue) = self.shaper.queue.take_if(|q| !q.is_empty()) else { return };
        let session = self.sessions.current().filter(|slot| !slot.session.expired(now));
        if session.is_some() {
            while self.follow_tokens(now) {
                let Some(front) = queue.front(now) else { break };
                let (worker, treatment) = (front.worker, front.treatment);
                let spread = treatment.route == Route::Spread;
                self.scheduler.on_wait(now, now.since(front.since), spread);
                // What came before that was needed.
                let protects = self.begin_protection(worker, treatment);
                let mut batch = Batch::begin(self, now, worker, front.tos, front.flow, treatment);
                batch.flags = front.flags;
                batch.waited = now.since(front.since);
                let sent = match batch.pick(front.len) {
                    Ok((path, fragment)) => {
                        batch.emit(path, fragment, front.len, out, |to| queue.copy_front(to))
                    }
                    // It is pinned to a path without tokens, or those that have some are too small for it.
                    Err(DropReason::QueueFull) => {
                        queue.pass_over();
                        continue;
                    }
                    Err(reason) => Err(reason),
                };
                queue.remove_front();
                self.shaper.draining = !queue.is_empty();
                match sent {
                    Ok(()) if protects => self.send_parities(now, worker, out),
                    Ok(()) => {}
                    Err(reason) => self.drops.count(reason),
                }
            }
            self.shaper.draining = false;
            queue.take_back();
            if !queue.is_empty() {
                self.shaper.wake = self.next_tokens();
            }
        }
        let Counts { overflow, delay, marked } = queue.take_counts();
        self.drops.add(DropReason::QueueFull, overflow);
        if overflow > 0 {
            self.shaper.note_overflow(now);
        }
        self.drops.add(DropReason::QueueDelay, delay);
        self.shaper.marked += marked;
        self.shaper.queue = Some(queue);
    }

    pub(super) fn queue_status(&self) -> QueueStatus {
        let queue = self.shaper.queue.as_ref();
        QueueStatus {
            packets: queue.map_or(0, |q| q.packets() as u64),
            bytes: queue.map_or(0, |q| q.bytes() as u64),
            capacity: queue.map_or(0, |q| q.cap() as u64),
            dropped_delay: self.drops.get(DropReason::QueueDelay),
            dropped_full: self.drops.get(DropReason::QueueFull),
            marked: self.shaper.marked,
        }
    }

    fn enqueue(&mut self, now: Time, arrival: &Arrival<'_>) {
        if let Some(queue) = &mut self.shaper.queue {
            queue.push(now, arrival);
        }
    }

    /// Tells the schedulers which paths have tokens; whether one of the best does.
    fn follow_tokens(&mut self, now: Time) -> bool {
        let best = self.views.iter().map(|v| v.rank).min();
        let mut any = false;
        for view in &mut self.views {
            let path = self.paths[view.id.index()].as_mut();
            let mut pacer = path.and_then(|p| p.pacer.as_mut());
            let ready = pacer.as_mut().is_none_or(|p| p.ready(now).is_ok());
            view.tokens = if ready { Tokens::Left } else { Tokens::Spent };
            view.wait = match pacer {
                Some(pacer) if !ready => pacer.wait(now),
                _ => Duration::ZERO,
            };
            any |= ready && Some(view.rank) == best;
        }
        any
    }

    /// When the first of the paths has tokens again.
    fn next_tokens(&self) -> Option<Time> {
        let spent = self.views.iter().filter(|v| v.tokens == Tokens::Spent);
        let pacers = spent.filter_map(|v| self.paths[v.id.index()].as_ref()?.pacer.as_ref());
        pacers.map(|p| p.refused_until()).min()
    }

    /// How fast the queue drains through those of the paths in use that have a limit: what waits does so for one of them. `None` where
    /// none has.
    fn drain_rate(&self) -> Option<Rate> {
        let best = self.views.iter().map(|v| v.rank).min()?;
        let limits = self.used().filter(|v| v.rank == best).filter_map(|v| v.limit);
        let bits: u64 = limits.map(Rate::bits_per_second).sum();
        (bits > 0).then(|| Rate::nearest_to_bits(bits))
    }

    /// Behind a path with jitter, or one that loses what is then sent again, a receiver that restores order delivers in bursts, which
    /// acknowledgements bring back here. A limit that somebody set is kept to as it is.
    fn bursts(&self, now: Time) -> Duration {
        let estimated = |p: &Path| matches!(p.limit(), Some((_, LimitSource::Estimate)));
        let used = || self.used().filter_map(|v| self.paths[v.id.index()].as_deref());
        let paths = || used().filter(|p| estimated(p));
        let most = paths().map(|p| p.model.delay().jitter()).max().unwrap_or_default();
        let late =
            if most < STEADY { Duration::ZERO } else { (most * BURST_JITTERS).min(MOST_BURST) };
        let repairs = self.send_workers.iter().any(|w| w.repairer.is_some());
        let loses = repairs && paths().any(|p| p.model.losses(now).0 > LOSES);
        // What waits for a packet that is sent again waits for a round trip and more.
        if loses { late.max(self.slowest_rtt().min(MOST_STALL)) } else { late }
    }

    fn slowest_rtt(&self) -> Duration {
        self.used().map(|v| v.srtt).max().unwrap_or_default()
    }

    /// The paths that a flow is spread over which fills one: for others nothing waits.
    fn used(&self) -> impl Iterator<Item = &PathView> {
        let over = self.scheduler.spreads_over().filter(|&over| over != 0);
        self.views.iter().filter(move |v| over.is_none_or(|over| over & v.id.bit() != 0))
    }
}
