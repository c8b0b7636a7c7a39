//! Packets by their headers' fields, and what is made of them.

use super::super::*;

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const CWR: u8 = 0x80;

/// Headers of a packet, from which its bytes are made.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) v6: bool,
    pub(super) tcp: bool,
    pub(super) flow: u8,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    pub(super) df: bool,
    pub(super) id: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// Words of TCP options, IPv4 options or an IPv6 extension header.
    pub(super) options: u8,
    pub(super) ip_options: bool,
    pub(super) payload: Vec<u8>,
}

impl Shape {
    pub(super) fn tcp(payload: usize) -> Self {
        Self {
            v6: false,
            tcp: true,
            flow: 1,
            tos: 0,
            ttl: 64,
            df: true,
            id: 100,
            seq: 1_000,
            ack: 5,
            flags: ACK,
            window: 99,
            options: 3,
            ip_options: false,
            payload: (0..payload).map(|i| (i * 7 + i / 256) as u8).collect(),
        }
    }

    pub(super) fn udp(payload: usize) -> Self {
        Self { tcp: false, ..Self::tcp(payload) }
    }

    /// The packet with a complete checksum.
    pub(super) fn full(&self) -> Vec<u8> {
        let mut packet = self.partial();
        let inner = InnerPacket::parse(&packet).unwrap();
        complete_checksum(&mut packet, &inner).unwrap();
        packet
    }

    /// The packet with the pseudo header's sum for a checksum.
    pub(super) fn partial(&self) -> Vec<u8> {
        let mut transport = Vec::new();
        transport.extend_from_slice(&[1, self.flow, 2, 2]);
        if self.tcp {
            transport.extend_from_slice(&self.seq.to_be_bytes());
            transport.extend_from_slice(&self.ack.to_be_bytes());
            transport.extend_from_slice(&[(5 + self.options) << 4, self.flags]);
            transport.extend_from_slice(&self.window.to_be_bytes());
            transport.extend_from_slice(&[0; 4]);
            transport.extend((0..self.options * 4).map(|_| 1));
        } else {
            let len = (8 + self.payload.len()) as u16;
            transport.extend_from_slice(&len.to_be_bytes());
            transport.extend_from_slice(&[0; 2]);
        }
        transport.extend_from_slice(&self.payload);
        let protocol = if self.tcp { 6 } else { 17 };
        let mut packet = if self.v6 {
            self.v6(protocol, transport.len())
        } else {
            self.v4(protocol, transport.len())
        };
        let at = packet.len() + if self.tcp { 16 } else { 6 };
        packet.extend_from_slice(&transport);
        let inner = InnerPacket::parse(&packet).unwrap();
        assert_eq!(inner.protocol(), protocol);
        let sum = checksum::pseudo_header(&inner, transport.len());
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn v4(&self, protocol: u8, rest: usize) -> Vec<u8> {
        let options = if self.ip_options { 4 } else { 0 };
        let total = (20 + options + rest) as u16;
        let mut p = vec![0x45 + options as u8 / 4, self.tos];
        p.extend_from_slice(&total.to_be_bytes());
        p.extend_from_slice(&self.id.to_be_bytes());
        p.extend_from_slice(&[if self.df { 0x40 } else { 0 }, 0, self.ttl, protocol, 0, 0]);
        p.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        p.extend((0..options).map(|_| 1));
        let sum = !checksum::sum(&p);
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p
    }

    fn v6(&self, protocol: u8, rest: usize) -> Vec<u8> {
        let extension = if self.ip_options { 8 } else { 0 };
        let mut p = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 7];
        p.extend_from_slice(&((extension + rest) as u16).to_be_bytes());
        p.extend_from_slice(&[if self.ip_options { 60 } else { protocol }, self.ttl]);
        p.extend((0..32).map(|i| i as u8));
        if self.ip_options {
            p.extend_from_slice(&[protocol, 0, 1, 4, 0, 0, 0, 0]);
        }
        p
    }

    pub(super) fn offload(&self, size: u16) -> Offload {
        let segments = if self.tcp { Segments::Tcp { size } } else { Segments::Udp { size } };
        let packet = self.partial();
        let transport = InnerPacket::parse(&packet).unwrap().transport() as u16;
        Offload { checksum: Checksum::Partial, segments, transport }
    }
}

pub(super) fn cut(packet: &[u8], offload: &Offload) -> Vec<Vec<u8>> {
    let inner = InnerPacket::parse(packet).unwrap();
    let split = Split::new(packet, offload, &inner).unwrap();
    let size = usize::from(split.segment_size());
    let starts = (0..split.payload_len()).step_by(size);
    starts
        .enumerate()
        .map(|(i, at)| {
            let range = at..(at + size).min(split.payload_len());
            let mut out = vec![0xee; split.header_len() + range.len()];
            split.write(packet, i as u16, range, &mut out);
            out
        })
        .collect()
}

/// Everything given out, packet and offload.
pub(super) fn merge(packets: &[(Vec<u8>, Checksum)]) -> Vec<(Vec<u8>, Offload)> {
    let mut merger = Merger::new();
    let mut out = Vec::new();
    let mut emit = |p: &mut [u8], o: &Offload| out.push((p[HEADROOM..].to_vec(), *o));
    for (packet, checksum) in packets {
        merger.push(packet, *checksum, &mut emit);
    }
    merger.flush(&mut emit);
    out
}
