//! Who may send what: prefixes to peers, the longest match counts.

use crate::PeerId;
use crate::config::Prefix;
use std::net::IpAddr;

/// A prefix that belongs to another peer already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{prefix} belongs to another peer")]
pub struct PrefixTaken {
    /// The prefix.
    pub prefix: Prefix,
    /// Whose it is.
    pub owner: PeerId,
}

/// A node of the trie. Children are indices into the arena; 0, the root, is nobody's child.
#[derive(Clone, Copy, Default, Debug)]
struct Node {
    children: [u32; 2],
    owner: Option<PeerId>,
}

/// Prefixes of all peers: two binary tries, one bit a level. A lookup walks at most 32 or 128 nodes and
/// commonly as many as the longest configured prefix has bits.
#[derive(Clone, Debug)]
pub struct AllowedIps {
    v4: Vec<Node>,
    v6: Vec<Node>,
}

impl Default for AllowedIps {
    fn default() -> Self {
        Self { v4: vec![Node::default()], v6: vec![Node::default()] }
    }
}

impl AllowedIps {
    /// No prefixes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `prefix` to `peer`.
    ///
    /// # Errors
    /// When another peer has the very same prefix. A longer or shorter one is no conflict.
    pub fn insert(&mut self, prefix: Prefix, peer: PeerId) -> Result<(), PrefixTaken> {
        let trie = match prefix.address {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        };
        let mut at = 0;
        for i in 0..prefix.length {
            let bit = bit(key(prefix.address), i);
            at = match trie[at].children[bit] {
                0 => {
                    trie.push(Node::default());
                    let child = trie.len() - 1;
                    trie[at].children[bit] = child as u32;
                    child
                }
                child => child as usize,
            };
        }
        match trie[at].owner {
            Some(owner) if owner != peer => Err(PrefixTaken { prefix, owner }),
            _ => {
                trie[at].owner = Some(peer);
                Ok(())
            }
        }
    }

    /// Whose `ip` is.
    #[must_use]
    pub fn lookup(&self, ip: IpAddr) -> Option<PeerId> {
        let trie = match ip {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let key = key(ip);
        let (mut at, mut found) = (0, trie[0].owner);
        for i in 0..128 {
            at = match trie[at].children[bit(key, i)] {
                0 => break,
                child => child as usize,
            };
            found = trie[at].owner.or(found);
        }
        found
    }
}

/// The address with its first bit on top.
fn key(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(a) => u128::from(u32::from(a)) << 96,
        IpAddr::V6(a) => u128::from(a),
    }
}

fn bit(key: u128, i: u8) -> usize {
    (key >> (127 - i) & 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_longest_match_counts() {
        let mut t = AllowedIps::new();
        t.insert(prefix("0.0.0.0/0"), PeerId(0)).unwrap();
        t.insert(prefix("10.1.0.0/16"), PeerId(1)).unwrap();
        t.insert(prefix("10.1.2.3/32"), PeerId(2)).unwrap();
        t.insert(prefix("fd00::/8"), PeerId(3)).unwrap();
        let look = |a: &str| t.lookup(a.parse().unwrap()).map(|p| p.0);
        assert_eq!(look("8.8.8.8"), Some(0));
        assert_eq!(look("10.1.9.9"), Some(1));
        assert_eq!(look("10.1.2.3"), Some(2));
        assert_eq!(look("fd12::1"), Some(3));
        assert_eq!(look("2001:db8::1"), None);
        let taken = t.clone().insert(prefix("10.1.0.0/16"), PeerId(9)).unwrap_err();
        assert_eq!(taken.owner, PeerId(1));
        assert_eq!(t.insert(prefix("10.1.0.0/16"), PeerId(1)), Ok(()));
    }

    proptest! {
        #[test]
        fn as_a_linear_search_would(
            entries in proptest::collection::vec((any::<u32>(), 0u8..=32, 0u32..4), 0..30),
            look in proptest::collection::vec(any::<u32>(), 0..30),
        ) {
            let mut table = AllowedIps::new();
            let mut naive: Vec<(Prefix, u32)> = Vec::new();
            for (ip, length, peer) in entries {
                // Few distinct addresses, or nothing would ever match.
                let p = Prefix::new(IpAddr::from((ip & 0xc0c0_0003).to_be_bytes()), length).unwrap();
                let known = naive.iter().find(|(q, _)| *q == p).map(|(_, o)| *o);
                let result = table.insert(p, PeerId(peer));
                match known {
                    Some(owner) if owner != peer => prop_assert!(result.is_err()),
                    Some(_) => prop_assert!(result.is_ok()),
                    None => naive.push((p, peer)),
                }
            }
            for ip in look {
                let ip = IpAddr::from((ip & 0xc0c0_0003).to_be_bytes());
                let expected = naive
                    .iter()
                    .filter(|(p, _)| p.contains(ip))
                    .max_by_key(|(p, _)| p.length)
                    .map(|(_, o)| PeerId(*o));
                prop_assert_eq!(table.lookup(ip), expected);
            }
        }
    }
}
