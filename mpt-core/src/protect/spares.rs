//! Buffers that are used again.

/// So many are kept, none larger than this: a few large packets must not leave large buffers behind for many small ones.
const MOST: usize = 64;
const LARGEST: usize = 2_048;

/// Empty buffers.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Vec<u8>>);

impl Spares {
    /// A buffer with these bytes in it.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = self.0.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(bytes);
        copy
    }

    /// The buffer is not needed any more.
    pub(super) fn give(&mut self, buffer: Vec<u8>) {
        if (1..=LARGEST).contains(&buffer.capacity()) && self.0.len() < MOST {
            self.0.push(buffer);
        }
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_few_and_small() {
        let mut spares = Spares::default();
        for size in [0, 100, LARGEST, 60_000].repeat(100) {
            spares.give(Vec::with_capacity(size));
        }
        assert!(spares.capacity() <= MOST * LARGEST && spares.0.len() == MOST);
        assert_eq!(spares.copy(b"abc"), b"abc");
    }
}
