//! Puts the parts of packets together.

use super::Part;

/// Packets of which some parts have come. A lost part is waited for while other flows' packets come whole.
const MOST: usize = 128;

/// Bytes of all of them.
const MOST_BYTES: usize = 128 * 1024;

/// A packet that so many others in parts were sent after is not waited for: numbers wrap, and the next one of the same
/// number must not be made with its parts.
const STALE: i16 = 1 << 13;

/// Packets of one peer that have come in part.
///
/// A packet whose parts do not all come makes room for those that the peer sent later: there are 128 places, and at most
/// 128 KiB in all.
#[derive(Debug, Default)]
pub struct Assembler {
    under_way: Vec<Assembly>,
    /// Of the packets under way.
    bytes: usize,
    /// The packet that was whole last.
    whole: Vec<u8>,
    incomplete: u64,
}

#[derive(Debug)]
struct Assembly {
    id: u16,
    tos: u8,
    /// How many bytes have come.
    have: usize,
    /// The packet, as far as it has come.
    packet: Vec<u8>,
}

impl Assembler {
    /// Takes a part; gives the packet and its TOS, as ECN made it, when it was the last one that was missing.
    pub fn add(&mut self, part: &Part<'_>) -> Option<(&mut [u8], u8)> {
        while self.under_way.first().is_some_and(|a| part.id.wrapping_sub(a.id) as i16 >= STALE) {
            self.give_up(0);
        }
        let at = self.under_way.iter().position(|a| a.id == part.id);
        let at = match at {
            Some(at) if self.under_way[at].packet.len() == usize::from(part.total) => at,
            Some(at) => {
                self.give_up(at);
                self.begin(part)
            }
            None => self.begin(part),
        };
        let assembly = &mut self.under_way[at];
        let (start, len) = (usize::from(part.offset), part.bytes.len());
        assembly.packet[start..start + len].copy_from_slice(part.bytes);
        assembly.have += len;
        if part.tos & 3 == 3 {
            assembly.tos |= 3;
        }
        if assembly.have < assembly.packet.len() {
            return None;
        }
        let Assembly { packet, tos, .. } = self.under_way.remove(at);
        self.bytes -= packet.len();
        self.whole = packet;
        Some((&mut self.whole, tos))
    }

    /// How many packets were given up since the last call, for a part of them did not come in time.
    #[must_use]
    pub fn take_incomplete(&mut self) -> u64 {
        std::mem::take(&mut self.incomplete)
    }

    /// A new one, at the end: the first is the one that has waited longest.
    fn begin(&mut self, part: &Part<'_>) -> usize {
        let total = usize::from(part.total);
        while !self.under_way.is_empty()
            && (self.bytes + total > MOST_BYTES || self.under_way.len() == MOST)
        {
            self.give_up(0);
        }
        let packet = vec![0; total];
        self.under_way.push(Assembly { id: part.id, tos: part.tos, have: 0, packet });
        self.bytes += total;
        self.under_way.len() - 1
    }

    fn give_up(&mut self, at: usize) {
        self.bytes -= self.under_way.remove(at).packet.len();
        self.incomplete += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: u16, offset: usize, total: usize, bytes: &[u8]) -> Part<'_> {
        Part { tos: 0x02, id, offset: offset as u16, total: total as u16, bytes }
    }

    fn packet(id: u16, len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + usize::from(id)) as u8).collect()
    }

    #[test]
    fn parts_make_the_packet_in_whatever_order_they_come() {
        let mut assembler = Assembler::default();
        for (id, cuts) in
            [(65_535, [0, 500, 900, 1_280]), (0, [0, 1, 2, 3]), (1, [0, 700, 701, 9_000])]
        {
            let whole = packet(id, cuts[3]);
            for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                for (n, i) in order.into_iter().enumerate() {
                    let bytes = &whole[cuts[i]..cuts[i + 1]];
                    let made = assembler.add(&part(id, cuts[i], cuts[3], bytes));
                    match made {
                        Some((made, tos)) => assert_eq!((n, &*made, tos), (2, &whole[..], 2)),
                        None => assert!(n < 2),
                    }
                }
            }
        }
        assert_eq!((assembler.take_incomplete(), assembler.bytes), (0, 0));
    }

    #[test]
    fn a_mark_on_any_part_is_one_on_the_packet() {
        let mut assembler = Assembler::default();
        assert!(assembler.add(&part(1, 0, 20, &[1; 10])).is_none());
        let marked = Part { tos: 0x03, ..part(1, 10, 20, &[2; 10]) };
        assert_eq!(assembler.add(&marked).map(|(_, tos)| tos), Some(0x03));
    }

    #[test]
    fn what_never_becomes_whole_makes_room() {
        let mut assembler = Assembler::default();
        for id in 0..1_000 {
            assert!(assembler.add(&part(id, 0, 65_535, &[1; 100])).is_none());
            assert!(assembler.bytes <= MOST_BYTES);
        }
        assert_eq!(assembler.take_incomplete(), 998);
        // The latest one is there still.
        let rest = vec![1; 65_435];
        assert!(assembler.add(&part(999, 100, 65_535, &rest)).is_some());
        let mut assembler = Assembler::default();
        (0..1_000).for_each(|id| assert!(assembler.add(&part(id, 0, 20, &[1; 10])).is_none()));
        assert_eq!((assembler.under_way.len(), assembler.bytes), (MOST, MOST * 20));
    }

    /// A part is lost and sent again, while packets of other flows come whole.
    #[test]
    fn others_that_come_whole_push_nothing_out() {
        let mut assembler = Assembler::default();
        assert!(assembler.add(&part(7, 0, 1_280, &[1; 640])).is_none());
        for id in 8..8_000 {
            assert!(assembler.add(&part(id, 0, 1_280, &[2; 640])).is_none());
            assert!(assembler.add(&part(id, 640, 1_280, &[2; 640])).is_some());
        }
        assert!(assembler.add(&part(7, 640, 1_280, &[1; 640])).is_some());
        assert_eq!((assembler.take_incomplete(), assembler.bytes), (0, 0));
    }

    /// Numbers come round, and the first half of an old packet waits still.
    #[test]
    fn nothing_is_made_of_two_packets() {
        let mut assembler = Assembler::default();
        assert!(assembler.add(&part(7, 0, 1_280, &[1; 640])).is_none());
        for id in (8..=65_535).chain(0..7) {
            assert!(assembler.add(&part(id, 0, 1_280, &[2; 640])).is_none());
            assert!(assembler.add(&part(id, 640, 1_280, &[2; 640])).is_some());
        }
        assert!(assembler.add(&part(7, 640, 1_280, &[3; 640])).is_none());
        let (made, _) = assembler.add(&part(7, 0, 1_280, &[3; 640])).unwrap();
        assert_eq!(made, [3; 1_280]);
        assert_eq!(assembler.take_incomplete(), 1);
    }

    #[test]
    fn another_length_is_another_packet() {
        let mut assembler = Assembler::default();
        assert!(assembler.add(&part(5, 0, 20, &[1; 10])).is_none());
        assert!(assembler.add(&part(5, 1_000, 1_010, &[1; 10])).is_none());
        assert_eq!((assembler.take_incomplete(), assembler.bytes), (1, 1_010));
    }
}
