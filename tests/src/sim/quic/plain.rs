//! A QUIC handshake without secrets: the same flights and lengths as with TLS, and nothing computed.
//!
//! What is asked is what congestion control and loss detection do. In simulation, thousands of times, cryptography would
//! be most of the work, and its random bytes the only thing that differs between two runs of one seed; in the
//! kernel it would take the processors from the tunnel.

use bytes::BytesMut;
use quinn_proto::crypto::{
    AeadKey, ClientConfig, CryptoError, ExportKeyingMaterialError, HandshakeTokenKey, HeaderKey,
    HmacKey, KeyPair, Keys, PacketKey, ServerConfig, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError, TransportErrorCode};
use std::any::Any;
use std::sync::Arc;

/// Bytes of a tag, as every AEAD of QUIC has it.
const TAG: usize = 16;

/// Configuration of either side.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl ClientConfig for Plain {
    fn start_session(
        self: Arc<Self>,
        _version: u32,
        _server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        Ok(Box::new(Handshake::new(Side::Client, params)))
    }
}

impl ServerConfig for Plain {
    fn initial_keys(&self, _: u32, _: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        Ok(keys(INITIAL))
    }

    fn retry_tag(&self, _: u32, _: &ConnectionId, _: &[u8]) -> [u8; 16] {
        [0; 16]
    }

    fn start_session(self: Arc<Self>, _: u32, params: &TransportParameters) -> Box<dyn Session> {
        Box::new(Handshake::new(Side::Server, params))
    }
}

/// One side of the handshake. Flights: the client's parameters; a hello, and the server's parameters; an end.
struct Handshake {
    side: Side,
    ours: Vec<u8>,
    theirs: Option<TransportParameters>,
    /// What is to be written next.
    step: u8,
    heard_hello: bool,
    complete: bool,
    /// Of the keys given out last.
    generation: u8,
}

/// Keys of the handshake's levels, and the first of those that change. A packet opens only with the key
/// that sealed it, or quinn would take late packets for attempts at new keys.
const INITIAL: u8 = 0;
const HANDSHAKE: u8 = 1;
const ONE_RTT: u8 = 2;

const HELLO: &[u8] = b"hello";
const FINISHED: &[u8] = b"finished";

impl Handshake {
    fn new(side: Side, params: &TransportParameters) -> Self {
        let mut ours = Vec::new();
        params.write(&mut ours);
        Self {
            side,
            ours,
            theirs: None,
            step: 0,
            heard_hello: false,
            complete: false,
            generation: ONE_RTT,
        }
    }

    fn learn(&mut self, mut bytes: &[u8]) -> Result<bool, TransportError> {
        let malformed = |_| TransportError::from(TransportErrorCode::crypto(47));
        self.theirs = Some(TransportParameters::read(self.side, &mut bytes).map_err(malformed)?);
        Ok(true)
    }
}

impl Session for Handshake {
    fn initial_keys(&self, _: &ConnectionId, _: Side) -> Keys {
        keys(INITIAL)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.theirs.as_ref().map(|_| Box::new(()) as Box<dyn Any>)
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        !self.complete
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        match self.side {
            Side::Server if self.theirs.is_none() => self.learn(bytes),
            Side::Client if !self.heard_hello => {
                self.heard_hello = true;
                Ok(false)
            }
            Side::Client if self.theirs.is_none() => {
                self.complete = true;
                self.learn(bytes)
            }
            _ => {
                self.complete = true;
                Ok(false)
            }
        }
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        Ok(self.theirs)
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        let ready = match (self.side, self.step) {
            (Side::Client, 0) => true,
            (Side::Client, 1) => self.heard_hello,
            _ => self.theirs.is_some(),
        };
        if !ready {
            return None;
        }
        self.step = self.step.saturating_add(1);
        match (self.side, self.step) {
            (Side::Client, 1) => {
                out.extend_from_slice(&self.ours);
                None
            }
            (Side::Client, 2) => Some(keys(HANDSHAKE)),
            (Side::Client, 3) => {
                out.extend_from_slice(FINISHED);
                Some(keys(ONE_RTT))
            }
            (Side::Server, 1) => {
                out.extend_from_slice(HELLO);
                Some(keys(HANDSHAKE))
            }
            (Side::Server, 2) => {
                out.extend_from_slice(&self.ours);
                Some(keys(ONE_RTT))
            }
            _ => None,
        }
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.generation = self.generation.wrapping_add(1).max(ONE_RTT);
        let key = || Box::new(Generation(self.generation)) as Box<dyn PacketKey>;
        Some(KeyPair { local: key(), remote: key() })
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        true
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

fn keys(generation: u8) -> Keys {
    Keys {
        header: KeyPair { local: Box::new(Clear), remote: Box::new(Clear) },
        packet: KeyPair {
            local: Box::new(Generation(generation)),
            remote: Box::new(Generation(generation)),
        },
    }
}

/// A key that leaves a packet as it is, and tells its own from others'.
struct Generation(u8);

/// A key of any other kind.
///
/// Nothing is hidden.
pub struct Clear;

impl HeaderKey for Clear {
    fn decrypt(&self, _: usize, _: &mut [u8]) {}

    fn encrypt(&self, _: usize, _: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        TAG
    }
}

impl Generation {
    /// Key generation and packet number.
    fn tag(&self, number: u64) -> [u8; TAG] {
        (u128::from(number) << 8 | u128::from(self.0)).to_be_bytes()
    }
}

impl PacketKey for Generation {
    fn encrypt(&self, number: u64, packet: &mut [u8], _: usize) {
        if let Some(tag) = packet.last_chunk_mut() {
            *tag = self.tag(number);
        }
    }

    fn decrypt(&self, number: u64, _: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        let len = payload.len().checked_sub(TAG).ok_or(CryptoError)?;
        // A packet that comes very late is taken for one of another number, which real keys refuse.
        if payload.last_chunk() != Some(&self.tag(number)) {
            return Err(CryptoError);
        }
        payload.truncate(len);
        Ok(())
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

impl HmacKey for Clear {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        // FNV-1a: reset tokens have to differ, no more.
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for byte in data {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = (hash >> (i % 8 * 8)) as u8;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let mut ours = [0; 32];
        self.sign(data, &mut ours);
        if ours[..] == *signature { Ok(()) } else { Err(CryptoError) }
    }
}

impl HandshakeTokenKey for Clear {
    fn aead_from_hkdf(&self, _: &[u8]) -> Box<dyn AeadKey> {
        Box::new(Clear)
    }
}

impl AeadKey for Clear {
    fn seal(&self, data: &mut Vec<u8>, _: &[u8]) -> Result<(), CryptoError> {
        data.extend_from_slice(&[0; TAG]);
        Ok(())
    }

    fn open<'a>(&self, data: &'a mut [u8], _: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        let len = data.len().checked_sub(TAG).ok_or(CryptoError)?;
        Ok(&mut data[..len])
    }
}
