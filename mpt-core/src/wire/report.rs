//! What has arrived.

use super::{Reader, Writer};
use crate::id::MAX_PATHS;
use crate::{PacketNumber, PathId, WorkerId};
use std::time::Duration;

/// One path's entry.
///
/// `path u8 | flags u8 | marker epoch u16 | highest sequence u32 | highest packet number u64 |
/// packets u64 | bytes u64 | since highest u16 | least delay u32 | jitter u16 | delays u16 | time u32 |
/// mean u16`; flags: 1 the marker epoch is acknowledged, 2 there are delays. 48 bytes; 34 and more are understood, of less than
/// 48 without the delays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathReport {
    /// In the numbering of the end that sent the packets.
    pub path: PathId,
    /// The newest marker that is acknowledged: all before it arrived or will not.
    pub marker_epoch: Option<u16>,
    /// Highest path sequence that arrived.
    pub highest_seq: u32,
    /// Highest packet number that arrived.
    pub highest_pn: PacketNumber,
    /// Packets that arrived, duplicates included.
    pub packets: u64,
    /// Their UDP payload bytes, and those of parities.
    pub bytes: u64,
    /// How long before this report the highest sequence arrived, in units of 100 µs, saturating.
    pub since_highest: u16,
    /// One-way delays of what came since the report before; none when nothing did.
    pub delays: Option<DelayReport>,
}

/// One-way delays in units of 100 µs from the sender's clock to the reporter's, wrapping: they hold a constant
/// that all paths share and nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DelayReport {
    /// The least.
    pub least: u32,
    /// The mean difference of two packets that came one after the other, as of now.
    pub jitter: u16,
    /// By how much the mean is above the least, saturating.
    pub mean: u16,
    /// Of how many packets these are.
    pub packets: u16,
    /// The reporter's clock when it counted, in units of 100 µs, wrapping.
    pub at: u32,
}

const HEAD_LEN: usize = 1 + 2 + 2 + 8 + 1 + 1;
const ENTRY_LEN: usize = 48;
const WITHOUT_MEAN: usize = 46;
const ACKNOWLEDGED: u8 = 1;
const DELAYS: u8 = 2;

/// What has arrived of one worker's packets. Cumulative: a lost report costs nothing.
///
/// `worker u8 | unusable paths u16 | interval u16 (100 µs) | highest u64 | entries u8 | entry length u8 |
/// entries`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Whose packet numbers.
    pub worker: WorkerId,
    /// The reporting end's own paths (its numbering) that cannot be used at its side.
    pub unusable: u16,
    /// The reporting end's pause between reports now.
    pub interval: Duration,
    /// Highest packet number that arrived on any path.
    pub highest: PacketNumber,
    paths: [Option<PathReport>; MAX_PATHS],
}

impl Report {
    /// A report without entries.
    #[must_use]
    pub const fn new(
        worker: WorkerId,
        unusable: u16,
        interval: Duration,
        highest: PacketNumber,
    ) -> Self {
        Self { worker, unusable, interval, highest, paths: [None; MAX_PATHS] }
    }

    /// Adds a path's entry.
    pub fn add(&mut self, entry: PathReport) {
        self.paths[entry.path.index()] = Some(entry);
    }

    /// The entries.
    pub fn paths(&self) -> impl Iterator<Item = &PathReport> {
        self.paths.iter().flatten()
    }

    /// Bytes of it.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        HEAD_LEN + self.paths().count() * ENTRY_LEN
    }

    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out);
        w.u8(self.worker.get())?;
        w.u16(self.unusable)?;
        w.u16(u16::try_from(self.interval.as_micros() / 100).unwrap_or(u16::MAX))?;
        w.u64(self.highest.0)?;
        w.u8(self.paths().count() as u8)?;
        w.u8(ENTRY_LEN as u8)?;
        for p in self.paths() {
            w.u8(p.path.get())?;
            let acknowledged = if p.marker_epoch.is_some() { ACKNOWLEDGED } else { 0 };
            w.u8(acknowledged | if p.delays.is_some() { DELAYS } else { 0 })?;
            w.u16(p.marker_epoch.unwrap_or(0))?;
            w.u32(p.highest_seq)?;
            w.u64(p.highest_pn.0)?;
            w.u64(p.packets)?;
            w.u64(p.bytes)?;
            w.u16(p.since_highest)?;
            let none = DelayReport { least: 0, jitter: 0, mean: 0, packets: 0, at: 0 };
            let delays = p.delays.unwrap_or(none);
            w.u32(delays.least)?;
            w.u16(delays.jitter)?;
            w.u16(delays.packets)?;
            w.u32(delays.at)?;
            w.u16(delays.mean)?;
        }
        debug_assert_eq!(w.len(), self.encoded_len());
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        Self::read(message).map(|(report, _)| report)
    }

    /// Reads it, and gives what stands behind it.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<(Self, &[u8])> {
        let mut r = Reader::new(message);
        let worker = WorkerId::new(r.u8()?)?;
        let unusable = r.u16()?;
        let interval = Duration::from_micros(u64::from(r.u16()?) * 100);
        let mut report = Self::new(worker, unusable, interval, PacketNumber(r.u64()?));
        let (entries, entry_len) = (r.u8()?, r.u8()? as usize);
        if entries as usize > MAX_PATHS {
            return None;
        }
        for _ in 0..entries {
            let mut e = Reader::new(r.bytes(entry_len)?);
            let path = PathId::new(e.u8()?)?;
            let flags = e.u8()?;
            let epoch = e.u16()?;
            let mut entry = PathReport {
                path,
                marker_epoch: (flags & ACKNOWLEDGED != 0).then_some(epoch),
                highest_seq: e.u32()?,
                highest_pn: PacketNumber(e.u64()?),
                packets: e.u64()?,
                bytes: e.u64()?,
                since_highest: e.u16()?,
                delays: None,
            };
            if flags & DELAYS != 0 && entry_len != WITHOUT_MEAN {
                let (least, jitter, packets, at) = (e.u32()?, e.u16()?, e.u16()?, e.u32()?);
                entry.delays = Some(DelayReport { least, jitter, mean: e.u16()?, packets, at });
            }
            report.add(entry);
        }
        Some((report, r.rest()))
    }
}
