//! What was measured, round by round.

use super::metric::Metric;
use super::pass::Pass;
use std::collections::BTreeMap;

/// The values of one figure over the rounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Of these values; `None` when there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Self { median, min, max })
    }
}

/// One figure: of which tunnel, in which pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) pass: Pass,
    pub(crate) tunnel: &'static str,
    pub(crate) metric: Metric,
}

/// Everything that was measured, and why what is missing is.
#[derive(Debug, Default)]
pub(crate) struct Records {
    values: BTreeMap<Key, BTreeMap<u32, f64>>,
    failures: BTreeMap<Key, String>,
    /// Tunnels that did not come up, with the reason.
    pub(crate) absent: BTreeMap<(Pass, &'static str), String>,
    /// The inner interfaces' MTUs.
    pub(crate) mtus: BTreeMap<(Pass, &'static str), u32>,
}

impl Records {
    /// Books a value. Counts of a round add up; of anything else there is one a round.
    pub(crate) fn add(&mut self, key: Key, round: u32, value: f64) {
        let rounds = self.values.entry(key).or_default();
        match key.metric {
            Metric::OutOfOrder => *rounds.entry(round).or_default() += value,
            _ => drop(rounds.insert(round, value)),
        }
    }

    /// Books why there is no value in a round.
    pub(crate) fn fail(&mut self, key: Key, reason: String) {
        self.failures.insert(key, reason);
    }

    /// The value of a round.
    pub(crate) fn value(&self, key: Key, round: u32) -> Option<f64> {
        self.values.get(&key)?.get(&round).copied()
    }

    /// All rounds' values.
    pub(crate) fn values(&self, key: Key) -> impl Iterator<Item = f64> {
        self.values.get(&key).into_iter().flat_map(|rounds| rounds.values().copied())
    }

    /// Median and range.
    pub(crate) fn summary(&self, key: Key) -> Option<Summary> {
        Summary::of(self.values(key))
    }

    /// Why a round's value is missing.
    pub(crate) fn failure(&self, key: Key) -> Option<&str> {
        self.failures.get(&key).map(String::as_str)
    }

    /// All such reasons.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.failures.iter().map(|(key, reason)| (key, reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ranges() {
        assert_eq!(Summary::of([]), None);
        let summary = |median, min, max| Some(Summary { median, min, max });
        assert_eq!(Summary::of([3.0, 1.0, 2.0]), summary(2.0, 1.0, 3.0));
        assert_eq!(Summary::of([4.0, 1.0, f64::NAN]), summary(2.5, 1.0, 4.0));
    }

    #[test]
    fn counts_add_up_and_rates_do_not() {
        let mut records = Records::default();
        for metric in [Metric::OutOfOrder, Metric::Tcp1] {
            let key = Key { pass: Pass::Veth, tunnel: "x", metric };
            records.add(key, 1, 2.0);
            records.add(key, 1, 3.0);
            records.add(key, 2, 7.0);
        }
        let values = |metric| {
            records.values(Key { pass: Pass::Veth, tunnel: "x", metric }).collect::<Vec<_>>()
        };
        assert_eq!(values(Metric::OutOfOrder), [5.0, 7.0]);
        assert_eq!(values(Metric::Tcp1), [3.0, 7.0]);
    }
}
