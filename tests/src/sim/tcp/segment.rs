//! A TCP segment in an IPv4 packet, and back.

use std::net::{IpAddr, SocketAddr};

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

/// IPv4 and TCP headers without options.
const PLAIN: usize = 40;

/// Timestamps, as every segment has them.
const STAMPS: usize = 12;

/// Of a full packet, what is not payload.
pub(super) const HEADERS: usize = PLAIN + STAMPS;

/// Blocks of SACK that fit beside timestamps.
pub(super) const MAX_BLOCKS: usize = 3;

/// What a segment says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    /// In a SYN.
    pub mss: Option<u16>,
    /// RFC 7323: the sender's clock, and what it echoes of the other's; microseconds.
    pub stamp: u32,
    pub echo: u32,
    /// RFC 2018 and 2883: from, to.
    pub sacks: Vec<(u32, u32)>,
    pub payload: usize,
}

impl Segment {
    /// Writes it. Checksums are left at 0: nobody looks.
    pub(super) fn write(&self, packet: &mut Vec<u8>) {
        let mut options = Vec::with_capacity(40);
        if let Some(mss) = self.mss {
            options.extend_from_slice(&[2, 4]);
            options.extend_from_slice(&mss.to_be_bytes());
            // SACK permitted, and a window scale of 14.
            options.extend_from_slice(&[4, 2, 1, 3, 3, 14]);
        }
        // To a multiple of four, in a SYN too.
        options.extend_from_slice(&[1, 1, 8, 10]);
        options.extend_from_slice(&self.stamp.to_be_bytes());
        options.extend_from_slice(&self.echo.to_be_bytes());
        if !self.sacks.is_empty() {
            options.extend_from_slice(&[1, 1, 5, 2 + 8 * self.sacks.len() as u8]);
            for (from, to) in &self.sacks {
                options.extend_from_slice(&from.to_be_bytes());
                options.extend_from_slice(&to.to_be_bytes());
            }
        }
        options.resize(options.len().next_multiple_of(4), 0);
        let len = PLAIN + options.len() + self.payload;
        packet.clear();
        packet.extend_from_slice(&[0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0]);
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        for address in [self.from, self.to] {
            let IpAddr::V4(ip) = address.ip() else { unreachable!("the ends have IPv4 addresses") };
            packet.extend_from_slice(&ip.octets());
        }
        packet.extend_from_slice(&self.from.port().to_be_bytes());
        packet.extend_from_slice(&self.to.port().to_be_bytes());
        packet.extend_from_slice(&self.seq.to_be_bytes());
        packet.extend_from_slice(&self.ack.to_be_bytes());
        let header = (20 + options.len()) as u8 / 4;
        packet.extend_from_slice(&[header << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(&options);
        packet.resize(len, 0);
    }

    /// Reads it, if it is one of ours.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let head: &[u8; PLAIN] = packet.first_chunk()?;
        if head[0] != 0x45 || head[9] != 6 {
            return None;
        }
        let address = |ip: usize, port: usize| {
            let octets = [head[ip], head[ip + 1], head[ip + 2], head[ip + 3]];
            SocketAddr::from((octets, u16::from_be_bytes([head[port], head[port + 1]])))
        };
        let behind = 20 + usize::from(head[32] >> 4) * 4;
        let mut segment = Self {
            from: address(12, 20),
            to: address(16, 22),
            flags: head[33],
            seq: word(packet, 24)?,
            ack: word(packet, 28)?,
            mss: None,
            stamp: 0,
            echo: 0,
            sacks: Vec::new(),
            payload: packet.len().checked_sub(behind)?,
        };
        segment.read_options(&packet[PLAIN..behind])?;
        Some(segment)
    }

    fn read_options(&mut self, mut options: &[u8]) -> Option<()> {
        while let Some(&kind) = options.first() {
            let length = match kind {
                0 => break,
                1 => 1,
                _ => usize::from(*options.get(1)?).max(2),
            };
            let (option, rest) = options.split_at_checked(length)?;
            match kind {
                2 => self.mss = Some(u16::from_be_bytes([*option.get(2)?, *option.get(3)?])),
                5 => {
                    let blocks = option[2..].chunks_exact(8);
                    self.sacks = blocks.filter_map(|b| Some((word(b, 0)?, word(b, 4)?))).collect();
                }
                8 => (self.stamp, self.echo) = (word(option, 2)?, word(option, 6)?),
                _ => {}
            }
            options = rest;
        }
        Some(())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number with these low 32 bits that is next to `near`.
pub(super) fn widen(near: u64, low: u32) -> u64 {
    near.saturating_add_signed(i64::from(low.wrapping_sub(near as u32) as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let segment = Segment {
            from: ([10, 0, 0, 1], 44_000).into(),
            to: ([10, 0, 0, 2], 443).into(),
            flags: ACK,
            seq: 7,
            ack: 0xffff_fff0,
            mss: None,
            stamp: 99,
            echo: 98,
            sacks: vec![(1, 2), (30, 40), (500, 600)],
            payload: 0,
        };
        let syn = Segment { flags: SYN, mss: Some(1_460), sacks: Vec::new(), ..segment.clone() };
        let full = Segment { sacks: Vec::new(), payload: 1_448, ..segment.clone() };
        for (segment, bytes) in [(segment, 80), (syn, 64), (full, 1_500)] {
            let mut packet = Vec::new();
            segment.write(&mut packet);
            assert_eq!(packet.len(), bytes);
            assert_eq!(Segment::read(&packet), Some(segment));
        }
    }

    #[test]
    fn a_number_is_next_to_what_is_known() {
        assert_eq!(widen(0x1_0000_0005, 0xffff_fffe), 0xffff_fffe);
        assert_eq!(widen(0xffff_fffe, 5), 0x1_0000_0005);
        assert_eq!(widen(70, 60), 60);
    }
}
