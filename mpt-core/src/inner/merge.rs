//! Packets of one flow that follow one another, joined to a super-packet, as a network card or the kernel
//! would (GRO).
//!
//! A run of a flow lies in a buffer of its own. A packet joins it when cutting the run again would give
//! the very same packets: same headers (but lengths, sequence numbers, identifications and checksums),
//! consecutive TCP sequence numbers, the same payload size. A shorter one is the last, and so is one with
//! PSH or FIN. What cannot join ends its flow's run first, so packets of one flow never overtake one
//! another; flows may pass each other.

use super::candidate::Candidate;
use super::checksum::{may_be_made_anew, pseudo_header, replace_u16};
use super::{Checksum, InnerPacket, Offload, Segments, Version};

/// Bytes in front of every packet that is given out: room for what the device wants there.
pub const HEADROOM: usize = 12;

/// Runs at a time. Packets of one flow mostly come many in a row; a few flows take turns on a busy link.
const RUNS: usize = 4;

/// Most packets in a run: `UDP_MAX_SEGMENTS` of kernels before 6.9; TCP knows no limit but the length.
const MAX_UDP_SEGMENTS: usize = 64;

/// Protocols of packets that may be of a run's flow though it is not seen: TCP and UDP cut short, and IPv6 extension
/// headers that were not looked through to their end.
const MAY_BE_OF_A_RUN: [u8; 7] = [0, 6, 17, 43, 44, 51, 60];

/// Longest packet, with its headers: the IPv4 length field, and no more in IPv6 without jumbograms.
const MAX_LEN: usize = 65_535;

// What a merger keeps: each run's longest packet, and one alone.
const _: () = assert!((RUNS + 1) * (HEADROOM + MAX_LEN) <= 321 * 1_024);

/// Where packets go: [`HEADROOM`] bytes and the packet, and what the kernel is to be told beside.
pub type Emit<'a> = dyn FnMut(&mut [u8], &Offload) + 'a;

/// Joins packets to super-packets.
#[derive(Debug)]
pub struct Merger {
    /// The most recent first; empty ones last.
    runs: [Run; RUNS],
    /// For packets that join nothing.
    alone: Vec<u8>,
    tcp: bool,
    udp: bool,
}

/// Packets of one flow; none when `count` is 0.
#[derive(Debug, Default)]
struct Run {
    /// [`HEADROOM`] and the packet so far; its lengths and checksum are those of the first one.
    buffer: Vec<u8>,
    first: Option<Candidate>,
    inner: Option<InnerPacket>,
    count: usize,
    /// Nothing more may join.
    closed: bool,
}

impl Default for Merger {
    fn default() -> Self {
        Self::new()
    }
}

impl Merger {
    /// Joins TCP and UDP.
    #[must_use]
    pub fn new() -> Self {
        Self { runs: Default::default(), alone: Vec::new(), tcp: true, udp: true }
    }

    /// Whether TCP is joined. Runs that were begun go on.
    pub fn set_tcp(&mut self, on: bool) {
        self.tcp = on;
    }

    /// Whether UDP is joined. Runs that were begun go on.
    pub fn set_udp(&mut self, on: bool) {
        self.udp = on;
    }

    /// The next packet in order, an IP packet.
    pub fn push(&mut self, packet: &[u8], checksum: Checksum, emit: &mut Emit<'_>) {
        let Ok(inner) = InnerPacket::parse(packet) else {
            return self.pass(packet, Offload::default(), emit);
        };
        let transport = inner.transport() as u16;
        let alone = Offload { checksum, segments: Segments::One, transport };
        if inner.is_fragment() {
            // Its flow is not known: no packet of its addresses may be overtaken.
            self.flush(emit);
            return self.pass(packet, alone, emit);
        }
        let Some(candidate) = Candidate::of(packet, &inner) else {
            if MAY_BE_OF_A_RUN.contains(&inner.protocol()) {
                self.flush(emit);
            }
            return self.pass(packet, alone, emit);
        };
        let own = self.runs.iter().position(|r| r.is_of(packet, &candidate));
        let wanted = if candidate.tcp { self.tcp } else { self.udp };
        let sound = || may_be_made_anew(packet, &inner, checksum);
        if !wanted || !candidate.may_join || !sound() {
            if let Some(i) = own {
                self.end(i, emit);
            }
            return self.pass(packet, alone, emit);
        }
        match own {
            Some(i) if self.runs[i].takes(packet, &candidate) => {
                self.runs[i].append(packet, &candidate);
                self.runs[..=i].rotate_right(1);
            }
            Some(i) => {
                self.end(i, emit);
                self.begin(packet, candidate, inner, checksum, emit);
            }
            None => self.begin(packet, candidate, inner, checksum, emit),
        }
    }

