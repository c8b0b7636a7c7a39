//! Which path carries the next packet.
//!
//! A [`Scheduler`] sees a slice of [`PathView`]s, a flow, a length and the time, and answers with a
//! path; what is known of the paths is written into the views by others.
//!
//! Of the paths in the slice only those of the best [`Rank`] count: a path that answers goes before one
//! that is held down because it flaps, and that before one whose packets may not arrive at all. Among
//! those, paths too small for the packet are passed over.

mod adaptive;
mod estimate;
mod failover;
mod floor;
mod flow;
mod flow_table;
mod view;
mod weighted;

pub use adaptive::Adaptive;
pub use estimate::Estimate;
pub use failover::Failover;
pub use flow::FlowHash;
pub use view::{PathView, Rank};
pub use weighted::Weighted;

use crate::config::SchedulerKind;
use crate::{PathId, Time};

/// A scheduler's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// This path.
    Path(PathId),
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
            SchedulerKind::Adaptive | SchedulerKind::Auto => Self::Adaptive(Box::default()),
        }
    }

    /// With `auto`: becomes the one that goes with weights, or without any.
    pub fn follow_weights(&mut self, weights: Weights) {
        match (weights, &self) {
            (Weights::Some, Self::Adaptive(_)) => *self = Self::new(SchedulerKind::Weighted),
            (Weights::None, Self::Weighted(_)) => *self = Self::new(SchedulerKind::Adaptive),
            _ => {}
        }
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
        let ranked = views.iter().filter(|v| v.rank == best);
        let picked = match self {
            Self::Weighted(s) => s.pick(ranked, fits, outer),
            Self::Failover(s) => s.pick(ranked.filter(|v| fits(v))),
            Self::Flow(s) => s.pick(ranked.filter(|v| fits(v)), flow),
            Self::Adaptive(s) => s.pick(now, ranked.filter(|v| fits(v)), flow, outer),
        };
        match picked {
            Some(path) => Pick::Path(path),
            // A path of lower rank that fits is better than fragments.
            None => views
                .iter()
                .filter(|v| fits(v))
                .min_by_key(|v| v.rank)
                .map_or(Pick::NoneFits, |v| Pick::Path(v.id)),
        }
    }
}

#[cfg(test)]
mod tests;
