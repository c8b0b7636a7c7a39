//! What a finished handshake comes to.

use super::{Hello, Refusal};
use crate::Time;
use crate::session::{Cipher, Role, Session, SessionSecret};
use std::fmt;

/// Two ends agreed; both hold one of these, with the same secret.
pub struct Agreement {
    pub(super) role: Role,
    pub(super) cipher: Cipher,
    pub(super) peer: Hello,
    pub(super) secret: SessionSecret,
}

impl Agreement {
    /// How the peer introduced itself.
    #[must_use]
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// The cipher agreed on.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The session, its age counted from `now`.
    #[must_use]
    pub fn into_session(self, now: Time) -> Session {
        Session::new(&self.secret, self.role, self.cipher, now)
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement")
            .field("role", &self.role)
            .field("cipher", &self.cipher)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Two ends that know each other, and whether they can talk.
#[derive(Debug)]
pub enum Outcome {
    /// They can.
    Agreed(Agreement),
    /// They cannot, until somebody changes a configuration.
    ///
    /// For the initiator that is certain and fresh. The responder may be looking at an old initiation
    /// sent again by somebody else: it shows the reason and changes nothing because of it.
    Refused(Refusal),
}
