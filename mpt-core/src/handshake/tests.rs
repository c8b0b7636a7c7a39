use super::message::MACS_LEN;
use super::*;
use crate::config::CipherChoice;
use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::session::{Cipher, DATA_HEADER_LEN, Session};
use crate::{DropReason, PacketNumber, PathId, Time, WorkerId};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::net::SocketAddr;

mod cookies;
mod garbage;

/// One end: its keys, what it says of itself, its randomness.
struct End {
    private: PrivateKey,
    public: PublicKey,
    hello: Hello,
    gate: Gate,
    rng: ChaCha20Rng,
}

impl End {
    fn new(seed: u8, choice: CipherChoice) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let private = PrivateKey::from_random(key);
        let public = private.public_key();
        let hello = Hello {
            instance: 0xa0 + u64::from(seed),
            capabilities: 0,
            version: PROTOCOL_VERSION,
            cipher: CipherOffer { choice, aes_in_hardware: true },
            workers: seed,
        };
        Self { private, public, hello, gate: Gate::new(&public, &mut rng), rng }
    }

    fn begin(&mut self, peer: &PublicKey) -> (Pending, Vec<u8>) {
        let index = self.rng.next_u32();
        Pending::begin(&self.private, peer, &psk(), self.hello, index, &mut self.rng).unwrap()
    }

    /// As an endpoint does it: the gate, then the decryption.
    fn read(&mut self, message: &[u8]) -> Result<Incoming, DropReason> {
        match self.gate.admit(Time::ZERO, source(), message, &mut self.rng) {
            Admission::Read => Incoming::read(&self.private, message, &mut self.rng)
                .map_err(HandshakeError::drop_reason),
            Admission::Drop(reason) => Err(reason),
            Admission::Answer(_) => panic!("not under load"),
        }
    }

    fn answer(&mut self, initiation: &[u8]) -> Answer {
        self.read(initiation).unwrap().respond(&psk(), self.hello, 0x5555_0001).unwrap()
    }

    fn finish(&mut self, pending: &mut Pending, message: &[u8]) -> Result<Outcome, DropReason> {
        match self.gate.admit(Time::ZERO, source(), message, &mut self.rng) {
            Admission::Read => pending.finish(message).map_err(HandshakeError::drop_reason),
            Admission::Drop(reason) => Err(reason),
            Admission::Answer(_) => panic!("not under load"),
        }
    }
}

fn ends(a: CipherChoice, b: CipherChoice) -> (End, End) {
    (End::new(1, a), End::new(2, b))
}

fn auto_ends() -> (End, End) {
    ends(CipherChoice::Auto, CipherChoice::Auto)
}

fn psk() -> PresharedKey {
    PresharedKey::from_bytes([9; 32])
}

fn source() -> SocketAddr {
    "192.0.2.7:4511".parse().unwrap()
}

