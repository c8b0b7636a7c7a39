//! Each flow on one path.

use super::PathView;
use crate::PathId;

/// Weighted rendezvous hashing: every path draws a number for the flow, the best draw wins, and weights bend
/// the draws so that shares of flows follow them. When a path goes only its flows move, and they come back with it.
///
/// Source: Schindelhauer, Schomaker: Weighted distributed hash tables (SPAA 2005), logarithmic method.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowHash;

impl FlowHash {
    pub(super) fn pick<'v>(
        self,
        candidates: impl Iterator<Item = &'v PathView>,
        flow: u64,
    ) -> Option<PathId> {
        let draw = |v: &PathView| {
            let hash = mix(flow ^ mix(u64::from(v.id.get()) + 1));
            // 53 bits, within (0, 1).
            let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -uniform.ln() / f64::from(v.weight.get())
        };
        candidates.min_by(|a, b| draw(a).total_cmp(&draw(b))).map(|v| v.id)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes half of the output.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
