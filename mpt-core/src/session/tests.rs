use super::*;
use crate::{DropReason, PacketNumber, PathId, Time, WorkerId};
use proptest::prelude::*;
use std::collections::HashSet;
use std::time::Duration;

const CIPHERS: [Cipher; 3] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305, Cipher::None];

/// The secret of the vectors: bytes 0, 1, 2, … in the order hash, k1, k2.
fn secret() -> SessionSecret {
    let from = |first: u8| std::array::from_fn(|i| first + i as u8);
    SessionSecret::new(from(0), from(32), from(64))
}

fn ends(cipher: Cipher) -> (Session, Session) {
    let end = |role| Session::new(&secret(), role, cipher, Time::ZERO);
    (end(Role::Initiator), end(Role::Responder))
}

fn path(id: u8) -> PathId {
    PathId::new(id).unwrap()
}

fn worker(id: u8) -> WorkerId {
    WorkerId::new(id).unwrap()
}

/// Who sends a data packet, where, and as which number.
#[derive(Clone, Copy, Debug)]
struct Place {
    path: PathId,
    worker: WorkerId,
    copy: u8,
    number: PacketNumber,
}

/// Number above 2^32, so that the half that is not on the wire counts.
fn place() -> Place {
    let number = PacketNumber(0x0000_0001_0203_0405);
    Place { path: path(3), worker: worker(2), copy: 1, number }
}

fn seal(session: &Session, at: Place, inner: &[u8]) -> Vec<u8> {
    let mut datagram = vec![4, at.worker.get() << 4 | at.copy, 0x12, 0x34];
    datagram.extend(session.remote_index(at.path).to_be_bytes());
    datagram.extend(at.number.low().to_be_bytes());
    datagram.extend([0x00, 0x07, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x2a]);
    datagram.extend(inner);
    datagram.resize(datagram.len() + session.data_tag_len(), 0);
    session.seal_data(at.path, at.worker, at.copy, at.number, &mut datagram).unwrap();
    datagram
}

fn open(session: &Session, at: Place, datagram: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut datagram = datagram.to_vec();
    session
        .open_data(at.path, at.worker, at.copy, at.number, &mut datagram)
        .map(|inner| inner.to_vec())
}

fn control(session: &mut Session, on: PathId, text: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; CONTROL_HEADER_LEN];
    datagram[0] = 5;
    datagram.extend(text);
    datagram.resize(datagram.len() + CONTROL_TAG_LEN, 0);
    session.seal_control(on, &mut datagram).unwrap();
    datagram
}

fn open_control(session: &mut Session, on: PathId, datagram: &[u8]) -> Result<Vec<u8>, DropReason> {
    session.open_control(on, &mut datagram.to_vec()).map(|text| text.to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn data_goes_both_ways_under_every_cipher() {
    for cipher in CIPHERS {
        let (a, b) = ends(cipher);
        for inner in [&[][..], &[7; 1], &[8; 40], &[9; 1_400]] {
            assert_eq!(open(&b, place(), &seal(&a, place(), inner)).unwrap(), inner);
            assert_eq!(open(&a, place(), &seal(&b, place(), inner)).unwrap(), inner);
        }
        assert_eq!((a.sealed_packets(), b.sealed_packets()), (4, 4));
    }
}

#[test]
fn inner_bytes_are_hidden_unless_the_cipher_is_none() {
    let inner = [0x45; 64];
    for cipher in CIPHERS {
        let (a, _) = ends(cipher);
        let sealed = seal(&a, place(), &inner);
        assert_eq!(sealed[DATA_HEADER_LEN..][..64] == inner, cipher == Cipher::None);
    }
}

#[test]
fn a_changed_header_inner_or_tag_byte_is_found() {
    for cipher in CIPHERS {
        let (a, b) = ends(cipher);
        let good = seal(&a, place(), &[0x45; 60]);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let beyond_the_mac = cipher == Cipher::None
                    && (DATA_HEADER_LEN + 40..DATA_HEADER_LEN + 60).contains(&at);
                assert_eq!(open(&b, place(), &bad).is_ok(), beyond_the_mac, "{cipher} byte {at}");
            }
        }
        assert!(open(&b, place(), &good).is_ok());
    }
}

#[test]
fn a_changed_length_is_found() {
    for cipher in CIPHERS {
        let (a, b) = ends(cipher);
        let good = seal(&a, place(), &[0x45; 60]);
        for len in 0..good.len() {
            let expected = if len < DATA_HEADER_LEN + a.data_tag_len() {
                DropReason::Malformed
            } else {
                DropReason::BadTag
            };
            assert_eq!(open(&b, place(), &good[..len]), Err(expected));
        }
        // An inner byte taken out beyond the part that the MAC of cipher none reads.
        let mut shorter = good.clone();
        shorter.remove(DATA_HEADER_LEN + 50);
        assert_eq!(open(&b, place(), &shorter), Err(DropReason::BadTag));
        let mut longer = good;
        longer.insert(DATA_HEADER_LEN + 50, 0x45);
        assert_eq!(open(&b, place(), &longer), Err(DropReason::BadTag));
    }
}

