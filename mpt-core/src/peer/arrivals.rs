//! What has arrived on each of the peer's paths: the substance of reports.

use super::delay_tally::DelayTally;
use crate::id::MAX_PATHS;
use crate::wire::PathReport;
use crate::{PacketNumber, PathId, Time};

/// What arrived on one path.
#[derive(Clone, Default, Debug)]
pub struct PathArrivals {
    /// Highest packet number.
    pub highest_pn: PacketNumber,
    /// Highest path sequence.
    pub highest_seq: u32,
    /// When that came.
    pub highest_at: Time,
    /// Packets that are counted in the path sequence.
    pub packets: u64,
    /// Their UDP payload bytes, and those of parities.
    pub bytes: u64,
    /// Delays since the last report.
    pub delays: DelayTally,
}

/// What arrived, per path in the peer's numbering.
#[derive(Default, Debug)]
pub struct Arrivals {
    paths: [PathArrivals; MAX_PATHS],
    missing: u64,
}

impl Arrivals {
    /// A data packet came, duplicates included.
    pub fn on_packet(
        &mut self,
        now: Time,
        path: PathId,
        pn: PacketNumber,
        (sequence, send_time, copy): (u32, u16, u8),
        bytes: usize,
    ) {
        let p = &mut self.paths[path.index()];
        p.packets += 1;
        p.bytes += bytes as u64;
        p.highest_pn = p.highest_pn.max(pn);
        // What is sent again keeps the time of its first try.
        if copy == 0 {
            p.delays.on_packet(now, sequence, send_time);
        }
        p.advance(now, sequence);
    }

    /// A parity of `bytes` came: no packet of the path sequence, but part of what the path carried.
    pub fn on_parity(&mut self, path: PathId, bytes: usize) {
        let p = &mut self.paths[path.index()];
        // Of a path that carries nothing else nothing is told, and all at once later would look like a rate.
        if p.packets > 0 {
            p.bytes += bytes as u64;
        }
    }

    /// A marker or word of a pause came, the first with this sequence: repeats count no more. It may have been overtaken by what was sent behind it,
    /// and is no less there for that.
    pub fn on_marker(&mut self, now: Time, path: PathId, sequence: u32) {
        let p = &mut self.paths[path.index()];
        p.packets += 1;
        p.advance(now, sequence);
    }

    /// What came from now on is for the next report.
    pub fn begin_report(&mut self) {
        self.paths.iter_mut().for_each(|p| p.delays.begin());
    }

    /// So many are missing now; whether that is more than last time.
    pub fn note_missing(&mut self, missing: u64) -> bool {
        std::mem::replace(&mut self.missing, missing) < missing
    }

    /// The entries of a report: every path on which something came.
    pub fn report(
        &self,
        now: Time,
        acknowledged: impl Fn(PathId) -> Option<u16>,
    ) -> impl Iterator<Item = PathReport> {
        PathId::all().filter(|p| self.paths[p.index()].packets > 0).map(move |path| {
            let p = &self.paths[path.index()];
            let age = now.since(p.highest_at).as_micros() / 100;
            PathReport {
                path,
                marker_epoch: acknowledged(path),
                highest_seq: p.highest_seq,
                highest_pn: p.highest_pn,
                packets: p.packets,
                bytes: p.bytes,
                since_highest: u16::try_from(age).unwrap_or(u16::MAX),
                delays: p.delays.get((now.as_micros() / 100) as u32),
            }
        })
    }
}

impl PathArrivals {
    fn advance(&mut self, now: Time, sequence: u32) {
        if self.packets == 1 || sequence.wrapping_sub(self.highest_seq) as i32 > 0 {
            self.highest_seq = sequence;
            self.highest_at = now;
        }
    }
}
