//! What happened, for whoever drives the endpoint.

use super::Endpoint;
use crate::Event;

/// Of more events than this that nobody drained, the oldest that are told again, or stand in the status, are forgotten.
pub(super) const MAX_EVENTS: usize = 1_024;

impl Endpoint {
    /// Whether [`poll_event`](Self::poll_event) has something to tell.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What happened.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Changes of state are kept: whoever drives this knows states by them alone.
    pub(super) fn forget_events(&mut self) {
        let mut surplus = self.events.len().saturating_sub(MAX_EVENTS);
        if surplus > 0 {
            self.events.retain(|event| {
                let passing = matches!(event, Event::ResolveRemote(..) | Event::Warning(_));
                let forgotten = passing && surplus > 0;
                surplus -= usize::from(forgotten);
                !forgotten
            });
        }
    }
}
