//! The Noise protocol, by `snow`, with randomness handed in.

use super::HandshakeError;
use super::message::INITIATION_HEADER_LEN;
use crate::keys::{PrivateKey, PublicKey};
use crate::session::SessionSecret;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore as _, SeedableRng as _};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{BoxedCryptoResolver, CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

const PROTOCOL: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

/// Before the initiation's header in the prologue.
const PROLOGUE: &[u8; 15] = b"mpt handshake 1";

/// Where Noise mixes the pre-shared key in: after the second message's tokens.
pub(super) const PSK_POSITION: u8 = 2;

/// The initiator's state, about to write message 1.
pub(super) fn initiator(
    private: &PrivateKey,
    peer: &PublicKey,
    psk: &[u8; 32],
    header: &[u8; INITIATION_HEADER_LEN],
    rng: &mut dyn CryptoRng,
) -> Result<HandshakeState, HandshakeError> {
    Ok(builder(rng)?
        .prologue(&prologue(header))?
        .local_private_key(private.as_bytes())?
        .remote_public_key(peer.as_bytes())?
        .psk(PSK_POSITION, psk)?
        .build_initiator()?)
}

/// The responder's state, about to read message 1. It does not know yet whose pre-shared key it needs.
pub(super) fn responder(
    private: &PrivateKey,
    header: &[u8; INITIATION_HEADER_LEN],
    rng: &mut dyn CryptoRng,
) -> Result<HandshakeState, HandshakeError> {
    Ok(builder(rng)?
        .prologue(&prologue(header))?
        .local_private_key(private.as_bytes())?
        .build_responder()?)
}

/// What a state that has seen both messages leaves behind.
pub(super) fn secret(state: &mut HandshakeState) -> Result<SessionSecret, HandshakeError> {
    if !state.is_handshake_finished() {
        return Err(HandshakeError::Unasked);
    }
    let (k1, k2) = state.dangerously_get_raw_split();
    let hash = state.get_handshake_hash().try_into().map_err(|_| HandshakeError::NotAuthentic)?;
    Ok(SessionSecret::new(hash, k1, k2))
}

fn builder<'a>(rng: &mut dyn CryptoRng) -> Result<Builder<'a>, HandshakeError> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut seed[..]);
    let resolver: BoxedCryptoResolver = Box::new(Seeded(seed));
    Ok(Builder::with_resolver(PROTOCOL.parse()?, resolver))
}

fn prologue(header: &[u8; INITIATION_HEADER_LEN]) -> [u8; 23] {
    let mut prologue = [0; PROLOGUE.len() + INITIATION_HEADER_LEN];
    prologue[..PROLOGUE.len()].copy_from_slice(PROLOGUE);
    prologue[PROLOGUE.len()..].copy_from_slice(header);
    prologue
}

/// The default primitives, and randomness that follows from a seed.
struct Seeded(Zeroizing<[u8; 32]>);

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRandom(ChaCha20Rng::from_seed(*self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(ChaCha20Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}