fn session(outcome: Outcome) -> Session {
    match outcome {
        Outcome::Agreed(agreement) => agreement.into_session(Time::ZERO),
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

fn refusal(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::Agreed(agreement) => panic!("{agreement:?}"),
    }
}

/// Whether a data and a control packet of `from` are taken by `to`.
fn talks(from: &mut Session, to: &mut Session) -> bool {
    let (path, worker) = (PathId::new(5).unwrap(), WorkerId::new(0).unwrap());
    let mut data = vec![0; DATA_HEADER_LEN + 100 + from.data_tag_len()];
    from.seal_data(path, worker, 0, PacketNumber(1), &mut data).unwrap();
    let data = to.open_data(path, worker, 0, PacketNumber(1), &mut data).is_ok();
    let mut control = [0; 40];
    from.seal_control(path, &mut control).unwrap();
    let control = to.open_control(path, &mut control).is_ok();
    assert_eq!(data, control);
    assert_eq!(data, from.remote_index(path) == to.local_index(path));
    data
}

/// Sets mac1 right again, as anybody can who knows the public key.
fn resign(message: &mut Vec<u8>, receiver: &PublicKey) {
    message.truncate(message.len() - MACS_LEN);
    mac::append(message, receiver);
}

#[test]
fn two_messages_make_a_session() {
    use CipherChoice::{Aes256Gcm, Auto, ChaCha20Poly1305, None as Plain};
    for (choices, cipher) in [
        ((Auto, Auto), Cipher::Aes256Gcm),
        ((Auto, ChaCha20Poly1305), Cipher::ChaCha20Poly1305),
        ((Aes256Gcm, Auto), Cipher::Aes256Gcm),
        ((Plain, Plain), Cipher::None),
    ] {
        let (mut a, mut b) = ends(choices.0, choices.1);
        let (mut pending, initiation) = a.begin(&b.public);
        assert_eq!(initiation.len(), INITIATION_LEN);
        assert_eq!(sender_index(&initiation), Some(pending.index()));
        let incoming = b.read(&initiation).unwrap();
        assert_eq!((incoming.peer(), incoming.hello()), (&a.public, &a.hello));
        assert_eq!(incoming.ephemeral()[..], initiation[8..40]);
        let answer = incoming.respond(&psk(), b.hello, 77).unwrap();
        assert_eq!(answer.message.len(), RESPONSE_LEN);
        assert_eq!(sender_index(&answer.message), Some(77));
        assert_eq!(receiver_index(&answer.message), Some(pending.index()));
        let Outcome::Agreed(agreement) = a.finish(&mut pending, &answer.message).unwrap() else {
            panic!("refused");
        };
        assert_eq!((agreement.peer(), agreement.cipher()), (&b.hello, cipher));
        let mut a = agreement.into_session(Time::ZERO);
        let mut b = session(answer.outcome);
        assert!(a.is_initiator() && !b.is_initiator());
        assert_eq!((a.cipher(), b.cipher()), (cipher, cipher));
        assert!(talks(&mut a, &mut b) && talks(&mut b, &mut a));
    }
}

#[test]
fn another_preshared_key_is_found_by_the_initiator() {
    let (mut a, mut b) = auto_ends();
    let (mut pending, initiation) = a.begin(&b.public);
    let incoming = b.read(&initiation).unwrap();
    let answer = incoming.respond(&PresharedKey::default(), b.hello, 1).unwrap();
    assert_eq!(pending.finish(&answer.message).unwrap_err(), HandshakeError::NotAuthentic);
}

#[test]
fn an_initiation_for_another_key_gets_nothing() {
    let (mut a, mut b) = auto_ends();
    let (_, mut initiation) = a.begin(&End::new(3, CipherChoice::Auto).public);
    assert_eq!(b.read(&initiation).unwrap_err(), DropReason::BadHandshake);
    resign(&mut initiation, &b.public);
    assert_eq!(
        Incoming::read(&b.private, &initiation, &mut b.rng).unwrap_err(),
        HandshakeError::NotAuthentic
    );
}

#[test]
fn somebody_else_cannot_answer() {
    let (mut a, mut b) = auto_ends();
    let mut c = End::new(3, CipherChoice::Auto);
    let (mut pending, initiation) = a.begin(&b.public);
    // The best that c can do: an answer to an initiation of its own, under the indices asked for.
    let (_, own) = c.begin(&b.public);
    let mut forged = b.answer(&own).message;
    forged[8..12].copy_from_slice(&pending.index().to_be_bytes());
    resign(&mut forged, &a.public);
    assert_eq!(a.finish(&mut pending, &forged).unwrap_err(), DropReason::BadHandshake);
    // That left no mark: the right answer still ends the handshake.
    let answer = b.answer(&initiation);
    let mut at_a = session(a.finish(&mut pending, &answer.message).unwrap());
    assert!(talks(&mut at_a, &mut session(answer.outcome)));
    assert!(pending.finish(&answer.message).is_err(), "and does so once");
}

#[test]
fn a_replayed_initiation_makes_a_session_that_nobody_confirms() {
    let (mut a, mut b) = auto_ends();
    let (mut pending, initiation) = a.begin(&b.public);
    let first = b.answer(&initiation);
    let mut at_a = session(a.finish(&mut pending, &first.message).unwrap());
    let replayed = b.answer(&initiation);
    let mut unconfirmed = session(replayed.outcome);
    assert!(!talks(&mut at_a, &mut unconfirmed));
    assert!(!talks(&mut unconfirmed, &mut at_a));
    assert!(a.finish(&mut pending, &replayed.message).is_err());
    assert!(talks(&mut at_a, &mut session(first.outcome)));
}

#[test]
fn a_refusal_is_one_sentence_at_each_end() {
    let (mut a, mut b) = ends(CipherChoice::Auto, CipherChoice::None);
    let (mut pending, initiation) = a.begin(&b.public);
    let answer = b.answer(&initiation);
    assert_eq!(
        refusal(a.finish(&mut pending, &answer.message).unwrap()),
        "peer is configured for cipher none, this end for auto: set the same at both ends"
    );
    assert_eq!(
        refusal(answer.outcome),
        "peer is configured for cipher auto, this end for none: set the same at both ends"
    );

    let (mut a, mut b) = auto_ends();
    b.hello.version = 2;
    let (mut pending, initiation) = a.begin(&b.public);
    let answer = b.answer(&initiation);
    assert_eq!(
        refusal(a.finish(&mut pending, &answer.message).unwrap()),
        "peer speaks protocol version 2, this end 1: install the same release at both ends"
    );
    assert!(refusal(answer.outcome).starts_with("peer speaks protocol version 1, this end 2"));
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let (mut a, mut b) = auto_ends();
    let (mut pending, initiation) = a.begin(&b.public);
    let response = b.answer(&initiation).message;
    // mac2 says nothing while the receiver is not under load.
    for at in 0..initiation.len() - 16 {
        let mut bad = initiation.clone();
        bad[at] ^= 1 << (at % 8);
        b.gate = Gate::new(&b.public, &mut b.rng);
        assert!(b.read(&bad).is_err(), "initiation, byte {at}");
    }
    for at in 0..response.len() - 16 {
        let mut bad = response.clone();
        bad[at] ^= 1 << (at % 8);
        a.gate = Gate::new(&a.public, &mut a.rng);
        assert!(a.finish(&mut pending, &bad).is_err(), "response, byte {at}");
    }
    assert!(a.finish(&mut pending, &response).is_ok());
}

#[test]
fn whoever_knows_the_public_key_still_changes_nothing() {
    let (mut a, mut b) = auto_ends();
    let (mut pending, initiation) = a.begin(&b.public);
    let response = b.answer(&initiation).message;
    for at in 0..initiation.len() - MACS_LEN {
        let mut bad = initiation.clone();
        bad[at] ^= 0x80;
        resign(&mut bad, &b.public);
        assert!(Incoming::read(&b.private, &bad, &mut b.rng).is_err(), "initiation, byte {at}");
    }
    for at in 0..response.len() - MACS_LEN {
        let mut bad = response.clone();
        bad[at] ^= 0x80;
        resign(&mut bad, &a.public);
        // The sender index of a response serves cookies only, and is not part of Noise.
        if !(4..8).contains(&at) {
            assert!(pending.finish(&bad).is_err(), "response, byte {at}");
        }
    }
    assert!(pending.finish(&response).is_ok());
}

#[test]
fn other_lengths_versions_and_kinds_are_told() {
    let (mut a, mut b) = auto_ends();
    let (mut pending, initiation) = a.begin(&b.public);
    let response = b.answer(&initiation).message;
    for len in 0..initiation.len() {
        assert_eq!(MessageKind::of(&initiation[..len]), Err(HandshakeError::Malformed));
    }
    let long = [&initiation[..], &[0; 1_024]].concat();
    assert_eq!(MessageKind::of(&long), Err(HandshakeError::Malformed));
    let mut newer = initiation.clone();
    newer[1] = 2;
    assert_eq!(MessageKind::of(&newer), Err(HandshakeError::Version(2)));
    assert_eq!(pending.finish(&initiation).unwrap_err(), HandshakeError::Malformed);
    assert!(Incoming::read(&b.private, &response, &mut b.rng).is_err());
    let (mut other, _) = a.begin(&b.public);
    assert_eq!(other.finish(&response).unwrap_err(), HandshakeError::Unasked);
}

#[test]
fn what_later_versions_append_is_ignored() {
    let (mut a, mut b) = auto_ends();
    let header = message::initiation_header(1);
    let mut state =
        noise::initiator(&a.private, &b.public, psk().as_bytes(), &header, &mut a.rng).unwrap();
    let mut noise = [0; 1_024];
    let len =
        state.write_message(&[&a.hello.encode()[..], &[0xff; 100]].concat(), &mut noise).unwrap();
    let mut message = [&header[..], &noise[..len]].concat();
    mac::append(&mut message, &b.public);
    assert_eq!(b.read(&message).unwrap().hello(), &a.hello);
    let verdict = hello::Verdict::new(Ok(Cipher::None), b.hello);
    let longer = [&verdict.encode()[..], &[0xff; 9]].concat();
    assert_eq!(hello::Verdict::decode(&longer).unwrap(), verdict);
}

#[test]
fn hellos_and_verdicts_survive_the_wire() {
    use CipherChoice::{Aes256Gcm, Auto, ChaCha20Poly1305, None as Plain};
    let (a, _) = auto_ends();
    for choice in [Aes256Gcm, Auto, ChaCha20Poly1305, Plain] {
        let hello = Hello {
            instance: 0x0102_0304_0506_0708,
            capabilities: 0xf00d_0001,
            version: 1,
            cipher: CipherOffer { choice, aes_in_hardware: choice == Auto },
            workers: 16,
        };
        assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
        for workers in [0, 17] {
            let bad = Hello { workers, ..hello }.encode();
            assert_eq!(Hello::decode(&bad), Err(HandshakeError::Hello));
        }
    }
    for status in [
        hello::Status::Agreed(Cipher::Aes256Gcm),
        hello::Status::Agreed(Cipher::ChaCha20Poly1305),
        hello::Status::Agreed(Cipher::None),
        hello::Status::CipherMismatch,
        hello::Status::VersionMismatch,
        hello::Status::Other(200),
    ] {
        let verdict = hello::Verdict { status, hello: a.hello };
        assert_eq!(hello::Verdict::decode(&verdict.encode()).unwrap(), verdict);
    }
}

#[test]
fn a_peer_that_chose_against_the_table_is_refused() {
    let (mut a, mut b) = auto_ends();
    let (mut pending, initiation) = a.begin(&b.public);
    let header = initiation.first_chunk().unwrap();
    let mut state = noise::responder(&b.private, header, &mut b.rng).unwrap();
    let mut noise = [0; 1_024];
    state.read_message(&initiation[8..INITIATION_LEN - MACS_LEN], &mut noise).unwrap();
    state.set_psk(usize::from(noise::PSK_POSITION), psk().as_bytes()).unwrap();
    let verdict = hello::Verdict::new(Ok(Cipher::None), b.hello);
    let len = state.write_message(&verdict.encode(), &mut noise).unwrap();
    let mut response = [&message::response_header(1, pending.index())[..], &noise[..len]].concat();
    mac::append(&mut response, &a.public);
    assert_eq!(pending.finish(&response).unwrap_err(), HandshakeError::Cipher(Cipher::None));
}

#[test]
fn the_same_seeds_give_the_same_bytes() {
    let run = || {
        let (mut a, mut b) = auto_ends();
        let (_, initiation) = a.begin(&b.public);
        let answer = b.answer(&initiation);
        let session = session(answer.outcome);
        (initiation, answer.message, *session.local_indices())
    };
    assert_eq!(run(), run());
    let (mut a, b) = auto_ends();
    assert_ne!(
        a.begin(&b.public).1[8..40],
        a.begin(&b.public).1[8..40],
        "but no ephemeral key twice"
    );
}

#[test]
fn copies_on_several_paths_are_known_as_one_message() {
    let (mut a, b) = auto_ends();
    let (_, initiation) = a.begin(&b.public);
    let mut copy = initiation.clone();
    copy[INITIATION_LEN - 16..].fill(7);
    assert!(same_message(&initiation, &copy));
    copy[INITIATION_LEN - 17] ^= 1;
    assert!(!same_message(&initiation, &copy));
    assert!(!same_message(&initiation, &initiation[1..]) && !same_message(&[], &[]));
}

/// The vector in this room's prose; computed a second time in Python, from the Noise specification.
#[test]
fn vector() {
    let private = [PrivateKey::from_random([0x11; 32]), PrivateKey::from_random([0x22; 32])];
    let public = private.each_ref().map(PrivateKey::public_key);
    let hello = |instance| Hello {
        instance,
        capabilities: 0,
        version: 1,
        cipher: CipherOffer { choice: CipherChoice::Auto, aes_in_hardware: true },
        workers: 1,
    };
    let psk = PresharedKey::from_bytes([0x33; 32]);
    let rng = |seed| ChaCha20Rng::from_seed([seed; 32]);
    let (mut pending, initiation) =
        Pending::begin(&private[0], &public[1], &psk, hello(1), 0x0a0b_0c0d, &mut rng(0x44))
            .unwrap();
    let incoming = Incoming::read(&private[1], &initiation, &mut rng(0x55)).unwrap();
    let answer = incoming.respond(&psk, hello(2), 0x0102_0304).unwrap();
    let session = session(pending.finish(&answer.message).unwrap());
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        hex(&initiation),
        "010100000a0b0c0d52bf73ac19263d36f4823c3d86fc0a925dfc2bf6c881bc224f981bdb648e4a6d\
         2a7b245367c705d70c1b5179891d9fbebd47356bb2f91fd33f0dd690f388b35f62cf750c6358dbd8\
         4092d160580516782d652bce0c4c32ed5f205ad4e6f716da2cd97c5dd3544aa9424842352ffa281c\
         800f9cfc47a69cb1eab2a182a927b3ae00000000000000000000000000000000"
    );
    assert_eq!(
        hex(&answer.message),
        "02010000010203040a0b0c0d2bb9e9c53d7487c2bc7e15fdd2772ce9881d65e01c08d832eb444dae\
         72b8797de4ed1fa270f20114f5090973e1b2eb5dcba1dccdc39cd7de6c5dcec472ad8094ed643e8d\
         2765e6bb5eb4eb566dd40d7f59354aad89bc921b00000000000000000000000000000000"
    );
    let path = PathId::new(0).unwrap();
    assert_eq!((session.remote_index(path), session.local_index(path)), (0x0ed8_2620, 0x9841_020e));
}
