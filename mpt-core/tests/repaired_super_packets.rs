//! Segments of super-packets that were lost come again as they were, from the buffer that TUN filled.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod two_ends;

use mpt_core::PeerId;
use mpt_core::config::CipherChoice;
use mpt_core::inner::{InnerPacket, Split};
use two_ends::{SEGMENTS, TwoEnds, Unwatched, super_packet};

#[test]
fn lost_segments_come_again_as_they_were() {
    let none = CipherChoice::None;
    let aes = CipherChoice::Aes256Gcm;
    for (cipher, apart) in [(none, false), (aes, false), (none, true), (aes, true)] {
        let mut ends = TwoEnds::new(cipher);
        if apart {
            ends.seal_and_open_apart();
        }
        let mut got: Vec<Vec<u8>> = Vec::new();
        let mut wanted: Vec<Vec<u8>> = Vec::new();
        ends.lose_each = 23;
        for i in 0..300u32 {
            let (mut packet, offload) = super_packet(0);
            // No two are alike.
            packet[24..28].copy_from_slice(&(i * 100_000).to_be_bytes());
            for (at, byte) in packet[40..].iter_mut().enumerate() {
                *byte = (at as u32 / 7 + i * 13) as u8;
            }
            let inner = InnerPacket::parse(&packet).unwrap();
            let split = Split::new(&packet, &offload, &inner).unwrap();
            let size = usize::from(split.segment_size());
            for (index, at) in (0..split.payload_len()).step_by(size).enumerate() {
                let range = at..split.payload_len().min(at + size);
                let mut segment = vec![0; split.header_len() + range.len()];
                split.write(&packet, index as u16, range, &mut segment);
                wanted.push(segment);
            }
            let mut sink = |_: PeerId, packet: &[u8]| got.push(packet.to_vec());
            ends.carry(0, &packet, &offload, &mut Unwatched, &mut sink);
            ends.pass_time(&mut Unwatched, &mut sink);
        }
        for _ in 0..200 {
            let mut sink = |_: PeerId, packet: &[u8]| got.push(packet.to_vec());
            ends.pass_time(&mut Unwatched, &mut sink);
        }
        assert_eq!(got.len(), 300 * SEGMENTS, "{cipher}: all came");
        assert!(got == wanted, "{cipher}: in order, and as they were");
    }
}
