//! The receiving side.

use super::RecentPackets;
use super::block::mix;
use super::spares::Spares;
use crate::wire::{Beside, Covered, Parity, Piece};
use std::collections::VecDeque;

/// Parities that wait for packets of their block, at most, and their bytes.
const MOST_PARITIES: usize = 32;
const MOST_PARITY_BYTES: usize = 128 << 10;

/// Numbers of packets that were made, and may come themselves.
const MOST_MADE: usize = 64;

/// A packet that was made again; it is in the [`Recoverer`]'s [`packet`](Recoverer::packet).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Its number.
    pub pn: u64,
    /// What its header said.
    pub beside: Beside,
}

/// Makes packets of one sending worker again.
#[derive(Debug, Default)]
pub struct Recoverer {
    recent: RecentPackets,
    parities: VecDeque<Waiting>,
    spares: Spares,
    made: Vec<u8>,
    /// The numbers of those made last.
    lately: VecDeque<u64>,
}

#[derive(Debug)]
struct Waiting {
    covered: Covered,
    beside: Beside,
    /// What is here of it.
    piece: Piece,
    bytes: Vec<u8>,
}

impl Waiting {
    /// Whether this is the other piece of it.
    fn lacks(&self, parity: &Parity<'_>) -> bool {
        let pieces = (self.piece, parity.piece);
        matches!(pieces, (Piece::Head, Piece::Tail) | (Piece::Tail, Piece::Head))
            && (self.covered, self.beside) == (parity.covered, parity.beside)
    }

    /// Adds the other piece.
    fn join(&mut self, parity: &Parity<'_>) {
        match self.piece {
            Piece::Tail => drop(self.bytes.splice(..0, parity.bytes.iter().copied())),
            _ => self.bytes.extend_from_slice(parity.bytes),
        }
        self.piece = Piece::Whole;
    }
}

impl Recoverer {
    /// A protected packet came for the first time. Gives one that can be made now.
    pub fn on_packet(&mut self, pn: u64, beside: Beside, packet: &[u8]) -> Option<Recovered> {
        self.recent.push(pn, beside, packet);
        let waits = self.parities.iter().position(|w| w.covered.contains(pn))?;
        self.try_at(waits)
    }

    /// A parity came, as a packet that is not needed any more may be among those it covers: `known` says
    /// of which numbers that is so. Gives the packet that can be made now.
    pub fn on_parity(
        &mut self,
        parity: &Parity<'_>,
        known: impl Fn(u64) -> bool,
    ) -> Option<Recovered> {
        if parity.covered.as_slice().iter().all(|&pn| known(pn)) {
            return None;
        }
        if let Some(i) = self.parities.iter().position(|w| w.lacks(parity)) {
            let mut waiting = self.parities.remove(i)?;
            waiting.join(parity);
            self.make_room(waiting.bytes.len());
            self.parities.push_back(waiting);
            return self.try_at(self.parities.len() - 1);
        }
        self.make_room(parity.bytes.len());
        let bytes = self.spares.copy(parity.bytes);
        let Parity { piece, covered, beside, .. } = *parity;
        self.parities.push_back(Waiting { covered, beside, piece, bytes });
        self.try_at(self.parities.len() - 1)
    }

    /// A packet came that was known already. Whether that is since it was made here: it was not lost.
    pub fn came_after_all(&mut self, pn: u64) -> bool {
        let found = self.lately.iter().position(|&made| made == pn);
        found.is_some_and(|i| self.lately.remove(i).is_some())
    }

    /// The packet made last.
    pub fn packet(&mut self) -> &mut [u8] {
        &mut self.made
    }

    /// Lets go of the oldest parities, so that one of so many bytes may wait.
    fn make_room(&mut self, bytes: usize) {
        let held = |w: &VecDeque<Waiting>| w.iter().map(|w| w.bytes.len()).sum::<usize>();
        while self.parities.len() >= MOST_PARITIES
            || held(&self.parities) + bytes > MOST_PARITY_BYTES
        {
            let Some(oldest) = self.parities.pop_front() else { break };
            self.spares.give(oldest.bytes);
        }
    }

    fn try_at(&mut self, i: usize) -> Option<Recovered> {
        let waiting = self.parities.get(i).filter(|w| w.piece == Piece::Whole)?;
        let numbers = waiting.covered.as_slice();
        let mut missing = numbers.iter().filter(|&&pn| self.recent.get(pn).is_none());
        let lacks = (missing.next().copied(), missing.next());
        let pn = match lacks {
            (Some(pn), None) => Some(pn),
            (None, _) => None,
            (Some(_), Some(_)) => return None,
        };
        let waiting = self.parities.remove(i)?;
        let made = pn.and_then(|pn| self.make(&waiting, pn));
        self.spares.give(waiting.bytes);
        made
    }

    /// Nothing when the parts do not fit together: then something else was lost as well.
    fn make(&mut self, waiting: &Waiting, pn: u64) -> Option<Recovered> {
        let mut beside = waiting.beside;
        self.made.clear();
        self.made.extend_from_slice(&waiting.bytes);
        for &other in waiting.covered.as_slice().iter().filter(|&&other| other != pn) {
            let (also, packet) = self.recent.get(other)?;
            // A parity is as long as the longest packet it covers.
            if packet.len() > waiting.bytes.len() {
                return None;
            }
            beside.mix(also);
            mix(&mut self.made, packet);
        }
        let len = usize::from(beside.len);
        let rest = self.made.get(len..)?;
        if rest.iter().any(|&byte| byte != 0) {
            return None;
        }
        self.made.truncate(len);
        if self.lately.len() == MOST_MADE {
            self.lately.pop_front();
        }
        self.lately.push_back(pn);
        Some(Recovered { pn, beside })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BLOCK_PACKETS, Cost, Protector};
    use super::*;
    use crate::{PathId, Time, WorkerId};
    use proptest::prelude::*;

