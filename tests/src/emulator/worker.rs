//! The thread that carries frames.

use super::direction::{DirectionState, Pending};
use super::{Direction, Shared, State, Wire};
use crate::sys::batch::{ReceiveBatch, send_batch};
use crate::sys::packet::PacketSocket;
use crate::sys::time::{now, precede, sharpen_sleep, sleep_until, wait_readable};
use mpt_core::Time;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The longest frame: jumbo frames of 9 000 bytes with their headers.
const MAX_FRAME: usize = 9_216;

/// Least time between two rounds. It batches work under load, and is the most a frame is late
/// while the CPU is free.
const RESOLUTION: Duration = Duration::from_micros(200);

/// Most batches taken from one socket in a round, so that the others get their turn.
const ROUNDS: usize = 8;

/// Serves all links until told to stop: waits, takes what came, puts out what is due.
pub(super) fn run(shared: &Shared, wakened: &UnixStream) {
    sharpen_sleep();
    precede();
    let mut batch = ReceiveBatch::new(MAX_FRAME);
    let mut fds: Vec<RawFd> = vec![wakened.as_raw_fd()];
    let mut ready = Vec::new();
    let mut due = Vec::new();
    loop {
        let next = {
            let state = shared.lock();
            if state.stopping {
                return;
            }
            let known = (fds.len() - 1) / 2;
            let sockets = state.wires[known..].iter().flat_map(|w| &w.sockets);
            fds.extend(sockets.map(PacketSocket::as_raw_fd));
            next_due(&state)
        };
        let timeout = next.map(|t| t.since(now()));
        if wait_readable(&fds, timeout, &mut ready).is_err() {
            // Only a lack of kernel memory leads here; the frames are still there a moment later.
            sleep_until(now() + Duration::from_millis(1));
        }
        if ready.first() == Some(&true) {
            // What woke us is in the state.
            while matches!((&*wakened).read(&mut [0; 64]), Ok(1..)) {}
        }
        let mut state = shared.lock();
        for (wire, ready) in
            state.wires.iter_mut().zip(ready.get(1..).unwrap_or_default().chunks(2))
        {
            let ends = wire.sockets.iter().zip(&mut wire.directions).zip(ready);
            for ((socket, direction), _) in ends.filter(|(_, ready)| **ready) {
                take(&mut batch, socket, direction);
            }
        }
        for wire in &mut state.wires {
            put_out(wire, &mut due);
        }
        drop(state);
        sleep_until(now() + RESOLUTION);
    }
}

fn next_due(state: &State) -> Option<Time> {
    state.wires.iter().flat_map(|w| &w.directions).filter_map(DirectionState::next_due).min()
}

/// Takes what came to `socket`.
fn take(batch: &mut ReceiveBatch, socket: &PacketSocket, direction: &mut DirectionState) {
    for _ in 0..ROUNDS {
        let received = batch.receive(socket, |r| {
            if let Some(overflow) = r.overflow {
                direction.overflow = overflow;
            }
            direction.accept(r.data, r.at);
        });
        // An error says that the interface was down for a while; the socket lives on.
        if received.unwrap_or(0) == 0 {
            break;
        }
    }
}

/// Puts out what is due, on both sides.
fn put_out(wire: &mut Wire, due: &mut Vec<Pending>) {
    let now = now();
    let ways = Direction::BOTH.into_iter().zip(&mut wire.directions);
    for ((way, direction), socket) in ways.zip(wire.sockets.iter().rev()) {
        while let Some(mut pending) = direction.pop_due(now) {
            let passes = match (&mut wire.nat, way) {
                (None, _) => true,
                (Some(nat), Direction::Forward) => {
                    nat.outbound(&mut pending.frame);
                    true
                }
                (Some(nat), Direction::Backward) => nat.inbound(&mut pending.frame),
            };
            if passes {
                due.push(pending);
            } else {
                direction.refused(pending);
            }
        }
        let mut sent = 0;
        while sent < due.len() {
            let frames = due[sent..].iter().map(|p| p.frame.as_slice());
            match send_batch(socket, frames) {
                Ok(n) if n > 0 => sent += n,
                // The interface is down, or the kernel out of memory: this frame is lost.
                _ => {
                    due.remove(sent);
                    direction.counters.missed += 1;
                }
            }
        }
        due.drain(..).for_each(|pending| direction.delivered(pending));
    }
}
