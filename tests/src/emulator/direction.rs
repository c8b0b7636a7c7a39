//! One direction of an emulated link: the model, what is on its way, and the books.

use super::frame::{ETHERNET_HEADER, is_housekeeping};
use super::records::{Fate, FrameRecord, Timeline, WireCounters};
use crate::link::{Cause, Link, LinkProfile, Verdict};
use crate::sys::time::now;
use mpt_core::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Length of a timeline's bucket.
const BUCKET: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct DirectionState {
    pub(super) plugged: bool,
    pub(super) counters: WireCounters,
    pub(super) delivered: Timeline,
    pub(super) offered: Timeline,
    /// `None`: nobody asked for records.
    pub(super) records: Option<Vec<FrameRecord>>,
    /// Whole frames kept, and how many are still wanted.
    pub(super) captured: Vec<Vec<u8>>,
    pub(super) capture: usize,
    /// The receiving socket's count of frames it had no room for.
    pub(super) overflow: u32,
    link: Link,
    on_the_way: BinaryHeap<Reverse<Pending>>,
    sequence: u64,
    last_arrival: Time,
    /// Buffers for the next frames.
    spare: Vec<Vec<u8>>,
}

/// A frame on its way. Ordered by when it falls due, then by when it came.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pending {
    due: Time,
    sequence: u64,
    record: Option<usize>,
    counted: bool,
    pub(super) frame: Vec<u8>,
}

impl DirectionState {
    pub(super) fn new(profile: LinkProfile, seed: u64) -> Self {
        let start = now();
        Self {
            link: Link::new(profile, seed),
            plugged: true,
            counters: WireCounters::default(),
            delivered: Timeline::new(start, BUCKET),
            offered: Timeline::new(start, BUCKET),
            records: None,
            captured: Vec::new(),
            capture: 0,
            overflow: 0,
            on_the_way: BinaryHeap::new(),
            sequence: 0,
            last_arrival: start,
            spare: Vec::new(),
        }
    }

    pub(super) fn profile(&self) -> LinkProfile {
        *self.link.profile()
    }

    pub(super) fn set_profile(&mut self, profile: LinkProfile) {
        self.link.set_profile(profile);
    }

    /// Takes a frame that came at `at`.
    pub(super) fn accept(&mut self, frame: &[u8], at: Time) {
        if is_housekeeping(frame) {
            if self.plugged && !self.profile().blackhole {
                self.enqueue(frame, at, None, false);
            }
            return;
        }
        // The model wants time to go forward; stamps of two batches may overlap by microseconds.
        let at = at.max(self.last_arrival);
        self.last_arrival = at;
        let bytes = frame.len().saturating_sub(ETHERNET_HEADER);
        self.counters.offered_packets += 1;
        self.counters.offered_bytes += bytes as u64;
        self.offered.add(at, bytes as u64);
        if self.capture > 0 {
            self.capture -= 1;
            self.captured.push(frame.to_vec());
        }
        let fate = if !self.plugged {
            self.counters.unplugged += 1;
            Fate::Unplugged
        } else {
            match self.link.send(at, bytes) {
                Verdict::Deliver(due) => Fate::Delivered(due),
                Verdict::Drop(cause) => {
                    let counters = &mut self.counters;
                    *match cause {
                        Cause::Loss => &mut counters.lost,
                        Cause::Queue | Cause::Policer => &mut counters.queue_dropped,
                        Cause::Blackhole => &mut counters.blackholed,
                    } += 1;
                    Fate::Dropped(cause)
                }
            }
        };
        let record = self.records.as_mut().map(|records| {
            records.push(FrameRecord { offered: at, bytes: bytes as u32, fate });
            records.len() - 1
        });
        if let Fate::Delivered(due) = fate {
            self.enqueue(frame, due, record, true);
        }
    }

    /// Puts a frame on its way, past the model.
    pub(super) fn enqueue(
        &mut self,
        frame: &[u8],
        due: Time,
        record: Option<usize>,
        counted: bool,
    ) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(frame);
        let sequence = self.sequence;
        self.sequence += 1;
        self.on_the_way.push(Reverse(Pending { due, sequence, record, counted, frame: buffer }));
    }

    /// When the next frame falls due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.on_the_way.peek().map(|Reverse(p)| p.due)
    }

    /// The next frame that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Pending> {
        if self.next_due()? > now {
            return None;
        }
        self.on_the_way.pop().map(|Reverse(p)| p)
    }

    /// Books a frame that was put out, and keeps its buffer.
    pub(super) fn delivered(&mut self, pending: Pending) {
        if pending.counted {
            let bytes = pending.frame.len().saturating_sub(ETHERNET_HEADER) as u64;
            self.counters.delivered_packets += 1;
            self.counters.delivered_bytes += bytes;
            self.delivered.add(pending.due, bytes);
        }
        self.spare.push(pending.frame);
    }

    /// Books a frame the NAT did not let in, and keeps its buffer.
    pub(super) fn refused(&mut self, pending: Pending) {
        self.counters.nat_refused += 1;
        self.spare.push(pending.frame);
    }

    /// Loses what is on the way, and everything that comes until it is plugged in again.
    pub(super) fn unplug(&mut self) {
        self.plugged = false;
        for Reverse(pending) in self.on_the_way.drain() {
            self.counters.lost_in_flight += u64::from(pending.counted);
            if let (Some(index), Some(records)) = (pending.record, self.records.as_mut()) {
                records[index].fate = Fate::LostInFlight;
            }
            self.spare.push(pending.frame);
        }
    }
}
