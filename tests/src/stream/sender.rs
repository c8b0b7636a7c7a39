//! Sends packets at their times.

use super::StreamConfig;
use super::packet::{Header, blank};
use super::tally::Tally;
use crate::sys::set_option;
use crate::sys::time::{now, precede, sharpen_sleep, sleep_until};
use mpt_core::Time;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Least time between two rounds of sending, which bounds bursts: at 400 Mbit/s they have ten
/// packets of 1000 bytes.
const RESOLUTION: Duration = Duration::from_micros(200);

pub(super) struct Sender {
    config: StreamConfig,
    /// One socket a flow.
    sockets: Vec<UdpSocket>,
}

impl Sender {
    /// Opens the sockets, in the calling thread's namespace.
    pub(super) fn bind(config: &StreamConfig) -> io::Result<Self> {
        let any = if config.destination.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let sockets = (0..config.flows)
            .map(|_| {
                let socket = UdpSocket::bind(any)?;
                // No DF: what is too large for a path is to be fragmented, not refused here.
                set_option(
                    &socket,
                    libc::IPPROTO_IP,
                    libc::IP_MTU_DISCOVER,
                    libc::IP_PMTUDISC_DONT,
                )?;
                Ok(socket)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { config: config.clone(), sockets })
    }

    /// Sends the stream.
    pub(super) fn run(self, tally: &Mutex<Tally>, stop: &AtomicBool, start: Time) {
        sharpen_sleep();
        // Another host would not wait for this one's CPU.
        precede();
        let schedule = Schedule::new(&self.config);
        let mut packet = blank(self.config.size);
        let mut sequences = vec![0u64; self.sockets.len()];
        let mut random = self.config.seed;
        let mut number = 0;
        let mut wake = start;
        while let Some(after) = schedule.due(number)
            && !stop.load(Ordering::Relaxed)
        {
            let due = start + after;
            if due > now() {
                wake = due.max(wake + RESOLUTION);
                sleep_until(wake);
            }
            let flow = if self.sockets.len() == 1 {
                0
            } else {
                split_mix(&mut random) as usize % self.sockets.len()
            };
            let sent = now();
            let sequence = sequences[flow];
            Header { flow: flow as u32, sequence, number, sent }.write(&mut packet);
            let result = self.sockets[flow].send_to(&packet, self.config.destination);
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            if result.is_ok() {
                sequences[flow] += 1;
                tally.sent(sent, sent.since(due));
            } else {
                tally.refused();
            }
            number += 1;
        }
        tally.lock().unwrap_or_else(PoisonError::into_inner).sending_ended();
    }
}

/// When each packet is due, after the start.
struct Schedule {
    /// Nanoseconds between packets while the stream is on.
    interval: f64,
    pattern: Option<(Duration, Duration)>,
    duration: Duration,
}

impl Schedule {
    fn new(config: &StreamConfig) -> Self {
        Self {
            interval: config.size as f64 * 8e9 / config.rate_bps as f64,
            pattern: config.pattern.filter(|(on, _)| !on.is_zero()),
            duration: config.duration,
        }
    }

    /// When packet `number` is due; `None` after the end.
    fn due(&self, number: u64) -> Option<Duration> {
        let on_time = Duration::from_nanos((number as f64 * self.interval) as u64);
        let due = match self.pattern {
            None => on_time,
            Some((on, off)) => {
                let rounds = (on_time.as_nanos() / on.as_nanos()) as u32;
                on_time + off * rounds
            }
        };
        (due < self.duration).then_some(due)
    }
}

/// The next of a sequence of numbers that look random (splitmix64, Steele, Lea and Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_due_at_the_rate_while_on() {
        let mut config = StreamConfig::new(([127, 0, 0, 1], 1).into(), 8_000_000);
        config.duration = Duration::from_millis(95);
        let ms = Duration::from_millis;
        let steady = Schedule::new(&config);
        assert_eq!(steady.due(7), Some(ms(7)));
        assert_eq!(steady.due(95), None);
        config.pattern = Some((ms(10), ms(30)));
        let pulsed = Schedule::new(&config);
        let due: Vec<_> = (8..12).map(|n| pulsed.due(n).unwrap().as_millis()).collect();
        assert_eq!(due, [8, 9, 40, 41]);
    }
}
