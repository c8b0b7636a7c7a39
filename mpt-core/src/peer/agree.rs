//! A peer's part in handshakes: answering its initiation, taking its response, and what new keys
//! change.

use super::association::Instances;
use super::attempt::Attempt;
use super::delivery::outlet;
use super::path_entry::Introduction;
use super::sessions::{SessionId, Slot};
use super::{Context, Peer};
use crate::config::EndpointConfig;
use crate::handshake::{
    CipherOffer, HandshakeError, Hello, Incoming, Outcome, PROTOCOL_VERSION, Refusal,
};
use crate::path::WorkersLoss;
use crate::session::IndexTable;
use crate::{DropReason, Event, Time};
use std::time::Duration;

/// After a refusal the next initiation waits this long: somebody has to change a configuration.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// After a cookie, before the copies that carry it.
const COOKIE_PAUSE: Duration = Duration::from_millis(100);

/// An answer to our own initiation does not open. The peer has read the initiation, so the static keys
/// are right.
const KEYS_DIFFER: &str =
    "the peer answers, but not under our keys: the pre-shared keys differ between the ends";

/// The peer began anew, for all that we answered.
const ANSWERS_UNUSED: &str = "the peer calls, but makes no use of our answers: the pre-shared keys \
    differ between the ends, or our datagrams do not arrive there";

/// What this end can do beyond the least.
fn capabilities(config: &EndpointConfig) -> u32 {
    let repair = match config.repair.is_on() {
        true => crate::repair::CAPABILITY | crate::repair::PAUSES_CAPABILITY,
        false => 0,
    };
    let parity = crate::protect::CAPABILITY | crate::protect::PIECES_CAPABILITY;
    repair | parity | crate::parts::CAPABILITY
}

/// How this end introduces itself.
pub(super) fn hello(config: &EndpointConfig, instance: u64) -> Hello {
    Hello {
        instance,
        capabilities: capabilities(config),
        version: PROTOCOL_VERSION,
        cipher: CipherOffer { choice: config.cipher, aes_in_hardware: config.aes_in_hardware },
        workers: config.workers.get(),
    }
}

impl Peer {
    /// The answer already given to a copy of the initiation with this ephemeral key.
    pub fn answer_to(&self, ephemeral: &[u8; 32]) -> Option<&[u8]> {
        self.sessions.answer_to(ephemeral)
    }

    /// Whether the initiation with this ephemeral key is over: it was sent again by somebody.
    pub fn is_over(&self, ephemeral: &[u8; 32]) -> bool {
        self.sessions.is_over(ephemeral)
    }

    /// Leaves the initiation with this ephemeral key unanswered for now.
    pub fn leave_alone(&mut self, ephemeral: [u8; 32]) {
        self.sessions.leave_alone(ephemeral);
    }

    /// Whether the peer's initiation is to be left alone, because both began at the same time and
    /// ours goes first: the smaller public key wins.
    pub fn attempt_takes_precedence(&self, now: Time) -> bool {
        self.goes_first && self.attempt.as_ref().is_some_and(|a| a.takes_precedence(now))
    }

    /// The index under which our attempt's response comes.
    pub fn attempt_index(&self) -> Option<u32> {
        self.attempt.as_ref().map(|a| a.pending.index())
    }

    /// Whether a response to our attempt is read whatever the load.
    pub fn may_read_response(&self) -> bool {
        self.attempt.as_ref().is_some_and(Attempt::may_read)
    }

    /// Answers the peer's initiation. The keys wait until the peer uses them; nothing else changes.
    ///
    /// # Errors
    /// When it is not to be answered.
    pub fn answer(
        &mut self,
        now: Time,
        incoming: Incoming,
        index: u32,
        config: &EndpointConfig,
        indices: &mut IndexTable<super::Indexed>,
    ) -> Result<Vec<u8>, DropReason> {
        let remote = incoming.hello().instance;
        // Anybody may send an old initiation again: what it says changes nothing before its keys are used.
        let local = match self.instance.is_used_up(remote, self.association) {
            true => self.instance.another(),
            false => self.instance.id(),
        };
        let ours = hello(config, local);
        let ephemeral = *incoming.ephemeral();
        let answer = incoming
            .respond(&self.config.preshared_key, ours, index)
            .map_err(HandshakeError::drop_reason)?;
        match answer.outcome {
            Outcome::Agreed(agreement) => {
                if self.sessions.answers_unused(now) {
                    self.show_problem(ANSWERS_UNUSED);
                }
                let id = self.next_session_id();
                let capabilities = capabilities(config) & agreement.peer().capabilities;
                let workers = agreement.peer().workers;
                let session = agreement.into_session(now);
                let peer = self.id;
                // One in millions: unanswered, the peer asks again with other keys.
                indices
                    .insert(session.local_indices(), |path| (peer, id, path))
                    .map_err(|_| DropReason::BadHandshake)?;
                let instances = Instances { local, remote };
                let slot = Slot { id, session, instances, capabilities, workers, heard: None };
                self.sessions.add_pending(now, slot, ephemeral, answer.message.clone());
            }
            // It may be an old initiation, sent again by a stranger: show it, change nothing.
            Outcome::Refused(refusal) => self.show_refusal(&refusal),
        }
        Ok(answer.message)
    }

