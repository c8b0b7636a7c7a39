//! The keys of one agreement: sealing, opening, receiver indices, replay protection.
//!
//! A [`Session`] is what a handshake leaves behind: the keys of both directions, the names by which
//! its datagrams are told from others, and a lifetime. It knows nothing of packet order, addresses
//! or path states. All integers on the wire are big-endian.
//!
//! # Keys
//!
//! The Noise handshake ends with a hash `h` (32 bytes, over all that both ends sent) and two keys
//! `k1`, `k2` (32 bytes each, the result of Noise's `Split()`), which serve nothing but this
//! derivation (RFC 5869, SHA-256):
//!
//! ```text
//! PRK = HKDF-Extract(salt = h, IKM = k1 | k2)
//! OKM = HKDF-Expand(PRK, info = "mpt session 1 " | direction | " " | purpose, length)
//! ```
//!
//! | direction | for datagrams sent by |
//! |---|---|
//! | `i>r` | the handshake's initiator |
//! | `r>i` | its responder |
//!
//! | purpose | length | what it is |
//! |---|---|---|
//! | `data` | 32 | AEAD key of data packets (ciphers AES-256-GCM, ChaCha20-Poly1305) |
//! | `data mac` | 16 | SipHash-2-4 key of data packets (cipher none) |
//! | `control` | 32 | ChaCha20-Poly1305 key of control packets, whatever the cipher |
//! | `index` | 64 | receiver indices: 16 × u32, one for each path id of the sender |
//!
//! # Receiver index
//!
//! The receiver index of a datagram names session and path at the receiving end ([`IndexTable`]).
//! Entry *p* of the `index` output is written by that direction's sender on its path *p*. The
//! values are as good as random, so a stranger who does not see the traffic cannot name a session;
//! that they collide with those of another session at the same endpoint is found when they are
//! entered, and the handshake is then done again.
//!
//! # Data packets (type 4)
//!
//! ```text
//! 20 bytes  header: type|flags u8, worker<<4|copy u8, send time u16, receiver index u32,
//!           packet number (low half) u32, predecessor distance u16, open paths u16, path sequence u32
//! n bytes   inner packet: AEAD ciphertext, or plain with cipher none
//! 16 or 8   tag: 16 with an AEAD, 8 with cipher none
//! ```
//!
//! AEAD nonce, 12 bytes: `worker u8 | path u8 | copy u8 | 0 | packet number u64`, with the path id of
//! the sender and the packet number in full. Associated data: the 20 header bytes. *Copy* counts
//! the seals of one packet number over all paths, so no nonce comes twice under one key.
//!
//! With cipher none the tag is SipHash-2-4 (as a big-endian u64) over
//! `path u8 | packet number u64 | header (20) | n u16 | the first min(n, 40) inner bytes`. Whoever
//! can change datagrams on their way can change inner bytes from the 41st on; whoever cannot see them
//! can neither inject nor replay.
//!
//! # Control packets (types 5 to 12)
//!
//! ```text
//! 16 bytes  header: type u8, worker<<4 u8, zero ×2, receiver index u32, counter u64
//! n bytes   ciphertext (ChaCha20-Poly1305, always)
//! 16 bytes  tag
//! ```
//!
//! Nonce: `path u8 | 0 ×3 | counter u64`; associated data: the 16 header bytes. Each path of a
//! session counts for itself, from 1. The receiver keeps a replay window of 1 024 counters for each.
//!
//! # Replay
//!
//! [`ReplayWindow`] is asked *before* a datagram is opened (that is cheap, and a replay costs no
//! decryption) and told *after* it was found authentic: a forgery never moves it. Control windows are
//! part of the session. The window over packet numbers is not, since packet numbers run on through
//! rekeys: it belongs to whoever owns a sending worker's packet-number space.
//!
//! # Lifetime
//!
//! New keys are due 120 s after the session was made or after 2^28 data packets sealed. The
//! initiator begins then; the responder only 10 s later, in case the initiator does not. (When the
//! packets are used up, whoever sent them begins.) After 180 s, or 2^30 packets, the session neither
//! seals nor opens data any more.
//!
//! # Vectors
//!
//! With `h` = 00 01 … 1f, `k1` = 20 … 3f, `k2` = 40 … 5f:
//!
//! ```text
//! i>r data      d1259bf67f5bff411b73c60c707faf70858d14617784fc2ebf016b03aa4a1e8d
//! i>r data mac  c4c03c4c6c147ed473564b16a57f665d
//! i>r control   21316750f8c9ead2d4a18f7647e87a6654c3e7439408c98f5153dc92485c225a
//! i>r index     a6450670 c75ffe92 d72e6375 e77b85c6 … (paths 0, 1, 2, 3)
//! r>i index     96c4ebcf 5765fe0c 5db29c14 3bd5af4a …
//! ```
//!
//! A data packet of the initiator, on its path 3, by worker 2, copy 1, packet number 0x1_0203_0405, send
//! time 0x1234, distance 7, open paths 0x000b, path sequence 42, inner packet 00 01 … 2f (48 bytes):
//!
//! ```text
//! header              04211234e77b85c6020304050007000b0000002a
//! AES-256-GCM         8ff2ee5ac58f19eaaaabfe9b42c333a6dc2ddcc9f1cb54dc
//!                     25b48be1f1eadd7430adbe7eca36925f62f9f652230d7c2f
//!                     e71ed9953addc8fdbfef82f38594407d
//! ChaCha20-Poly1305   585d2e23c5d58ef5fc71049aa5584331f35b32dfb96bd11e
//!                     883750b7c806409589aad1a4451e5e156d654bb14cb2e6ae
//!                     ceac9fc9e9bb3bee50a5906e6fec8fed
//! none                the 48 bytes as they are, and 55cfe3f178897449
//! ```
//!
//! Its first control packet on path 3, type 5, plaintext `"probe"`:
//!
//! ```text
//! 05000000e77b85c60000000000000001 d2a63b984e a9287529e0c3660a379f55354cdcdf3b
//! ```

mod aead;
mod indices;
mod keys;
mod later;
mod replay;
#[allow(clippy::module_inception, reason = "one file, one noun: here it is the room's own")]
mod session;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod wide_aes;

pub use aead::Cipher;
pub use indices::{IndexCollision, IndexTable};
pub use keys::{Role, SessionSecret};
pub use later::{Open, Opened};
pub(crate) use later::{Seal, Seals};
pub use replay::{CONTROL_WINDOW_WORDS, DATA_WINDOW_BITS, DATA_WINDOW_WORDS, ReplayWindow};
pub use session::{
    CONTROL_HEADER_LEN, CONTROL_TAG_LEN, DATA_HEADER_LEN, REJECT_AFTER, REJECT_AFTER_PACKETS,
    REKEY_AFTER, REKEY_AFTER_PACKETS, REKEY_RESPONDER_WAIT, Session,
};
