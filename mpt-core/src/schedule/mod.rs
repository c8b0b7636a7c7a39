//! Which path carries the next packet.
//!
//! A [`Scheduler`] sees a slice of [`PathView`]s, a flow, a length and the time, and answers with a
//! path; what is known of the paths is written into the views by others.
//!
//! Of the paths in the slice only those of the best [`Rank`] count: a path that answers goes before one
//! that is held down because it flaps, and that before one whose packets may not arrive at all. Among
//! those, paths too small for the packet are passed over.

mod failover;
mod fastest;
mod flow;
mod view;
mod weighted;

pub use failover::Failover;
pub use fastest::{Fastest, Prefer};
pub use flow::FlowHash;
pub use view::{PathView, Rank};
pub use weighted::Weighted;

use crate::PathId;
use crate::config::SchedulerKind;

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
    /// The soonest first; who sends seals a copy for the next.
    Duplicate(Fastest),
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
        }
    }

    /// A path for an inner packet of `inner` bytes of `flow`, which takes `outer` bytes on the way.
    #[must_use]
    pub fn pick(&mut self, views: &[PathView], flow: u64, inner: usize, outer: usize) -> Pick {
        let Some(best) = views.iter().map(|v| v.rank).min() else { return Pick::NoPath };
        let fits = |v: &PathView| v.mtu as usize >= inner;
        let ranked = views.iter().filter(|v| v.rank == best);
        let picked = match self {
            Self::Weighted(s) => s.pick(ranked, fits, outer),
            Self::Failover(s) => s.pick(ranked.filter(|v| fits(v))),
            Self::Flow(s) => s.pick(ranked.filter(|v| fits(v)), flow),
            Self::Duplicate(s) => s.pick(views, inner, Prefer::Soonest),
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
