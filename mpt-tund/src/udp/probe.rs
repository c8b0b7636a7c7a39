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
        Ok(received) => received.verdict() != Verdict::Wrong,
        // Not granted, or refused: that is seen where it is used.
        Err(_) => true,
    }
}

/// What arrived.
#[derive(Debug, Default)]
struct Received {
    /// As [`pattern`].
    text: Vec<u8>,
    /// Bytes of payload.
    payload: usize,
}

/// What that tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Right,
    Wrong,
    /// Not all came so far: the machine is busy, or something was lost.
    Unknown,
}

impl Received {
    fn push(&mut self, datagram: &[u8]) {
        self.payload += datagram.len();
        self.text.extend_from_slice(datagram);
        self.text.push(0xff);
    }

    fn is_whole(&self) -> bool {
        self.payload >= (COUNT - 1) * SIZE + LAST
    }

    fn verdict(&self) -> Verdict {
        match (self.is_whole(), self.text == pattern()) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::Wrong,
        }
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

/// What was received within some time.
fn exchange(gso: bool, gro: bool) -> io::Result<Received> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    receiver.set_nonblocking(true)?;
    if gro {
        set_option(receiver.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    let to = receiver.local_addr()?;
    let control = Control::for_sending(to.ip(), None);
    let data: Vec<u8> = (0..COUNT).flat_map(datagram).collect();
    if gso {
        let run = Run { data: &data, size: SIZE, count: COUNT, tos: 0 };
        send_runs(sender.as_fd(), &RawAddress::from(to), &control, &[run])?;
    } else {
        for i in 0..COUNT {
            sender.send_to(&datagram(i), to)?;
        }
    }
    let (mut batch, mut received) = (RecvBatch::new(8, 16 << 10), Received::default());
    for _ in 0..TRIES {
        match batch.fill(receiver.as_fd()) {
            Ok(_) => {
                for datagram in batch.datagrams() {
                    received.push(datagram.data);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(e) => return Err(e),
        }
        if received.is_whole() {
            break;
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_does_what_it_says() {
        for (gso, gro) in [(false, false), (true, false), (false, true), (true, true)] {
            // Never wrong, and right at last however busy the machine is.
            let mut verdicts = (0..50).map(|_| exchange(gso, gro).unwrap().verdict());
            let known = verdicts.find(|&verdict| verdict != Verdict::Unknown);
            assert_eq!(known, Some(Verdict::Right), "gso {gso}, gro {gro}");
        }
        assert!(proven().gso && proven().gro);
    }

    #[test]
    fn only_what_came_whole_is_wrong() {
        let mut received = Received::default();
        for i in 0..COUNT - 1 {
            received.push(&datagram(i));
            assert_eq!(received.verdict(), Verdict::Unknown, "after {i}");
        }
        received.push(&datagram(COUNT - 1));
        assert_eq!(received.verdict(), Verdict::Right);

        // Joined for good, in another order, or changed: all came.
        let mut joined = Received::default();
        joined.push(&(0..COUNT).flat_map(datagram).collect::<Vec<_>>());
        assert_eq!(joined.verdict(), Verdict::Wrong);
        let mut turned = Received::default();
        (0..COUNT).rev().for_each(|i| turned.push(&datagram(i)));
        assert_eq!(turned.verdict(), Verdict::Wrong);
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
