//! Inner packets on their way into TUN, joined to super-packets.

use crate::tun::{TunDevice, VNET_HEADER_LEN};
use mpt_core::inner::{Checksum, HEADROOM, InnerPacket, Merger, Offload, Segments, Split};
use std::io;

const _: () = assert!(HEADROOM >= VNET_HEADER_LEN);

/// Joins packets of one flow, writes what comes of it to TUN, and counts.
pub(super) struct Sink {
    merger: Merger,
    written: Written,
}

/// What was written to TUN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Packets, however many were written at once.
    pub(super) packets: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Packets refused by the kernel.
    pub(super) refused: u64,
    /// Super-packets that the kernel refused, though it takes their packets one by one.
    super_packets_refused: u64,
}

impl Sink {
    /// Joins what `tun` takes joined.
    pub(super) fn new(tun: &TunDevice) -> Self {
        let mut sink = Self { merger: Merger::new(), written: Written::default() };
        sink.follow(tun);
        sink
    }

    /// The next packet in order, for `tun`.
    #[inline]
    pub(super) fn push(&mut self, tun: &TunDevice, packet: &[u8], checksum: Checksum) {
        let written = &mut self.written;
        written.packets += 1;
        written.bytes += packet.len() as u64;
        self.merger.push(packet, checksum, &mut |buffer, offload| {
            written.write(tun, buffer, offload);
        });
    }

    /// Counters so far.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// Writes all that waits for more of its flow.
    pub(super) fn flush(&mut self, tun: &TunDevice) {
        let written = &mut self.written;
        self.merger.flush(&mut |buffer, offload| written.write(tun, buffer, offload));
    }

    /// Whether the device refused a super-packet since this was asked last: it should do without.
    pub(super) fn take_refused_super_packets(&mut self) -> bool {
        std::mem::take(&mut self.written.super_packets_refused) > 0
    }

    /// The device's offloads may have changed.
    pub(super) fn follow(&mut self, tun: &TunDevice) {
        let offloads = tun.offloads();
        self.merger.set_tcp(offloads.vnet && offloads.tso);
        self.merger.set_udp(offloads.vnet && offloads.uso);
    }
}

impl Written {
    /// Writes a packet or super-packet, which stands behind [`HEADROOM`] bytes.
    fn write(&mut self, tun: &TunDevice, buffer: &mut [u8], offload: &Offload) {
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
            Ok(()) => {}
            Err(e)
                if offload.segments != Segments::One && e.raw_os_error() == Some(libc::EINVAL) =>
            {
                self.write_apart(tun, &buffer[VNET_HEADER_LEN..], offload);
            }
            Err(error) => self.refuse(&error, 1),
        }
    }

    /// Writes the packets of a super-packet one by one.
    fn write_apart(&mut self, tun: &TunDevice, packet: &[u8], offload: &Offload) {
        let Ok(inner) = InnerPacket::parse(packet) else { return };
        let Ok(split) = Split::new(packet, offload, &inner) else { return };
        let (header, size) = (split.header_len(), usize::from(split.segment_size()).max(1));
        let one = Offload { segments: Segments::One, ..*offload };
        let mut buffer = vec![0; VNET_HEADER_LEN + header + size];
        let mut taken = true;
        for (i, at) in (0..split.payload_len()).step_by(size).enumerate() {
            let range = at..(at + size).min(split.payload_len());
            let len = VNET_HEADER_LEN + header + range.len();
            split.write(packet, i as u16, range, &mut buffer[VNET_HEADER_LEN..len]);
            if let Err(error) = tun.write(&mut buffer[..len], &one) {
                taken = false;
                self.refuse(&error, 1);
            }
        }
        self.super_packets_refused += u64::from(taken);
    }

    fn refuse(&mut self, error: &io::Error, packets: u64) {
        self.refused += packets;
        tracing::trace!(%error, "TUN refused a packet");
    }
}
