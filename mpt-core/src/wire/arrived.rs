//! What a report says for repair: which packets have not arrived and will not.

use super::{Reader, Writer};
use crate::id::MAX_PATHS;
use crate::{PacketNumber, PathId};
use std::time::Duration;

/// Gaps of one path in one report, at most. Older ones were told before.
pub const MAX_GAPS: usize = 24;

const HEAD_LEN: usize = 2 + 8 + 1;
const PATH_LEN: usize = 1 + 1 + 4 + 4;
const GAP_LEN: usize = 2 + 2;

/// What has not arrived of one path's sequence.
///
/// `path u8 | gaps u8 | settled u32 | floor u32 | gaps × (back u16 | length u16)`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathGaps {
    /// In the numbering of the end that sent the packets.
    pub path: PathId,
    /// Up to this number of the path sequence it is known what arrived.
    pub settled: u32,
    /// From this number on all gaps up to `settled` are in the list.
    pub floor: u32,
    count: u8,
    /// First and last number, the newest first.
    gaps: [(u32, u32); MAX_GAPS],
}

impl PathGaps {
    /// A path of which everything from `floor` to `settled` arrived.
    #[must_use]
    pub const fn new(path: PathId, settled: u32, floor: u32) -> Self {
        Self { path, settled, floor, count: 0, gaps: [(0, 0); MAX_GAPS] }
    }

    /// Gaps that end with `last` or before are not in the list.
    pub const fn end_after(&mut self, last: u32) {
        self.floor = last.wrapping_add(1);
    }

    /// The numbers `first` to `last`, before those added so far, did not arrive. When there is no room,
    /// the list ends here, and says so; then nothing more may be added.
    pub fn add(&mut self, first: u32, last: u32) -> bool {
        let before = self.gaps().last().map_or(self.settled, |g| g.0);
        let fits = |n: u32| u16::try_from(n).is_ok();
        let room = usize::from(self.count) < MAX_GAPS
            && fits(before.wrapping_sub(last))
            && fits(last.wrapping_sub(first).wrapping_add(1));
        if room {
            self.gaps[usize::from(self.count)] = (first, last);
            self.count += 1;
        } else {
            self.end_after(last);
        }
        room
    }

    /// The gaps, the newest first: first and last number.
    #[must_use]
    pub fn gaps(&self) -> &[(u32, u32)] {
        &self.gaps[..usize::from(self.count)]
    }

    /// The oldest gap that ends with this number or a later one.
    #[must_use]
    pub fn gap_from(&self, seq: u32) -> Option<(u32, u32)> {
        let ends_there = |&&(_, last): &&(u32, u32)| last.wrapping_sub(seq) as i32 >= 0;
        self.gaps().iter().rev().find(ends_there).copied()
    }

    /// The same, with the newest `count` gaps only.
    fn clipped(&self, count: usize) -> Self {
        let mut clipped = *self;
        if let Some(&(_, last)) = self.gaps().get(count) {
            clipped.end_after(last);
            clipped.count = count as u8;
        }
        clipped
    }
}

/// Follows the entries of a report between ends that repair. All of it is cumulative: a gap is told again
/// in every report for a while.
///
/// `patience u16 (100 µs) | resolved u64 | paths u8 | paths`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// How long a packet is waited for that is known to be lost.
    pub patience: Duration,
    /// All packet numbers up to here were delivered or given up.
    pub resolved: PacketNumber,
    paths: [Option<PathGaps>; MAX_PATHS],
}

impl Arrived {
    /// Without paths.
    #[must_use]
    pub const fn new(patience: Duration, resolved: PacketNumber) -> Self {
        Self { patience, resolved, paths: [None; MAX_PATHS] }
    }

    /// Adds a path.
    pub fn add(&mut self, path: PathGaps) {
        self.paths[path.path.index()] = Some(path);
    }

    /// The paths.
    pub fn paths(&self) -> impl Iterator<Item = &PathGaps> {
        self.paths.iter().flatten()
    }

    /// How many gaps of `paths` paths have room in so many bytes.
    #[must_use]
    pub const fn room(bytes: usize, paths: usize) -> usize {
        bytes.saturating_sub(HEAD_LEN + paths * PATH_LEN) / GAP_LEN
    }

    /// Writes it, with as many gaps as there is room for; `None` when there is not even room for none.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let (paths, gaps) =
            self.paths().fold((0, 0), |(n, gaps), p| (n + 1, gaps + p.gaps().len()));
        out.len().checked_sub(HEAD_LEN + paths * PATH_LEN)?;
        let room = Self::room(out.len(), paths);
        let each = if gaps <= room { MAX_GAPS } else { room / paths.max(1) };
        let mut w = Writer::new(out);
        w.u16(u16::try_from(self.patience.as_micros() / 100).unwrap_or(u16::MAX))?;
        w.u64(self.resolved.0)?;
        w.u8(paths as u8)?;
        for p in self.paths().map(|p| p.clipped(each)) {
            w.u8(p.path.get())?;
            w.u8(p.count)?;
            w.u32(p.settled)?;
            w.u32(p.floor)?;
            let mut before = p.settled;
            for &(first, last) in p.gaps() {
                w.u16(before.wrapping_sub(last) as u16)?;
                w.u16(last.wrapping_sub(first).wrapping_add(1) as u16)?;
                before = first;
            }
        }
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        let patience = Duration::from_micros(u64::from(r.u16()?) * 100);
        let mut arrived = Self::new(patience, PacketNumber(r.u64()?));
        let paths = r.u8()?;
        if usize::from(paths) > MAX_PATHS {
            return None;
        }
        for _ in 0..paths {
            let path = PathId::new(r.u8()?)?;
            let count = r.u8()?;
            let mut p = PathGaps::new(path, r.u32()?, r.u32()?);
            let mut before = p.settled;
            for _ in 0..count {
                let last = before.wrapping_sub(u32::from(r.u16()?));
                let len = r.u16().filter(|&len| len > 0)?;
                let first = last.wrapping_sub(u32::from(len)).wrapping_add(1);
                if usize::from(p.count) < MAX_GAPS {
                    p.gaps[usize::from(p.count)] = (first, last);
                    p.count += 1;
                } else {
                    return None;
                }
                before = first;
            }
            arrived.add(p);
        }
        Some(arrived)
    }
}
