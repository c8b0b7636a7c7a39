//! A peer's sessions: the one that seals, the one before it, and those not yet confirmed.

use super::association::Instances;
use crate::Time;
use crate::session::Session;
use std::collections::VecDeque;
use std::time::Duration;

/// A session's number within this endpoint; names it in the index table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionId(pub u32);

/// At most this many unconfirmed answers per peer: each costs a session's keys and 16 indices, some 3 KB. So many may come at once when this end
/// was stopped for a while, or when somebody sends again what was recorded.
const MAX_PENDING: usize = 16;

/// An unconfirmed answer is forgotten after this: by then its initiator has begun anew.
const PENDING_LIFETIME: Duration = Duration::from_secs(15);

/// An initiator that begins anew this long after our answer did not take it. A copy of its message
/// that took another path comes sooner.
const UNUSED_AFTER: Duration = Duration::from_secs(4);

/// What was sealed under the keys before these may still arrive for as long as a slow path takes.
const PREVIOUS_LIFETIME: Duration = Duration::from_secs(30);

/// Initiations whose keys were used, or had their time, are remembered for this many agreements, one every two minutes:
/// sent again by a stranger they are told from a late copy of a new one, and dropped.
const REMEMBERED: usize = 512;

/// When both ends began at once, the one whose attempt gives way has moved to the other's keys by then.
const CROSSING: Duration = Duration::from_secs(5);

/// A session and what belongs to it.
#[derive(Debug)]
pub struct Slot {
    /// Its number.
    pub id: SessionId,
    /// The keys.
    pub session: Session,
    /// The two processes that agreed on it.
    pub instances: Instances,
    /// What both of them can do.
    pub capabilities: u32,
    /// How many workers the peer sends with.
    pub workers: u8,
    /// When the peer first used the keys.
    pub heard: Option<Time>,
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
    /// Of initiations that are over, the oldest first: what their ephemeral keys begin with. None of those is chosen by a stranger.
    over: VecDeque<u64>,
    /// Of initiations that were left alone because ours went first; over when a session is agreed on.
    left_alone: Vec<[u8; 32]>,
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

    /// The session of that number, for a look.
    pub fn peek(&self, id: SessionId) -> Option<&Slot> {
        let agreed = [self.current.as_ref(), self.previous.as_ref().map(|(slot, _)| slot)];
        let pending = self.pending.iter().map(|p| &p.slot);
        agreed.into_iter().flatten().chain(pending).find(|slot| slot.id == id)
    }

    /// The answer already given to the initiation with this ephemeral key.
    pub fn answer_to(&self, ephemeral: &[u8; 32]) -> Option<&[u8]> {
        self.pending.iter().find(|p| p.ephemeral == *ephemeral).map(|p| p.response.as_slice())
    }

    /// Whether an answer has been waiting for so long that its initiator must have given it up.
    pub fn answers_unused(&self, now: Time) -> bool {
        self.pending.iter().any(|p| now.since(p.since) >= UNUSED_AFTER)
    }

    /// Whether the initiation with this ephemeral key is over: its keys were used, or had their time.
    pub fn is_over(&self, ephemeral: &[u8; 32]) -> bool {
        self.over.contains(&beginning(ephemeral))
    }

    /// The initiation with this ephemeral key is not answered while ours goes first.
    pub fn leave_alone(&mut self, ephemeral: [u8; 32]) {
        if self.left_alone.len() < MAX_PENDING && !self.left_alone.contains(&ephemeral) {
            self.left_alone.push(ephemeral);
        }
    }

    fn note_over(&mut self, ephemeral: [u8; 32]) {
        if self.over.len() == REMEMBERED {
            self.over.pop_front();
        }
        self.over.push_back(beginning(&ephemeral));
    }

    /// Keeps an answer until its keys are used; the oldest makes room, and is over: a copy of its initiation that comes by another path is not to
    /// have another answer, and push out those that came after it.
    pub fn add_pending(&mut self, now: Time, slot: Slot, ephemeral: [u8; 32], response: Vec<u8>) {
        if self.pending.len() == MAX_PENDING {
            let oldest = self.pending.remove(0);
            self.note_over(oldest.ephemeral);
            self.ended.push(oldest.slot);
        }
        self.pending.push(Pending { slot, ephemeral, response, since: now });
    }

    /// Whether the peer uses `id`, an answer of ours, only because it does not know yet that ours
    /// was answered as well: both began at once. Were each end to move to the other's keys now, they
    /// would pass one another, and soon neither would have the keys the other seals with.
    pub fn is_passed_over(&self, now: Time, id: SessionId) -> bool {
        let (Some(current), Some(pending)) =
            (&self.current, self.pending.iter().find(|p| p.slot.id == id))
        else {
            return false;
        };
        if !current.session.is_initiator() || current.instances != pending.slot.instances {
            return false;
        }
        match current.heard {
            Some(heard) => pending.since <= heard,
            // As long as the peer still has our keys to move to.
            None => {
                now.since(pending.since) < CROSSING
                    && now.since(current.session.created()) < PENDING_LIFETIME
            }
        }
    }

    /// Whether a datagram under session `id` may be the newest: nothing came under later keys.
    pub fn is_newest(&self, id: SessionId) -> bool {
        self.current.as_ref().is_none_or(|s| s.id == id || s.heard.is_none())
    }

    /// The first datagram under a pending session's keys came: it becomes the current one.
    pub fn confirm(&mut self, now: Time, id: SessionId) {
        if let Some(i) = self.pending.iter().position(|p| p.slot.id == id) {
            let pending = self.pending.remove(i);
            self.note_over(pending.ephemeral);
            self.make_current(now, pending.slot);
        }
    }

    /// Seals with `slot` from now on. The session before it still opens for a while, unless it
    /// belongs to other processes: then its keys are refused from now on.
    pub fn make_current(&mut self, now: Time, slot: Slot) {
        for ephemeral in std::mem::take(&mut self.left_alone) {
            self.note_over(ephemeral);
        }
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
        // A late packet of a process that is gone must not bring it back.
        let others = self.pending.extract_if(.., |p| p.slot.instances != instances);
        self.ended.extend(others.map(|p| p.slot));
    }

    /// Forgets what is too old; whether that was the session that seals.
    pub fn expire(&mut self, now: Time) -> bool {
        let expired = self.current.take_if(|s| s.session.expired(now));
        let ended = expired.is_some();
        self.ended.extend(expired);
        if let Some((slot, _)) = self
            .previous
            .take_if(|(s, since)| s.session.expired(now) || now.since(*since) >= PREVIOUS_LIFETIME)
        {
            self.ended.push(slot);
        }
        let mut i = 0;
        while i < self.pending.len() {
            if now.since(self.pending[i].since) >= PENDING_LIFETIME {
                let pending = self.pending.remove(i);
                self.note_over(pending.ephemeral);
                self.ended.push(pending.slot);
            } else {
                i += 1;
            }
        }
        ended
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

fn beginning(ephemeral: &[u8; 32]) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| ephemeral[i]))
}
