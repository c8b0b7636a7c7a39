//! Send errors, told once a minute for each path.

use crate::udp::SendError;
use mpt_core::{PathId, PeerId, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// One line a minute for each path and kind.
const PAUSE: Duration = Duration::from_secs(60);

/// When each path last had a line.
#[derive(Debug, Default)]
pub(super) struct SendErrors {
    last: BTreeMap<(PeerId, PathId), (SendError, Time)>,
}

impl SendErrors {
    /// Whether this error is worth a line now.
    pub(super) fn is_news(
        &mut self,
        now: Time,
        peer: PeerId,
        path: PathId,
        error: SendError,
    ) -> bool {
        let news = self
            .last
            .get(&(peer, path))
            .is_none_or(|&(before, at)| before != error || now.since(at) >= PAUSE);
        if news {
            self.last.insert((peer, path), (error, now));
        }
        news
    }
}