    /// Takes the response to our initiation: its keys are in use from now on.
    ///
    /// # Errors
    /// When it is not one; the attempt goes on then.
    pub fn on_response(
        &mut self,
        now: Time,
        message: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), HandshakeError> {
        let attempt = self.attempt.as_mut().ok_or(HandshakeError::Unasked)?;
        attempt.on_response_read();
        let outcome = match attempt.pending.finish(message) {
            Ok(outcome) => outcome,
            Err(error) => {
                // A stranger may have made it up: show it, change nothing.
                if error == HandshakeError::NotAuthentic {
                    self.show_problem(KEYS_DIFFER);
                }
                return Err(error);
            }
        };
        let local = attempt.instance;
        self.attempt = None;
        match outcome {
            Outcome::Agreed(agreement) => {
                let remote = agreement.peer().instance;
                if self.instance.is_used_up(remote, self.association) {
                    self.instance.renew();
                    self.warn_of_turns(now, cx);
                    self.next_attempt = now;
                    return Ok(());
                }
                let capabilities = capabilities(cx.config) & agreement.peer().capabilities;
                let workers = agreement.peer().workers;
                let session = agreement.into_session(now);
                let id = self.next_session_id();
                let peer = self.id;
                if cx.indices.insert(session.local_indices(), |p| (peer, id, p)).is_err() {
                    return Ok(());
                }
                let instances = Instances { local, remote };
                let fresh = self.sessions.current().is_none();
                let slot = Slot { id, session, instances, capabilities, workers, heard: None };
                self.sessions.make_current(now, slot);
                self.session_began(now, fresh, cx);
            }
            Outcome::Refused(refusal) => {
                self.show_refusal(&refusal);
                self.next_attempt = now + REFUSED_PAUSE;
            }
        }
        Ok(())
    }

    /// A cookie for our next copies, which follow soon: not at once, as the peer is under load, and the cookies for other paths are on
    /// their way.
    ///
    /// # Errors
    /// When it is not one, or nobody asked.
    pub fn on_cookie(&mut self, now: Time, message: &[u8]) -> Result<(), HandshakeError> {
        let mut last = HandshakeError::Unasked;
        for path in self.paths.iter_mut().flatten() {
            match path.cookies.accept(now, message) {
                Ok(()) => {
                    if let Some(attempt) = &mut self.attempt {
                        attempt.hurry(now + COOKIE_PAUSE);
                    }
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The peer used the keys of our answer: they are the session's from now on.
    pub(super) fn confirm(&mut self, now: Time, id: SessionId, cx: &mut Context<'_>) {
        if self.goes_first && self.sessions.is_passed_over(now, id) {
            return;
        }
        let fresh = self.sessions.current().is_none();
        self.sessions.confirm(now, id);
        self.attempt = None;
        self.session_began(now, fresh, cx);
    }

    /// New keys are in use. With the processes that talked before, nothing else changes.
    fn session_began(&mut self, now: Time, fresh: bool, cx: &mut Context<'_>) {
        self.heard(now);
        self.why = None;
        self.refused = false;
        let Some(slot) = self.sessions.current() else { return };
        let (instances, cipher) = (slot.instances, slot.session.cipher());
        let capabilities = slot.capabilities;
        let restarted = self.association != Some(instances);
        tracing::debug!(peer = %self.name, %cipher, restarted, "session established");
        if restarted {
            self.start_afresh(now, instances, cx);
        }
        self.set_repair(capabilities, cx);
        self.set_pauses(capabilities);
        self.set_protection(capabilities, cx);
        self.parts.set_agreed(capabilities);
        if restarted || fresh {
            for path in self.paths.iter_mut().flatten() {
                path.health.on_session_ended(now);
            }
        }
        self.views_dirty = true;
    }

    /// Another process speaks for the peer: what is held is delivered, the rest forgotten.
    fn start_afresh(&mut self, now: Time, instances: Instances, cx: &mut Context<'_>) {
        self.flush_held(now, cx);
        if self.instance.on_association(instances) {
            self.warn_of_turns(now, cx);
        }
        self.association = Some(instances);
        self.delivered.forget_parts();
        self.receive_workers = Default::default();
        for worker in &mut self.send_workers {
            *worker = super::SendWorker::new(cx.rng);
        }
        self.remote_paths = Default::default();
        for path in self.paths.iter_mut().flatten() {
            path.remote_id = None;
            path.introduction = Introduction::Due;
            path.loss_up = WorkersLoss::default();
            path.forget_bottleneck(now);
            path.loss_down = WorkersLoss::default();
        }
    }

    /// Delivers what is held, in order.
    pub fn flush_held(&mut self, now: Time, cx: &mut Context<'_>) {
        let (mut outlet, held) = outlet(self.id, &mut self.delivered, &mut self.drops, cx);
        for worker in self.receive_workers.iter_mut().flatten() {
            worker.reorder.flush(now, held, &mut |p, c| outlet.deliver(p, c));
        }
    }

    /// A process of the peer that another one had replaced is back.
    fn warn_of_turns(&mut self, now: Time, cx: &mut Context<'_>) {
        tracing::warn!(peer = %self.name, "an earlier process of the peer is back: is its key in use twice?");
        if self.turns.on_turn(now) {
            let text =
                format!("peer {}: two machines that use its key throw each other out", self.name);
            cx.events.push_back(Event::Warning(text));
        }
    }

    fn show_refusal(&mut self, refusal: &Refusal) {
        if self.sessions.current().is_none() {
            self.show_problem(&refusal.to_string());
            self.refused = true;
        }
    }

    /// Tells why there is no session.
    fn show_problem(&mut self, text: &str) {
        if self.sessions.current().is_none() && self.why.as_deref() != Some(text) {
            tracing::warn!(peer = %self.name, "{text}");
            self.why = Some(text.to_owned());
        }
    }

    fn next_session_id(&mut self) -> SessionId {
        self.next_session = self.next_session.wrapping_add(1);
        SessionId(self.next_session)
    }
}
