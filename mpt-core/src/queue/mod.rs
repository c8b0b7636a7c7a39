//! Packets that wait for a path's rate limit, and the limits themselves.
//!
//! A [`Pacer`] says whether a path may send. When no path may, packets wait in the peer's [`FairQueue`],
//! before they are numbered: what is dropped there was never promised to the receiver.
//!
//! The queue is FQ-CoDel (RFC 8290): packets are hashed into queues of flows, which take turns by deficit
//! round robin in bytes (Shreedhar, Varghese: Efficient fair queueing using deficit round robin, SIGCOMM
//! 1995). A flow that had nothing queued goes first, once: a call's packet waits for the packet before it and
//! no more. Each flow's queue is under [`Codel`] (RFC 8289), which drops, or marks where the packet
//! takes part in ECN, once packets have waited too long for too long. Flows that do not care are held by a cap:
//! when all that waits passes it, the flow with most bytes loses its oldest packet.

mod blocks;
mod codel;
mod fair_queue;
mod pacer;

pub use codel::{Codel, CodelTimes, Verdict};
pub use fair_queue::{Arrival, Counts, FairQueue, Front};
pub use pacer::Pacer;

#[cfg(test)]
mod tests;
