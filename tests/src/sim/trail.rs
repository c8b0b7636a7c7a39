//! What became of each packet of one direction of a flow: when it was sent, when it came, in which order.

use mpt_core::Time;
use std::time::Duration;

/// Packets in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    packets: Vec<Step>,
    highest: Option<usize>,
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// When it was sent.
    pub sent: Time,
    /// Its inner bytes.
    pub bytes: usize,
    /// When it came.
    pub came: Option<Time>,
    /// Whether it came after a later one.
    pub out_of_order: bool,
}

impl Step {
    /// How long it took.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        Some(self.came?.since(self.sent))
    }
}

impl Trail {
    /// A packet is sent; its number, of which the low 16 bits are to travel with it.
    pub fn on_sent(&mut self, now: Time, bytes: usize) -> u16 {
        self.packets.push(Step { sent: now, bytes, came: None, out_of_order: false });
        (self.packets.len() - 1) as u16
    }

    /// A packet came: the last that was sent with this number.
    pub fn on_came(&mut self, now: Time, number: u16) {
        let Some(last) = self.packets.len().checked_sub(1) else { return };
        let back = usize::from((last as u16).wrapping_sub(number));
        let Some(at) = last.checked_sub(back) else { return };
        let step = &mut self.packets[at];
        if step.came.is_none() {
            step.came = Some(now);
            step.out_of_order = self.highest.is_some_and(|h| at < h);
            self.highest = self.highest.max(Some(at));
        }
    }

    /// All packets.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.packets
    }

    /// Packets sent within these bounds.
    pub fn sent_within(&self, from: Time, to: Time) -> impl Iterator<Item = &Step> {
        let at = |time: Time| self.packets.partition_point(|s| s.sent < time);
        self.packets[at(from)..at(to).max(at(from))].iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_wrapped_are_found() {
        let mut t = Trail::default();
        let at = |i: u64| Time::from_millis(i);
        for i in 0..70_000u64 {
            assert_eq!(t.on_sent(at(i), 100), i as u16);
        }
        t.on_came(at(70_020), 69_990u64 as u16);
        t.on_came(at(70_030), 69_980u64 as u16);
        let steps = t.steps();
        assert_eq!(steps[69_990].delay(), Some(Duration::from_millis(30)));
        assert!(!steps[69_990].out_of_order && steps[69_980].out_of_order);
        assert_eq!(t.sent_within(at(10), at(20)).count(), 10);
    }
}
