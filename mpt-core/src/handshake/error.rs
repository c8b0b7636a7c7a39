//! Why a handshake message was of no use.

use super::message::HANDSHAKE_VERSION;
use crate::DropReason;
use crate::session::Cipher;

/// Why a handshake message was of no use. Nothing may be concluded from the message then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Type, length or a field that must be zero is wrong.
    #[error("not a well-formed handshake message")]
    Malformed,
    /// Made for another version of the handshake.
    #[error(
        "handshake version {0}, this end speaks {HANDSHAKE_VERSION}: install the same release at both ends"
    )]
    Version(u8),
    /// The first MAC is wrong.
    #[error("the first MAC does not fit: meant for another public key, or damaged")]
    Mac1,
    /// Noise cannot decrypt it.
    #[error(
        "not authentic: public or pre-shared keys differ between the ends, or it is damaged or forged"
    )]
    NotAuthentic,
    /// Authentic, but the payload makes no sense.
    #[error(
        "the peer introduces itself in a way this end does not understand: install the same release at both ends"
    )]
    Hello,
    /// Authentic, but the responder chose what the two configurations do not give.
    #[error(
        "the peer chose cipher {0}, which the two configurations do not give: install the same release at both ends"
    )]
    Cipher(Cipher),
    /// A response to another initiation, or a cookie for a message not sent last.
    #[error("an answer to nothing that was asked")]
    Unasked,
}

impl HandshakeError {
    /// Under which reason the message is counted.
    #[must_use]
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::Malformed | Self::Version(_) => DropReason::Malformed,
            _ => DropReason::BadHandshake,
        }
    }
}

impl From<snow::Error> for HandshakeError {
    /// All that `snow` can find wrong with a message comes to the same.
    fn from(_: snow::Error) -> Self {
        Self::NotAuthentic
    }
}