    const PATH: PathId = PathId::new(0).unwrap();

    fn packet(pn: u64, len: usize) -> Vec<u8> {
        (0..len).map(|i| (pn as usize * 31 + i * 7) as u8).collect()
    }

    fn beside(pn: u64, len: usize) -> Beside {
        Beside { len: len as u16, distance: pn as u16, flags: (pn as u8 & 3) << 4 }
    }

    proptest! {
        #[test]
        fn one_of_a_block_is_made_again(
            lens in prop::collection::vec(1usize..1_500, 1..=BLOCK_PACKETS),
            lost in any::<prop::sample::Index>(),
            parity_at in 0usize..=BLOCK_PACKETS,
            room in 750usize..1_500,
            tail_first in any::<bool>(),
        ) {
            let mut sender = Protector::default();
            for (i, &len) in lens.iter().enumerate() {
                let pn = i as u64 * 3 + 1;
                sender.add(Time::ZERO, PATH, pn, beside(pn, len), &packet(pn, len), Cost::Any);
            }
            let block = sender.poll(Time::from_millis(20)).expect("it ends");
            let mut pieces = Vec::new();
            for piece in block.parity(WorkerId::default(), room) {
                let mut message = vec![0; 2_000];
                let used = piece.encode(&mut message).expect("there is room");
                message.truncate(used);
                pieces.push(message);
            }
            prop_assert_eq!(pieces.len(), 1 + usize::from(*lens.iter().max().unwrap() > room));
            if tail_first {
                pieces.reverse();
            }

            let mut r = Recoverer::default();
            let lost = lost.index(lens.len());
            let mut made = None;
            for (i, &len) in lens.iter().enumerate() {
                if i == parity_at.min(lens.len() - 1) {
                    for message in &pieces {
                        let parity = Parity::decode(message).expect("it is whole");
                        made = made.or(r.on_parity(&parity, |_| false));
                    }
                }
                let pn = i as u64 * 3 + 1;
                if i != lost {
                    made = made.or(r.on_packet(pn, beside(pn, len), &packet(pn, len)));
                }
            }
            let pn = lost as u64 * 3 + 1;
            prop_assert_eq!(made, Some(Recovered { pn, beside: beside(pn, lens[lost]) }));
            prop_assert_eq!(r.packet(), &packet(pn, lens[lost])[..]);
        }
    }

    #[test]
    fn two_of_a_block_are_too_many_and_memory_is_bounded() {
        let mut sender = Protector::default();
        let mut r = Recoverer::default();
        for pn in 1..=8_000u64 {
            let packet = packet(pn, 1_400);
            sender.add(Time::ZERO, PATH, pn, beside(pn, 1_400), &packet, Cost::Any);
            // The first two of each block are lost.
            if pn % 8 > 2 {
                assert_eq!(r.on_packet(pn, beside(pn, 1_400), &packet), None);
            }
            while let Some(block) = sender.poll(Time::ZERO) {
                for parity in block.parity(WorkerId::default(), 1_000) {
                    assert_eq!(r.on_parity(&parity, |_| false), None);
                }
                sender.recycle(block);
            }
        }
        assert!(r.parities.len() <= MOST_PARITIES);
    }

    #[test]
    fn what_does_not_fit_together_is_nothing() {
        let mut r = Recoverer::default();
        let mut covered = Covered::default();
        assert!(covered.add(1) && covered.add(2));
        let beside = Beside { len: 4, distance: 0, flags: 0 };
        let (worker, piece) = (WorkerId::default(), Piece::Whole);
        let parity = Parity { worker, piece, covered, beside, bytes: &[1; 8] };
        assert_eq!(r.on_parity(&parity, |_| false), None);
        assert_eq!(r.on_packet(1, Beside::default(), &[]), None);
        assert_eq!(r.on_parity(&parity, |_| true), None, "nobody needs it");
    }

    #[test]
    fn large_parities_are_bounded_too() {
        let mut r = Recoverer::default();
        let bytes = vec![0; 60_000];
        for pn in [1, 2, 40] {
            let (worker, beside) = (WorkerId::default(), Beside::default());
            // Small ones first, then heads, then their tails.
            for (piece, len) in [(Piece::Whole, 1), (Piece::Head, 60_000), (Piece::Tail, 60_000)] {
                for number in 1..=pn {
                    let mut covered = Covered::default();
                    assert!(covered.add(number * 2) && covered.add(number * 2 + 1));
                    let bytes = &bytes[..len];
                    let parity = Parity { worker, piece, covered, beside, bytes };
                    assert_eq!(r.on_parity(&parity, |_| false), None);
                    let held: usize = r.parities.iter().map(|w| w.bytes.capacity()).sum();
                    assert!(held <= 2 * MOST_PARITY_BYTES, "{held}");
                }
            }
        }
    }
}
