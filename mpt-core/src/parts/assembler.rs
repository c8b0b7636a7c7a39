//! Puts the parts of packets together.

use super::Part;

/// Packets of which some parts have come. In the order of their flow there is one for each flow.
const SLOTS: usize = 32;

/// Bytes of all of them: two of the longest, or a slot each of usual size.
const MOST_BYTES: usize = 128 * 1024;

/// Memory that a slot keeps for its next packet.
const KEPT: usize = 2 * 1024;

/// Packets of one peer that have come in part.
///
/// A packet whose parts do not all come makes room for those that the peer sent later: there are 32 places, and at most
/// 128 KiB in all.
#[derive(Debug, Default)]
pub struct Assembler {
    slots: Vec<Slot>,
    /// Of the packets in the slots.
    bytes: usize,
    /// The packet that was whole last.
    whole: Vec<u8>,
    incomplete: u64,
}

#[derive(Debug, Default)]
struct Slot {
    id: u16,
    tos: u8,
    /// How many bytes have come.
    have: usize,
    /// The packet, as far as it has come; empty when there is none. Its memory is kept.
    packet: Vec<u8>,
}

impl Assembler {
    /// Takes a part; gives the packet and its TOS, as ECN made it, when it was the last one that was missing.
    pub fn add(&mut self, part: &Part<'_>) -> Option<(&mut [u8], u8)> {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        let at = usize::from(part.id) % SLOTS;
        let slot = &self.slots[at];
        // Wrapping: of two numbers the one less than half the circle ahead is the later one.
        if !slot.is_free() && part.id.wrapping_sub(slot.id) > u16::MAX / 2 {
            self.incomplete += 1;
            return None;
        }
        if slot.id != part.id || slot.packet.len() != usize::from(part.total) {
            self.give_up(at);
            self.begin(at, part);
        }
        let slot = &mut self.slots[at];
        let (start, len) = (usize::from(part.offset), part.bytes.len());
        slot.packet[start..start + len].copy_from_slice(part.bytes);
        slot.have += len;
        if part.tos & 3 == 3 {
            slot.tos |= 3;
        }
        if slot.have < slot.packet.len() {
            return None;
        }
        std::mem::swap(&mut self.whole, &mut slot.packet);
        let tos = slot.tos;
        slot.clear();
        self.bytes -= self.whole.len();
        Some((&mut self.whole, tos))
    }

    /// How many packets were given up since the last call, for a part of them did not come in time.
    #[must_use]
    pub fn take_incomplete(&mut self) -> u64 {
        std::mem::take(&mut self.incomplete)
    }

    fn begin(&mut self, at: usize, part: &Part<'_>) {
        let total = usize::from(part.total);
        while self.bytes + total > MOST_BYTES {
            let under_way = self.slots.iter().enumerate().filter(|(_, s)| !s.is_free());
            let age = |s: &Slot| part.id.wrapping_sub(s.id);
            let Some((oldest, _)) = under_way.max_by_key(|(_, s)| age(s)) else { break };
            self.give_up(oldest);
        }
        let slot = &mut self.slots[at];
        slot.packet.resize(total, 0);
        (slot.id, slot.tos) = (part.id, part.tos);
        self.bytes += total;
    }

    fn give_up(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if !slot.is_free() {
            self.bytes -= slot.packet.len();
            self.incomplete += 1;
            slot.clear();
        }
    }
}

impl Slot {
    const fn is_free(&self) -> bool {
        self.packet.is_empty()
    }

    fn clear(&mut self) {
        self.have = 0;
        self.packet.clear();
        self.packet.shrink_to(KEPT);
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
        // A straggler does not push out a later one.
        assert!(assembler.add(&part(2_000, 0, 20, &[1; 10])).is_none());
        assert!(assembler.add(&part(2_000 - 32, 0, 20, &[1; 10])).is_none());
        assert!(assembler.add(&part(2_000, 10, 20, &[1; 10])).is_some());
        let memory: usize = assembler.slots.iter().map(|s| s.packet.capacity()).sum();
        assert!(memory <= MOST_BYTES + SLOTS * KEPT, "{memory}");
    }

    #[test]
    fn another_length_is_another_packet() {
        let mut assembler = Assembler::default();
        assert!(assembler.add(&part(5, 0, 20, &[1; 10])).is_none());
        assert!(assembler.add(&part(5, 1_000, 1_010, &[1; 10])).is_none());
        assert_eq!((assembler.take_incomplete(), assembler.bytes), (1, 1_010));
    }
}