#[test]
fn path_and_whole_number_are_covered_though_not_in_the_header() {
    for cipher in CIPHERS {
        let (a, b) = ends(cipher);
        let good = seal(&a, place(), b"inner");
        let at = place();
        let elsewhere = [
            Place { path: path(4), ..at },
            Place { number: PacketNumber(at.number.0 + (1 << 32)), ..at },
        ];
        for other in elsewhere {
            assert_eq!(open(&b, other, &good), Err(DropReason::BadTag), "{cipher} {other:?}");
        }
    }
}

#[test]
fn what_comes_back_to_its_sender_is_refused() {
    for cipher in CIPHERS {
        let (mut a, _) = ends(cipher);
        let data = seal(&a, place(), b"inner");
        assert_eq!(open(&a, place(), &data), Err(DropReason::BadTag));
        let probe = control(&mut a, path(0), b"probe");
        assert_eq!(open_control(&mut a, path(0), &probe), Err(DropReason::BadTag));
    }
}

#[test]
fn keys_differ_by_secret() {
    let other = SessionSecret::new([1; 32], [2; 32], [3; 32]);
    for cipher in CIPHERS {
        let (a, _) = ends(cipher);
        let b = Session::new(&other, Role::Responder, cipher, Time::ZERO);
        assert_eq!(open(&b, place(), &seal(&a, place(), b"inner")), Err(DropReason::BadTag));
        assert_ne!(a.local_indices(), b.local_indices());
    }
}

/// Nonces are not visible, but with AES-GCM and ChaCha20 equal plaintexts under one key give equal
/// ciphertexts exactly when their nonces are equal.
#[test]
fn no_two_places_share_a_nonce() {
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
        let (a, _) = ends(cipher);
        let mut seen = HashSet::new();
        for (w, p, copy) in
            (0..16).flat_map(|w| (0..16).flat_map(move |p| (0..16).map(move |c| (w, p, c))))
        {
            for number in [1, 2, 256, 1 << 32, (1 << 32) + 1, u64::MAX] {
                let number = PacketNumber(number);
                let at = Place { path: path(p), worker: worker(w), copy, number };
                let sealed = seal(&a, at, &[0; 16]);
                assert!(seen.insert(sealed[DATA_HEADER_LEN..][..16].to_vec()), "{at:?}");
            }
        }
        assert_eq!(seen.len(), 16 * 16 * 16 * 6);
    }
}

#[test]
fn both_ends_name_the_same_indices() {
    let (a, b) = ends(Cipher::Aes256Gcm);
    let mut all = HashSet::new();
    for p in PathId::all() {
        assert_eq!(a.remote_index(p), b.local_index(p));
        assert_eq!(b.remote_index(p), a.local_index(p));
        assert_eq!(a.local_index(p), a.local_indices()[p.index()]);
        all.extend([a.local_index(p), b.local_index(p)]);
    }
    assert_eq!(all.len(), 32);
}

#[test]
fn control_goes_both_ways_and_is_hidden_under_every_cipher() {
    for cipher in CIPHERS {
        let (mut a, mut b) = ends(cipher);
        for text in [&b""[..], b"a report"] {
            let datagram = control(&mut a, path(9), text);
            assert!(text.is_empty() || !datagram.windows(text.len()).any(|w| w == text));
            assert_eq!(datagram[4..8], b.local_index(path(9)).to_be_bytes());
            assert_eq!(open_control(&mut b, path(9), &datagram).unwrap(), text);
            let back = control(&mut b, path(2), text);
            assert_eq!(open_control(&mut a, path(2), &back).unwrap(), text);
        }
    }
}

#[test]
fn control_is_accepted_once_and_each_path_counts_for_itself() {
    let (mut a, mut b) = ends(Cipher::None);
    let all: Vec<_> = (0..2_000).map(|i: u32| control(&mut a, path(1), &i.to_be_bytes())).collect();
    let (late, lost) = (&all[1_998 - 1_000], &all[1_999 - 1_024]);
    for datagram in [&all[1_999], late] {
        assert!(open_control(&mut b, path(1), datagram).is_ok());
        assert_eq!(open_control(&mut b, path(1), datagram), Err(DropReason::Replayed));
    }
    assert_eq!(open_control(&mut b, path(1), lost), Err(DropReason::Replayed), "too old to tell");
    let other = control(&mut a, path(2), b"");
    assert_eq!(other[8..16], 1u64.to_be_bytes());
    assert!(open_control(&mut b, path(2), &other).is_ok());
    assert_eq!(open_control(&mut b, path(3), &other), Err(DropReason::BadTag));
}

