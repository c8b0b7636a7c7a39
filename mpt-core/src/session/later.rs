//! Sealing and opening apart from the session: the work that several threads can do at once.

use super::Cipher;
use super::aead::{NONCE_LEN, Protect};
use super::keys::DataKey;
use super::session::{DATA_HEADER_LEN, Parts};
use crate::{DropReason, PacketNumber};
use std::sync::Arc;

/// Seals one data packet, which was numbered.
#[derive(Clone, Copy)]
pub(crate) struct Seal<'s> {
    pub(super) key: &'s Arc<DataKey>,
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) cipher: Cipher,
}

impl Seal<'_> {
    /// Whether this is work, and not a short MAC.
    pub(crate) fn is_work(&self) -> bool {
        self.cipher != Cipher::None
    }

    /// Seals `datagram`: the finished header, the inner packet, and room for the tag.
    #[inline]
    pub(crate) fn seal(&self, datagram: &mut [u8]) {
        seal(self.key, self.nonce, self.cipher, datagram);
    }
}

fn seal(key: &DataKey, nonce: [u8; NONCE_LEN], cipher: Cipher, datagram: &mut [u8]) {
    let done = Parts::of(datagram, DATA_HEADER_LEN, cipher.tag_len())
        .and_then(|Parts { header, body, tag }| key.seal(nonce, header, body, tag));
    if let Err(reason) = done {
        // Cannot happen with a datagram of this shape; what stands there is noise to the receiver.
        debug_assert!(false, "{reason}");
        datagram.fill(0);
    }
}

/// What is to be sealed before it is sent. Each seal has a place, as the owner of the datagrams knows places.
#[derive(Default)]
pub(crate) struct Seals<P> {
    keys: Vec<(Arc<DataKey>, Cipher)>,
    /// Place, number of the key, nonce.
    seals: Vec<(P, usize, [u8; NONCE_LEN])>,
}

impl<P> Seals<P> {
    /// `seal` is to be done at `place`.
    pub(crate) fn push(&mut self, place: P, seal: Seal<'_>) {
        // A batch is under one key, but for the moment of a change, and but for a hub.
        if !self.keys.last().is_some_and(|(key, _)| Arc::ptr_eq(key, seal.key)) {
            self.keys.push((Arc::clone(seal.key), seal.cipher));
        }
        self.seals.push((place, self.keys.len() - 1, seal.nonce));
    }

    /// Does all of them; `datagram` gives what is at a place.
    pub(crate) fn run(&mut self, mut datagram: impl FnMut(P, &mut dyn FnMut(&mut [u8]))) {
        for (place, key, nonce) in self.seals.drain(..) {
            let (key, cipher) = &self.keys[key];
            datagram(place, &mut |datagram| seal(key, nonce, *cipher, datagram));
        }
        self.keys.clear();
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.seals.clear();
        self.keys.clear();
    }
}

impl<P> std::fmt::Debug for Seals<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seals").field("len", &self.seals.len()).finish_non_exhaustive()
    }
}

/// A data packet that is to be opened apart from the endpoint, and then given to it.
pub struct Open {
    pub(super) key: Arc<DataKey>,
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) cipher: Cipher,
    pub(super) number: PacketNumber,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Open {
    /// Decrypts `datagram`, the one that this was made of, in place.
    #[must_use]
    pub fn open(self, datagram: &mut [u8]) -> Opened {
        let done = Parts::of(datagram, DATA_HEADER_LEN, self.cipher.tag_len())
            .and_then(|Parts { header, body, tag }| self.key.open(self.nonce, header, body, tag));
        Opened { key: self.key, number: self.number, done }
    }
}

/// A data packet that was opened, if it was authentic.
pub struct Opened {
    /// Only the session with this key takes it for authentic.
    pub(super) key: Arc<DataKey>,
    pub(super) number: PacketNumber,
    pub(super) done: Result<(), DropReason>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("done", &self.done).finish_non_exhaustive()
    }
}
