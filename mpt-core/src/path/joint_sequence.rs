//! The sequences that a path's workers number by, as if they were one.

use crate::{Time, WorkerId};
use std::time::Duration;

/// What is missing from before a worker's silence of this length was lost to an outage, or long ago.
const SILENCE: Duration = Duration::from_secs(2);

/// Adds up what the workers' reports say, so that loss is known of the path, whichever worker its flows have.
#[derive(Clone, Debug, Default)]
pub(super) struct JointSequence {
    workers: Vec<Option<Reported>>,
    highest: u32,
    packets: u64,
}

/// A worker's last report.
#[derive(Clone, Copy, Debug)]
struct Reported {
    at: Time,
    highest: u32,
    packets: u64,
}

impl JointSequence {
    /// A worker's highest sequence that arrived, and how many packets in all: the same of all workers together. Nothing when
    /// the report is older than the one before.
    pub(super) fn on_report(
        &mut self,
        now: Time,
        worker: WorkerId,
        highest: u32,
        packets: u64,
    ) -> Option<(u32, u64)> {
        let i = usize::from(worker.get());
        if self.workers.len() <= i {
            self.workers.resize(i + 1, None);
        }
        let reported = Reported { at: now, highest, packets };
        let Some(before) = self.workers[i].replace(reported) else {
            // Where it begins: nothing is missing yet.
            return Some((self.highest, self.packets));
        };
        let sent = highest.wrapping_sub(before.highest);
        if (sent as i32) < 0 || packets < before.packets {
            self.workers[i] = Some(Reported { at: now, ..before });
            return None;
        }
        let came = packets - before.packets;
        let silent = now.since(before.at) >= SILENCE;
        self.highest = self.highest.wrapping_add(if silent { came as u32 } else { sent });
        self.packets += came;
        Some((self.highest, self.packets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(n: u8) -> WorkerId {
        WorkerId::new(n).unwrap()
    }

    #[test]
    fn what_one_worker_misses_the_path_misses() {
        let mut joint = JointSequence::default();
        let mut report = |ms, w, highest, packets| {
            joint.on_report(Time::from_millis(ms), worker(w), highest, packets)
        };
        assert_eq!(report(0, 0, u32::MAX - 9, 50), Some((0, 0)));
        assert_eq!(report(0, 3, 700, 600), Some((0, 0)));
        assert_eq!(report(10, 0, 10, 70), Some((20, 20)), "over the end of the numbers");
        assert_eq!(report(20, 3, 710, 605), Some((30, 25)), "five are missing");
        assert_eq!(report(30, 3, 709, 606), None, "an older one");
        assert_eq!(report(30, 0, 11, 71), Some((31, 26)));
        // The other one is silent meanwhile, and loses twenty.
        assert_eq!(report(3_000, 3, 740, 616), Some((42, 37)));
    }
}
