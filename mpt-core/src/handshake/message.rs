//! The fields around the Noise messages.

use super::HandshakeError;
use super::hello::{ANSWER_LEN, HELLO_LEN};

/// Version of the handshake itself: these messages and what Noise does in them.
pub const HANDSHAKE_VERSION: u8 = 1;

/// Bytes before Noise message 1.
pub(super) const INITIATION_HEADER_LEN: usize = 8;
/// Bytes before Noise message 2.
pub(super) const RESPONSE_HEADER_LEN: usize = 12;
/// Bytes of a public key in a Noise message.
pub(super) const KEY_LEN: usize = 32;
/// Bytes of a tag of Noise.
pub(super) const NOISE_TAG_LEN: usize = 16;
/// Bytes of each MAC.
pub(super) const MAC_LEN: usize = 16;
/// Bytes of both MACs, the end of each message.
pub(super) const MACS_LEN: usize = 2 * MAC_LEN;

/// Bytes of an initiation, at least.
pub const INITIATION_LEN: usize =
    INITIATION_HEADER_LEN + 2 * KEY_LEN + HELLO_LEN + 2 * NOISE_TAG_LEN + MACS_LEN;
/// Bytes of a response, at least.
pub const RESPONSE_LEN: usize =
    RESPONSE_HEADER_LEN + KEY_LEN + ANSWER_LEN + NOISE_TAG_LEN + MACS_LEN;
/// Bytes of a cookie message.
pub const COOKIE_LEN: usize = 64;

/// Bytes of a message, at most: no path is too small for it.
const MESSAGE_MAX: usize = 1_024;

// Whoever forges a source address gains nothing by having us answer.
const _: () = assert!(RESPONSE_LEN <= INITIATION_LEN && COOKIE_LEN <= RESPONSE_LEN);

/// A handshake message's type, as it stands in the first byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MessageKind {
    /// The first message.
    Initiation = 1,
    /// The second.
    Response = 2,
    /// "Say that again, with this cookie."
    Cookie = 3,
}

impl MessageKind {
    /// The kind of a datagram whose fields around the Noise message are well-formed.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] or [`HandshakeError::Version`].
    pub fn of(message: &[u8]) -> Result<Self, HandshakeError> {
        let (kind, lengths) = match message.first() {
            Some(1) => (Self::Initiation, INITIATION_LEN..=MESSAGE_MAX),
            Some(2) => (Self::Response, RESPONSE_LEN..=MESSAGE_MAX),
            Some(3) => (Self::Cookie, COOKIE_LEN..=COOKIE_LEN),
            _ => return Err(HandshakeError::Malformed),
        };
        let version = if kind == Self::Cookie { 0 } else { HANDSHAKE_VERSION };
        match message {
            [_, _, 0, 0, ..] if !lengths.contains(&message.len()) => Err(HandshakeError::Malformed),
            [_, v, 0, 0, ..] if *v == version => Ok(kind),
            [_, v, 0, 0, ..] if kind != Self::Cookie => Err(HandshakeError::Version(*v)),
            _ => Err(HandshakeError::Malformed),
        }
    }

    /// That `message` is of this kind and well-formed.
    pub(super) fn expect(self, message: &[u8]) -> Result<(), HandshakeError> {
        if Self::of(message)? == self { Ok(()) } else { Err(HandshakeError::Malformed) }
    }
}

/// Of an initiation or a response: the index of the end that sent it.
#[must_use]
pub fn sender_index(message: &[u8]) -> Option<u32> {
    matches!(message.first(), Some(1 | 2)).then(|| index_at(message, 4)).flatten()
}

/// Of a response or a cookie message: the index of the handshake that it answers.
#[must_use]
pub fn receiver_index(message: &[u8]) -> Option<u32> {
    match message.first() {
        Some(2) => index_at(message, 8),
        Some(3) => index_at(message, 4),
        _ => None,
    }
}

/// Whether two initiations or responses are copies of one message: equal but for mac2, which
/// differs by path.
#[must_use]
pub fn same_message(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.len() > MAC_LEN && a[..a.len() - MAC_LEN] == b[..b.len() - MAC_LEN]
}

fn index_at(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The beginning of an initiation.
pub(super) fn initiation_header(sender: u32) -> [u8; INITIATION_HEADER_LEN] {
    let mut header = [MessageKind::Initiation as u8, HANDSHAKE_VERSION, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&sender.to_be_bytes());
    header
}

/// The beginning of a response.
pub(super) fn response_header(sender: u32, receiver: u32) -> [u8; RESPONSE_HEADER_LEN] {
    let mut header = [0; RESPONSE_HEADER_LEN];
    header[..2].copy_from_slice(&[MessageKind::Response as u8, HANDSHAKE_VERSION]);
    header[4..8].copy_from_slice(&sender.to_be_bytes());
    header[8..].copy_from_slice(&receiver.to_be_bytes());
    header
}
