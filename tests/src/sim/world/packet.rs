//! Inner packets that tell what they are: IPv4 and UDP, numbered.

use mpt_core::Time;
use std::net::{IpAddr, SocketAddr};

/// IPv4 and UDP headers, and the note behind them.
pub const LEAST_LEN: usize = 20 + 8 + 20;

/// What a packet of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The stream's number in the world.
    pub stream: u16,
    /// The flow within the stream.
    pub flow: u16,
    /// The number within the flow, from 0.
    pub number: u64,
    /// When it was handed to the sending end.
    pub sent: Time,
}

/// The inner address of an end.
#[must_use]
pub const fn address(end: usize) -> [u8; 4] {
    [10, 77, 0, end as u8 + 1]
}

/// Writes a packet of `len` bytes from `from` to `to` into `packet`.
pub fn write(packet: &mut Vec<u8>, note: Note, from: usize, to: usize, tos: u8, len: usize) {
    let len = len.max(LEAST_LEN);
    packet.clear();
    packet.resize(len, 0);
    packet[..12].copy_from_slice(&[0x45, tos, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0]);
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    packet[12..16].copy_from_slice(&address(from));
    packet[16..20].copy_from_slice(&address(to));
    packet[20..22].copy_from_slice(&(10_000 + note.flow).to_be_bytes());
    packet[22..24].copy_from_slice(&(20_000 + note.stream).to_be_bytes());
    packet[24..26].copy_from_slice(&(len as u16 - 20).to_be_bytes());
    packet[28..30].copy_from_slice(&note.stream.to_be_bytes());
    packet[30..32].copy_from_slice(&note.flow.to_be_bytes());
    packet[32..40].copy_from_slice(&note.number.to_be_bytes());
    packet[40..48].copy_from_slice(&note.sent.as_nanos().to_be_bytes());
}

/// What stands in a packet of a stream; nothing when it is none.
#[must_use]
pub fn read(packet: &[u8]) -> Option<Note> {
    if packet.len() < LEAST_LEN || packet[9] != 17 {
        return None;
    }
    let short = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let long = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&packet[at..at + 8]);
        u64::from_be_bytes(bytes)
    };
    Some(Note {
        stream: short(28),
        flow: short(30),
        number: long(32),
        sent: Time::from_nanos(long(40)),
    })
}

/// Writes a UDP packet with any payload.
pub fn write_udp(packet: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let len = 28 + payload.len();
    packet.clear();
    packet.extend_from_slice(&[0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0]);
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    for address in [from, to] {
        let IpAddr::V4(ip) = address.ip() else { unreachable!("the ends have IPv4 addresses") };
        packet.extend_from_slice(&ip.octets());
    }
    packet.extend_from_slice(&from.port().to_be_bytes());
    packet.extend_from_slice(&to.port().to_be_bytes());
    packet.extend_from_slice(&(len as u16 - 20).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
}

/// The IPv4 identification: nothing looks at it in a packet that is not to be fragmented.
#[must_use]
pub fn identification(packet: &[u8]) -> u16 {
    packet.get(4..6).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

/// Sets it.
pub fn set_identification(packet: &mut [u8], to: u16) {
    if let Some(bytes) = packet.get_mut(4..6) {
        bytes.copy_from_slice(&to.to_be_bytes());
    }
}

/// Source and destination of an IPv4 and UDP packet without options.
#[must_use]
pub fn udp(packet: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let head: &[u8; 28] = packet.first_chunk()?;
    let address = |ip: usize, port: usize| {
        let octets = [head[ip], head[ip + 1], head[ip + 2], head[ip + 3]];
        SocketAddr::from((octets, u16::from_be_bytes([head[port], head[port + 1]])))
    };
    (head[0] == 0x45 && head[9] == 17).then(|| (address(12, 20), address(16, 22)))
}
