//! Deficit round robin in bytes, smooth.

use super::PathView;
use crate::PathId;
use crate::id::MAX_PATHS;

/// Byte-accurate weights.
///
/// For each packet every path it fits earns `length × weight`, and the one with most credit pays
/// `length × sum of weights` for carrying it. Credits add up to nothing, so shares are exact to one packet;
/// and because everybody earns with every packet, paths alternate as evenly as their weights allow instead of
/// taking bursts in turn. A path that (re)appears starts from zero: what it missed is not made up for.
#[derive(Clone, Debug, Default)]
pub struct Weighted {
    credit: [i64; MAX_PATHS],
    /// The paths that took part in the pick before, whether its packet fitted them or not.
    present: u16,
    /// Their weights.
    weights: [u16; MAX_PATHS],
}

// A credit stays within one packet times the sum of all weights, either way.
const _: () = assert!(65_535 * 10_000 * MAX_PATHS as i64 * 4 < i64::MAX / 1_000);

impl Weighted {
    /// Picks among `paths` one which `fits`, for a packet of `len` outer bytes.
    pub(super) fn pick<'v>(
        &mut self,
        paths: impl Iterator<Item = &'v PathView> + Clone,
        fits: impl Fn(&PathView) -> bool,
        len: usize,
    ) -> Option<PathId> {
        self.follow(paths.clone());
        let len = len as i64;
        let mut sum = 0;
        let mut best: Option<PathId> = None;
        for v in paths.filter(|v| fits(v)) {
            let weight = i64::from(v.weight.get());
            sum += weight;
            self.credit[v.id.index()] += len * weight;
            let credit = self.credit[v.id.index()];
            if best.is_none_or(|b| credit > self.credit[b.index()]) {
                best = Some(v.id);
            }
        }
        let path = best?;
        self.credit[path.index()] -= len * sum;
        Some(path)
    }

    /// Begins afresh when a path was added or a weight is another. A packet too large for some path is
    /// no such change, or every packet after a large one would find all credits at zero.
    fn follow<'v>(&mut self, paths: impl Iterator<Item = &'v PathView>) {
        let before = self.present;
        let mut changed = false;
        self.present = 0;
        for v in paths {
            let weight = &mut self.weights[v.id.index()];
            changed |= before & v.id.bit() == 0 || *weight != v.weight.get();
            *weight = v.weight.get();
            self.present |= v.id.bit();
        }
        if changed {
            // Other weights, other unit: debts of the old one would be paid as a burst.
            self.credit = [0; MAX_PATHS];
        }
    }
}
