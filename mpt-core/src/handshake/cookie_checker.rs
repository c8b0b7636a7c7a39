//! The receiving side of MACs and cookies.

use super::message::{COOKIE_LEN, MAC_LEN};
use super::{HandshakeError, MessageKind, mac};
use crate::Time;
use crate::keys::PublicKey;
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use rand_core::CryptoRng;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long one secret makes the cookies.
const SECRET_LIFETIME: Duration = Duration::from_secs(120);

/// Checks the MACs of messages to this end, and makes cookies.
pub struct CookieChecker {
    mac1_key: [u8; 32],
    cookie_key: [u8; 32],
    secret: Option<(Zeroizing<[u8; 32]>, Time)>,
}

impl CookieChecker {
    /// The checker of the end whose public key is `ours`.
    #[must_use]
    pub fn new(ours: &PublicKey) -> Self {
        Self { mac1_key: mac::mac1_key(ours), cookie_key: mac::cookie_key(ours), secret: None }
    }

    /// Checks an initiation or response as to form and mac1: whoever made it knows our public key.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`], [`HandshakeError::Version`] or [`HandshakeError::Mac1`].
    pub fn check_mac1(&self, message: &[u8]) -> Result<(), HandshakeError> {
        if MessageKind::of(message)? == MessageKind::Cookie {
            return Err(HandshakeError::Malformed);
        }
        let (body, mac1, _) = mac::parts(message).ok_or(HandshakeError::Malformed)?;
        if mac::verify(&self.mac1_key, body, mac1) { Ok(()) } else { Err(HandshakeError::Mac1) }
    }

    /// Whether mac2 shows that whoever sent this can receive at `source`.
    #[must_use]
    pub fn check_mac2(&self, now: Time, source: SocketAddr, message: &[u8]) -> bool {
        let (Some((secret, since)), Some((_, _, mac2))) = (&self.secret, mac::parts(message))
        else {
            return false;
        };
        now.since(*since) < SECRET_LIFETIME
            && mac::verify(&cookie(secret, source), &message[..message.len() - MAC_LEN], mac2)
    }

    /// The cookie message for `source`, in answer to a message whose mac1 is right. `None` when it is
    /// shorter than any.
    pub fn reply(
        &mut self,
        now: Time,
        source: SocketAddr,
        message: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Option<[u8; COOKIE_LEN]> {
        let sender = super::sender_index(message)?;
        let (_, mac1, _) = mac::parts(message)?;
        let mut cookie = cookie(self.secret(now, rng), source);
        let mut reply = [0; COOKIE_LEN];
        reply[0] = MessageKind::Cookie as u8;
        reply[4..8].copy_from_slice(&sender.to_be_bytes());
        rng.fill_bytes(&mut reply[8..32]);
        let tag = XChaCha20Poly1305::new(&self.cookie_key.into())
            .encrypt_in_place_detached(reply[8..32].into(), mac1, &mut cookie)
            .ok()?;
        reply[32..48].copy_from_slice(&cookie);
        reply[48..].copy_from_slice(&tag);
        Some(reply)
    }

    /// The secret, a new one if the old one is too old.
    fn secret(&mut self, now: Time, rng: &mut dyn CryptoRng) -> &[u8; 32] {
        let fresh = self.secret.take().filter(|(_, since)| now.since(*since) < SECRET_LIFETIME);
        let (secret, _) = self.secret.insert(fresh.unwrap_or_else(|| {
            let mut secret = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut secret[..]);
            (secret, now)
        }));
        secret
    }
}

impl fmt::Debug for CookieChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieChecker").finish_non_exhaustive()
    }
}

/// What binds an address and port to a secret.
fn cookie(secret: &[u8; 32], source: SocketAddr) -> [u8; MAC_LEN] {
    let mut text = [0; 18];
    let len = match source.ip().to_canonical() {
        IpAddr::V4(a) => {
            text[..4].copy_from_slice(&a.octets());
            4
        }
        IpAddr::V6(a) => {
            text[..16].copy_from_slice(&a.octets());
            16
        }
    };
    text[len..len + 2].copy_from_slice(&source.port().to_be_bytes());
    mac::mac(secret, &text[..len + 2])
}
