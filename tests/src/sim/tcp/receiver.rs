//! The receiving half: what has come, and when that is told. In bytes, from 1: 0 is the SYN.

use super::segment::MAX_BLOCKS;
use mpt_core::Time;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

/// An ACK waits for a second segment, but not for longer.
const DELAY: Duration = Duration::from_millis(40);

/// Places of which SACK tells are remembered.
const RECENT: usize = 8;

/// An ACK as it is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub next: u64,
    pub blocks: Vec<Range<u64>>,
    pub echo: u32,
}

#[derive(Debug)]
pub(super) struct Receiver {
    /// The first byte that has not come.
    next: u64,
    /// What came behind it: from, to.
    held: BTreeMap<u64, u64>,
    /// Where the last segments that are held came, the last one first.
    recent: VecDeque<u64>,
    /// RFC 7323: of the first segment that no ACK has told of.
    echo: u32,
    told: u64,
    untold: u32,
    ack_by: Option<Time>,
    answers: VecDeque<Answer>,
}

impl Receiver {
    pub(super) fn new(echo: u32) -> Self {
        Self {
            next: 1,
            held: BTreeMap::new(),
            recent: VecDeque::new(),
            echo,
            told: 1,
            untold: 0,
            ack_by: None,
            answers: VecDeque::new(),
        }
    }

    /// Bytes that have come without a gap.
    pub(super) const fn read(&self) -> u64 {
        self.next - 1
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn on_segment(&mut self, now: Time, seq: u64, len: u64, stamp: u32) {
        let end = seq + len;
        if seq <= self.told && stamp.wrapping_sub(self.echo) < u32::MAX / 2 {
            self.echo = stamp;
        }
        if end <= self.next || self.is_held(seq, end) {
            // RFC 2883: the first block is what came twice.
            let twice = seq..end;
            return self.answer(Some(twice));
        }
        let gaps = !self.held.is_empty();
        if seq > self.next {
            self.hold(seq, end);
            return self.answer(None);
        }
        self.next = end;
        while let Some((&from, &to)) = self.held.first_key_value() {
            if from > self.next {
                break;
            }
            self.next = self.next.max(to);
            self.held.pop_first();
        }
        self.untold += 1;
        if gaps || self.untold >= 2 {
            self.answer(None);
        } else {
            self.ack_by = Some(now + DELAY);
        }
    }

    fn is_held(&self, seq: u64, end: u64) -> bool {
        self.held.range(..=seq).next_back().is_some_and(|(_, &to)| to >= end)
    }

    fn hold(&mut self, seq: u64, end: u64) {
        let (mut from, mut to) = (seq, end);
        if let Some((&f, &t)) = self.held.range(..=seq).next_back().filter(|(_, t)| **t >= seq) {
            (from, to) = (f, to.max(t));
        }
        while let Some((&f, &t)) = self.held.range(from..).next().filter(|(f, _)| **f <= to) {
            to = to.max(t);
            self.held.remove(&f);
        }
        self.held.insert(from, to);
        self.recent.push_front(seq);
        self.recent.truncate(RECENT);
    }

    fn answer(&mut self, twice: Option<Range<u64>>) {
        let mut blocks: Vec<Range<u64>> = Vec::new();
        for &place in &self.recent {
            let around = self.held.range(..=place).next_back().filter(|(_, to)| **to > place);
            if let Some((&from, &to)) = around
                && !blocks.contains(&(from..to))
            {
                blocks.push(from..to);
            }
        }
        blocks.splice(..0, twice);
        blocks.truncate(MAX_BLOCKS);
        self.answers.push_back(Answer { next: self.next, blocks, echo: self.echo });
        (self.untold, self.ack_by, self.told) = (0, None, self.next);
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        if self.answers.is_empty() { self.ack_by } else { Some(Time::ZERO) }
    }

    /// The ACK that leaves now.
    pub(super) fn poll(&mut self, now: Time) -> Option<Answer> {
        if self.ack_by.is_some_and(|at| at <= now) {
            self.answer(None);
        }
        self.answers.pop_front()
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a single block")]
mod tests {
    use super::*;

    #[test]
    fn every_second_segment_is_answered_or_after_a_while_or_at_once() {
        let mut r = Receiver::new(0);
        let now = Time::from_millis(1);
        r.on_segment(now, 1, 100, 10);
        assert_eq!((r.poll(now), r.next_timeout()), (None, Some(now + DELAY)));
        r.on_segment(now, 101, 100, 11);
        // The echo is the first one's.
        assert_eq!(r.poll(now), Some(Answer { next: 201, blocks: vec![], echo: 10 }));
        r.on_segment(now, 201, 100, 12);
        assert_eq!(r.poll(now + DELAY).map(|a| a.next), Some(301));

        for (seq, blocks) in
            [(401, vec![401..501]), (601, vec![601..701, 401..501]), (501, vec![401..701])]
        {
            r.on_segment(now, seq, 100, 20);
            assert_eq!(r.poll(now).map(|a| (a.next, a.blocks)), Some((301, blocks)));
        }
        r.on_segment(now, 501, 100, 21);
        assert_eq!(r.poll(now).map(|a| a.blocks), Some(vec![501..601, 401..701]));
        r.on_segment(now, 301, 100, 22);
        assert_eq!(r.poll(now), Some(Answer { next: 701, blocks: vec![], echo: 22 }));
        r.on_segment(now, 301, 100, 23);
        assert_eq!(r.poll(now).map(|a| a.blocks), Some(vec![301..401]));
    }
}
