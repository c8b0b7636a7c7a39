//! How many datagrams a second pass, with next to none lost.
//!
//! Short steps at a steady rate each. The rate grows by half until a step fails, then the gap
//! between what passed and what failed is halved until it is small. A step that fails narrowly is
//! tried once more: on a shared machine somebody else may have had the CPU. The sender and the
//! counting receiver stand for other hosts and precede the tunnel's programs on the CPU.

use super::datagram::Header;
use super::receiver::{Manner, Receiver};
use super::{PORT, Samples};
use crate::bench::metric::Metric;
use crate::bench::tunnels::Running;
use crate::sys::batch::send_batch;
use crate::sys::bulk;
use crate::sys::time::{precede, sharpen_sleep, sleep_until};
use anyhow::{Context as _, Result, ensure};
use std::net::UdpSocket;
use std::time::Duration;

/// What may be lost.
const LOSS: f64 = 0.005;

/// Where a search begins that knows nothing, datagrams a second.
const FIRST: f64 = 50_000.0;

/// Steps at most, and how close they come to the limit.
const STEPS: usize = 12;
const CLOSE: f64 = 1.06;

/// A loss below which a step has failed narrowly.
const NARROW: f64 = 0.1;

/// A step's share of the time of a measurement.
const SHARE: u32 = 5;

/// Least time between two rounds of sending.
const RESOLUTION: Duration = Duration::from_micros(50);

/// A sender this far behind gives up what it missed, seconds.
const BEHIND: f64 = 0.002;

/// Datagrams of a system call at most.
const BATCH: usize = 64;

/// Finds the highest rate for datagrams of `size` bytes; `known` is where it begins, and becomes
/// what was found.
pub(super) fn measure(
    running: &Running,
    metric: Metric,
    size: usize,
    time: Duration,
    known: &mut Option<f64>,
) -> Result<Samples> {
    let receiver = Receiver::start(running, Manner::Counting)?;
    let destination = running.remote(PORT);
    let socket = running.topology.a.run(|| bulk::connect(destination, None))?;
    let mut step = |rate: f64| run(&socket, &receiver, size, rate, time / SHARE);
    let first = known.map_or(FIRST, |rate| rate * 0.8);
    // Warms up; also the flow's way through the tunnel.
    step(first / 2.0)?;
    let best = search(first, &mut step)?;
    ensure!(best > 0.0, "more than 0.5 % lost at every rate");
    *known = Some(best);
    Ok(vec![(metric, best), (Metric::OutOfOrder, receiver.out_of_order() as f64)])
}

/// What came of a step, datagrams a second.
#[derive(Clone, Copy, Debug)]
struct Step {
    sent: f64,
    received: f64,
}

impl Step {
    fn loss(self) -> f64 {
        1.0 - self.received / self.sent
    }
}

/// The highest rate received in a step that lost little.
fn search(first: f64, step: &mut impl FnMut(f64) -> Result<Step>) -> Result<f64> {
    let (mut best, mut passed, mut failed, mut rate) = (0.0f64, 0.0f64, f64::INFINITY, first);
    let mut again = true;
    for _ in 0..STEPS {
        crate::bench::check_interrupt()?;
        let seen = step(rate)?;
        if seen.loss() <= LOSS {
            best = best.max(seen.received);
        }
        // A sender that cannot send so much has found its own limit.
        if seen.loss() <= LOSS && seen.sent > 0.9 * rate {
            passed = passed.max(rate);
            again = true;
        } else if again && seen.loss() < NARROW {
            again = false;
            continue;
        } else {
            again = true;
            failed = failed.min(rate);
            if passed == 0.0 {
                // What came through under overload is near the limit, from above or below.
                rate = (seen.received * 0.9).clamp(rate / 8.0, rate * 0.8);
                continue;
            }
        }
        if failed < passed * CLOSE {
            break;
        }
        rate = if failed.is_finite() { (passed + failed) / 2.0 } else { passed * 1.5 };
    }
    Ok(best)
}

/// Sends datagrams of `size` bytes at `rate` for `time`.
fn run(
    socket: &UdpSocket,
    receiver: &Receiver,
    size: usize,
    rate: f64,
    time: Duration,
) -> Result<Step> {
    let step = receiver.next_step();
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(socket, step, size, rate, time));
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    ensure!(sent > 0, "nothing could be sent");
    receiver.drain(sent);
    let seconds = time.as_secs_f64();
    Ok(Step { sent: sent as f64 / seconds, received: receiver.packets() as f64 / seconds })
}

/// Sends at `rate` and returns how many were sent.
pub(super) fn send(
    socket: &UdpSocket,
    step: u32,
    size: usize,
    rate: f64,
    time: Duration,
) -> Result<u64> {
    sharpen_sleep();
    precede();
    let mut datagrams = vec![0; size * BATCH];
    let start = crate::now();
    let (mut sent, mut missed) = (0u64, 0.0f64);
    loop {
        let now = crate::now();
        let elapsed = now.since(start);
        if elapsed >= time {
            return Ok(sent);
        }
        let due = rate * elapsed.as_secs_f64() - missed - sent as f64;
        missed += (due - rate * BEHIND - BATCH as f64).max(0.0);
        let count = (due as usize).min(BATCH);
        if count == 0 {
            sleep_until(now + RESOLUTION);
            continue;
        }
        for (number, datagram) in (sent..).zip(datagrams.chunks_exact_mut(size)).take(count) {
            Header { step, number }.write(datagram);
        }
        match send_batch(socket, datagrams.chunks_exact(size).take(count)) {
            Ok(count) => sent += count as u64,
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) => {
                sleep_until(now + RESOLUTION);
            }
            Err(e) => return Err(e).with_context(|| format!("cannot send {size} bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tunnel that carries so many a second, and a sender that can send so many.
    fn find(first: f64, capacity: f64, sender: f64) -> f64 {
        search(first, &mut |rate| {
            let sent = rate.min(sender);
            Ok(Step { sent, received: sent.min(capacity) })
        })
        .unwrap()
    }

    #[test]
    fn it_comes_close_from_either_side() {
        for first in [10e3, 50e3, 100e3, 1e6] {
            let found = find(first, 100e3, f64::INFINITY);
            assert!((93e3..=100.5e3).contains(&found), "{found} from {first}");
        }
        assert!(find(50e3, 1e9, 300e3) > 290e3, "the sender is the limit");
        assert_eq!(search(1e4, &mut |rate| Ok(Step { sent: rate, received: 0.0 })).unwrap(), 0.0);
    }
}
