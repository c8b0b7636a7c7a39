//! Which path carries the next packet.
//!
//! A [`Scheduler`] sees a slice of [`PathView`]s, a flow, a length and the time, and answers with a
//! path; what is known of the paths is written into the views by others.
//!
//! Of the paths in the slice only those of the best [`Rank`] count: a path that answers goes before one
//! that is held down because it flaps, and that before one whose packets may not arrive at all. Among
//! those, paths too small for the packet are passed over, and paths whose rate limit lets nothing go now. When
//! that leaves none because of limits alone, or `adaptive` finds those that are left full, the packet is to wait.

mod adaptive;
mod estimate;
mod failover;
mod fastest;
mod floor;
mod flow;
mod flow_table;
mod view;
mod waits;
mod weighted;

pub use adaptive::Adaptive;
pub use estimate::Estimate;
pub use failover::Failover;
pub use fastest::{Fastest, Prefer};
pub use flow::FlowHash;
pub use view::{PathView, Rank, Tokens};
pub use weighted::Weighted;

use crate::config::SchedulerKind;
use crate::{PathId, Time};
use std::time::Duration;

/// A scheduler's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// This path.
    Path(PathId),
    /// Paths could carry it, but for their rate limits.
    Wait,
    /// There are paths, but the packet is too large for each.
    NoneFits,
    /// There is no path.
    NoPath,
}

/// The scheduler that is configured.
#[derive(Clone, Debug)]
pub enum Scheduler {
    /// Deficit round robin in bytes.
    Weighted(Weighted),
    /// By priority.
    Failover(Failover),
    /// Each flow on one path.
    Flow(FlowHash),
    /// The soonest first; who sends seals a copy for the next.
    Duplicate(Fastest),
    /// By what is measured.
    Adaptive(Box<Adaptive>),
}

/// Whether somebody gave a path a weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weights {
    /// Some path has one.
    Some,
    /// None has.
    None,
}

impl Scheduler {
    /// The scheduler called `kind`.
    #[must_use]
    pub fn new(kind: SchedulerKind) -> Self {
        match kind {
            SchedulerKind::Weighted => Self::Weighted(Weighted::default()),
            SchedulerKind::Failover => Self::Failover(Failover::default()),
            SchedulerKind::Flow => Self::Flow(FlowHash),
            SchedulerKind::Duplicate => Self::Duplicate(Fastest::default()),
            SchedulerKind::Adaptive | SchedulerKind::Auto => Self::Adaptive(Box::default()),
        }
    }

    /// Which one it is; never `auto`.
    #[must_use]
    pub const fn kind(&self) -> SchedulerKind {
        match self {
            Self::Weighted(_) => SchedulerKind::Weighted,
            Self::Failover(_) => SchedulerKind::Failover,
            Self::Flow(_) => SchedulerKind::Flow,
            Self::Duplicate(_) => SchedulerKind::Duplicate,
            Self::Adaptive(_) => SchedulerKind::Adaptive,
        }
    }

    /// Whether it goes by what is measured: paths are kept to that, too.
    #[must_use]
    pub const fn is_adaptive(&self) -> bool {
        matches!(self, Self::Adaptive(_))
    }

    /// Whether [`on_answer`](Self::on_answer) is to be told of what comes back.
    #[must_use]
    #[inline]
    pub fn wants_answers(&self) -> bool {
        matches!(self, Self::Adaptive(s) if s.wants_answers())
    }

    /// A packet came back, of the flow whose hash that way is `flow`.
    pub fn on_answer(&mut self, now: Time, flow: u64) {
        if let Self::Adaptive(s) = self {
            s.on_answer(now, flow);
        }
    }

    /// A packet whose turn it is has been waiting for so long. `spread`: for any path, not for a certain one.
    pub fn on_wait(&mut self, now: Time, waited: Duration, spread: bool) {
        if let Self::Adaptive(s) = self {
            s.on_wait(now, waited, spread);
        }
    }

    /// Whether `flow` is known to need little.
    #[must_use]
    pub fn is_sparse(&self, now: Time, flow: u64) -> bool {
        matches!(self, Self::Adaptive(s) if s.is_sparse(now, flow))
    }

    /// When a packet sent now by this path would arrive, microseconds, beside the other paths; others than `adaptive` do not tell them apart.
    #[must_use]
    pub fn arrives(&self, now: Time, view: &PathView) -> i64 {
        match self {
            Self::Adaptive(s) => s.arrives(now, view),
            _ => 0,
        }
    }

    /// The paths, by bits, over which a flow that fills one is spread before it has to wait; `None`: it waits for any.
    #[must_use]
    pub fn spreads_over(&self) -> Option<u16> {
        match self {
            Self::Adaptive(s) => Some(s.spreads_over()),
            _ => None,
        }
    }

    /// With `auto`: becomes the one that goes with weights, or without any. Whether it was another one.
    pub fn follow_weights(&mut self, weights: Weights) -> bool {
        let kind = match (weights, &self) {
            (Weights::Some, Self::Adaptive(_)) => SchedulerKind::Weighted,
            (Weights::None, Self::Weighted(_)) => SchedulerKind::Adaptive,
            _ => return false,
        };
        *self = Self::new(kind);
        true
    }

    /// A path for an inner packet of `inner` bytes of `flow`, which takes `outer` bytes on the way.
    #[must_use]
    pub fn pick(
        &mut self,
        now: Time,
        views: &[PathView],
        flow: u64,
        inner: usize,
        outer: usize,
    ) -> Pick {
        let Some(best) = views.iter().map(|v| v.rank).min() else { return Pick::NoPath };
        let fits = |v: &PathView| v.mtu as usize >= inner;
        let may = |v: &PathView| fits(v) && v.tokens == Tokens::Left;
        let ranked = views.iter().filter(|v| v.rank == best);
        let picked = match self {
            Self::Weighted(s) => s.pick(ranked, may, outer),
            Self::Failover(s) => s.pick(ranked.filter(|v| may(v))),
            Self::Flow(s) => s.pick(ranked.filter(|v| may(v)), flow),
            Self::Duplicate(s) => s.pick(views, inner, Prefer::Soonest),
            Self::Adaptive(s) => {
                let picked = s.pick(now, ranked, fits, flow, outer);
                let waits = |v: &PathView| Some(v.id) == picked && v.tokens == Tokens::Spent;
                // It knows of the limits; another path would be worse than to wait.
                if views.iter().any(waits) {
                    return Pick::Wait;
                }
                picked
            }
        };
        match picked {
            Some(path) => Pick::Path(path),
            // A path of lower rank that fits and works is better than parts.
            None => {
                let last = Rank::last_resort(views).unwrap_or(best);
                let fitting = views.iter().filter(|v| fits(v) && v.rank <= last);
                match fitting.min_by_key(|v| (v.rank, v.tokens)) {
                    Some(v) if v.tokens == Tokens::Spent => Pick::Wait,
                    Some(v) => Pick::Path(v.id),
                    None => Pick::NoneFits,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
