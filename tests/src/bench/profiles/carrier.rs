//! What carries the traffic between the two ends.

/// A way from one end to the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carrier {
    /// Link A as it is, without a tunnel.
    Direct,
    /// The tunnel, with the path over link A (0) or B (1) alone.
    Alone(usize),
    /// The tunnel over both, with this scheduler. Weights are the links' rates, for those that ask.
    Both(String),
    /// The kernel's MPTCP over both links, without a tunnel.
    Mptcp,
}

impl Carrier {
    /// All of them, in the order of the tables.
    pub(super) fn all(schedulers: &[String]) -> Vec<Self> {
        let mut all = vec![Self::Direct, Self::Alone(0), Self::Alone(1)];
        all.extend(schedulers.iter().cloned().map(Self::Both));
        all.push(Self::Mptcp);
        all
    }

    /// Its name on the command line.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Direct => "direct",
            Self::Alone(0) => "a",
            Self::Alone(_) => "b",
            Self::Both(scheduler) => scheduler,
            Self::Mptcp => "mptcp",
        }
    }

    /// The head of its column.
    pub(super) fn title(&self) -> &str {
        match self {
            Self::Direct => "A, no tunnel",
            Self::Alone(0) => "A",
            Self::Alone(_) => "B",
            Self::Both(scheduler) => scheduler,
            Self::Mptcp => "MPTCP",
        }
    }

    /// Which of a profile's links it uses, 0 or 1.
    pub(super) fn links(&self) -> &'static [usize] {
        match self {
            Self::Direct | Self::Alone(0) => &[0],
            Self::Alone(_) => &[1],
            Self::Both(_) | Self::Mptcp => &[0, 1],
        }
    }
}
