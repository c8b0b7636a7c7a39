//! Whether UDP GSO and GRO do here what they say, found by using them on the loopback interface.
//!
//! There are kernels that grant an option and then cut or join wrongly. What a network card makes of segments
//! cannot be found this way; such errors show in use (see `send.rs`).

use super::address::RawAddress;
use super::cmsg::Control;
use super::sys::{send_runs, set_option};
use super::{RecvBatch, UdpOffloads};
use mpt_core::Run;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

/// Payload of a segment, and of the last one, which may be shorter.
const SIZE: usize = 1_200;
const LAST: usize = 700;

/// Segments sent as one.
const COUNT: usize = 5;

/// Loopback delivers at once, but for a busy machine.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// What was found wrong is not to be used; asked once in a process.
pub(super) fn proven() -> UdpOffloads {
    static PROVEN: OnceLock<UdpOffloads> = OnceLock::new();
    *PROVEN.get_or_init(|| {
        let gso = probe(true, false);
        let gro = probe(gso, true);
        let proven = UdpOffloads { gso, gro };
        if !gso || !gro {
            tracing::warn!(
                gso,
                gro,
                "this kernel mixes up datagrams that are cut or joined by it: off for all paths"
            );
        }
        proven
    })
}

/// Sends a few datagrams, as one if `gso`, to a socket that takes them joined if `gro`. False when something else
/// arrived. Where nothing can be found out, because there is no loopback interface or the kernel grants
/// nothing, there is nothing against it.
fn probe(gso: bool, gro: bool) -> bool {
    match exchange(gso, gro) {
        Ok(received) => received.is_none_or(|data| data == pattern()),
        // Not granted, or refused: that is seen where it is used.
        Err(_) => true,
    }
}

/// All payload, with a byte of 0xff behind each datagram so that wrong borders show.
fn pattern() -> Vec<u8> {
    let mut all = Vec::new();
    for i in 0..COUNT {
        all.extend(datagram(i));
        all.push(0xff);
    }
    all
}

/// The `i`-th datagram's payload.
fn datagram(i: usize) -> Vec<u8> {
    let len = if i + 1 == COUNT { LAST } else { SIZE };
    (0..len).map(|at| (at * 7 + i * 31) as u8).collect()
}

/// What was received, as [`pattern`]; nothing when not all of it came.
fn exchange(gso: bool, gro: bool) -> io::Result<Option<Vec<u8>>> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    receiver.set_nonblocking(true)?;
    if gro {
        set_option(receiver.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    let to = receiver.local_addr()?;
    let control = Control::for_sending(to.ip(), None, 0);
    let data: Vec<u8> = (0..COUNT).flat_map(datagram).collect();
    if gso {
        let run = Run { data: &data, size: SIZE, count: COUNT };
        send_runs(sender.as_fd(), &RawAddress::from(to), &control, &[run])?;
    } else {
        for i in 0..COUNT {
            sender.send_to(&datagram(i), to)?;
        }
    }
    let (mut batch, mut received, mut count) = (RecvBatch::new(8, 16 << 10), Vec::new(), 0);
    for _ in 0..TRIES {
        match batch.fill(receiver.as_fd()) {
            Ok(_) => {
                for datagram in batch.datagrams() {
                    received.extend_from_slice(datagram.data);
                    received.push(0xff);
                    count += 1;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(e) => return Err(e),
        }
        if count >= COUNT {
            return Ok(Some(received));
        }
    }
    // Lost altogether, or joined for good: only what came whole tells something.
    Ok((received.len() > SIZE + 1).then_some(received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_does_what_it_says() {
        for (gso, gro) in [(false, false), (true, false), (false, true), (true, true)] {
            let received = exchange(gso, gro).unwrap();
            assert_eq!(received, Some(pattern()), "gso {gso}, gro {gro}");
        }
        assert!(proven().gso && proven().gro);
    }

    #[test]
    fn wrong_borders_and_wrong_bytes_show() {
        let right = pattern();
        let mut wrong = right.clone();
        wrong[SIZE / 2] ^= 1;
        assert_ne!(wrong, right);
        let mut shifted = right.clone();
        shifted.swap(SIZE, SIZE - 1);
        assert_ne!(shifted, right);
        assert_eq!(right.len(), (COUNT - 1) * SIZE + LAST + COUNT);
    }
}
