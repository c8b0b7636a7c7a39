//! Ciphers and the protection of one datagram in place.

use crate::DropReason;
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use siphasher::sip::SipHasher24;
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a nonce.
pub(crate) const NONCE_LEN: usize = 12;

/// Length of an AEAD's tag.
pub(crate) const AEAD_TAG_LEN: usize = 16;

/// Length of the tag over plain packets.
pub(crate) const MAC_TAG_LEN: usize = 8;

/// Inner bytes that the tag over plain packets covers: an IPv6 header, or IPv4 and TCP without
/// options.
const MAC_INNER_LEN: usize = 40;

/// Our data header's length.
const HEADER_LEN: usize = super::DATA_HEADER_LEN;

/// What that tag covers besides: path, packet number, our header, the inner length.
const MAC_BEFORE_INNER: usize = 1 + 8 + HEADER_LEN + 2;

/// What protects the inner packets of a session, as agreed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cipher {
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// Nothing but a keyed MAC over our header and the beginning of the inner packet.
    None,
}

impl Cipher {
    /// Bytes of tag at the end of each data packet.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => AEAD_TAG_LEN,
            Self::None => MAC_TAG_LEN,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::None => "none",
        })
    }
}

/// Protects datagrams in place with one key. The tag is as long as the implementation's.
pub(crate) trait Protect {
    /// Protects `body` and writes the tag, which covers `header` too. A nonce serves once per key.
    ///
    /// # Errors
    /// When the lengths are none the cipher can take; the datagram must not be sent then.
    fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), DropReason>;

    /// Takes the protection off `body`.
    ///
    /// # Errors
    /// [`DropReason::BadTag`]; what then stands in `body` is worthless.
    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), DropReason>;
}

/// An AEAD by `ring`.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn aes_256_gcm(key: &[u8; 32]) -> Self {
        Self::new(&AES_256_GCM, key)
    }

    pub(crate) fn chacha20_poly1305(key: &[u8; 32]) -> Self {
        Self::new(&CHACHA20_POLY1305, key)
    }

    fn new(algorithm: &'static Algorithm, key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(algorithm, key).expect("both algorithms take keys of 32 bytes");
        Self(LessSafeKey::new(key))
    }
}

impl Protect for Aead {
    fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), DropReason> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let made = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(header), body)
            .map_err(|_| DropReason::TooLarge)?;
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), DropReason> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = tag.try_into().map_err(|_| DropReason::BadTag)?;
        self.0
            .open_in_place_separate_tag(nonce, Aad::from(header), tag, body, 0..)
            .map(|_| ())
            .map_err(|_| DropReason::BadTag)
    }
}

/// Leaves the body plain, and keeps strangers out by a MAC over what matters to this protocol:
/// SipHash-2-4 over path, packet number, header, length and the first 40 bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct PlainMac {
    key: [u8; 16],
}

impl PlainMac {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self { key: *key }
    }

    fn tag(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &[u8],
    ) -> Result<[u8; MAC_TAG_LEN], DropReason> {
        let len = u16::try_from(body.len()).map_err(|_| DropReason::TooLarge)?;
        let header: &[u8; HEADER_LEN] = header.try_into().map_err(|_| DropReason::Malformed)?;
        let inner = body.len().min(MAC_INNER_LEN);
        // In one piece: the hasher takes whole words only of what it is given at once.
        let mut covered = [0; MAC_BEFORE_INNER + MAC_INNER_LEN];
        covered[0] = nonce[1];
        covered[1..9].copy_from_slice(&nonce[4..]);
        covered[9..29].copy_from_slice(header);
        covered[29..31].copy_from_slice(&len.to_be_bytes());
        match body.first_chunk::<MAC_INNER_LEN>() {
            Some(begin) => covered[MAC_BEFORE_INNER..].copy_from_slice(begin),
            None => covered[MAC_BEFORE_INNER..][..inner].copy_from_slice(body),
        }
        let hasher = SipHasher24::new_with_key(&self.key);
        Ok(hasher.hash(&covered[..MAC_BEFORE_INNER + inner]).to_be_bytes())
    }
}

impl Protect for PlainMac {
    fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), DropReason> {
        tag.copy_from_slice(&self.tag(nonce, header, body)?);
        Ok(())
    }

    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), DropReason> {
        let expected = self.tag(nonce, header, body)?;
        if expected.ct_eq(tag).into() { Ok(()) } else { Err(DropReason::BadTag) }
    }
}
