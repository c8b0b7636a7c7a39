//! The networks in which the schedulers are compared.

use crate::link::{LinkProfile, QueueLimit};
use std::time::Duration;

/// Two links.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Stands in the table.
    pub name: &'static str,
    /// Path A and path B.
    pub links: [LinkProfile; 2],
}

/// Rate in Mbit/s, one-way delay and jitter in milliseconds, loss in per cent.
const fn link(mbit: u64, delay: u64, jitter: u64, loss: f64) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(mbit * 1_000_000),
        delay: Duration::from_millis(delay),
        jitter: Duration::from_millis(jitter),
        jitter_correlation: Duration::ZERO,
        reorder: true,
        loss: loss / 100.0,
        burst: None,
        queue: QueueLimit::Time(Duration::from_millis(100)),
        policer: None,
        blackhole: false,
    }
}

const fn profile(name: &'static str, a: LinkProfile, b: LinkProfile) -> Profile {
    Profile { name, links: [a, b] }
}

/// The sixteen profiles.
pub const PROFILES: [Profile; 16] = [
    profile("baseline", link(50, 20, 0, 0.0), link(50, 20, 0, 0.0)),
    profile("rtt_40", link(50, 20, 0, 0.0), link(50, 40, 0, 0.0)),
    profile("rtt_70", link(50, 20, 0, 0.0), link(50, 70, 0, 0.0)),
    profile("rtt_120", link(50, 20, 0, 0.0), link(50, 120, 0, 0.0)),
    profile("rtt_320", link(50, 20, 0, 0.0), link(50, 320, 0, 0.0)),
    profile("jit_5", link(50, 20, 5, 0.0), link(50, 20, 5, 0.0)),
    profile("jit_20", link(50, 20, 20, 0.0), link(50, 20, 20, 0.0)),
    profile("loss_05", link(50, 20, 0, 0.5), link(50, 20, 0, 0.5)),
    profile("loss_2", link(50, 20, 0, 2.0), link(50, 20, 0, 2.0)),
    profile("bw_4to1", link(50, 20, 0, 0.0), link(12, 20, 0, 0.0)),
    profile("bw_10to1", link(100, 20, 0, 0.0), link(10, 20, 0, 0.0)),
    profile("dual_lte", link(40, 30, 5, 0.5), link(25, 45, 8, 0.5)),
    profile("fiber_lte", link(300, 8, 0, 0.0), link(30, 40, 8, 0.5)),
    profile("lte_starlink", link(40, 35, 8, 0.0), link(100, 50, 25, 1.0)),
    profile("lte_geo", link(40, 35, 0, 0.0), link(20, 320, 20, 0.5)),
    profile("congested", link(20, 50, 20, 2.0), link(15, 60, 25, 2.0)),
];

impl Profile {
    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        PROFILES.into_iter().find(|p| p.name == name)
    }

    /// What the links carry together, bits a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.links.iter().filter_map(|l| l.rate_bps).sum::<u64>() as f64
    }

    /// The mean share of packets that both links lose, weighted by their rates.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost: f64 = self.links.iter().map(|l| l.loss * l.rate_bps.unwrap_or(0) as f64).sum();
        lost / self.rate()
    }

    /// What a bulk flow over both is to have at least of the sum of both alone, where that is asked.
    #[must_use]
    pub fn sum_goal(&self) -> Option<f64> {
        match self.name {
            "bw_10to1" | "fiber_lte" => Some(0.93),
            "baseline" | "loss_05" | "jit_5" | "rtt_40" | "bw_4to1" | "dual_lte" => Some(0.90),
            "jit_20" | "rtt_70" | "lte_starlink" => Some(0.80),
            _ => None,
        }
    }

    /// Whether one of the links reorders.
    #[must_use]
    pub fn reorders(&self) -> bool {
        self.links.iter().any(|l| l.reorder && !l.jitter.is_zero())
    }

    /// The least delay of the two.
    #[must_use]
    pub fn least_delay(&self) -> Duration {
        self.links[0].delay.min(self.links[1].delay)
    }

    /// Weights as somebody who knows the rates would set them.
    #[must_use]
    pub fn weights(&self) -> [u64; 2] {
        self.links.map(|l| l.rate_bps.unwrap_or(0) / 1_000_000)
    }
}
