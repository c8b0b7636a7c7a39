//! Who we are to the peer's processes.

use super::association::Instances;
use std::collections::VecDeque;

/// So many of the peer's processes are remembered.
const MOST: usize = 16;

/// Our instance id, and the processes of the peer that have known us by it.
///
/// An id stands for one count of packet numbers. A process that we left for another one (a standby that took over, a key
/// that was copied) keeps its replay window; when it comes back we count from the beginning, so we have to be somebody
/// else to it.
#[derive(Clone, Debug)]
pub struct OwnInstance {
    id: u64,
    /// The last id made up; each is used once.
    last: u64,
    known_to: VecDeque<u64>,
}

impl OwnInstance {
    /// Of a process that begins; `id` is random.
    pub fn new(id: u64) -> Self {
        Self { id, last: id, known_to: VecDeque::new() }
    }

    /// The id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether process `remote` has known us by this id before another process took its place. `association`: who talks now.
    pub fn is_used_up(&self, remote: u64, association: Option<Instances>) -> bool {
        association != Some(Instances { local: self.id, remote }) && self.known_to.contains(&remote)
    }

    /// An id that nobody knows.
    pub fn another(&mut self) -> u64 {
        self.last = self.last.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.last
    }

    /// Takes an id that nobody knows.
    pub fn renew(&mut self) {
        self.id = self.another();
        self.known_to.clear();
    }

    /// These two talk from now on. Whether we took another id for that.
    pub fn on_association(&mut self, instances: Instances) -> bool {
        let renewed = instances.local != self.id;
        if renewed {
            self.id = instances.local;
            self.known_to.clear();
        }
        if !self.known_to.contains(&instances.remote) {
            if self.known_to.len() == MOST {
                self.known_to.pop_front();
            }
            self.known_to.push_back(instances.remote);
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_comes_back_is_met_by_another_one() {
        let mut own = OwnInstance::new(7);
        let with = |local, remote| Instances { local, remote };
        assert!(!own.is_used_up(1, None));
        assert!(!own.on_association(with(7, 1)));
        assert!(!own.is_used_up(1, Some(with(7, 1))), "new keys between the same two");
        assert!(!own.is_used_up(2, Some(with(7, 1))), "a restart");
        assert!(!own.on_association(with(7, 2)));
        assert!(own.is_used_up(1, Some(with(7, 2))));
        let another = own.another();
        assert_ne!(another, own.another());
        assert!(own.on_association(with(another, 1)));
        assert!(!own.is_used_up(2, Some(with(another, 1))), "it did not know this one");
        assert_eq!(own.id(), another);
    }
}
