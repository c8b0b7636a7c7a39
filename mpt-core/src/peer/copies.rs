//! Copies that nobody asked for.
//!
//! A call hears each packet that is lost or late, and is next to nothing beside a download. So where flows fill several paths, small packets
//! of flows with few of them go by two at once, if the one that they take loses packets or brings them at uneven times; what comes first
//! is delivered. That is as [`Route::Duplicate`](crate::policy::Route) does it for those that a policy names, but
//!
//! - only where the second path may bring it before the first one, late, or what is sent again;
//! - only by paths that carry data anyhow, and for a small part of it: one in reserve is left alone.
//!
//! A copy waits for no tokens: beside a flow that fills its path there never are any. It is paid for afterwards.

use super::Peer;
use super::extra::Extra;
use crate::policy::LARGEST_DUPLICATED;
use crate::schedule::PathView;
use crate::{PathId, Time};
use std::time::Duration;

/// A path that loses this share at random is worth a copy, …
const LOSES: f64 = 0.002;

/// … and so is one whose delays deviate by this: one packet in forty comes later by twice as much.
const UNEVEN: Duration = Duration::from_millis(5);

/// Flows of more packets are no calls, but somebody's acknowledgements: so far apart theirs are at least, in units of 2^20 ns.
const APART: u32 = 4;

/// Flows that share an entry count as one.
const FLOWS: usize = 256;

/// Copies may take a sixteenth of what data takes on a path, of which so many bytes are saved up.
pub(super) type Savings = Extra<16, 4_000>;

/// Which packets have a copy.
#[derive(Debug)]
pub(super) struct Copies {
    /// Somebody wants them.
    on: bool,
    /// Paths that lose packets or bring them at uneven times, by bits; found anew with each report.
    paths: u16,
    /// When each flow sent last, in units of 2^20 ns.
    sent: Box<[u32; FLOWS]>,
}

impl Default for Copies {
    fn default() -> Self {
        Self { on: false, paths: 0, sent: Box::new([0; FLOWS]) }
    }
}

impl Copies {
    /// They are wanted from now on, or not.
    pub(super) const fn set(&mut self, on: bool) {
        self.on = on;
        self.paths = 0;
    }

    /// Whether a packet of `inner` bytes of `flow`, which goes by `path`, is worth one.
    #[inline]
    pub(super) fn wants(&mut self, now: Time, path: PathId, flow: u64, inner: usize) -> bool {
        if self.paths & path.bit() == 0 || inner > usize::from(LARGEST_DUPLICATED) {
            return false;
        }
        let tick = (now.as_nanos() >> 20) as u32;
        let last = &mut self.sent[(flow >> 56) as usize % FLOWS];
        tick.wrapping_sub(std::mem::replace(last, tick)) >= APART
    }
}

impl Peer {
    /// A report came: which paths lose packets or bring them at uneven times.
    pub(super) fn follow_unevenness(&mut self, now: Time) {
        self.copies.paths = 0;
        if !self.copies.on || !self.scheduler.is_adaptive() || self.views.len() < 2 {
            return;
        }
        for view in &self.views {
            let Some(path) = self.paths[view.id.index()].as_ref() else { continue };
            if view.estimate.jitter >= UNEVEN || path.model.losses(now).0 >= LOSES {
                self.copies.paths |= view.id.bit();
            }
        }
    }

    /// Which packets have a copy now, for people; nothing when none have.
    pub(super) fn explain_copies(&self) -> Option<String> {
        let uneven = self.paths.iter().flatten().filter(|p| self.copies.paths & p.id.bit() != 0);
        let uneven: Vec<&str> = uneven.map(|p| p.name.as_str()).collect();
        let does =
            if uneven.len() == 1 { "loses packets or brings" } else { "lose packets or bring" };
        (!uneven.is_empty()).then(|| {
            format!(
                "by a second path too, if its flow is sparse and others fill that one, while {} {does} them \
                 unevenly",
                uneven.join(" and ")
            )
        })
    }
}

/// The path for a copy of a packet of `inner` bytes on `first`, if one may be in time; `arrives` says when, microseconds.
pub(super) fn second(
    views: &[PathView],
    first: PathId,
    inner: usize,
    arrives: impl Fn(&PathView) -> i64,
) -> Option<PathId> {
    let of = views.iter().find(|v| v.id == first)?;
    // What is lost is sent again a round trip later; what is late has come by then.
    let late = arrives(of) + of.srtt.as_micros() as i64;
    let may = |v: &&PathView| v.id != first && v.rank <= of.rank && usize::from(v.mtu) >= inner;
    let (at, id) = views.iter().filter(may).map(|v| (arrives(v), v.id)).min()?;
    (at <= late).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PathId = PathId::new(0).unwrap();
    const B: PathId = PathId::new(1).unwrap();

    #[test]
    fn small_packets_that_are_rare_on_paths_that_are_uneven() {
        let mut copies = Copies { paths: A.bit(), ..Copies::default() };
        let mut count = |path, flow: u64, bytes, every: u64| {
            let at = (1_000..3_000).step_by(every as usize).map(Time::from_millis);
            at.filter(|&now| copies.wants(now, path, flow << 56, bytes)).count()
        };
        assert_eq!(count(A, 1, 200, 20), 100, "a call");
        assert_eq!((count(B, 2, 200, 20), count(A, 3, 1_200, 20)), (0, 0));
        assert!(count(A, 4, 60, 1) <= 1, "acknowledgements");
    }

    #[test]
    fn by_what_comes_before_it_is_sent_again() {
        let view = |id, srtt: u64| PathView {
            id,
            weight: crate::Weight::DEFAULT,
            priority: 0,
            rank: crate::schedule::Rank::Preferred,
            mtu: 1_400,
            srtt: Duration::from_millis(srtt),
            min_rtt: Duration::from_millis(srtt),
            limit: None,
            tokens: crate::schedule::Tokens::Spent,
            wait: Duration::ZERO,
            estimate: Default::default(),
        };
        let views = [view(A, 40), view(B, 100)];
        let second =
            |delays: [i64; 2], inner| second(&views, A, inner, |v| delays[v.id.index()] * 1_000);
        assert_eq!(second([0, 39], 200), Some(B));
        assert_eq!(second([0, 41], 200), None);
        assert_eq!(second([0, 39], 1_401), None);
    }
}
