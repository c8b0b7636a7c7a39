//! Tokens of probes, which nobody can guess.

use siphasher::sip::SipHasher24;

/// Gives one token after another: SipHash-2-4 of a counter under a secret key.
///
/// Probes travel encrypted, so a token is guessed only by somebody who broke that too; still, an
/// echo proves nothing unless its token had to be received first.
#[derive(Clone, Debug)]
pub struct TokenSource {
    key: [u8; 16],
    counter: u64,
}

impl TokenSource {
    /// A source of its own for each `seed`; the seed must be random and used once.
    #[must_use]
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { key: seed, counter: 0 }
    }

    /// The next token.
    pub fn next_token(&mut self) -> u64 {
        self.counter += 1;
        SipHasher24::new_with_key(&self.key).hash(&self.counter.to_be_bytes())
    }
}

/// A probe to be sent now. Its echo must bring the token back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeToSend {
    /// What the echo repeats.
    pub token: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_by_seed_and_by_position() {
        let take = |seed| {
            let mut source = TokenSource::new([seed; 16]);
            [source.next_token(), source.next_token(), source.next_token()]
        };
        let (a, b) = (take(1), take(2));
        assert_eq!(a, take(1));
        let mut all = [a, b].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }
}
