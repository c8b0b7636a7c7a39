//! Agreeing on keys: Noise_IKpsk2 over all paths at once, MACs and cookies as in WireGuard.
//!
//! Two messages make a session: an initiation and a response, of the Noise protocol
//! `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (Noise specification, revision 34). Both ends hold static
//! keys; the initiator knows the responder's beforehand and sends its own encrypted; a pre-shared
//! key (all zero when there is none) is mixed in before the response's payload. There is no wall
//! clock in it: an initiation that is sent again by somebody else yields a session that nobody ever
//! confirms, so whoever answers keeps it aside until the first packet under its keys arrives.
//!
//! Who does what:
//!
//! 1. [`Pending::begin`] makes an initiation; a [`CookieJar`] for each path stamps its copy.
//! 2. The other end's [`Gate`] looks at each handshake message that comes in: is its first MAC right,
//!    is this end under load, has the source shown a cookie, is it within its rate?
//! 3. [`Incoming::read`] decrypts the initiation and tells whose it is; [`Incoming::respond`] agrees
//!    on a cipher (or refuses, in an authenticated answer) and makes the response.
//! 4. [`Pending::finish`] reads the response. A forged one leaves it as it was.
//!
//! Both have an [`Agreement`] then, which becomes a [`Session`](crate::session::Session), or a
//! [`Refusal`] that says in one sentence what to change. All are pure pieces: who is waited for, for
//! how long and on which path is the business of the endpoint.
//!
//! # Messages
//!
//! All integers are big-endian. The version is that of the handshake, 1; a message of another one is
//! dropped. Fields marked *zero* must be zero.
//!
//! ```text
//! Initiation, 152 bytes           Response, 116 bytes            Cookie, 64 bytes
//!   0  type = 1        u8           0  type = 2        u8          0  type = 3        u8
//!   1  version         u8           1  version         u8          1  zero           ×3
//!   2  zero            u16          2  zero            u16         4  receiver index  u32
//!   4  sender index    u32          4  sender index    u32         8  nonce           24
//!   8  Noise message 1 112          8  receiver index  u32        32  encrypted       32
//!        ephemeral      32         12  Noise message 2 72
//!        static         32+16           ephemeral       32
//!        hello          16+16           answer          24+16
//! 120  mac1            16          84  mac1            16
//! 136  mac2            16         100  mac2            16
//! ```
//!
//! Messages may be longer, up to 1 024 bytes, by longer payloads, of which the unknown rest is
//! ignored. A response is never longer than the initiation it answers. Indices name the handshake
//! at the end that sent them; the response gives the initiation's sender index back. They have
//! nothing to do with the receiver indices of data, which follow from the session's keys.
//!
//! The Noise prologue is `"mpt handshake 1"` followed by the first eight bytes of the initiation.
//!
//! ```text
//! Hello, 16 bytes                          Answer, 8 bytes and a hello
//!   0  instance       u64                    0  status  u8: 0 agreed, 1 ciphers differ, 2 versions differ
//!   8  capabilities   u32                    1  cipher  u8: agreed on; 0 unless agreed
//!  12  version        u8                     2  zero    ×6
//!  13  cipher wanted  u8                     8  hello   16
//!  14  flags          u8
//!  15  workers        u8
//! ```
//!
//! *Instance* is random for each start of an end: when it changes, that end knows nothing of what
//! was before. *Version* is that of all that follows the handshake, 1. Ciphers: 0 auto, 1
//! AES-256-GCM, 2 ChaCha20-Poly1305, 3 none. Flags: bit 0 says that this CPU does AES in hardware;
//! the others are zero and not looked at. *Workers*: how many packet-number spaces the sender uses,
//! 1 to 16. *Capabilities*: bit 0, repair; bit 1, parity; bit 2, parts;
//! bit 3, parity in pieces; bit 4, word of pauses. An end uses one only when both name it.
//!
//! # Cipher
//!
//! | one end | other end | agreed |
//! |---|---|---|
//! | auto | auto | AES-256-GCM if both do AES in hardware, else ChaCha20-Poly1305 |
//! | auto | AES-256-GCM or ChaCha20-Poly1305 | that one |
//! | any | the same | that one |
//! | none | anything else | refused |
//! | AES-256-GCM | ChaCha20-Poly1305 | refused |
//!
//! The initiator computes the table too, and refuses an answer that deviates from it.
//!
//! # MACs and cookies
//!
//! As in WireGuard's paper, 5.4.4 to 5.4.7, with labels of our own. `P` is the public key of the end
//! that receives the message, `MAC(k, x)` is keyed BLAKE2s with 16 bytes of output, `HASH` BLAKE2s-256,
//! and `msg[..x]` all bytes before field `x`.
//!
//! ```text
//! mac1   = MAC(HASH("mpt-mac1" | P), msg[..mac1])
//! mac2   = MAC(cookie, msg[..mac2]), or zero without a cookie younger than 120 s
//! cookie = MAC(secret, address | port u16)         address: 4 bytes, or 16
//! cookie message: XChaCha20-Poly1305 of the cookie (16 bytes, and tag 16) with the nonce sent, under
//!          HASH("mpt-cookie" | P), associated data: mac1 of the message that is answered
//! ```
//!
//! `P` of a cookie message is the public key of the end that sends the cookie. The secret is random
//! and changes every 120 s. A message whose mac1 is wrong gets no answer at all. A message without a
//! right mac2 gets a cookie (which is smaller) instead of an answer while that end is under load: more
//! than 50 handshake messages a second. Sources that showed a cookie are held to 10 a second. A response
//! to an initiation under way needs no cookie (the first 8 do not): else a flood would keep an end from those who
//! answer it.
//!
//! # Vector
//!
//! Static private keys: 32 × 0x11 and 32 × 0x22, clamped; pre-shared key 32 × 0x33. Instances 1 and 2,
//! cipher auto with AES in hardware, one worker each. (In the test, ephemeral keys come from ChaCha20
//! seeded with 32 × 0x44 and 32 × 0x55.)
//!
//! ```text
//! initiator's ephemeral private key
//!             dab331254d0dc02215684114140043713bc0431c4a5ad36440ef1f8ce835769e
//! responder's ephemeral private key
//!             bda88bb495d0ab7b49dd893cc1f3671b78e420f3ad001a19d690e876a54fb1bd
//! initiation
//!  header     010100000a0b0c0d
//!  ephemeral  52bf73ac19263d36f4823c3d86fc0a925dfc2bf6c881bc224f981bdb648e4a6d
//!  static     2a7b245367c705d70c1b5179891d9fbebd47356bb2f91fd33f0dd690f388b35f
//!             62cf750c6358dbd84092d16058051678
//!  hello      2d652bce0c4c32ed5f205ad4e6f716da2cd97c5dd3544aa9424842352ffa281c
//!  mac1       800f9cfc47a69cb1eab2a182a927b3ae
//!  mac2       zero
//! response
//!  header     02010000010203040a0b0c0d
//!  ephemeral  2bb9e9c53d7487c2bc7e15fdd2772ce9881d65e01c08d832eb444dae72b8797d
//!  answer     e4ed1fa270f20114f5090973e1b2eb5dcba1dccdc39cd7de6c5dcec472ad8094
//!             ed643e8d2765e6bb
//!  mac1       5eb4eb566dd40d7f59354aad89bc921b
//!  mac2       zero
//! after Split()
//!  h          4cb4d0becba2580d2f54c00cf5e86a4be1b6352787f4c8ae889f794eef3a535c
//!  k1         8c3c1fefc5057ddc8dacfd59fca621bfba5013281ac9d4acbaa86f226d46d7fa
//!  k2         13ad26d2411f200dbc189d7598503c873b2a67a1a3be561e98ea3325d3515bf4
//! ```

mod agree;
mod agreement;
mod cookie_checker;
mod cookie_jar;
mod error;
mod gate;
mod hello;
mod incoming;
mod mac;
mod message;
mod noise;
mod pending;
mod rate_limit;
#[cfg(test)]
mod tests;

pub use agree::{Refusal, agree};
pub use agreement::{Agreement, Outcome};
pub use cookie_checker::CookieChecker;
pub use cookie_jar::CookieJar;
pub use error::HandshakeError;
pub use gate::{Admission, Gate};
pub use hello::{CipherOffer, Hello, PROTOCOL_VERSION};
pub use incoming::{Answer, Incoming};
pub use message::{
    COOKIE_LEN, HANDSHAKE_VERSION, INITIATION_LEN, MessageKind, RESPONSE_LEN, receiver_index,
    same_message, sender_index,
};
pub use pending::Pending;
pub use rate_limit::{Load, LoadMeter, RateLimiter};
