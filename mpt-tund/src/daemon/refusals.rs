//! Kinds of super-packets that the kernel refuses, known to all workers.

use crate::tun::Offloads;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Kinds of super-packets that the TUN device refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Refused {
    /// TCP's.
    pub(super) tso: bool,
    /// UDP's.
    pub(super) uso: bool,
}

/// What any worker found to be refused, for all of them: their queues are of one device.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<AtomicU8>);

const TSO: u8 = 1;
const USO: u8 = 2;

impl Refusals {
    /// Nobody is to use these any more.
    pub(super) fn add(&self, refused: Refused) {
        let bits = if refused.tso { TSO } else { 0 } | if refused.uso { USO } else { 0 };
        self.0.fetch_or(bits, Ordering::Relaxed);
    }

    /// What is left of `offloads`.
    pub(super) fn without(&self, offloads: Offloads) -> Offloads {
        let bits = self.0.load(Ordering::Relaxed);
        let (tso, uso) = (bits & TSO == 0, bits & USO == 0);
        Offloads { tso: offloads.tso && tso, uso: offloads.uso && uso, ..offloads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_worker_finds_refused_all_do_without() {
        let first = Refusals::default();
        let second = first.clone();
        assert_eq!(second.without(Offloads::ALL), Offloads::ALL);
        first.add(Refused { tso: false, uso: true });
        assert_eq!(second.without(Offloads::ALL), Offloads { uso: false, ..Offloads::ALL });
        second.add(Refused { tso: true, uso: false });
        let none = Offloads { vnet: true, tso: false, uso: false };
        assert_eq!(first.without(Offloads::ALL), none);
        assert_eq!(first.without(Offloads::NONE), Offloads::NONE);
    }
}
