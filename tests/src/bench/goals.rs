//! How mpt compares: ratios taken within each round, so that what slows the whole machine for a
//! while cancels out.

use super::metric::Metric;
use super::pass::Pass;
use super::records::{Key, Records, Summary};
use super::tunnels::{Role, Tunnel};
use serde::Serialize;

/// What a tunnel is compared with.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// This one.
    Tunnel(&'static str),
    /// The best of the plain peers in that round.
    BestPlainPeer,
}

/// A comparison.
struct Comparison {
    metric: Metric,
    ours: &'static str,
    against: Against,
}

const fn versus(metric: Metric, ours: &'static str, other: &'static str) -> Comparison {
    Comparison { metric, ours, against: Against::Tunnel(other) }
}

const fn best(metric: Metric) -> Comparison {
    Comparison { metric, ours: "mpt-plain", against: Against::BestPlainPeer }
}

/// All comparisons; each is made in every pass.
const COMPARISONS: &[Comparison] = &[
    versus(Metric::Tcp1, "mpt-plain", "vxlan"),
    versus(Metric::Tcp4, "mpt-plain", "vxlan"),
    versus(Metric::Tcp1, "mpt-aes", "vxlan"),
    versus(Metric::Tcp1, "mpt-aes", "wireguard-go"),
    versus(Metric::Tcp1, "mpt-chacha", "wireguard-go"),
    best(Metric::Tcp1),
    versus(Metric::Gso, "mpt-plain", "vxlan"),
    best(Metric::Gso),
    versus(Metric::Gso, "mpt-aes", "wireguard-go"),
    versus(Metric::Udp1200, "mpt-plain", "vxlan"),
    best(Metric::Udp1200),
    versus(Metric::Udp200, "mpt-plain", "vxlan"),
    best(Metric::Udp200),
    versus(Metric::Udp1200, "mpt-aes", "wireguard-go"),
    versus(Metric::Tcp1, "mpt-plain-2paths", "mpt-plain"),
    versus(Metric::Tcp1, "mpt-aes-2paths", "mpt-aes"),
    versus(Metric::Gso, "mpt-plain-2paths", "mpt-plain"),
    versus(Metric::Udp1200, "mpt-plain-2paths", "mpt-plain"),
    versus(Metric::Tcp1, "mpt-plain", "mpt-plain-norepair"),
    versus(Metric::Gso, "mpt-plain", "mpt-plain-norepair"),
    versus(Metric::Udp1200, "mpt-plain", "mpt-plain-norepair"),
    versus(Metric::CpuUdp, "mpt-plain", "mpt-plain-norepair"),
    versus(Metric::Tcp1, "mpt-aes", "mpt-aes-norepair"),
    versus(Metric::Gso, "mpt-aes", "mpt-aes-norepair"),
    versus(Metric::Udp1200, "mpt-aes", "mpt-aes-norepair"),
    versus(Metric::PingP50, "mpt-plain", "vxlan"),
    best(Metric::PingP50),
    best(Metric::LoadedP50),
    versus(Metric::CpuTcp, "mpt-aes", "wireguard-go"),
    best(Metric::CpuTcp),
    versus(Metric::CpuUdp, "mpt-aes", "wireguard-go"),
    best(Metric::CpuUdp),
    best(Metric::Resident),
    versus(Metric::Tcp4, "mpt-plain-2workers", "mpt-plain-1worker"),
    versus(Metric::Gso, "mpt-plain-2workers", "mpt-plain-1worker"),
    versus(Metric::Udp1200, "mpt-plain-2workers", "mpt-plain-1worker"),
];

/// A comparison with its outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) pass: Pass,
    pub(crate) metric: Metric,
    pub(crate) ours: &'static str,
    /// What it is compared with; of the best peer, which one was that most often.
    pub(crate) other: String,
    /// Whether a ratio above one is good.
    pub(crate) more_is_better: bool,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

