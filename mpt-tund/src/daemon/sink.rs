//! Inner packets on their way into TUN.

use crate::tun::TunDevice;
use mpt_core::{Deliver, PeerId};
use std::io;

/// Counts what is written to TUN.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Packets written.
    pub(super) packets: u64,
    /// Bytes written.
    pub(super) bytes: u64,
    /// Packets refused by the kernel.
    pub(super) refused: u64,
}

/// A sink with its device.
pub(super) struct IntoTun<'a> {
    sink: &'a mut Sink,
    tun: &'a TunDevice,
}

impl Sink {
    /// Writes to `tun`.
    pub(super) fn to<'a>(&'a mut self, tun: &'a TunDevice) -> IntoTun<'a> {
        IntoTun { sink: self, tun }
    }
}

impl Deliver for IntoTun<'_> {
    fn deliver(&mut self, _peer: PeerId, packet: &[u8]) {
        let result = match self.tun.write(packet) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.tun.write(packet),
            result => result,
        };
        match result {
            Ok(()) => {
                self.sink.packets += 1;
                self.sink.bytes += packet.len() as u64;
            }
            Err(error) => {
                self.sink.refused += 1;
                tracing::trace!(%error, len = packet.len(), "TUN refused a packet");
            }
        }
    }
}
