//! Handshake datagrams: whose they are, and what is answered.
//!
//! 1. The gate: is the first MAC right, is the source within its rate, does it have to show a cookie? A response that one of our attempts
//!    waits for is read whatever else comes: else whoever floods us keeps us from all who answer.
//! 2. An initiation is read, its sender looked up among the peers, and answered once; a copy of it
//!    that came over another path gets the same answer there. The keys wait until they are used.
//! 3. A response ends our own attempt: its keys are in use from now on.

use super::Endpoint;
use crate::handshake::{Admission, HandshakeError, Incoming, MessageKind, receiver_index};
use crate::peer::DatagramMeta;
use crate::{Deliver, DropReason, Fragment, LaneKey, Outbox, PeerId, Time};
use rand_core::RngCore;
use std::time::Duration;

/// A line of the log about strangers is enough in this time.
const STRANGERS_TOLD_EVERY: Duration = Duration::from_secs(60);

impl Endpoint {
    pub(super) fn handshake(
        &mut self,
        now: Time,
        meta: &DatagramMeta,
        message: &mut [u8],
        out: &mut Outbox,
        sink: &mut dyn Deliver,
    ) -> Result<(), DropReason> {
        let kind = MessageKind::of(message).map_err(HandshakeError::drop_reason)?;
        if kind == MessageKind::Cookie {
            return self.cookie(now, message);
        }
        let awaited = match kind {
            MessageKind::Response => {
                Some(self.attempt_of(message).ok_or(DropReason::UnknownIndex)?)
            }
            _ => None,
        };
        if awaited.is_some_and(|id| self.peers[id.0 as usize].may_read_response()) {
            self.gate.admit_awaited(message)?;
            return self.response(now, message, sink);
        }
        match self.gate.admit(now, meta.source, message, &mut self.rng) {
            Admission::Read => {}
            Admission::Answer(cookie) => {
                answer(meta, &cookie, out);
                return Ok(());
            }
            Admission::Drop(reason) => return Err(reason),
        }
        match kind {
            MessageKind::Initiation => self.initiation(now, meta, message, out),
            _ => self.response(now, message, sink),
        }
    }

    fn initiation(
        &mut self,
        now: Time,
        meta: &DatagramMeta,
        message: &[u8],
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let incoming = Incoming::read(&self.config.private_key, message, &mut self.rng)
            .map_err(HandshakeError::drop_reason)?;
        let peer = self.peers.iter_mut().find(|p| p.public_key() == incoming.peer());
        let Some(peer) = peer else {
            // Whoever comes this far knows our public key: a slip in a configuration, most likely.
            if self.stranger_told.is_none_or(|at| now.since(at) >= STRANGERS_TOLD_EVERY) {
                self.stranger_told = Some(now);
                tracing::warn!(
                    from = %meta.source,
                    "a stranger calls with the public key {}; is a peer's `public_key` wrong here?",
                    incoming.peer()
                );
            }
            return Err(DropReason::BadHandshake);
        };
        if let Some(response) = peer.answer_to(incoming.ephemeral()) {
            answer(meta, response, out);
            return Ok(());
        }
        if peer.is_over(incoming.ephemeral()) {
            peer.count_drop(DropReason::Replayed);
            return Ok(());
        }
        if peer.attempt_takes_precedence(now) {
            peer.leave_alone(*incoming.ephemeral());
            return Ok(());
        }
        let index = self.rng.next_u32();
        let response = peer.answer(now, incoming, index, &self.config, &mut self.indices)?;
        answer(meta, &response, out);
        let id = peer.id();
        self.touch(id);
        Ok(())
    }

    fn response(
        &mut self,
        now: Time,
        message: &[u8],
        sink: &mut dyn Deliver,
    ) -> Result<(), DropReason> {
        // Ours may be done already, over another path or by the peer's.
        let id = self.attempt_of(message).ok_or(DropReason::UnknownIndex)?;
        self.touch(id);
        let (peer, mut cx) = self.lend(id, sink);
        peer.on_response(now, message, &mut cx).map_err(HandshakeError::drop_reason)
    }

    fn cookie(&mut self, now: Time, message: &[u8]) -> Result<(), DropReason> {
        let id = self.attempt_of(message).ok_or(DropReason::BadHandshake)?;
        self.touch(id);
        self.peers[id.0 as usize].on_cookie(now, message).map_err(HandshakeError::drop_reason)
    }

    /// Whose attempt a response or cookie answers.
    fn attempt_of(&self, message: &[u8]) -> Option<PeerId> {
        let index = receiver_index(message)?;
        let id = self.glances.attempt(index)?;
        // It may have ended since.
        (self.peers[id.0 as usize].attempt_index() == Some(index)).then_some(id)
    }
}

/// Answers where `meta` came from.
fn answer(meta: &DatagramMeta, message: &[u8], out: &mut Outbox) {
    let lane = LaneKey {
        peer: None,
        socket: meta.socket,
        destination: meta.source,
        source: meta.destination,
        fragment: Fragment::Never,
    };
    out.push(lane, 0, message.len()).copy_from_slice(message);
}
