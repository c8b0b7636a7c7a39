//! From the receiver index of a datagram to its session and path.

use crate::PathId;
use crate::id::MAX_PATHS;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// An index of a new session is in use already (about one in 2^32 for each index in use): the
/// handshake wants to be done again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a receiver index of the new session is in use by another one; a new handshake mends it")]
pub struct IndexCollision;

/// The receiver indices of all sessions of an endpoint, each with a `V` that says whose it is.
/// Looked up, never iterated.
#[derive(Clone, Debug)]
pub struct IndexTable<V> {
    map: HashMap<u32, V, BuildHasherDefault<SpreadHasher>>,
}

impl<V> Default for IndexTable<V> {
    fn default() -> Self {
        Self { map: HashMap::default() }
    }
}

impl<V> IndexTable<V> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a session's 16 indices, by path; `value` says what stands at each.
    ///
    /// # Errors
    /// When one is in use, or two are equal. Nothing is entered then.
    pub fn insert(
        &mut self,
        indices: &[u32; MAX_PATHS],
        mut value: impl FnMut(PathId) -> V,
    ) -> Result<(), IndexCollision> {
        let twice = |i: usize| indices[..i].contains(&indices[i]);
        if (0..MAX_PATHS).any(|i| twice(i) || self.map.contains_key(&indices[i])) {
            return Err(IndexCollision);
        }
        for path in PathId::all() {
            self.map.insert(indices[path.index()], value(path));
        }
        Ok(())
    }

    /// Whose `index` is.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&V> {
        self.map.get(&index)
    }

    /// Forgets a session's indices. Only for those that [`insert`](Self::insert) entered.
    pub fn remove(&mut self, indices: &[u32; MAX_PATHS]) {
        for index in indices {
            self.map.remove(index);
        }
    }

    /// How many indices there are, 16 for each session.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// One multiplication that spreads an index over the 64 bits of a hash. The indices are as good as
/// random and no stranger chooses them, so nothing stronger is needed, and nothing random wanted.
#[derive(Clone, Copy, Default)]
struct SpreadHasher(u64);

impl Hasher for SpreadHasher {
    fn write_u32(&mut self, index: u32) {
        // 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ u64::from(index)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u32(u32::from(b)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(first: u32) -> [u32; MAX_PATHS] {
        std::array::from_fn(|i| first + i as u32)
    }

    #[test]
    fn what_is_entered_is_found_until_removed() {
        let mut table = IndexTable::new();
        table.insert(&from(100), |p| ('a', p)).unwrap();
        table.insert(&from(200), |p| ('b', p)).unwrap();
        assert_eq!(table.get(103), Some(&('a', PathId::new(3).unwrap())));
        assert_eq!(table.get(215), Some(&('b', PathId::new(15).unwrap())));
        assert_eq!(table.get(99), None);
        table.remove(&from(100));
        assert_eq!(table.get(103), None);
        assert_eq!(table.len(), 16);
    }

    #[test]
    fn a_collision_enters_nothing() {
        let mut table = IndexTable::new();
        table.insert(&from(100), |_| 'a').unwrap();
        assert_eq!(table.insert(&from(115), |_| 'b'), Err(IndexCollision));
        assert_eq!((table.get(115), table.get(116)), (Some(&'a'), None));
        let mut twice = from(300);
        twice[9] = twice[2];
        assert_eq!(table.insert(&twice, |_| 'b'), Err(IndexCollision));
        assert_eq!(table.len(), 16);
    }
}
