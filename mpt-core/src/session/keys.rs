//! From a handshake's secret to the keys of both directions.

use super::Cipher;
use super::aead::{Aead, NONCE_LEN, PlainMac, Protect};
#[cfg(target_arch = "x86_64")]
use super::wide_aes::WideAes;
use crate::DropReason;
use crate::id::MAX_PATHS;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What all labels of the derivation begin with; changes with the meaning of any key.
const LABEL: &[u8] = b"mpt session 1 ";

/// Which end of its handshake this end was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// It began.
    Initiator,
    /// It answered.
    Responder,
}

/// What a finished Noise handshake leaves to both ends, and to nobody else.
#[derive(Clone)]
pub struct SessionSecret {
    hash: [u8; 32],
    split: Zeroizing<[u8; 64]>,
}

impl SessionSecret {
    /// Of the handshake hash and the two keys that Noise's `Split()` gives.
    #[must_use]
    pub fn new(hash: [u8; 32], k1: [u8; 32], k2: [u8; 32]) -> Self {
        let mut split = Zeroizing::new([0; 64]);
        split[..32].copy_from_slice(&Zeroizing::new(k1)[..]);
        split[32..].copy_from_slice(&Zeroizing::new(k2)[..]);
        Self { hash, split }
    }

    /// The keys for what this end sends, and for what it receives.
    pub(super) fn keys(&self, role: Role, cipher: Cipher) -> (DirectionKeys, DirectionKeys) {
        let prk = Salt::new(HKDF_SHA256, &self.hash).extract(&self.split[..]);
        let initiators = DirectionKeys::derive(&prk, b"i>r ", cipher);
        let responders = DirectionKeys::derive(&prk, b"r>i ", cipher);
        match role {
            Role::Initiator => (initiators, responders),
            Role::Responder => (responders, initiators),
        }
    }
}

/// Keys and receiver indices of one direction.
pub(super) struct DirectionKeys {
    pub(super) data: Arc<DataKey>,
    pub(super) control: Aead,
    pub(super) indices: [u32; MAX_PATHS],
}

impl DirectionKeys {
    fn derive(prk: &Prk, direction: &[u8], cipher: Cipher) -> Self {
        let indices = expand::<{ 4 * MAX_PATHS }>(prk, direction, b"index");
        let index = |path| u32::from_be_bytes(std::array::from_fn(|i| indices[4 * path + i]));
        Self {
            data: Arc::new(DataKey::derive(prk, direction, cipher)),
            control: Aead::chacha20_poly1305(&expand(prk, direction, b"control")),
            indices: std::array::from_fn(index),
        }
    }
}

/// The key of data packets: of a kind that is known when the session is made.
#[expect(clippy::large_enum_variant, reason = "two in a session; boxing would cost the hot path")]
pub(super) enum DataKey {
    Aead(Aead),
    #[cfg(target_arch = "x86_64")]
    Wide(WideAes),
    Plain(PlainMac),
}

impl DataKey {
    fn derive(prk: &Prk, direction: &[u8], cipher: Cipher) -> Self {
        let data = || expand(prk, direction, b"data");
        match cipher {
            #[cfg(target_arch = "x86_64")]
            Cipher::Aes256Gcm if WideAes::serves() => Self::Wide(WideAes::new(&data())),
            Cipher::Aes256Gcm => Self::Aead(Aead::aes_256_gcm(&data())),
            Cipher::ChaCha20Poly1305 => Self::Aead(Aead::chacha20_poly1305(&data())),
            Cipher::None => Self::Plain(PlainMac::new(&expand(prk, direction, b"data mac"))),
        }
    }
}

impl Protect for DataKey {
    #[inline]
    fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), DropReason> {
        match self {
            Self::Aead(key) => key.seal(nonce, header, body, tag),
            #[cfg(target_arch = "x86_64")]
            Self::Wide(key) => key.seal(nonce, header, body, tag),
            Self::Plain(key) => key.seal(nonce, header, body, tag),
        }
    }

    #[inline]
    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), DropReason> {
        match self {
            Self::Aead(key) => key.open(nonce, header, body, tag),
            #[cfg(target_arch = "x86_64")]
            Self::Wide(key) => key.open(nonce, header, body, tag),
            Self::Plain(key) => key.open(nonce, header, body, tag),
        }
    }
}

/// HKDF-Expand to `N` bytes.
fn expand<const N: usize>(prk: &Prk, direction: &[u8], purpose: &[u8]) -> Zeroizing<[u8; N]> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = Zeroizing::new([0; N]);
    prk.expand(&[LABEL, direction, purpose], Length(N))
        .and_then(|okm| okm.fill(&mut out[..]))
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    out
}
