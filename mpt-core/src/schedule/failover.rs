//! By priority.

use super::PathView;
use crate::PathId;

/// The path of the lowest priority number. Among equals the one in use stays in use: moving brings nothing and
/// costs reordering.
#[derive(Clone, Debug, Default)]
pub struct Failover {
    current: Option<PathId>,
}

impl Failover {
    pub(super) fn pick<'v>(
        &mut self,
        candidates: impl Iterator<Item = &'v PathView>,
    ) -> Option<PathId> {
        let current = self.current;
        let best = candidates.min_by_key(|v| (v.priority, current != Some(v.id), v.srtt, v.id))?;
        self.current = Some(best.id);
        self.current
    }
}
