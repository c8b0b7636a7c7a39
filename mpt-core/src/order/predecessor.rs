//! Which packet came before in the same flow.

use crate::PacketNumber;

/// Buckets of [`Predecessors`]: 32 KiB a worker. Flows that share one are kept in order together,
/// which costs a little hold time and never order.
const BUCKETS: usize = 4096;

const _: () = assert!(BUCKETS.is_power_of_two() && BUCKETS * size_of::<u64>() <= 32 * 1_024);

/// Numbers a sending worker's packets and finds each one's predecessor.
///
/// Flows fall into buckets by a seeded hash. A bucket has no tag and is never evicted or reset: a
/// collision couples two flows, while forgetting a flow's last packet would reorder it.
#[derive(Debug)]
pub struct Predecessors {
    /// The last packet number of each bucket; 0 where there was none.
    last_of: Box<[u64; BUCKETS]>,
    last: u64,
    seed: u64,
}

impl Predecessors {
    /// Nothing sent yet. The seed keeps outsiders from choosing flows that share a bucket.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { last_of: Box::new([0; BUCKETS]), last: 0, seed }
    }

    /// The number of the next packet, which is one of `flow` (a hash of its flow key), and how far
    /// back its predecessor is: 0 when there is none, 1 to 65 534 exactly, and
    /// [`DISTANCE_SATURATED`](super::DISTANCE_SATURATED) when it is that far back or farther.
    pub fn next(&mut self, flow: u64) -> (PacketNumber, u16) {
        self.last += 1;
        let bucket = &mut self.last_of[mix(flow ^ self.seed) as usize % BUCKETS];
        let distance = match *bucket {
            0 => 0,
            before => u16::try_from(self.last - before).unwrap_or(super::DISTANCE_SATURATED),
        };
        *bucket = self.last;
        (PacketNumber(self.last), distance)
    }

    /// The last number given out; 0 before the first.
    #[must_use]
    pub const fn last(&self) -> PacketNumber {
        PacketNumber(self.last)
    }
}

/// Every input bit reaches every output bit (the finaliser of `SplitMix64`).
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_lead_back_to_the_same_flow() {
        let mut p = Predecessors::new(7);
        let got: Vec<_> = [1, 2, 1, 1, 2].map(|flow| p.next(flow)).into();
        let want = [(1, 0), (2, 0), (3, 2), (4, 1), (5, 3)].map(|(n, d)| (PacketNumber(n), d));
        assert_eq!(got, want);
        assert_eq!(p.last(), PacketNumber(5));
    }

    #[test]
    fn far_back_is_never_no_predecessor() {
        for (between, want) in
            [(65_533, 65_534), (65_534, 65_535), (65_535, 65_535), (200_000, 65_535)]
        {
            let mut p = Predecessors::new(7);
            p.next(1);
            for _ in 0..between {
                p.next(2);
            }
            assert_eq!(p.next(1).1, want, "{between} packets between");
        }
    }

    #[test]
    fn flows_spread_over_the_buckets() {
        let mut p = Predecessors::new(3);
        let coupled = (0..256u64).filter(|&flow| p.next(flow).1 != 0).count();
        // Expected collisions: 256² / 2 / 4096 = 8.
        assert!(coupled < 20, "{coupled} of 256");
    }
}
