//! Which numbers were seen: the sliding bitmap of RFC 6479.

use crate::DropReason;

/// Bits of a word.
const WORD: u64 = u64::BITS as u64;

/// How far below the newest packet number an unseen one is still accepted. Not less than the
/// largest reordering ring, else packets which that could still place would be refused.
pub const DATA_WINDOW_BITS: usize = 65_536;

/// Words of a window over packet numbers: 8 200 bytes and the newest number, to be boxed.
pub const DATA_WINDOW_WORDS: usize = words_for(DATA_WINDOW_BITS);

/// Words of a window over a path's control counters, effectively 1 024 bits.
pub const CONTROL_WINDOW_WORDS: usize = words_for(1_024);

const _: () = assert!(ReplayWindow::<DATA_WINDOW_WORDS>::BITS as usize >= DATA_WINDOW_BITS);
const _: () = assert!(ReplayWindow::<CONTROL_WINDOW_WORDS>::BITS >= 1_024);

const _: () = assert!(size_of::<ReplayWindow<DATA_WINDOW_WORDS>>() <= 8_208);

/// One word more than `bits` fill: the newest number's word is only partly in use.
const fn words_for(bits: usize) -> usize {
    bits.div_ceil(WORD as usize) + 1
}

/// A set of the numbers seen, exact for the newest [`BITS`](Self::BITS); what is older counts as
/// seen.
///
/// The bitmap is a ring of words that is never shifted: a number's word is its quotient by 64
/// modulo `WORDS`, and going forward clears the words passed over.
#[derive(Clone, Debug)]
pub struct ReplayWindow<const WORDS: usize> {
    newest: u64,
    words: [u64; WORDS],
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// How many numbers, the newest included, are told apart.
    pub const BITS: u64 = (WORDS as u64 - 1) * WORD;

    /// A window that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { newest: 0, words: [0; WORDS] }
    }

    /// Whether `number` may be new. To be asked before authentication; moves nothing.
    ///
    /// # Errors
    /// [`DropReason::Replayed`] when it was seen, or is too old to tell.
    pub const fn check(&self, number: u64) -> Result<(), DropReason> {
        if number > self.newest {
            return Ok(());
        }
        let seen = self.newest - number >= Self::BITS
            || self.words[Self::word(number)] & Self::bit(number) != 0;
        if seen { Err(DropReason::Replayed) } else { Ok(()) }
    }

    /// Marks `number` as seen. Only for what was found authentic and passed [`check`](Self::check);
    /// what is too old is left alone.
    pub fn commit(&mut self, number: u64) {
        if number > self.newest {
            let passed = (number / WORD - self.newest / WORD).min(WORDS as u64);
            for i in 0..passed {
                self.words[Self::word(number - i * WORD)] = 0;
            }
            self.newest = number;
        } else if self.newest - number >= Self::BITS {
            return;
        }
        self.words[Self::word(number)] |= Self::bit(number);
    }

    /// The newest number seen; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    const fn word(number: u64) -> usize {
        (number / WORD % WORDS as u64) as usize
    }

    const fn bit(number: u64) -> u64 {
        1 << (number % WORD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Small, so that random numbers leave it at both ends: effectively 192 bits.
    type Small = ReplayWindow<4>;

    #[derive(Default)]
    struct Naive {
        newest: u64,
        seen: HashSet<u64>,
    }

    impl Naive {
        fn accept(&mut self, n: u64) -> bool {
            let old = n <= self.newest && self.newest - n >= Small::BITS;
            let new = !old && self.seen.insert(n);
            self.newest = self.newest.max(n);
            new
        }
    }

    fn accept<const W: usize>(w: &mut ReplayWindow<W>, n: u64) -> bool {
        let new = w.check(n).is_ok();
        if new {
            w.commit(n);
        }
        new
    }

    /// Steps forward and back, mostly near the window's size, at times far.
    fn walk() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![
            8 => -8i64..9,
            4 => -200i64..200,
            1 => -2_000i64..2_000,
            1 => any::<i32>().prop_map(i64::from),
        ];
        prop::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(
            start in prop_oneof![0u64..3, any::<u64>(), Just(u64::MAX - 100)],
            steps in walk(),
        ) {
            let (mut window, mut naive) = (Small::new(), Naive::default());
            let mut at = start;
            for step in steps {
                prop_assert_eq!(accept(&mut window, at), naive.accept(at), "at {}", at);
                prop_assert_eq!(window.newest(), naive.newest);
                at = at.saturating_add_signed(step);
            }
        }
    }

    #[test]
    fn edges_are_exact() {
        let mut w = ReplayWindow::<DATA_WINDOW_WORDS>::new();
        let n = 1_000_000;
        assert!(accept(&mut w, n));
        assert!(accept(&mut w, n - 65_535), "the oldest that is told apart");
        assert!(!accept(&mut w, n - 65_535));
        assert!(!accept(&mut w, n - 65_536));
        assert!(accept(&mut w, u64::MAX) && !accept(&mut w, u64::MAX));
        assert!(!accept(&mut w, n + 1));
    }

    #[test]
    fn asking_moves_nothing_and_the_too_old_leave_no_mark() {
        let mut w = Small::new();
        assert!(w.check(7).is_ok() && w.check(7).is_ok());
        w.commit(1_000);
        w.commit(1_000 - 4 * 64);
        assert!(w.check(1_000 - 1).is_ok(), "no bit of a word it shares was set");
        assert_eq!(w.newest(), 1_000);
    }
}
