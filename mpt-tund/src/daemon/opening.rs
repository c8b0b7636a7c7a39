//! Opening a batch of datagrams outside of the endpoint's lock, so that several workers do that at once.

use super::plane::Shared;
use super::stray::Strays;
use crate::udp::{Datagram, RecvBatch};
use mpt_core::session::{Open, Opened};
use mpt_core::{DatagramMeta, SocketId, WorkerId};

/// What was done with a datagram of a batch so far.
pub(super) enum Step {
    /// It is another worker's, who has it now.
    HandedOn,
    /// Nothing.
    Nothing,
    /// It can be opened.
    Ready(Open),
    /// That was done.
    Opened(Opened),
}

/// A batch on its way through the steps. The memory is kept.
#[derive(Default)]
pub(super) struct Opening {
    steps: Vec<Step>,
}

impl Opening {
    /// What `worker` is to do with each datagram of `batch`, which came by `socket`: with others beside it, all that
    /// needs no lock is done. The lock is taken once, to ask for keys.
    pub(super) fn run(
        &mut self,
        worker: WorkerId,
        shared: &Shared,
        strays: &Strays,
        socket: SocketId,
        batch: &mut RecvBatch,
    ) -> impl Iterator<Item = Step> + '_ {
        self.steps.clear();
        if strays.has_others() {
            self.steps.extend(batch.datagrams().map(|d| {
                let handed = !d.truncated && strays.take(worker, &meta(socket, &d), d.data);
                if handed { Step::HandedOn } else { Step::Nothing }
            }));
            let endpoint = shared.lock(worker);
            for (step, d) in self.steps.iter_mut().zip(batch.datagrams()) {
                if matches!(step, Step::Nothing)
                    && !d.truncated
                    && let Some(open) = endpoint.begin_open(d.data)
                {
                    *step = Step::Ready(open);
                }
            }
            drop(endpoint);
            for (step, d) in self.steps.iter_mut().zip(batch.datagrams()) {
                *step = match std::mem::replace(step, Step::Nothing) {
                    Step::Ready(open) => Step::Opened(open.open(d.data)),
                    step => step,
                };
            }
        }
        self.steps.drain(..).chain(std::iter::repeat_with(|| Step::Nothing))
    }
}

/// What the endpoint is told beside a datagram.
pub(super) fn meta(socket: SocketId, datagram: &Datagram<'_>) -> DatagramMeta {
    DatagramMeta {
        socket,
        source: datagram.source,
        destination: datagram.destination,
        ecn: datagram.ecn(),
    }
}
