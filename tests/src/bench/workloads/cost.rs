//! What the daemons need of the CPU for a modest stream: 100 Mbit/s of datagrams of 1200 bytes.

use super::receiver::{Manner, Receiver};
use super::{PORT, Samples, WARM_UP, rate_search};
use crate::bench::metric::Metric;
use crate::bench::tunnels::Running;
use crate::sys::bulk;
use anyhow::{Result, ensure};
use std::time::Duration;

const SIZE: usize = 1200;

/// Bits a second of payload.
const RATE: f64 = 100e6;

/// Nothing for a tunnel in the kernel: what it uses is nobody's.
pub(super) fn measure(running: &Running, time: Duration) -> Result<Samples> {
    if running.cpu()?.is_none() {
        return Ok(Vec::new());
    }
    let receiver = Receiver::start(running, Manner::Counting)?;
    let destination = running.remote(PORT);
    let socket = running.topology.a.run(|| bulk::connect(destination, None))?;
    let step = receiver.next_step();
    let cost = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            rate_search::send(&socket, step, SIZE, RATE / 8.0 / SIZE as f64, WARM_UP + time)
        });
        std::thread::sleep(WARM_UP);
        let (bytes, before) = (receiver.bytes(), running.cpu()?);
        std::thread::sleep(time);
        let (arrived, after) = (receiver.bytes() - bytes, running.cpu()?);
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let wanted = RATE / 8.0 * time.as_secs_f64();
        ensure!(arrived as f64 > 0.9 * wanted, "did not carry 100 Mbit/s");
        let used = after.unwrap_or_default().saturating_sub(before.unwrap_or_default());
        anyhow::Ok(used.as_secs_f64() / (arrived as f64 / 1e9))
    })?;
    Ok(vec![(Metric::CpuUdp, cost), (Metric::OutOfOrder, receiver.out_of_order() as f64)])
}
