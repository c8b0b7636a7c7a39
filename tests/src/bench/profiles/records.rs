//! What was measured, round by round.

use super::carrier::Carrier;
use super::figure::Figure;
use super::traffic::Traffic;
use crate::bench::records::Summary;
use std::collections::BTreeMap;

/// A cell's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) profile: &'static str,
    pub(super) traffic: Traffic,
    pub(super) carrier: Carrier,
}

/// Every value, and why what is missing is.
#[derive(Debug, Default)]
pub(super) struct Records {
    values: BTreeMap<(Key, Figure), BTreeMap<u32, f64>>,
    failures: BTreeMap<Key, BTreeMap<u32, String>>,
}

impl Records {
    /// Books a value.
    pub(super) fn add(&mut self, key: &Key, figure: Figure, round: u32, value: f64) {
        self.values.entry((key.clone(), figure)).or_default().insert(round, value);
    }

    /// Books why there is none in a round.
    pub(super) fn fail(&mut self, key: Key, round: u32, reason: String) {
        self.failures.entry(key).or_default().insert(round, reason);
    }

    /// The value of a round.
    pub(super) fn value(&self, key: &Key, figure: Figure, round: u32) -> Option<f64> {
        self.values.get(&(key.clone(), figure))?.get(&round).copied()
    }

    /// All rounds' values.
    pub(super) fn values(&self, key: &Key, figure: Figure) -> Vec<f64> {
        let rounds = self.values.get(&(key.clone(), figure));
        rounds.into_iter().flat_map(|rounds| rounds.values().copied()).collect()
    }

    /// Median and range.
    pub(super) fn summary(&self, key: &Key, figure: Figure) -> Option<Summary> {
        Summary::of(self.values(key, figure))
    }

    /// Why rounds of a cell are missing.
    pub(super) fn failures(&self, key: &Key) -> impl Iterator<Item = (u32, &str)> {
        let rounds = self.failures.get(key);
        rounds.into_iter().flatten().map(|(&round, reason)| (round, reason.as_str()))
    }

    /// All such reasons.
    pub(super) fn all_failures(&self) -> impl Iterator<Item = (&Key, u32, &str)> {
        self.failures.iter().flat_map(|(key, rounds)| {
            rounds.iter().map(move |(&round, reason)| (key, round, reason.as_str()))
        })
    }

    /// The median and range of a scheduler's goodput against the paths alone, taken within rounds.
    pub(super) fn against(
        &self,
        profile: &'static str,
        traffic: Traffic,
        scheduler: &str,
        compare: Compare,
    ) -> Option<Summary> {
        let key = |carrier| Key { profile, traffic, carrier };
        let ours = key(Carrier::Both(scheduler.to_owned()));
        let alone = [0, 1].map(|link| key(Carrier::Alone(link)));
        let rounds = self.values.get(&(ours, Figure::Goodput))?;
        Summary::of(rounds.iter().filter_map(|(&round, value)| {
            let [a, b] = &alone;
            let a = self.value(a, Figure::Goodput, round)?;
            let b = self.value(b, Figure::Goodput, round)?;
            Some(value / compare.of(a, b))
        }))
    }
}

/// With what of the two paths alone something is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// The better one.
    Best,
    /// Both together.
    Sum,
}

impl Compare {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Best => a.max(b),
            Self::Sum => a + b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_rounds() {
        let mut records = Records::default();
        let mut add = |carrier, values: [f64; 2]| {
            let key = Key { profile: "x", traffic: Traffic::TcpBbr, carrier };
            for (round, value) in (1..).zip(values) {
                records.add(&key, Figure::Goodput, round, value);
            }
        };
        // The machine is half as fast in the second round.
        add(Carrier::Alone(0), [40.0, 20.0]);
        add(Carrier::Alone(1), [10.0, 5.0]);
        add(Carrier::Both("weighted".into()), [45.0, 22.5]);
        let ratio = |compare| records.against("x", Traffic::TcpBbr, "weighted", compare).unwrap();
        assert_eq!(ratio(Compare::Sum), Summary { median: 0.9, min: 0.9, max: 0.9 });
        assert_eq!(ratio(Compare::Best).median, 1.125);
        assert_eq!(records.against("x", Traffic::TcpBbr, "adaptive", Compare::Sum), None);
    }
}
