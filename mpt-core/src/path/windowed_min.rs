//! The least of a sliding window.

use crate::Time;
use std::time::Duration;

/// Parts of a window; the oldest is forgotten as a whole.
const PARTS: usize = 6;

/// The least value of the last five to six sixths of a window: K. Nichols's estimator as in Linux's
/// `lib/win_minmax.c`, with parts of even length in place of its three best.
#[derive(Clone, Copy, Default, Debug)]
pub struct WindowedMin {
    parts: [Option<i64>; PARTS],
    /// The part in use, and when it began.
    current: usize,
    since: Time,
    least: Option<i64>,
}

impl WindowedMin {
    /// A value.
    pub fn update(&mut self, now: Time, value: i64, window: Duration) {
        let part = window / PARTS as u32;
        if self.least.is_none() {
            self.since = now;
        }
        // After a long silence the value alone counts.
        if now.since(self.since) >= window {
            self.parts = [None; PARTS];
            self.since = now;
        }
        while now.since(self.since) >= part {
            self.current = (self.current + 1) % PARTS;
            self.parts[self.current] = None;
            self.since += part;
        }
        let slot = &mut self.parts[self.current];
        *slot = Some(slot.map_or(value, |least| least.min(value)));
        self.least = self.parts.iter().flatten().min().copied();
    }

    /// The least value.
    #[must_use]
    pub const fn get(&self) -> Option<i64> {
        self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_the_least_of_about_a_window(
            steps in prop::collection::vec((1u64..400, -100i64..100), 1..80),
        ) {
            let window = Duration::from_secs(6);
            let (mut min, mut now, mut all) = (WindowedMin::default(), 0, Vec::new());
            for (step, value) in steps {
                now += step * 10;
                all.push((now, value));
                min.update(Time::from_millis(now), value, window);
                let least = |back: u64| {
                    all.iter().filter(|(t, _)| t + back > now).map(|(_, v)| *v).min()
                };
                let got = min.get();
                prop_assert!(got <= least(5_000) && got >= least(6_000), "{:?}", got);
            }
        }
    }
}