/// All comparisons for which both sides were measured in some round.
pub(crate) fn compare(records: &Records, tunnels: &[Tunnel], rounds: u32) -> Vec<Goal> {
    let peers: Vec<&'static str> = tunnels
        .iter()
        .filter(|tunnel| tunnel.role == Role::Peer && tunnel.plain)
        .map(|tunnel| tunnel.name)
        .collect();
    let mut goals = Vec::new();
    for comparison in COMPARISONS {
        for pass in Pass::ALL {
            goals.extend(comparison.outcome(records, &peers, pass, rounds));
        }
    }
    goals
}

impl Comparison {
    fn outcome(
        &self,
        records: &Records,
        peers: &[&'static str],
        pass: Pass,
        rounds: u32,
    ) -> Option<Goal> {
        let metric = self.metric;
        let value = |tunnel, round| records.value(Key { pass, tunnel, metric }, round);
        let others: &[&'static str] = match &self.against {
            Against::Tunnel(name) => std::slice::from_ref(name),
            Against::BestPlainPeer => peers,
        };
        let better = |a: f64, b: f64| if metric.more_is_better() { a > b } else { a < b };
        let mut ratios = Vec::new();
        let mut winners: Vec<&'static str> = Vec::new();
        for round in 1..=rounds {
            let seen = others.iter().filter_map(|&name| Some((name, value(name, round)?)));
            let best = seen.reduce(|a, b| if better(b.1, a.1) { b } else { a });
            if let (Some(ours), Some((name, other))) = (value(self.ours, round), best) {
                ratios.push(ours / other);
                winners.push(name);
            }
        }
        let count = ratios.len();
        let Summary { median, min, max } = Summary::of(ratios)?;
        let other = match self.against {
            Against::Tunnel(name) => name.to_owned(),
            Against::BestPlainPeer => format!("best plain peer ({})", most_frequent(&winners)),
        };
        let more_is_better = metric.more_is_better();
        Some(Goal {
            pass,
            metric,
            ours: self.ours,
            other,
            more_is_better,
            median,
            min,
            max,
            rounds: count,
        })
    }
}

/// The name that occurs most often.
fn most_frequent(names: &[&'static str]) -> &'static str {
    let count = |name: &str| names.iter().filter(|&&other| other == name).count();
    names.iter().copied().max_by_key(|name| count(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_rounds() {
        let mut records = Records::default();
        let mut add = |tunnel, metric, values: [f64; 3]| {
            for (round, value) in (1..).zip(values) {
                records.add(Key { pass: Pass::Veth, tunnel, metric }, round, value);
            }
        };
        // The machine is half as fast in the second round.
        add("mpt-plain", Metric::Tcp1, [80.0, 40.0, 90.0]);
        add("vxlan", Metric::Tcp1, [100.0, 50.0, 100.0]);
        add("fastd", Metric::Tcp1, [10.0, 10.0, 10.0]);
        add("vtun", Metric::Tcp1, [20.0, 5.0, 15.0]);
        add("mpt-plain", Metric::PingP50, [20.0; 3]);
        add("fastd", Metric::PingP50, [30.0; 3]);
        add("vtun", Metric::PingP50, [10.0; 3]);
        let outcome = |comparison: Comparison| {
            comparison.outcome(&records, &["fastd", "vtun"], Pass::Veth, 3).unwrap()
        };
        let goal = outcome(versus(Metric::Tcp1, "mpt-plain", "vxlan"));
        assert_eq!((goal.median, goal.min, goal.max, goal.rounds), (0.8, 0.8, 0.9, 3));
        let goal = outcome(best(Metric::Tcp1));
        assert_eq!((goal.median, goal.min, goal.max), (4.0, 4.0, 6.0));
        assert_eq!(goal.other, "best plain peer (vtun)");
        // The best latency is the least.
        assert_eq!(outcome(best(Metric::PingP50)).median, 2.0);
    }

    #[test]
    fn what_was_not_measured_is_not_compared() {
        assert!(compare(&Records::default(), &[], 3).is_empty());
    }
}