    /// The end of a batch: gives out all that waits for more, the oldest run first.
    pub fn flush(&mut self, emit: &mut Emit<'_>) {
        for run in self.runs.iter_mut().rev() {
            run.give_out(emit);
        }
    }

    /// Ends run `i`, which then is the last one.
    fn end(&mut self, i: usize, emit: &mut Emit<'_>) {
        self.runs[i].give_out(emit);
        self.runs[i..].rotate_left(1);
    }

    fn begin(
        &mut self,
        packet: &[u8],
        candidate: Candidate,
        inner: InnerPacket,
        checksum: Checksum,
        emit: &mut Emit<'_>,
    ) {
        self.runs.rotate_right(1);
        let run = &mut self.runs[0];
        run.give_out(emit);
        // First of all: room is asked for behind what stands there.
        run.buffer.clear();
        run.buffer.reserve(HEADROOM + MAX_LEN);
        run.buffer.resize(HEADROOM, 0);
        run.buffer.extend_from_slice(packet);
        run.closed = candidate.ends_run;
        run.first = Some(Candidate { checksum, ..candidate });
        run.inner = Some(inner);
        run.count = 1;
    }

    fn pass(&mut self, packet: &[u8], offload: Offload, emit: &mut Emit<'_>) {
        self.alone.clear();
        self.alone.resize(HEADROOM, 0);
        self.alone.extend_from_slice(packet);
        emit(&mut self.alone, &offload);
    }
}

#[cfg(test)]
impl Merger {
    /// Bytes that its buffers take.
    pub(super) fn memory(&self) -> usize {
        self.runs.iter().map(|r| r.buffer.capacity()).sum::<usize>() + self.alone.capacity()
    }
}

impl Run {
    /// Whether the packet is of this run's flow.
    fn is_of(&self, packet: &[u8], candidate: &Candidate) -> bool {
        match &self.first {
            Some(first) if self.count > 0 => {
                first.is_same_flow(&self.buffer[HEADROOM..], candidate, packet)
            }
            _ => false,
        }
    }

    /// Whether the packet, which is of this run's flow, is the next one of it.
    fn takes(&self, packet: &[u8], candidate: &Candidate) -> bool {
        let Some(first) = &self.first else { return false };
        let so_far = &self.buffer[HEADROOM..];
        let limit = if candidate.tcp { usize::MAX } else { MAX_UDP_SEGMENTS };
        !self.closed
            && self.count < limit
            && candidate.payload <= first.payload
            && so_far.len() + candidate.payload <= MAX_LEN
            && first.is_followed(so_far, self.count, candidate, packet)
    }

    fn append(&mut self, packet: &[u8], candidate: &Candidate) {
        let Some(first) = &self.first else { return };
        self.closed = candidate.ends_run || candidate.payload < first.payload;
        self.count += 1;
        self.buffer.extend_from_slice(&packet[candidate.header..]);
        if candidate.tcp {
            // PSH and FIN are the only ones that may differ.
            self.buffer[HEADROOM + candidate.transport + 13] |= packet[candidate.transport + 13];
        }
    }

    fn give_out(&mut self, emit: &mut Emit<'_>) {
        let (Some(first), Some(inner)) = (&self.first, &self.inner) else { return };
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return;
        }
        let transport = first.transport as u16;
        let mut offload = Offload { checksum: first.checksum, segments: Segments::One, transport };
        if count > 1 {
            let packet = &mut self.buffer[HEADROOM..];
            let total = packet.len();
            match inner.version() {
                Version::V4 => replace_u16(packet, 2, total as u16, 10),
                Version::V6 => packet[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes()),
            }
            let length = total - first.transport;
            let sum = pseudo_header(inner, length).to_be_bytes();
            let header = &mut packet[first.transport..];
            let size = first.payload as u16;
            if first.tcp {
                header[16..18].copy_from_slice(&sum);
                offload.segments = Segments::Tcp { size };
            } else {
                header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
                header[6..8].copy_from_slice(&sum);
                offload.segments = Segments::Udp { size };
            }
            offload.checksum = Checksum::Partial;
        }
        emit(&mut self.buffer, &offload);
    }
}
