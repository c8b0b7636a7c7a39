//! The cookie that the far end of a path gave us.

use super::message::{COOKIE_LEN, MAC_LEN};
use super::{HandshakeError, MessageKind, mac};
use crate::Time;
use crate::keys::PublicKey;
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use std::fmt;
use std::time::Duration;

/// How long a cookie is good; the secret it comes from does not live longer.
const COOKIE_LIFETIME: Duration = Duration::from_secs(120);

/// One path's cookie. It is bound to the address that the peer sees us send from, so each path has
/// its own.
pub struct CookieJar {
    key: [u8; 32],
    /// mac1 of the message stamped last, until a cookie came for it.
    stamped: Option<[u8; MAC_LEN]>,
    cookie: Option<([u8; MAC_LEN], Time)>,
}

impl CookieJar {
    /// The empty jar of a path to `peer`.
    #[must_use]
    pub fn new(peer: &PublicKey) -> Self {
        Self { key: mac::cookie_key(peer), stamped: None, cookie: None }
    }

    /// Writes mac2 into an initiation or response that is about to leave: by the cookie, or zero
    /// when there is none.
    pub fn stamp(&mut self, now: Time, message: &mut [u8]) {
        let Some((_, &mac1, _)) = mac::parts(message) else { return };
        let (signed, mac2) = message.split_at_mut(message.len() - MAC_LEN);
        match self.cookie {
            Some((cookie, since)) if now.since(since) < COOKIE_LIFETIME => {
                mac2.copy_from_slice(&mac::mac(&cookie, signed));
            }
            _ => {
                self.cookie = None;
                mac2.fill(0);
            }
        }
        self.stamped = Some(mac1);
    }

    /// Takes the cookie out of a cookie message. The handshake message it answers wants to be sent
    /// again then, stamped anew; not at once, as the peer is under load, and cookies for other paths are on their way.
    ///
    /// # Errors
    /// When it does not belong to the message stamped last, or came for that one already.
    pub fn accept(&mut self, now: Time, message: &[u8]) -> Result<(), HandshakeError> {
        MessageKind::Cookie.expect(message)?;
        let message: &[u8; COOKIE_LEN] =
            message.try_into().map_err(|_| HandshakeError::Malformed)?;
        let mac1 = self.stamped.ok_or(HandshakeError::Unasked)?;
        let (nonce, rest) = message[8..].split_at(24);
        let (sealed, tag) = rest.split_at(MAC_LEN);
        let mut cookie: [u8; MAC_LEN] = std::array::from_fn(|i| sealed[i]);
        XChaCha20Poly1305::new(&self.key.into())
            .decrypt_in_place_detached(nonce.into(), &mac1, &mut cookie, tag.into())
            .map_err(|_| HandshakeError::NotAuthentic)?;
        self.stamped = None;
        self.cookie = Some((cookie, now));
        Ok(())
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar").finish_non_exhaustive()
    }
}
