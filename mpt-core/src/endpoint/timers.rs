//! When which peer wants to be looked at.

use crate::{PeerId, Time};
use std::collections::BTreeSet;

/// One deadline a peer, or none.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Time, PeerId)>,
    /// By peer.
    entered: Vec<Option<Time>>,
}

impl Timers {
    /// Sets `peer`'s deadline.
    pub(super) fn set(&mut self, peer: PeerId, at: Option<Time>) {
        let i = peer.0 as usize;
        if self.entered.len() <= i {
            self.entered.resize(i + 1, None);
        }
        let before = std::mem::replace(&mut self.entered[i], at);
        if before != at {
            if let Some(before) = before {
                self.due.remove(&(before, peer));
            }
            if let Some(at) = at {
                self.due.insert((at, peer));
            }
        }
    }

    /// A peer whose deadline has come; it has none any more.
    pub(super) fn pop(&mut self, now: Time) -> Option<PeerId> {
        let &(at, peer) = self.due.first()?;
        if at > now {
            return None;
        }
        self.set(peer, None);
        Some(peer)
    }

    /// The first deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }
}
