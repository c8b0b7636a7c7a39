//! Deficit round robin in bytes, smooth.

use super::PathView;
use crate::PathId;
use crate::id::MAX_PATHS;

/// Byte-accurate weights.
///
/// For each packet every candidate earns `length × weight`, and the one with most credit pays
/// `length × sum of weights` for carrying it. Credits add up to nothing, so shares are exact to one packet;
/// and because everybody earns with every packet, paths alternate as evenly as their weights allow instead of
/// taking bursts in turn. A path that (re)appears starts from zero: what it missed is not made up for.
#[derive(Clone, Debug, Default)]
pub struct Weighted {
    credit: [i64; MAX_PATHS],
    /// Candidates of the pick before.
    present: u16,
    weights: [u16; MAX_PATHS],
}

// A credit stays within one packet times the sum of all weights, either way.
const _: () = assert!(65_535 * 10_000 * MAX_PATHS as i64 * 4 < i64::MAX / 1_000);

impl Weighted {
    pub(super) fn pick<'v>(
        &mut self,
        candidates: impl Iterator<Item = &'v PathView> + Clone,
        len: usize,
    ) -> Option<PathId> {
        let len = len as i64;
        let mut present = 0;
        let mut changed = false;
        let mut sum = 0;
        for v in candidates.clone() {
            present |= v.id.bit();
            sum += i64::from(v.weight.get());
            changed |= self.weights[v.id.index()] != v.weight.get();
            self.weights[v.id.index()] = v.weight.get();
        }
        if changed || present & !self.present != 0 {
            // Other weights, other unit: debts of the old one would be paid as a burst.
            self.credit = [0; MAX_PATHS];
        }
        self.present = present;
        let mut best: Option<PathId> = None;
        for v in candidates {
            let credit = &mut self.credit[v.id.index()];
            *credit += len * i64::from(v.weight.get());
            let credit = *credit;
            if best.is_none_or(|b| credit > self.credit[b.index()]) {
                best = Some(v.id);
            }
        }
        let path = best?;
        self.credit[path.index()] -= len * sum;
        Some(path)
    }
}
