//! What is measured.

/// A figure of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// What the application read of the bulk flow, bits a second.
    Goodput,
    /// Share of its packets that the flow's sender took for lost, rightly or not.
    TakenForLost,
    /// Share of all packets that the links lost or had no room for, of the whole run.
    LostOnLinks,
    /// Share of the packets sent that did not come.
    Loss,
    /// Share of the packets received that came after one sent later.
    OutOfOrder,
    /// Median one-way delay, seconds.
    DelayP50,
    /// Its 99th percentile.
    DelayP99,
}

impl Figure {
    /// What it is, with the unit in which tables show it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Goodput => "goodput of the flow, Mbit/s",
            Self::TakenForLost => "taken for lost by the flow, %",
            Self::LostOnLinks => "lost on the links, %",
            Self::Loss => "loss, %",
            Self::OutOfOrder => "out of order, %",
            Self::DelayP50 => "one-way delay p50, ms",
            Self::DelayP99 => "one-way delay p99, ms",
        }
    }

    /// A value as tables show it.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Goodput => format!("{:.1}", value / 1e6),
            Self::TakenForLost | Self::LostOnLinks | Self::Loss => format!("{:.2}", value * 1e2),
            Self::OutOfOrder => format!("{:.3}", value * 1e2),
            Self::DelayP50 | Self::DelayP99 => format!("{:.1}", value * 1e3),
        }
    }

    /// Its key in JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::TakenForLost => "taken_for_lost",
            Self::LostOnLinks => "lost_on_links",
            Self::Loss => "loss",
            Self::OutOfOrder => "out_of_order",
            Self::DelayP50 => "delay_p50",
            Self::DelayP99 => "delay_p99",
        }
    }
}
