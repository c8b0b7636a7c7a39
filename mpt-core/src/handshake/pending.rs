//! The initiator's side: an initiation that waits for its response.

use super::agree::judge;
use super::hello::{HELLO_LEN, Status, Verdict};
use super::message::{
    INITIATION_LEN, KEY_LEN, MACS_LEN, NOISE_TAG_LEN, RESPONSE_HEADER_LEN, initiation_header,
};
use super::{Agreement, HandshakeError, Hello, MessageKind, Outcome, Refusal, mac, noise};
use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::session::Role;
use rand_core::CryptoRng;
use snow::HandshakeState;

/// An initiation that waits for its response.
#[derive(Debug)]
pub struct Pending {
    state: HandshakeState,
    hello: Hello,
    index: u32,
}

impl Pending {
    /// Begins a handshake with `peer`. `index` names it at this end: random, and unique among those
    /// that wait. Returns the initiation too, with mac1, and mac2 zero: a copy goes out on each path,
    /// stamped by that path's [`CookieJar`](super::CookieJar).
    ///
    /// # Errors
    /// None that a caller could cause; all of `snow`'s are passed on.
    pub fn begin(
        private: &PrivateKey,
        peer: &PublicKey,
        psk: &PresharedKey,
        hello: Hello,
        index: u32,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let header = initiation_header(index);
        let mut state = noise::initiator(private, peer, psk.as_bytes(), &header, rng)?;
        let mut noise = [0; 2 * KEY_LEN + HELLO_LEN + 2 * NOISE_TAG_LEN];
        let len = state.write_message(&hello.encode(), &mut noise)?;
        let mut message = Vec::with_capacity(INITIATION_LEN);
        message.extend_from_slice(&header);
        message.extend_from_slice(&noise[..len]);
        mac::append(&mut message, peer);
        Ok((Self { state, hello, index }, message))
    }

    /// Its name at this end: what a response must give back.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Reads the response, which the [`Gate`](super::Gate) let pass.
    ///
    /// # Errors
    /// When it is not the answer to this initiation by the peer that was meant; the handshake then
    /// goes on waiting for the right one. [`HandshakeError::Hello`] and [`HandshakeError::Cipher`] are
    /// the peer's own doing, and the end of this handshake.
    pub fn finish(&mut self, response: &[u8]) -> Result<Outcome, HandshakeError> {
        MessageKind::Response.expect(response)?;
        if super::receiver_index(response) != Some(self.index) {
            return Err(HandshakeError::Unasked);
        }
        let noise = &response[RESPONSE_HEADER_LEN..response.len() - MACS_LEN];
        let mut payload = vec![0; noise.len()];
        let len = self.state.read_message(noise, &mut payload)?;
        let Verdict { status, hello: theirs } = Verdict::decode(&payload[..len])?;
        let ours = &self.hello;
        let cipher = match status {
            Status::Agreed(cipher) => cipher,
            Status::CipherMismatch => return Ok(Outcome::Refused(Refusal::cipher(ours, &theirs))),
            Status::VersionMismatch => {
                return Ok(Outcome::Refused(Refusal::version(ours, &theirs)));
            }
            Status::Other(code) => return Ok(Outcome::Refused(Refusal::Other(code))),
        };
        if judge(ours, &theirs) != Ok(cipher) {
            return Err(HandshakeError::Cipher(cipher));
        }
        let secret = noise::secret(&mut self.state)?;
        Ok(Outcome::Agreed(Agreement { role: Role::Initiator, cipher, peer: theirs, secret }))
    }
}
