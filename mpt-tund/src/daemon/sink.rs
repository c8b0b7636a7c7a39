//! Inner packets on their way into TUN, joined to super-packets.

use super::refusals::Refused;
use crate::tun::{Offloads, TunDevice, VNET_HEADER_LEN};
use mpt_core::inner::{Checksum, HEADROOM, InnerPacket, Merger, Offload, Segments, Split};
use std::io;

const _: () = assert!(HEADROOM >= VNET_HEADER_LEN);

/// What takes packets: the TUN device.
pub(super) trait Writer {
    /// See [`TunDevice::offloads`].
    fn offloads(&self) -> Offloads;

    /// See [`TunDevice::write`].
    fn write(&self, buffer: &mut [u8], offload: &Offload) -> io::Result<()>;
}

impl Writer for TunDevice {
    fn offloads(&self) -> Offloads {
        self.offloads()
    }

    fn write(&self, buffer: &mut [u8], offload: &Offload) -> io::Result<()> {
        self.write(buffer, offload)
    }
}

/// Joins packets of one flow, writes what comes of it to TUN, and counts.
pub(super) struct Sink {
    merger: Merger,
    written: Written,
}

/// What TUN took, and what not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Packets, however many were written at once.
    pub(super) packets: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Packets refused by the kernel.
    pub(super) refused: u64,
    /// Super-packets that the kernel refused, though it takes their packets one by one.
    super_packets: Refused,
}

impl Sink {
    /// Joins what `tun` takes joined.
    pub(super) fn new(tun: &impl Writer) -> Self {
        let mut sink = Self { merger: Merger::new(), written: Written::default() };
        sink.follow(tun);
        sink
    }

    /// The next packet in order, for `tun`.
    #[inline]
    pub(super) fn push(&mut self, tun: &impl Writer, packet: &[u8], checksum: Checksum) {
        let written = &mut self.written;
        self.merger.push(packet, checksum, &mut |buffer, offload| {
            written.write(tun, buffer, offload);
        });
    }

    /// Counters so far.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// Writes all that waits for more of its flow.
    pub(super) fn flush(&mut self, tun: &impl Writer) {
        let written = &mut self.written;
        self.merger.flush(&mut |buffer, offload| written.write(tun, buffer, offload));
    }

    /// Kinds of super-packets that the device refused since this was asked last: it should do without.
    pub(super) fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.written.super_packets)
    }

    /// The device's offloads may have changed.
    pub(super) fn follow(&mut self, tun: &impl Writer) {
        let offloads = tun.offloads();
        self.merger.set_tcp(offloads.vnet && offloads.tso);
        self.merger.set_udp(offloads.vnet && offloads.uso);
    }
}

