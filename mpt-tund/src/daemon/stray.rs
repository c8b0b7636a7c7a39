//! Datagrams that reached another worker than the one that restores their order.
//!
//! The kernel steers datagrams one by one, but where it joined several (GRO) before that, the first one decides for
//! all. What is another's is handed on: only one worker writes a flow's packets to TUN, or they would overtake
//! one another.

use mpt_core::DatagramMeta;
use mpt_core::WorkerId;
use mpt_core::wire::ordered_worker;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Datagrams on their way to one worker; more are dropped, as a full socket would.
const QUEUE: usize = 256;

/// A datagram handed on.
pub(super) struct Stray {
    pub(super) meta: DatagramMeta,
    pub(super) datagram: Vec<u8>,
}

/// One worker's way to the others, and its own queue.
pub(super) struct Strays {
    /// By worker.
    to: Vec<mpsc::Sender<Stray>>,
    own: mpsc::Receiver<Stray>,
    /// Taken out by [`poll_ready`](Self::poll_ready).
    first: Option<Stray>,
}

impl Strays {
    /// For `count` workers, one each.
    pub(super) fn of(count: usize) -> Vec<Self> {
        let (to, own): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(QUEUE)).unzip();
        own.into_iter().map(|own| Self { to: to.clone(), own, first: None }).collect()
    }

    /// Whether there are other workers.
    pub(super) fn has_others(&self) -> bool {
        self.to.len() > 1
    }

    /// Hands a datagram on if it is another's than `worker`'s; whether it was.
    #[inline]
    pub(super) fn take(&self, worker: WorkerId, meta: &DatagramMeta, datagram: &[u8]) -> bool {
        if self.to.len() == 1 {
            return false;
        }
        // What is about no order is for whoever gets it.
        let Some(sender) = ordered_worker(datagram) else { return false };
        let theirs = usize::from(sender.get()) % self.to.len();
        if theirs == usize::from(worker.get()) {
            return false;
        }
        let stray = Stray { meta: *meta, datagram: datagram.to_vec() };
        // Full, or the daemon is ending: lost on the way.
        let _ = self.to[theirs].try_send(stray);
        true
    }

    /// Whether there is something to take; else the task is woken when there is.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> bool {
        // Nobody else would fill it: the queue need not be watched.
        if self.has_others()
            && self.first.is_none()
            && let Poll::Ready(stray) = self.own.poll_recv(cx)
        {
            self.first = stray;
        }
        self.first.is_some()
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Stray> {
        if !self.has_others() {
            return None;
        }
        self.first.take().or_else(|| self.own.try_recv().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::SocketId;

    #[test]
    fn what_is_about_another_workers_order_is_handed_on() {
        let mut workers = Strays::of(2);
        let meta = DatagramMeta {
            socket: SocketId(0),
            source: ([10, 0, 0, 1], 4511).into(),
            destination: None,
            ecn: 0,
        };
        let first = WorkerId::default();
        // Data, marker, abandon, parity.
        for kind in [0x94, 9, 10, 11] {
            assert!(
                !workers[0].take(first, &meta, &[kind, 0x20, 0]),
                "{kind}: by the third worker"
            );
            assert!(workers[0].take(first, &meta, &[kind, 0x30, 0]), "{kind}: by the fourth");
            assert_eq!(workers[1].next().map(|s| s.datagram), Some(vec![kind, 0x30, 0]));
        }
        for kind in [1, 2, 3, 5, 6, 7, 8] {
            assert!(!workers[0].take(first, &meta, &[kind, 0x10, 0]), "{kind}: anybody's");
        }
        assert!(!workers[0].take(first, &meta, &[4]));
    }
}