#[test]
fn a_forged_control_packet_moves_nothing() {
    let (mut a, mut b) = ends(Cipher::Aes256Gcm);
    let good = control(&mut a, path(0), b"probe");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        assert!(open_control(&mut b, path(0), &bad).is_err(), "byte {at}");
    }
    for len in 0..good.len() {
        assert!(open_control(&mut b, path(0), &good[..len]).is_err());
    }
    // Had one of the counters above (2^63 + 1 among them) been marked, this would be refused.
    assert_eq!(open_control(&mut b, path(0), &good).unwrap(), b"probe");
}

#[test]
fn too_short_a_buffer_is_told_not_sealed() {
    let (mut a, _) = ends(Cipher::Aes256Gcm);
    let at = place();
    let mut short = [0x21; DATA_HEADER_LEN + 15];
    assert_eq!(
        a.seal_data(at.path, at.worker, at.copy, at.number, &mut short),
        Err(DropReason::Malformed)
    );
    assert_eq!(a.seal_control(at.path, &mut short[..31]), Err(DropReason::Malformed));
}

#[test]
fn the_initiator_renews_first_and_the_old_session_dies() {
    let (a, b) = ends(Cipher::Aes256Gcm);
    assert!(a.is_initiator() && !b.is_initiator());
    let at = |millis| Time::from_millis(millis);
    assert!(!a.rekey_due(at(119_999)) && a.rekey_due(at(120_000)));
    assert!(!b.rekey_due(at(129_999)) && b.rekey_due(at(130_000)));
    assert_eq!(a.rekey_at(), Time::ZERO + Duration::from_secs(120));
    assert!(!a.expired(at(179_999)) && a.expired(at(180_000)) && b.expired(at(180_000)));
}

#[test]
fn packets_wear_a_session_out_too() {
    let (_, b) = ends(Cipher::Aes256Gcm);
    b.pretend_sealed(REKEY_AFTER_PACKETS - 1);
    assert!(!b.rekey_due(Time::ZERO));
    seal(&b, place(), b"inner");
    assert!(b.rekey_due(Time::ZERO) && !b.expired(Time::ZERO));
    b.pretend_sealed(REJECT_AFTER_PACKETS);
    assert!(b.expired(Time::ZERO));
    let mut datagram = seal(&ends(Cipher::Aes256Gcm).0, place(), b"inner");
    let plain = datagram.clone();
    let at = place();
    assert_eq!(
        b.seal_data(at.path, at.worker, at.copy, at.number, &mut datagram),
        Err(DropReason::NoSession)
    );
    assert_eq!(datagram, plain);
}

#[test]
fn debug_output_tells_no_secret() {
    let (a, _) = ends(Cipher::None);
    assert_eq!(
        format!("{a:?}"),
        "Session { role: Initiator, cipher: None, created: 0.000000s, .. }"
    );
}

proptest! {
    #[test]
    fn random_datagrams_never_open_and_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        p in 0u8..16, w in 0u8..16, copy in 0u8..16, number in any::<u64>(),
    ) {
        for cipher in CIPHERS {
            let (mut a, _) = ends(cipher);
            prop_assert!(a.open_data(path(p), worker(w), copy, PacketNumber(number), &mut bytes).is_err());
            prop_assert!(a.open_control(path(p), &mut bytes).is_err());
        }
    }
}

/// The vectors in this room's prose; computed a second time by other implementations (Python's
/// `cryptography`, and SipHash from its paper).
#[test]
fn vectors() {
    let (mut a, _) = ends(Cipher::Aes256Gcm);
    assert_eq!(a.remote_index(path(0)), 0xa645_0670);
    assert_eq!(a.remote_index(path(3)), 0xe77b_85c6);
    assert_eq!(a.local_index(path(0)), 0x96c4_ebcf);
    let inner: [u8; 48] = std::array::from_fn(|i| i as u8);
    let header = "04211234e77b85c6020304050007000b0000002a";
    let expected = [
        "8ff2ee5ac58f19eaaaabfe9b42c333a6dc2ddcc9f1cb54dc25b48be1f1eadd7430adbe7eca36925f62f9f652230d7c2f\
         e71ed9953addc8fdbfef82f38594407d",
        "585d2e23c5d58ef5fc71049aa5584331f35b32dfb96bd11e883750b7c806409589aad1a4451e5e156d654bb14cb2e6ae\
         ceac9fc9e9bb3bee50a5906e6fec8fed",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f\
         55cfe3f178897449",
    ];
    for (cipher, expected) in CIPHERS.into_iter().zip(expected) {
        let (a, b) = ends(cipher);
        let sealed = seal(&a, place(), &inner);
        assert_eq!(hex(&sealed), format!("{header}{expected}"), "{cipher}");
        assert_eq!(open(&b, place(), &sealed).unwrap(), inner);
    }
    assert_eq!(
        hex(&control(&mut a, path(3), b"probe")),
        "05000000e77b85c60000000000000001d2a63b984ea9287529e0c3660a379f55354cdcdf3b"
    );
}
