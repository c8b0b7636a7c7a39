//! What was sent lately, in the form in which it was read.

use super::Handling;
use crate::wire::HeaderFlags;
use crate::{PacketNumber, PathId, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of a new store; it doubles up to its limit where more is under way.
const FIRST_BYTES: usize = 64 << 10;

/// Packets count as at least this long: so the account of them is bounded too.
const LEAST_PACKET: usize = 128;

/// Memory beyond the first is given back when nothing was sent for this long.
const IDLE: Duration = Duration::from_secs(5);

/// What a packet's header said, and what its class asks.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// How far back its predecessor is.
    pub distance: u16,
    /// The open paths it said first.
    pub open_paths: u16,
    /// Its header's flags.
    pub flags: HeaderFlags,
    /// What its class asks.
    pub handling: Handling,
}

/// One packet that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it was sent first.
    pub at: Time,
    /// How long after that it was found lost first, in microseconds and one more; 0 while it was not.
    lost_after: u32,
    /// Where its bytes begin.
    offset: u32,
    len: u16,
    /// How far back its predecessor is.
    pub distance: u16,
    /// The open paths it said first.
    pub open_paths: u16,
    /// What its class asks.
    pub handling: Handling,
    /// Its header's flags.
    pub flags: HeaderFlags,
    /// Seals so far, less one.
    pub copy: u8,
    /// Seals that may still arrive.
    pub under_way: u8,
    /// It arrived, or is not to be sent again.
    pub done: bool,
    /// It said of itself that it would not be sent again.
    pub unrepaired: bool,
    /// Where it was sent last.
    pub path: PathId,
}

// One for each packet under way.
const _: () = assert!(size_of::<Sent>() <= 32);

impl Sent {
    /// It was found lost; the first time counts.
    pub fn mark_lost(&mut self, now: Time) {
        if self.lost_after == 0 {
            let micros = now.since(self.at).as_micros() + 1;
            self.lost_after = u32::try_from(micros).unwrap_or(u32::MAX);
        }
    }

    /// How long ago it was found lost first.
    #[must_use]
    pub fn lost_for(&self, now: Time) -> Duration {
        match self.lost_after {
            0 => Duration::ZERO,
            after => now.since(self.at + Duration::from_micros(u64::from(after) - 1)),
        }
    }

    /// Bytes of the packet.
    #[must_use]
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A ring of bytes with the packets of consecutive numbers; the oldest make room for the newest.
///
/// The memory is small while little is under way: the ring starts anew at its beginning when all that it
/// holds has arrived, and grows only where what is in the way may still be asked for.
#[derive(Debug)]
pub struct SentStore {
    bytes: Box<[u8]>,
    limit: usize,
    max_age: Duration,
    /// Where the next packet goes.
    head: usize,
    packets: VecDeque<Sent>,
    /// The number of the first of `packets`.
    first: u64,
    /// When something was sent last.
    last: Time,
}

impl SentStore {
    /// An empty store of at most `limit` bytes, of packets up to `max_age` old.
    #[must_use]
    pub fn new(limit: usize, max_age: Duration) -> Self {
        // Offsets have 32 bits.
        let limit = limit.min(u32::MAX as usize);
        Self {
            bytes: Box::default(),
            limit,
            max_age,
            head: 0,
            packets: VecDeque::new(),
            first: 1,
            last: Time::ZERO,
        }
    }

    /// Keeps a packet. Numbers come without gaps.
    #[inline]
    pub fn push(&mut self, now: Time, pn: PacketNumber, path: PathId, kept: Kept, packet: &[u8]) {
        let Ok(len) = u16::try_from(packet.len()) else { return self.skip(pn) };
        self.last = now;
        if self.packets.len() >= (self.limit / LEAST_PACKET).max(1) {
            self.packets.pop_front();
            self.first += 1;
        }
        if pn.0 != self.first + self.packets.len() as u64 {
            self.skip(PacketNumber(pn.0 - 1));
        }
        let Some(offset) = self.place(now, packet.len()) else { return self.skip(pn) };
        self.bytes[offset..offset + packet.len()].copy_from_slice(packet);
        self.head = offset + packet.len();
        let Kept { distance, open_paths, flags, handling } = kept;
        self.packets.push_back(Sent {
            at: now,
            lost_after: 0,
            offset: offset as u32,
            len,
            distance,
            open_paths,
            handling,
            flags,
            copy: 0,
            under_way: 1,
            done: false,
            unrepaired: false,
            path,
        });
    }

    /// Packet `pn`, if it is still here.
    #[must_use]
    pub fn get(&self, pn: u64) -> Option<&Sent> {
        self.packets.get(usize::try_from(pn.checked_sub(self.first)?).ok()?)
    }

    /// Packet `pn`, if it is still here.
    pub fn get_mut(&mut self, pn: u64) -> Option<&mut Sent> {
        self.packets.get_mut(usize::try_from(pn.checked_sub(self.first)?).ok()?)
    }

    /// What was read.
    #[must_use]
    pub fn bytes(&self, sent: &Sent) -> &[u8] {
        &self.bytes[sent.offset as usize..][..usize::from(sent.len)]
    }

    /// Forgets packets up to `pn`.
    pub fn forget_through(&mut self, pn: u64) {
        let end = self.first + self.packets.len() as u64;
        let keep_from = pn.saturating_add(1).clamp(self.first, end);
        self.packets.drain(..(keep_from - self.first) as usize);
        self.first = keep_from;
    }

