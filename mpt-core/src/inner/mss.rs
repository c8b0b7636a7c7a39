//! Clamping the MSS of TCP connections that pass, for hosts that do not know the tunnel's MTU.

use super::checksum::replace_u16;
use super::{Checksum, InnerPacket, Version};
use crate::config::MssClamp;

/// The largest MSS to let pass, per IP version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MssLimit {
    v4: u16,
    v6: u16,
}

impl MssLimit {
    /// What `clamp` means at a tunnel MTU of `mtu` bytes; `None` when nothing is to be done.
    #[must_use]
    pub fn of(clamp: MssClamp, mtu: u16) -> Option<Self> {
        // IP header and 20 bytes of TCP without options.
        let fitting = Self { v4: mtu.saturating_sub(40), v6: mtu.saturating_sub(60) };
        match clamp {
            MssClamp::Auto => Some(fitting),
            MssClamp::Fixed(mss) => Some(Self { v4: mss, v6: mss }),
            MssClamp::Off => None,
        }
    }
}

const TCP: u8 = 6;
const SYN: u8 = 0x02;

/// Lowers the MSS option of a TCP SYN or SYN-ACK to `limit`; leaves everything else alone. The checksum
/// is updated, so a wrong one stays wrong; a partial one does not cover the option.
#[inline]
pub fn clamp_mss(packet: &mut [u8], inner: &InnerPacket, checksum: Checksum, limit: MssLimit) {
    if inner.protocol() == TCP && !inner.is_fragment() {
        let limit = match inner.version() {
            Version::V4 => limit.v4,
            Version::V6 => limit.v6,
        };
        if let Some(tcp) = packet.get_mut(inner.transport()..) {
            clamp_segment(tcp, checksum, limit);
        }
    }
}

fn clamp_segment(tcp: &mut [u8], checksum: Checksum, limit: u16) {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const MSS: u8 = 2;
    if tcp.len() < 20 || tcp[13] & SYN == 0 {
        return;
    }
    let end = usize::from(tcp[12] >> 4) * 4;
    if end < 20 || end > tcp.len() {
        return;
    }
    let mut at = 20;
    while at < end {
        let length = match tcp[at] {
            END => return,
            NOP => 1,
            kind => {
                let Some(&length) = tcp[..end].get(at + 1) else { return };
                let length = usize::from(length);
                if length < 2 || at + length > end {
                    return;
                }
                if kind == MSS && length == 4 {
                    return lower(tcp, at + 2, checksum, limit);
                }
                length
            }
        };
        at += length;
    }
}

/// Lowers the 16-bit value at `at`. After an odd number of NOPs it straddles two checksum words.
fn lower(tcp: &mut [u8], at: usize, checksum: Checksum, limit: u16) {
    const CHECKSUM: usize = 16;
    let mss = u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    if mss <= limit {
        return;
    }
    let new = limit.to_be_bytes();
    if checksum == Checksum::Partial {
        tcp[at..at + 2].copy_from_slice(&new);
    } else if at.is_multiple_of(2) {
        replace_u16(tcp, at, limit, CHECKSUM);
    } else {
        let high = u16::from_be_bytes([tcp[at - 1], new[0]]);
        replace_u16(tcp, at - 1, high, CHECKSUM);
        let low = u16::from_be_bytes([new[1], tcp[at + 2]]);
        replace_u16(tcp, at + 1, low, CHECKSUM);
    }
}
