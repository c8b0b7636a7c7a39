//! Parity that nobody asked for.
//!
//! Where a path loses packets at random, everybody behind a lost one waits until that was sent again: a round trip and more, which
//! calls hear and TCP takes for a longer way. So packets on such paths are covered by parity, as [`protect`](crate::protect) does it for
//! those that a policy names:
//!
//! - Small ones of sparse flows always: that is little.
//! - All others while the paths have room that nobody uses. What fills the paths has better use for an eighth of them.
//!
//! Each path takes of it what goes with the data it carries. One that carries nothing is left alone: it may cost something.

use super::extra::Extra;
use super::{Path, Peer};
use crate::protect::{Block, Cost};
use crate::schedule::PathView;
use crate::{PathId, Time};
use std::time::Duration;

/// A path that loses this share at random is covered, …
const LOSES: f64 = 0.002;

/// … and not any more where it loses less than this.
const LOSES_LITTLE: f64 = 0.001;

/// Where it takes less than this to send a packet again, that comes about as soon as the parity.
const SOON: Duration = Duration::from_millis(30);

/// With more than this share of what the paths carry in use, parity included, an eighth more may fill a queue.
const FULL: f64 = 0.8;

/// Beyond so many bytes a second (200 Mbit/s) a receiver does not keep packets until a parity comes by another path.
const FAST: u64 = 25_000_000;

/// Parities of fewer bytes, of which there are 50 a second at most, are next to nothing on a path of more than so many bytes a
/// second (1.6 Mbit/s).
const TINY: usize = 400;
const SLOW: u64 = 200_000;

/// A queue that is shorter is none.
const SHORT: Duration = Duration::from_millis(4);

/// A parity that goes by a path whose round trip is longer than twice the least, and this, comes too late.
const LATE: Duration = Duration::from_millis(20);

/// Parities may take a quarter of what data takes on a path, of which so many bytes are saved up: twice what they need where they are
/// spread alike.
pub(super) type Allowance = Extra<4, 6_000>;

/// Which packets are covered now; found anew with each report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cover {
    /// It is wanted, and the peer knows how.
    on: bool,
    /// Paths that lose packets, by bits.
    paths: u16,
    /// Whether nobody uses all that the paths carry.
    room: bool,
}

impl Cover {
    /// Nothing is known of the paths yet. `on`: it is wanted, and the peer knows how.
    pub(super) fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Whether packets are covered as it is needed.
    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    /// Whether some path loses packets now.
    #[inline]
    pub(super) const fn is_needed(&self) -> bool {
        self.paths != 0
    }

    /// What the parity of packets on `path` may cost; `None`: none is needed, or there is no room.
    #[inline]
    pub(super) fn cost(&self, path: PathId, sparse: impl Fn() -> bool) -> Option<Cost> {
        if self.paths & path.bit() == 0 {
            None
        } else if sparse() {
            Some(Cost::Small)
        } else {
            self.room.then_some(Cost::Spare)
        }
    }
}

impl Peer {
    /// A report came: which paths lose packets, and whether there is room.
    pub(super) fn follow_losses(&mut self, now: Time) {
        if !self.cover.on {
            return;
        }
        let before = self.cover.paths;
        self.cover.paths = 0;
        let slow = |v: &&PathView| v.min_rtt + v.estimate.jitter * 2 >= SOON;
        for view in self.views.iter().filter(slow) {
            let Some(path) = self.paths[view.id.index()].as_ref() else { continue };
            let least = if before & view.id.bit() == 0 { LOSES } else { LOSES_LITTLE };
            if path.model.losses(now).0 >= least {
                self.cover.paths |= view.id.bit();
            }
        }
        self.cover.room = self.cover.is_needed() && !self.is_nearly_full(now);
    }

    /// Whether the paths in use carry about as much as they can, as far as that is known of all of them.
    fn is_nearly_full(&self, now: Time) -> bool {
        let best = self.views.iter().map(|v| v.rank).min();
        let in_use = self.views.iter().filter(|v| Some(v.rank) == best);
        let used = self.paths.iter().flatten().map(|p| p.rate_up.rate(now).bytes).sum();
        used > FAST || is_full(used, in_use.map(carries).sum())
    }

    /// Which packets are covered now, for people; nothing when none are.
    pub(super) fn explain_cover(&self) -> Option<String> {
        let Cover { paths, room, .. } = self.cover;
        if paths == 0 || !room && !self.scheduler.is_adaptive() {
            return None;
        }
        let lossy = self.paths.iter().flatten().filter(|p| paths & p.id.bit() != 0);
        let lossy: Vec<&str> = lossy.map(|p| p.name.as_str()).collect();
        let whose = if room { "" } else { ", if its flow is sparse" };
        Some(format!(
            "with parity for what goes by {}, where packets are lost{whose}",
            lossy.join(", ")
        ))
    }

    /// By which path the parity of this block goes, if by any: of those by which it comes in time, the one that fewest of its packets took.
    pub(super) fn parity_path(&self, now: Time, block: &Block) -> Option<PathId> {
        if block.cost() == Cost::Spare && self.has_none_to_spare() {
            return None;
        }
        let best = self.views.iter().map(|v| v.rank).min()?;
        let ranked = || self.views.iter().filter(|v| v.rank == best);
        // What waits here waits for tokens, of which a path without a limit has no need.
        let waits = self.is_holding_back();
        let takes_nobodys_tokens = |path: &Path| !waits || path.pacer.is_none();
        let late = ranked().map(|v| v.srtt).min()? * 2 + LATE;
        let takes = |v: &&PathView| {
            let Some(path) = self.paths[v.id.index()].as_deref() else { return false };
            let tiny = block.len() <= TINY && carries(v).is_none_or(|most| most >= SLOW);
            let own = tiny && block.on(v.id) > 0;
            let room = || has_room(now, path, v);
            let left = || path.for_parities.left(path.counters.tx_data_bytes) > 0;
            match block.cost() {
                Cost::Any => true,
                Cost::Small => own || left() && room(),
                Cost::Spare => (own || left()) && room() && takes_nobodys_tokens(path),
            }
        };
        ranked()
            .filter(|v| v.srtt <= late)
            .filter(takes)
            .min_by_key(|v| (block.on(v.id), v.srtt, v.id))
            .map(|v| v.id)
    }

    /// A queue is long.
    fn has_none_to_spare(&self) -> bool {
        let congested =
            |w: &super::SendWorker| w.repairer.as_ref().is_some_and(|r| r.is_congested());
        self.send_workers.iter().any(congested)
    }
}

/// Nothing waits in the path's queue, nor for its tokens, and it carries less than it can.
pub(super) fn has_room(now: Time, path: &Path, view: &PathView) -> bool {
    let queue = path.model.standing(now);
    let ready = path.pacer.as_ref().is_none_or(|p| p.refused_until() <= now);
    let full = is_full(path.rate_up.rate(now).bytes, carries(view));
    ready && !full && queue <= view.estimate.threshold.max(SHORT)
}

/// What the path carries at most, bytes a second, as far as that is known.
fn carries(view: &PathView) -> Option<u64> {
    let measured = view.estimate.measured.then_some(view.estimate.rate);
    let limit = view.limit.map(|limit| limit.bits_per_second() / 8);
    measured.into_iter().chain(limit).min()
}

fn is_full(used: u64, most: Option<u64>) -> bool {
    most.is_some_and(|most| used as f64 > most as f64 * FULL)
}