impl Written {
    /// Writes a packet or super-packet, which stands behind [`HEADROOM`] bytes.
    fn write(&mut self, tun: &impl Writer, buffer: &mut [u8], offload: &Offload) {
        let packet = &mut buffer[HEADROOM..];
        if !tun.offloads().vnet && offload.checksum == Checksum::Partial {
            // The device cannot be told of it.
            if let Ok(inner) = InnerPacket::parse(packet) {
                let _ = mpt_core::inner::complete_checksum(packet, &inner);
            }
        }
        let buffer = &mut buffer[HEADROOM - VNET_HEADER_LEN..];
        let result = match tun.write(buffer, offload) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => tun.write(buffer, offload),
            result => result,
        };
        match result {
            Ok(()) => self.take(&buffer[VNET_HEADER_LEN..], offload),
            Err(e)
                if offload.segments != Segments::One && e.raw_os_error() == Some(libc::EINVAL) =>
            {
                self.write_apart(tun, &buffer[VNET_HEADER_LEN..], offload);
            }
            Err(error) => self.refuse(&error, offload.packets(&buffer[VNET_HEADER_LEN..])),
        }
    }

    /// Writes the packets of a super-packet one by one.
    fn write_apart(&mut self, tun: &impl Writer, packet: &[u8], offload: &Offload) {
        let split = InnerPacket::parse(packet)
            .ok()
            .and_then(|inner| Split::new(packet, offload, &inner).ok());
        // What was joined here can be cut.
        let Some(split) = split else { return };
        let (header, size) = (split.header_len(), usize::from(split.segment_size()).max(1));
        let one = Offload { segments: Segments::One, ..*offload };
        let mut buffer = vec![0; VNET_HEADER_LEN + header + size];
        let mut taken = true;
        for (i, at) in (0..split.payload_len()).step_by(size).enumerate() {
            let range = at..(at + size).min(split.payload_len());
            let len = VNET_HEADER_LEN + header + range.len();
            split.write(packet, i as u16, range, &mut buffer[VNET_HEADER_LEN..len]);
            match tun.write(&mut buffer[..len], &one) {
                Ok(()) => self.take(&buffer[VNET_HEADER_LEN..len], &one),
                Err(error) => {
                    taken = false;
                    self.refuse(&error, 1);
                }
            }
        }
        let kind =
            if split.is_tcp() { &mut self.super_packets.tso } else { &mut self.super_packets.uso };
        *kind |= taken;
    }

    /// Counts a super-packet as its packets, each with headers of its own.
    fn take(&mut self, packet: &[u8], offload: &Offload) {
        let count = offload.packets(packet);
        self.packets += count;
        self.bytes += packet.len() as u64;
        if count > 1 {
            self.bytes += (count - 1) * offload.header_len(packet) as u64;
        }
    }

    fn refuse(&mut self, error: &io::Error, packets: u64) {
        self.refused += packets;
        tracing::trace!(%error, "TUN refused a packet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A device that refuses some super-packets.
    struct Fake {
        offloads: Cell<Offloads>,
        /// Whether it does so, and with which error.
        refuses: fn(&Segments) -> Option<i32>,
        taken: RefCell<Vec<Segments>>,
    }

    impl Fake {
        fn new(refuses: fn(&Segments) -> Option<i32>) -> Self {
            Self { offloads: Cell::new(Offloads::ALL), refuses, taken: RefCell::default() }
        }
    }

    impl Writer for Fake {
        fn offloads(&self) -> Offloads {
            self.offloads.get()
        }

        fn write(&self, _: &mut [u8], offload: &Offload) -> io::Result<()> {
            if let Some(error) = (self.refuses)(&offload.segments) {
                return Err(io::Error::from_raw_os_error(error));
            }
            self.taken.borrow_mut().push(offload.segments);
            Ok(())
        }
    }

    /// Payload of each packet.
    const SIZE: usize = 64;

    /// Packet `i` of a TCP or UDP flow, whose checksum somebody vouches for.
    fn packet(tcp: bool, i: usize) -> Vec<u8> {
        let transport = if tcp {
            vec![0, 9, 0, 9, 0, 0, 0, (i * SIZE) as u8, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 1, 1, 0, 0]
        } else {
            vec![0, 9, 0, 9, 0, (8 + SIZE) as u8, 1, 1]
        };
        let len = (20 + transport.len() + SIZE) as u8;
        let (protocol, sum) = if tcp { (6, 0x8e) } else { (17, 0x8f) };
        let mut packet = vec![0x45, 0, 0, len, 0, 0, 0x40, 0, 64, protocol, 0x26, sum];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2].iter().chain(&transport));
        packet.resize(len.into(), 7);
        packet
    }

    fn push_three(sink: &mut Sink, tun: &Fake, tcp: bool) {
        (0..3).for_each(|i| sink.push(tun, &packet(tcp, i), Checksum::Valid));
        sink.flush(tun);
    }

    #[test]
    fn only_the_kind_that_was_refused_is_not_joined_any_more() {
        let tun = Fake::new(|s| matches!(s, Segments::Udp { .. }).then_some(libc::EINVAL));
        let mut sink = Sink::new(&tun);
        let (tcp, udp) = (Segments::Tcp { size: SIZE as u16 }, [Segments::One; 3]);
        for refused in [Refused { tso: false, uso: true }, Refused::default()] {
            push_three(&mut sink, &tun, false);
            push_three(&mut sink, &tun, true);
            assert_eq!(tun.taken.take(), [&udp[..], &[tcp]].concat());
            assert_eq!(sink.take_refused(), refused);
            tun.offloads.set(Offloads { uso: false, ..Offloads::ALL });
            sink.follow(&tun);
        }
    }

    #[test]
    fn what_was_taken_and_what_was_refused_is_counted_in_packets() {
        let counts = |tun: &Fake| {
            let mut sink = Sink::new(tun);
            push_three(&mut sink, tun, true);
            let Written { packets, bytes, refused, .. } = sink.written();
            (packets, bytes, refused)
        };
        let all = (3, 3 * packet(true, 0).len() as u64, 0);
        assert_eq!(counts(&Fake::new(|_| None)), all, "joined");
        let apart = Fake::new(|s| (*s != Segments::One).then_some(libc::EINVAL));
        assert_eq!(counts(&apart), all, "one by one");
        assert_eq!(counts(&Fake::new(|_| Some(libc::EIO))), (0, 0, 3), "the interface is down");
        assert_eq!(counts(&Fake::new(|_| Some(libc::EINVAL))), (0, 0, 3));
    }
}
