//! Control messages: what the kernel tells beside a datagram, and what it is told.
//!
//! Layout of each (`struct cmsghdr` of the kernel's ABI, the same under every libc): length including
//! the header as `usize`, level and type as `i32`, then the data, padded to the size of `usize`.

use super::address::take;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;

/// Room for control messages of one datagram. Received ones need at most 112 bytes: packet info, traffic
/// class, drop counter, segment size.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

/// What came beside a datagram.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) destination: Option<IpAddr>,
    pub(super) interface: u32,
    pub(super) tos: u8,
    pub(super) kernel_drops: Option<u32>,
    /// Bytes of each datagram, where the kernel joined several.
    pub(super) segment: Option<u16>,
}

impl Control {
    pub(super) const CAPACITY: usize = 128;
    pub(super) const EMPTY: Self = Self { bytes: [0; Self::CAPACITY], len: 0 };

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn buffer(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len.min(Self::CAPACITY) as u8;
    }

    /// Control messages for sending: the traffic class, 0 here, and the source address where one is wanted.
    pub(super) fn for_sending(destination: IpAddr, source: Option<IpAddr>) -> Self {
        let mut control = Self::EMPTY;
        let tos = [0; 4];
        match destination {
            IpAddr::V4(_) => control.push(libc::IPPROTO_IP, libc::IP_TOS, &tos),
            IpAddr::V6(_) => control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &tos),
        }
        match source {
            // struct in_pktinfo: interface index, local address, address of the header.
            Some(IpAddr::V4(ip)) => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            // struct in6_pktinfo: address, interface index.
            Some(IpAddr::V6(ip)) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        control
    }

    /// The same with another traffic class, which stands first.
    pub(super) fn with_tos(mut self, tos: u8) -> Self {
        self.bytes[HEADER..HEADER + 4].copy_from_slice(&i32::from(tos).to_ne_bytes());
        self
    }

    /// The same for several datagrams in one, of `size` bytes each but the last.
    pub(super) fn with_segments(mut self, size: u16) -> Self {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        self
    }

    /// Reads what the kernel wrote.
    pub(super) fn received(&self) -> Received {
        let mut out = Received::default();
        let mut rest = self.bytes();
        while rest.len() >= HEADER {
            let len = usize::from_ne_bytes(take(rest));
            if len < HEADER || len > rest.len() {
                break;
            }
            let level = i32::from_ne_bytes(take(&rest[WORD..]));
            let kind = i32::from_ne_bytes(take(&rest[WORD + 4..]));
            out.take(level, kind, &rest[HEADER..len]);
            rest = rest.get(padded(len)..).unwrap_or_default();
        }
        out
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let start = usize::from(self.len);
        let len = HEADER + data.len();
        let b = &mut self.bytes[start..start + padded(len)];
        b[..WORD].copy_from_slice(&len.to_ne_bytes());
        b[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        b[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        b[HEADER..len].copy_from_slice(data);
        self.len += padded(len) as u8;
    }
}

impl Received {
    fn take(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if data.len() >= 12 => {
                self.interface = u32::from_ne_bytes(take(data));
                self.destination = Some(Ipv4Addr::from(take::<4>(&data[8..])).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if data.len() >= 20 => {
                self.destination = Some(Ipv6Addr::from(take::<16>(data)).into());
                self.interface = u32::from_ne_bytes(take(&data[16..]));
            }
            // IPv4 gives one byte, IPv6 an int.
            (libc::IPPROTO_IP, libc::IP_TOS) if !data.is_empty() => self.tos = data[0],
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) if data.len() >= 4 => {
                self.tos = i32::from_ne_bytes(take(data)) as u8;
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) if data.len() >= 4 => {
                self.kernel_drops = Some(u32::from_ne_bytes(take(data)));
            }
            // An int, though no datagram is that long.
            (libc::SOL_UDP, libc::UDP_GRO) if data.len() >= 4 => {
                self.segment = u16::try_from(i32::from_ne_bytes(take(data))).ok();
            }
            _ => {}
        }
    }
}

const fn padded(len: usize) -> usize {
    len.next_multiple_of(WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let source: IpAddr = "2001:db8::7".parse().unwrap();
        let control = Control::for_sending(source, Some(source));
        for tos in [0xb9, 0, 2] {
            let got = control.with_tos(tos).received();
            assert_eq!((got.destination, got.tos), (Some(source), tos));
        }
    }

    #[test]
    fn damaged_lengths_end_the_reading() {
        let mut control = Control::for_sending("10.0.0.1".parse().unwrap(), None).with_tos(3);
        control.bytes[0] = 1;
        assert_eq!(control.received(), Received::default());
        control.bytes[..WORD].fill(0xff);
        assert_eq!(control.received(), Received::default());
    }
}
