//! What the ends tell each other of themselves in the handshake.

use super::{HandshakeError, Refusal};
use crate::config::CipherChoice;
use crate::session::Cipher;

/// Version of all that follows the handshake.
pub const PROTOCOL_VERSION: u8 = 1;

/// Bytes of a hello.
pub(super) const HELLO_LEN: usize = 16;
/// Bytes of an answer: status, and a hello.
pub(super) const ANSWER_LEN: usize = STATUS_LEN + HELLO_LEN;
const STATUS_LEN: usize = 8;

const FLAG_AES: u8 = 1;

const STATUS_AGREED: u8 = 0;
const STATUS_CIPHER: u8 = 1;
const STATUS_VERSION: u8 = 2;

/// An end's part in the choice of the cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CipherOffer {
    /// As configured.
    pub choice: CipherChoice,
    /// Whether its CPU does AES in hardware.
    pub aes_in_hardware: bool,
}

/// How an end introduces itself; authenticated by the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Random for each start of the end: a new one means that it was restarted.
    pub instance: u64,
    /// Bits for what it can do beyond the protocol's first version; none is defined yet.
    pub capabilities: u32,
    /// The protocol it speaks after the handshake, [`PROTOCOL_VERSION`].
    pub version: u8,
    /// Its part in the choice of the cipher.
    pub cipher: CipherOffer,
    /// Packet-number spaces it sends in, 1 to 16.
    pub workers: u8,
}

impl Hello {
    pub(super) fn encode(&self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..8].copy_from_slice(&self.instance.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.capabilities.to_be_bytes());
        bytes[12] = self.version;
        bytes[13] = choice_code(self.cipher.choice);
        bytes[14] = if self.cipher.aes_in_hardware { FLAG_AES } else { 0 };
        bytes[15] = self.workers;
        bytes
    }

    /// Bytes after those known belong to later versions and are ignored.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let bytes: &[u8; HELLO_LEN] = bytes.first_chunk().ok_or(HandshakeError::Hello)?;
        let [.., version, choice, flags, workers @ 1..=16] = *bytes else {
            return Err(HandshakeError::Hello);
        };
        Ok(Self {
            instance: u64::from_be_bytes(std::array::from_fn(|i| bytes[i])),
            capabilities: u32::from_be_bytes(std::array::from_fn(|i| bytes[8 + i])),
            version,
            cipher: CipherOffer {
                choice: choice_of(choice).ok_or(HandshakeError::Hello)?,
                aes_in_hardware: flags & FLAG_AES != 0,
            },
            workers,
        })
    }
}

/// What the responder says: the verdict and its hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub(super) status: Status,
    pub(super) hello: Hello,
}

/// The verdict alone, as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Agreed(Cipher),
    CipherMismatch,
    VersionMismatch,
    /// A refusal this version does not know.
    Other(u8),
}

impl Verdict {
    pub(super) fn new(result: Result<Cipher, Refusal>, hello: Hello) -> Self {
        let status = match result {
            Ok(cipher) => Status::Agreed(cipher),
            Err(Refusal::Cipher { .. }) => Status::CipherMismatch,
            Err(Refusal::Version { .. }) => Status::VersionMismatch,
            Err(Refusal::Other(code)) => Status::Other(code),
        };
        Self { status, hello }
    }

    pub(super) fn encode(&self) -> [u8; ANSWER_LEN] {
        let mut bytes = [0; ANSWER_LEN];
        (bytes[0], bytes[1]) = match self.status {
            Status::Agreed(cipher) => (STATUS_AGREED, choice_code(cipher.into())),
            Status::CipherMismatch => (STATUS_CIPHER, 0),
            Status::VersionMismatch => (STATUS_VERSION, 0),
            Status::Other(code) => (code, 0),
        };
        bytes[STATUS_LEN..].copy_from_slice(&self.hello.encode());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let (status, hello) = bytes.split_at_checked(STATUS_LEN).ok_or(HandshakeError::Hello)?;
        let status = match (status[0], choice_of(status[1])) {
            (STATUS_AGREED, Some(CipherChoice::Aes256Gcm)) => Status::Agreed(Cipher::Aes256Gcm),
            (STATUS_AGREED, Some(CipherChoice::ChaCha20Poly1305)) => {
                Status::Agreed(Cipher::ChaCha20Poly1305)
            }
            (STATUS_AGREED, Some(CipherChoice::None)) => Status::Agreed(Cipher::None),
            (STATUS_AGREED, _) => return Err(HandshakeError::Hello),
            (STATUS_CIPHER, _) => Status::CipherMismatch,
            (STATUS_VERSION, _) => Status::VersionMismatch,
            (code, _) => Status::Other(code),
        };
        Ok(Self { status, hello: Hello::decode(hello)? })
    }
}

impl From<Cipher> for CipherChoice {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Aes256Gcm => Self::Aes256Gcm,
            Cipher::ChaCha20Poly1305 => Self::ChaCha20Poly1305,
            Cipher::None => Self::None,
        }
    }
}

const fn choice_code(choice: CipherChoice) -> u8 {
    match choice {
        CipherChoice::Auto => 0,
        CipherChoice::Aes256Gcm => 1,
        CipherChoice::ChaCha20Poly1305 => 2,
        CipherChoice::None => 3,
    }
}

const fn choice_of(code: u8) -> Option<CipherChoice> {
    match code {
        0 => Some(CipherChoice::Auto),
        1 => Some(CipherChoice::Aes256Gcm),
        2 => Some(CipherChoice::ChaCha20Poly1305),
        3 => Some(CipherChoice::None),
        _ => None,
    }
}
