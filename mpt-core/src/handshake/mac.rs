//! The two MACs at the end of initiations and responses.

use super::message::{MAC_LEN, MACS_LEN};
use crate::keys::PublicKey;
use blake2::digest::consts::U16;
use blake2::digest::{Digest as _, Mac as _};
use blake2::{Blake2s256, Blake2sMac};

const MAC1_LABEL: &[u8] = b"mpt-mac1";
const COOKIE_LABEL: &[u8] = b"mpt-cookie";

/// The key of mac1 in messages to the end whose public key is `receiver`.
pub(super) fn mac1_key(receiver: &PublicKey) -> [u8; 32] {
    labelled(MAC1_LABEL, receiver)
}

/// The key under which the end whose public key is `sender` encrypts cookies.
pub(super) fn cookie_key(sender: &PublicKey) -> [u8; 32] {
    labelled(COOKIE_LABEL, sender)
}

fn labelled(label: &[u8], key: &PublicKey) -> [u8; 32] {
    Blake2s256::new().chain_update(label).chain_update(key.as_bytes()).finalize().into()
}

/// Keyed BLAKE2s with 16 bytes of output.
pub(super) fn mac(key: &[u8], text: &[u8]) -> [u8; MAC_LEN] {
    keyed(key, text).finalize().into_bytes().into()
}

/// Whether `tag` is the MAC of `text`; in constant time.
pub(super) fn verify(key: &[u8], text: &[u8], tag: &[u8]) -> bool {
    keyed(key, text).verify_slice(tag).is_ok()
}

fn keyed(key: &[u8], text: &[u8]) -> Blake2sMac<U16> {
    Blake2sMac::<U16>::new_from_slice(key)
        .expect("keys are 16 or 32 bytes, 32 are allowed")
        .chain_update(text)
}

/// A message's parts: all before mac1, mac1, mac2. `None` when shorter than two MACs.
pub(super) fn parts(message: &[u8]) -> Option<(&[u8], &[u8; MAC_LEN], &[u8; MAC_LEN])> {
    let (body, macs) = message.split_at_checked(message.len().checked_sub(MACS_LEN)?)?;
    let (mac1, mac2) = macs.split_first_chunk()?;
    Some((body, mac1, mac2.first_chunk()?))
}

/// Adds mac1 and an empty mac2 to a message for `receiver`.
pub(super) fn append(message: &mut Vec<u8>, receiver: &PublicKey) {
    let mac1 = mac(&mac1_key(receiver), message);
    message.extend_from_slice(&mac1);
    message.extend_from_slice(&[0; MAC_LEN]);
}
