//! Socket addresses in the kernel's layout, read and written as bytes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Room for a `sockaddr_in6` (28 bytes), the larger of the two.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct RawAddress {
    bytes: [u8; 32],
    len: u8,
}

impl RawAddress {
    pub(super) const EMPTY: Self = Self { bytes: [0; 32], len: 0 };

    pub(super) const CAPACITY: usize = 28;

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..Self::CAPACITY]
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len.min(Self::CAPACITY) as u8;
    }

    /// The address, unless it is of neither family.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        let b = &self.bytes;
        let family = i32::from(u16::from_ne_bytes([b[0], b[1]]));
        let port = u16::from_be_bytes([b[2], b[3]]);
        if family == libc::AF_INET && self.len >= 8 {
            return Some(SocketAddr::from(([b[4], b[5], b[6], b[7]], port)));
        }
        if family == libc::AF_INET6 && usize::from(self.len) >= Self::CAPACITY {
            let ip = Ipv6Addr::from(take::<16>(&b[8..]));
            let scope = u32::from_ne_bytes(take(&b[24..]));
            return Some(SocketAddrV6::new(ip, port, 0, scope).into());
        }
        None
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let mut raw = Self::EMPTY;
        let b = &mut raw.bytes;
        b[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, len) = match address.ip() {
            IpAddr::V4(ip) => {
                b[4..8].copy_from_slice(&ip.octets());
                (libc::AF_INET, 16)
            }
            IpAddr::V6(ip) => {
                b[8..24].copy_from_slice(&ip.octets());
                (libc::AF_INET6, Self::CAPACITY)
            }
        };
        if let SocketAddr::V6(v6) = address {
            b[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
        }
        b[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        raw.set_len(len);
        raw
    }
}

/// The first `N` bytes; zeros where there are fewer.
pub(super) fn take<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["10.1.2.3:4511", "[2001:db8::1]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::from(address).get(), Some(address));
        }
        let scoped = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 3));
        assert_eq!(RawAddress::from(scoped).get(), Some(scoped));
        assert_eq!(RawAddress::EMPTY.get(), None);
    }
}
