//! A peer's sessions: the one that seals, the one before it, and those not yet confirmed.

use super::association::Instances;
use crate::Time;
use crate::session::Session;
use std::time::Duration;

/// A session's number within this endpoint; names it in the index table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionId(pub u32);

/// At most this many unconfirmed answers per peer: each costs a session's keys and 16 indices.
const MAX_PENDING: usize = 4;

/// An unconfirmed answer is forgotten after this: by then its initiator has begun anew.
const PENDING_LIFETIME: Duration = Duration::from_secs(15);

/// An initiator that begins anew this long after our answer did not take it. A copy of its message
/// that took another path comes sooner.
const UNUSED_AFTER: Duration = Duration::from_secs(4);

/// Sessions agreed within this time of one another come from handshakes that crossed: attempts live
/// that long, and the next keys come much later.
const CROSSED_WITHIN: Duration = Duration::from_secs(10);

/// What was sealed under the keys before these may still arrive for as long as a slow path takes.
const PREVIOUS_LIFETIME: Duration = Duration::from_secs(30);

/// A session and what belongs to it.
#[derive(Debug)]
pub struct Slot {
    /// Its number.
    pub id: SessionId,
    /// The keys.
    pub session: Session,
    /// The two processes that agreed on it.
    pub instances: Instances,
}

/// An answer we gave, whose keys nobody has used yet.
#[derive(Debug)]
struct Pending {
    slot: Slot,
    ephemeral: [u8; 32],
    response: Vec<u8>,
    since: Time,
}

/// Which session a datagram was sealed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The one that seals, or the one before it.
    Confirmed,
    /// An answer of ours that this datagram confirms.
    Pending,
}

/// All sessions of a peer.
#[derive(Debug, Default)]
pub struct Sessions {
    current: Option<Slot>,
    previous: Option<(Slot, Time)>,
    pending: Vec<Pending>,
    /// Sessions that ended, whose indices the endpoint has to take out of its table.
    ended: Vec<Slot>,
}

impl Sessions {
    /// The session that seals.
    pub fn current(&self) -> Option<&Slot> {
        self.current.as_ref()
    }

    /// The session that seals.
    pub fn current_mut(&mut self) -> Option<&mut Slot> {
        self.current.as_mut()
    }

    /// The session called `id`, and whether it is confirmed.
    pub fn find(&mut self, id: SessionId) -> Option<(&mut Slot, Standing)> {
        if let Some(slot) = self.current.as_mut().filter(|s| s.id == id) {
            return Some((slot, Standing::Confirmed));
        }
        if let Some((slot, _)) = self.previous.as_mut().filter(|(s, _)| s.id == id) {
            return Some((slot, Standing::Confirmed));
        }
        let pending = self.pending.iter_mut().find(|p| p.slot.id == id)?;
        Some((&mut pending.slot, Standing::Pending))
    }

    /// The answer already given to the initiation with this ephemeral key.
    pub fn answer_to(&self, ephemeral: &[u8; 32]) -> Option<&[u8]> {
        self.pending.iter().find(|p| p.ephemeral == *ephemeral).map(|p| p.response.as_slice())
    }

    /// Whether an answer has been waiting for so long that its initiator must have given it up.
    pub fn answers_unused(&self, now: Time) -> bool {
        self.pending.iter().any(|p| now.since(p.since) >= UNUSED_AFTER)
    }

    /// Keeps an answer until its keys are used; the oldest makes room.
    pub fn add_pending(&mut self, now: Time, slot: Slot, ephemeral: [u8; 32], response: Vec<u8>) {
        if self.pending.len() == MAX_PENDING {
            let oldest = self.pending.remove(0);
            self.ended.push(oldest.slot);
        }
        self.pending.push(Pending { slot, ephemeral, response, since: now });
    }

    /// The first datagram under a pending session's keys came: it becomes the current one.
    pub fn confirm(&mut self, now: Time, id: SessionId) {
        if let Some(i) = self.pending.iter().position(|p| p.slot.id == id) {
            let pending = self.pending.remove(i);
            self.make_current(now, pending.slot);
        }
    }

    /// Seals with `slot` from now on. The session before it still opens for a while, unless it
    /// belongs to other processes: then its keys are refused from now on.
    pub fn make_current(&mut self, now: Time, slot: Slot) {
        let instances = slot.instances;
        if let Some(old) = self.current.replace(slot) {
            if let Some((older, _)) = self.previous.take() {
                self.ended.push(older);
            }
            if old.instances == instances {
                self.previous = Some((old, now));
            } else {
                self.ended.push(old);
            }
        }
        if let Some((old, _)) = self.previous.take_if(|(p, _)| p.instances != instances) {
            self.ended.push(old);
        }
    }

    /// Whether a datagram of session `id` shows that two handshakes crossed, so that each end seals
    /// under the session the other one left; if so, whether this end began the one it left.
    pub fn crossed(&self, id: SessionId) -> Option<bool> {
        let current = self.current.as_ref().filter(|s| s.id != id)?;
        let (left, _) = self.previous.as_ref().filter(|(s, _)| s.id == id)?;
        let apart = current.session.created().since(left.session.created());
        (apart < CROSSED_WITHIN).then_some(left.session.is_initiator())
    }

    /// Seals with the previous session again, instead of the current one.
    pub fn return_to_previous(&mut self, now: Time) {
        if let (Some(current), Some((previous, since))) = (&mut self.current, &mut self.previous) {
            std::mem::swap(current, previous);
            *since = now;
        }
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Time) {
        if let Some(slot) = self.current.take_if(|s| s.session.expired(now)) {
            self.ended.push(slot);
        }
        if let Some((slot, _)) = self
            .previous
            .take_if(|(s, since)| s.session.expired(now) || now.since(*since) >= PREVIOUS_LIFETIME)
        {
            self.ended.push(slot);
        }
        let mut i = 0;
        while i < self.pending.len() {
            if now.since(self.pending[i].since) >= PENDING_LIFETIME {
                self.ended.push(self.pending.remove(i).slot);
            } else {
                i += 1;
            }
        }
    }

    /// Ends every confirmed session (the peer closed).
    pub fn end(&mut self) {
        self.ended.extend(self.current.take());
        self.ended.extend(self.previous.take().map(|(slot, _)| slot));
    }

    /// The next session that ended.
    #[must_use]
    pub fn poll_ended(&mut self) -> Option<Slot> {
        self.ended.pop()
    }

    /// When [`expire`](Self::expire) has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let pending = self.pending.iter().map(|p| p.since + PENDING_LIFETIME).min();
        let previous = self.previous.as_ref().map(|(_, since)| *since + PREVIOUS_LIFETIME);
        let current = self.current.as_ref().map(|s| s.session.expires_at());
        [pending, previous, current].into_iter().flatten().min()
    }
}
