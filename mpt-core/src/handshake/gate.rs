//! Which handshake messages are worth the work of decrypting them.

use super::message::COOKIE_LEN;
use super::{CookieChecker, HandshakeError, Load, LoadMeter, RateLimiter};
use crate::keys::PublicKey;
use crate::{DropReason, Time};
use rand_core::CryptoRng;
use std::net::SocketAddr;

/// What to do with an initiation or response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Decrypt it.
    Read,
    /// Send this cookie message to its source instead.
    Answer([u8; COOKIE_LEN]),
    /// Drop it.
    Drop(DropReason),
}

/// Stands before all work that a handshake message causes. Copies of a message that was answered
/// already ([`same_message`](super::same_message)), and responses nobody waits for, are best sorted
/// out before: they cost nothing.
#[derive(Debug)]
pub struct Gate {
    cookies: CookieChecker,
    load: LoadMeter,
    sources: RateLimiter,
}

impl Gate {
    /// The gate of the end whose public key is `ours`.
    #[must_use]
    pub fn new(ours: &PublicKey, rng: &mut dyn CryptoRng) -> Self {
        Self {
            cookies: CookieChecker::new(ours),
            load: LoadMeter::default(),
            sources: RateLimiter::new((rng.next_u64(), rng.next_u64())),
        }
    }

    /// Judges a response that is waited for: only its first MAC.
    ///
    /// # Errors
    /// When that is not right.
    pub fn admit_awaited(&self, message: &[u8]) -> Result<(), DropReason> {
        self.cookies.check_mac1(message).map_err(HandshakeError::drop_reason)
    }

    /// Judges an initiation, or another response, from `source`:
    ///
    /// 1. Is it well-formed, and mac1 right? Else whoever sent it does not know us, and gets nothing.
    /// 2. Is this end under load? If not, read it.
    /// 3. Has the source shown, by mac2, that it receives what is sent there? Else it gets a cookie.
    /// 4. Is it within its rate?
    pub fn admit(
        &mut self,
        now: Time,
        source: SocketAddr,
        message: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Admission {
        if let Err(error) = self.cookies.check_mac1(message) {
            return Admission::Drop(error.drop_reason());
        }
        if self.load.arrived(now) == Load::Normal {
            return Admission::Read;
        }
        if !self.cookies.check_mac2(now, source, message) {
            return match self.cookies.reply(now, source, message, rng) {
                Some(cookie) => Admission::Answer(cookie),
                None => Admission::Drop(HandshakeError::Malformed.drop_reason()),
            };
        }
        if self.sources.allow(now, source.ip()) {
            Admission::Read
        } else {
            Admission::Drop(DropReason::HandshakeRate)
        }
    }
}
