//! The sending side.

use super::{Block, Cost};
use crate::wire::Beside;
use crate::{PathId, Time};

/// Blocks that wait to be sent, at most: those of one super-packet. More are not protected.
const MOST_FINISHED: usize = 16;

/// Gathers the protected packets of one worker, those of each [`Cost`] by themselves.
///
/// Fed with [`add`](Self::add) for every one; drained with [`poll`](Self::poll) after each packet or
/// super-packet, and when [`poll_timeout`](Self::poll_timeout) has passed. Blocks are given back with
/// [`recycle`](Self::recycle).
#[derive(Debug, Default)]
pub struct Protector {
    current: [Block; 3],
    finished: Vec<Block>,
    spare: Vec<Block>,
}

impl Protector {
    /// A protected packet goes by `path`.
    pub fn add(
        &mut self,
        now: Time,
        path: PathId,
        pn: u64,
        beside: Beside,
        packet: &[u8],
        cost: Cost,
    ) {
        let i = cost as usize;
        if self.current[i].ends().is_some_and(|at| at <= now)
            || !self.current[i].add(now, path, pn, beside, packet)
        {
            self.finish(i);
            self.current[i].add(now, path, pn, beside, packet);
        }
        self.current[i].set_cost(cost);
        if self.current[i].is_full() {
            self.finish(i);
        }
    }

    /// A block whose parity is to be sent.
    #[must_use]
    pub fn poll(&mut self, now: Time) -> Option<Block> {
        for i in 0..self.current.len() {
            if self.current[i].ends().is_some_and(|at| at <= now) {
                self.finish(i);
            }
        }
        if self.finished.is_empty() { None } else { Some(self.finished.remove(0)) }
    }

    /// When [`poll`](Self::poll) will have something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.current.iter().filter_map(Block::ends).min()
    }

    /// The block was sent.
    pub fn recycle(&mut self, mut block: Block) {
        block.clear();
        if self.spare.len() < MOST_FINISHED {
            self.spare.push(block);
        }
    }

    fn finish(&mut self, i: usize) {
        let next = self.spare.pop().unwrap_or_default();
        let done = std::mem::replace(&mut self.current[i], next);
        if done.is_empty() || self.finished.len() == MOST_FINISHED {
            self.recycle(done);
        } else {
            self.finished.push(done);
        }
    }
}
