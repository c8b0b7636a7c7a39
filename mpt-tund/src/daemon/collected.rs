//! Inner packets that the endpoint delivered, until they are written to TUN outside of its lock.

use mpt_core::inner::Checksum;
use mpt_core::{Deliver, PeerId};
use std::ops::Range;

/// Where packets of a batch lie: in the batch's own buffer, where they need no copy, or copied here.
#[derive(Default)]
pub(super) struct Collected {
    packets: Vec<Packet>,
    copies: Vec<u8>,
    /// The addresses of the batch's buffer.
    batch: Range<usize>,
}

#[derive(Clone, Copy)]
struct Packet {
    place: Place,
    len: usize,
    checksum: Checksum,
}

/// An offset.
#[derive(Clone, Copy)]
enum Place {
    Batch(usize),
    Copies(usize),
}

/// Kept between batches, bytes of copies and packets; what was released at once beyond that is given back.
const KEEP: usize = 256 * 1024;
const KEEP_PACKETS: usize = 4_096;

impl Collected {
    /// A new batch begins, whose datagrams lie in a buffer at these addresses.
    pub(super) fn begin(&mut self, batch: Range<usize>) {
        self.packets.clear();
        self.packets.shrink_to(KEEP_PACKETS);
        self.copies.clear();
        self.copies.shrink_to(KEEP);
        self.batch = batch;
    }

    /// Hands out all packets in order; `batch` is the buffer that [`begin`](Self::begin) was told of.
    pub(super) fn hand_out(&self, batch: &[u8], mut take: impl FnMut(&[u8], Checksum)) {
        for packet in &self.packets {
            let bytes = match packet.place {
                Place::Batch(at) => &batch[at..at + packet.len],
                Place::Copies(at) => &self.copies[at..at + packet.len],
            };
            take(bytes, packet.checksum);
        }
    }
}

impl Deliver for Collected {
    fn deliver(&mut self, _peer: PeerId, packet: &[u8], checksum: Checksum) {
        let at = packet.as_ptr() as usize;
        let place = if self.batch.contains(&at) {
            Place::Batch(at - self.batch.start)
        } else {
            self.copies.extend_from_slice(packet);
            Place::Copies(self.copies.len() - packet.len())
        };
        self.packets.push(Packet { place, len: packet.len(), checksum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_at_once_leaves_no_memory() {
        let mut collected = Collected::default();
        (0..100_000).for_each(|_| collected.deliver(PeerId(0), b"held", Checksum::Full));
        collected.begin(0..0);
        assert!(
            collected.packets.capacity() <= KEEP_PACKETS && collected.copies.capacity() <= KEEP
        );
    }

    #[test]
    fn packets_of_the_batch_are_not_copied_and_all_keep_their_order() {
        let batch = *b"....one.three.";
        let elsewhere = b"two".to_vec();
        let mut collected = Collected::default();
        let start = batch.as_ptr() as usize;
        collected.begin(start..start + batch.len());
        collected.deliver(PeerId(0), &batch[4..7], Checksum::Full);
        collected.deliver(PeerId(0), &elsewhere, Checksum::Partial);
        collected.deliver(PeerId(0), &batch[8..13], Checksum::Valid);
        drop(elsewhere);
        assert_eq!(collected.copies, b"two");
        let mut got = Vec::new();
        collected.hand_out(&batch, |p, c| got.push((p.to_vec(), c)));
        let want =
            [("one", Checksum::Full), ("two", Checksum::Partial), ("three", Checksum::Valid)];
        assert_eq!(got, want.map(|(p, c)| (p.as_bytes().to_vec(), c)));
    }
}
