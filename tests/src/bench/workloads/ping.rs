//! Round trips of 64 bytes, each sent when the last came back.

use super::tcp::Client;
use super::{Samples, WARM_UP};
use crate::bench::metric::Metric;
use crate::bench::tunnels::Running;
use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const PORT: u16 = 5301;

const SIZE: usize = 64;

/// A ping that takes longer is lost.
const LOST_AFTER: Duration = Duration::from_millis(200);

/// The TCP stream beside it, bits a second.
const LOAD: u64 = 500_000_000;

/// On a tunnel without other traffic.
pub(super) fn idle(running: &Running, time: Duration) -> Result<Samples> {
    let echo = Echo::start(running)?;
    round_trips(running, WARM_UP / 2)?;
    let seen = round_trips(running, time)?;
    drop(echo);
    quantiles(&seen, Metric::PingP50, Metric::PingP99)
}

/// Beside one TCP stream of 500 Mbit/s.
pub(super) fn loaded(running: &Running, time: Duration) -> Result<Samples> {
    let echo = Echo::start(running)?;
    let load = Client::start(running, 1, Some(LOAD), WARM_UP + time)?;
    std::thread::sleep(WARM_UP);
    let seen = round_trips(running, time)?;
    let report = load.finish()?;
    drop(echo);
    let mut samples = quantiles(&seen, Metric::LoadedP50, Metric::LoadedP99)?;
    samples.push((Metric::LoadedRate, report.rate));
    Ok(samples)
}

/// Whether a single ping is answered.
pub(crate) fn answered(running: &Running) -> Result<bool> {
    let _echo = Echo::start(running)?;
    Ok(!round_trips(running, Duration::from_millis(1))?.is_empty())
}

fn quantiles(seen: &Histogram<u64>, p50: Metric, p99: Metric) -> Result<Samples> {
    ensure!(!seen.is_empty(), "no ping was answered");
    let seconds = |quantile| seen.value_at_quantile(quantile) as f64 / 1e9;
    Ok(vec![(p50, seconds(0.5)), (p99, seconds(0.99))])
}

/// Pings for `time`, once at least; the times in nanoseconds.
fn round_trips(running: &Running, time: Duration) -> Result<Histogram<u64>> {
    let socket = running.topology.a.run(|| UdpSocket::bind((running.local(), 0)))?;
    socket.connect(running.remote(PORT))?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    let mut seen = Histogram::new(3)?;
    let (mut number, end) = (0u64, crate::now() + time);
    let (mut ping, mut answer) = ([0; SIZE], [0; SIZE]);
    while number == 0 || crate::now() < end {
        number += 1;
        ping[..8].copy_from_slice(&number.to_be_bytes());
        let start = crate::now();
        socket.send(&ping).context("cannot send a ping")?;
        loop {
            match socket.recv(&mut answer) {
                Ok(_) if answer[..8] == ping[..8] => {
                    seen.record(crate::now().since(start).as_nanos() as u64)?;
                    break;
                }
                // An answer that comes late is no answer.
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    // It took this long at least, and shows as such.
                    if time > LOST_AFTER {
                        seen.record(LOST_AFTER.as_nanos() as u64)?;
                    }
                    break;
                }
                Err(e) => return Err(e).context("cannot receive pings"),
            }
        }
    }
    Ok(seen)
}

/// Answers at the far end.
struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start(running: &Running) -> Result<Self> {
        let address = running.remote(PORT);
        let socket = running
            .topology
            .b
            .run(|| UdpSocket::bind(address))
            .with_context(|| format!("cannot listen at {address}"))?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("bench-echo".into()).spawn(move || {
            let mut ping = [0; SIZE];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut ping) {
                    // What cannot be answered is missed at the other end.
                    let _ = socket.send_to(&ping[..length], from);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It only ends early when it panicked, and then nothing was answered.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
