//! The responder's side: an initiation that was read, and the answer to it.

use super::agree::judge;
use super::hello::{ANSWER_LEN, Verdict};
use super::message::{
    INITIATION_HEADER_LEN, KEY_LEN, MACS_LEN, NOISE_TAG_LEN, RESPONSE_LEN, response_header,
};
use super::{Agreement, HandshakeError, Hello, MessageKind, Outcome, mac, noise};
use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::session::Role;
use rand_core::CryptoRng;
use snow::HandshakeState;

/// An initiation that was decrypted. It was made by the owner of [`peer`](Self::peer), at some time;
/// whether now, only the first packet under the keys will tell.
#[derive(Debug)]
pub struct Incoming {
    state: HandshakeState,
    sender: u32,
    peer: PublicKey,
    hello: Hello,
    ephemeral: [u8; KEY_LEN],
}

/// The answer to an initiation.
#[derive(Debug)]
pub struct Answer {
    /// The response, with mac1, and mac2 zero: to be stamped by the peer's
    /// [`CookieJar`](super::CookieJar) for the path it goes out on. Never longer than the initiation.
    pub message: Vec<u8>,
    /// What it says.
    pub outcome: Outcome,
}

impl Incoming {
    /// Reads an initiation, which the [`Gate`](super::Gate) let pass. The answer's ephemeral key
    /// comes from `rng`.
    ///
    /// # Errors
    /// When it was not made for this end's key, or makes no sense.
    pub fn read(
        private: &PrivateKey,
        message: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, HandshakeError> {
        MessageKind::Initiation.expect(message)?;
        let (header, rest) = message
            .split_first_chunk::<INITIATION_HEADER_LEN>()
            .ok_or(HandshakeError::Malformed)?;
        let noise = &rest[..rest.len() - MACS_LEN];
        let mut state = noise::responder(private, header, rng)?;
        let mut payload = vec![0; noise.len()];
        let len = state.read_message(noise, &mut payload)?;
        let peer = state.get_remote_static().and_then(|key| key.try_into().ok());
        Ok(Self {
            sender: super::sender_index(message).ok_or(HandshakeError::Malformed)?,
            peer: PublicKey::from_bytes(peer.ok_or(HandshakeError::NotAuthentic)?),
            hello: Hello::decode(&payload[..len])?,
            ephemeral: *noise.first_chunk().ok_or(HandshakeError::Malformed)?,
            state,
        })
    }

    /// Whose it is. Nobody else could have made it.
    #[must_use]
    pub fn peer(&self) -> &PublicKey {
        &self.peer
    }

    /// How the peer introduces itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The initiator's ephemeral key: tells one attempt from another.
    #[must_use]
    pub fn ephemeral(&self) -> &[u8; KEY_LEN] {
        &self.ephemeral
    }

    /// Answers. `psk` is that of [`peer`](Self::peer), `index` names the handshake at this end.
    ///
    /// # Errors
    /// None that a caller could cause; all of `snow`'s are passed on.
    pub fn respond(
        mut self,
        psk: &PresharedKey,
        ours: Hello,
        index: u32,
    ) -> Result<Answer, HandshakeError> {
        let verdict = judge(&ours, &self.hello);
        self.state.set_psk(usize::from(noise::PSK_POSITION), psk.as_bytes())?;
        let mut noise = [0; KEY_LEN + ANSWER_LEN + NOISE_TAG_LEN];
        let answer = Verdict::new(verdict, ours).encode();
        let len = self.state.write_message(&answer, &mut noise)?;
        let mut message = Vec::with_capacity(RESPONSE_LEN);
        message.extend_from_slice(&response_header(index, self.sender));
        message.extend_from_slice(&noise[..len]);
        mac::append(&mut message, &self.peer);
        let outcome = match verdict {
            Ok(cipher) => Outcome::Agreed(Agreement {
                role: Role::Responder,
                cipher,
                peer: self.hello,
                secret: noise::secret(&mut self.state)?,
            }),
            Err(refusal) => Outcome::Refused(refusal),
        };
        Ok(Answer { message, outcome })
    }
}