    /// Gives back memory, when nothing was sent for a while.
    pub fn trim(&mut self, now: Time) {
        if self.bytes.len() > FIRST_BYTES && now.since(self.last) >= IDLE {
            self.skip(PacketNumber(self.first + self.packets.len() as u64 - 1));
            self.bytes = Box::default();
            self.packets = VecDeque::new();
        }
    }

    /// The number of the oldest packet that is kept, or the next one's.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Bytes of memory for packets.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// Everything up to `pn` is not here.
    #[cold]
    fn skip(&mut self, pn: PacketNumber) {
        self.packets.clear();
        self.head = 0;
        self.first = pn.0 + 1;
    }

    /// Makes room for `len` bytes in one piece; nothing when the limit does not allow it.
    #[inline]
    fn place(&mut self, now: Time, len: usize) -> Option<usize> {
        loop {
            let Some(oldest) = self.packets.front() else {
                self.head = 0;
                if len <= self.bytes.len() {
                    return Some(0);
                }
                if !self.grow(len) {
                    return None;
                }
                continue;
            };
            let tail = oldest.offset as usize;
            // Between head and tail there stays a byte, or a full ring would look like an empty one.
            let (room_here, room_before) = match self.head > tail {
                true => (self.bytes.len() - self.head, tail.saturating_sub(1)),
                false => ((tail - self.head).saturating_sub(1), 0),
            };
            if len <= room_here {
                return Some(self.head);
            }
            if len <= room_before {
                return Some(0);
            }
            let matters = !oldest.done && now.since(oldest.at) < self.max_age;
            if !matters || !self.grow(len) {
                self.packets.pop_front();
                self.first += 1;
            }
        }
    }

    /// Doubles the ring, in which everything is moved to the front. Whether it could.
    #[cold]
    fn grow(&mut self, len: usize) -> bool {
        let wanted = (self.bytes.len() * 2).max(FIRST_BYTES).max(2 * len).min(self.limit);
        if wanted <= self.bytes.len() {
            return false;
        }
        let mut bytes = vec![0; wanted].into_boxed_slice();
        let mut head = 0;
        for sent in &mut self.packets {
            let len = usize::from(sent.len);
            bytes[head..head + len].copy_from_slice(&self.bytes[sent.offset as usize..][..len]);
            sent.offset = head as u32;
            head += len;
        }
        self.head = head;
        self.bytes = bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATH: PathId = PathId::new(0).unwrap();

    fn push(s: &mut SentStore, now: Time, pn: u64, packet: &[u8]) {
        let kept =
            Kept { distance: 1, open_paths: 1, flags: HeaderFlags::NONE, handling: Handling::NONE };
        s.push(now, PacketNumber(pn), PATH, kept, packet);
    }

    fn packet(pn: u64, len: usize) -> Vec<u8> {
        (0..len).map(|i| (pn as usize * 31 + i) as u8).collect()
    }

    fn assert_whole(s: &SentStore, lens: &[usize]) {
        for pn in s.first()..=lens.len() as u64 {
            let sent = s.get(pn).expect("numbers are consecutive");
            assert_eq!(s.bytes(sent), packet(pn, lens[pn as usize - 1]), "packet {pn}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_whole(
            lens in prop::collection::vec(0usize..3_000, 1..300),
            acked in 0u64..40,
            limit in 4_000usize..200_000,
        ) {
            let mut s = SentStore::new(limit, Duration::from_secs(1));
            for (i, &len) in lens.iter().enumerate() {
                let pn = i as u64 + 1;
                push(&mut s, Time::from_millis(pn), pn, &packet(pn, len));
                if acked > 0 {
                    s.forget_through(pn.saturating_sub(acked));
                }
                assert_whole(&s, &lens[..pn as usize]);
            }
            assert!(s.memory() <= limit);
        }
    }

    #[test]
    fn grows_only_for_what_may_be_asked_for() {
        let run = |age: u64, gap: u64| {
            let mut s = SentStore::new(8 << 20, Duration::from_millis(age));
            for pn in 1..=5_000 {
                push(&mut s, Time::from_millis(pn * gap), pn, &[1; 1_000]);
            }
            (s.memory(), s.packets.len())
        };
        let (memory, packets) = run(1_000, 1);
        assert!((1_000_000..=2 << 20).contains(&memory) && packets >= 1_000, "{memory} {packets}");
        assert_eq!(run(1_000, 100).0, FIRST_BYTES);
    }

    #[test]
    fn starts_anew_when_all_has_arrived() {
        let mut s = SentStore::new(8 << 20, Duration::from_secs(1));
        for pn in 1..=50_000 {
            push(&mut s, Time::ZERO, pn, &[1; 1_400]);
            s.forget_through(pn.saturating_sub(20));
        }
        assert_eq!(s.memory(), FIRST_BYTES);
        assert!(s.get(49_980).is_none() && s.get(49_981).is_some() && s.get(50_001).is_none());
    }

    #[test]
    fn a_packet_beyond_the_limit_is_not_kept() {
        let mut s = SentStore::new(1_000, Duration::from_secs(1));
        push(&mut s, Time::ZERO, 1, &[1; 900]);
        push(&mut s, Time::ZERO, 2, &[1; 1_200]);
        assert!(s.get(1).is_none() && s.get(2).is_none());
        push(&mut s, Time::ZERO, 3, &[1; 300]);
        assert!(s.get(3).is_some());
    }
}
