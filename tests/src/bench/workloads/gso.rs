//! What a QUIC sender does: many datagrams a system call, with a bounded number in flight.
//!
//! A sender without any bound would take the CPU from the tunnel and measure how fast datagrams can
//! be thrown away. Ours keeps a fixed number of bytes in flight, as a congestion window would, and
//! learns from the receiver what arrived without sending acknowledgements through the tunnel.

use super::datagram::Header;
use super::receiver::{Manner, Receiver};
use super::{PORT, Samples, WARM_UP};
use crate::bench::metric::Metric;
use crate::bench::tunnels::Running;
use crate::sys::batch::send_batch;
use crate::sys::bulk;
use crate::sys::time::{sharpen_sleep, sleep_until};
use anyhow::{Context as _, Result, ensure};
use std::net::UdpSocket;
use std::time::Duration;

/// Payload of a datagram, as QUIC sends it.
const SIZE: usize = 1200;

/// Datagrams of a message.
const SEGMENTS: usize = 20;

/// Messages of a system call.
const MESSAGES: usize = 2;

/// Datagrams in flight at most, fewer than the 500 that a TUN device queues.
const WINDOW: u64 = 440;

/// When nothing has arrived for this long, what is in flight is lost.
const LOST_AFTER: Duration = Duration::from_millis(5);

/// How long the sender waits for the window to open.
const NAP: Duration = Duration::from_micros(20);

pub(super) fn measure(running: &Running, time: Duration) -> Result<Samples> {
    let receiver = Receiver::start(running, Manner::Prompt)?;
    let destination = running.remote(PORT);
    let socket = running.topology.a.run(|| bulk::connect(destination, Some(SIZE as u16)))?;
    let step = receiver.next_step();
    let rate = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&socket, &receiver, step, WARM_UP + time));
        std::thread::sleep(WARM_UP);
        let (bytes, start) = (receiver.bytes(), crate::now());
        std::thread::sleep(time);
        let (arrived, elapsed) = (receiver.bytes() - bytes, crate::now().since(start));
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        ensure!(arrived > 0, "nothing arrived");
        anyhow::Ok(arrived as f64 * 8.0 / elapsed.as_secs_f64())
    })?;
    Ok(vec![(Metric::Gso, rate), (Metric::OutOfOrder, receiver.out_of_order() as f64)])
}

fn send(socket: &UdpSocket, receiver: &Receiver, step: u32, time: Duration) -> Result<()> {
    sharpen_sleep();
    let mut messages = vec![0; SIZE * SEGMENTS * MESSAGES];
    // What is not below the higher one of these two is under way: what was lost must not narrow the window for good.
    let (mut sent, mut given_up) = (0_u64, 0);
    let (mut reached, mut progress) = (0, crate::now());
    let end = progress + time;
    loop {
        let now = crate::now();
        if now >= end {
            return Ok(());
        }
        let seen = receiver.reached();
        if seen != reached {
            (reached, progress) = (seen, now);
        } else if now >= progress + LOST_AFTER {
            (given_up, progress) = (sent, now);
        }
        let in_flight = sent.saturating_sub(reached.max(given_up));
        if in_flight + (SEGMENTS * MESSAGES) as u64 > WINDOW {
            sleep_until(now + NAP);
            continue;
        }
        for (number, datagram) in (sent..).zip(messages.chunks_exact_mut(SIZE)) {
            Header { step, number }.write(datagram);
        }
        match send_batch(socket, messages.chunks_exact(SIZE * SEGMENTS)) {
            Ok(count) => sent += (count * SEGMENTS) as u64,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => sleep_until(now + NAP),
            Err(e) => return Err(e).context("cannot send with UDP_SEGMENT"),
        }
    }
}
