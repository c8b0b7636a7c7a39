//! On which paths packets may be under way, at the sender.

use super::paths_in;
use crate::id::MAX_PATHS;
use crate::{PacketNumber, PathId, Time};
use std::time::Duration;

/// A path that carried nothing for this long while another is open is closed. Shorter costs a marker
/// in every small pause; longer lets an idle path hold up for longer what was lost on the others.
const IDLE: Duration = Duration::from_millis(5);

/// How soon a marker is repeated at first, for it may be lost. Each pause is twice the one before, …
const REPEAT: Duration = Duration::from_millis(5);

/// … up to this: the path's round trip is long, or it does not work.
const SLOWEST_REPEAT: Duration = Duration::from_millis(50);

/// Follows the last packet of a path, until the path is used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Counts the times the path was opened, wrapping. The acknowledgement names it.
    pub epoch: u16,
    /// The last packet number sent on any path: the path brings nothing more up to this one.
    pub last_pn: PacketNumber,
    /// The marker's place in the path sequence; the same in all repeats.
    pub seq: u32,
}

/// The paths of a sending worker: closed, open, or closing.
///
/// The first data packet opens a path. A path that was idle for 5 ms while another one is open begins
/// to close: [`poll_marker`](Self::poll_marker) gives its marker until
/// [`on_marker_ack`](Self::on_marker_ack) names that epoch. Only then the bit goes out, for only then
/// nothing is under way any more. The last open path stays open: there is no other for which it could
/// hold up the frontier, and a tunnel with one path needs no markers.
#[derive(Debug, Default)]
pub struct OpenPaths {
    paths: [Path; MAX_PATHS],
    bitmap: u16,
    last_pn: PacketNumber,
}

#[derive(Clone, Copy, Debug, Default)]
struct Path {
    state: State,
    epoch: u16,
    /// The last number used in the path sequence.
    seq: u32,
    last_data: Time,
    /// It was left: closed then, whatever is heard of its marker.
    abandoned_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open,
    Closing {
        /// The marker's place in the path sequence. Copies may have come behind it.
        seq: u32,
        next_marker: Time,
        /// How often it was sent.
        sent: u8,
    },
}

impl OpenPaths {
    /// All paths closed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The data packet `pn` goes out on `path` now; to be called before its header is written.
    /// Gives its number in the path sequence; the first is 1. It wraps.
    pub fn on_data(&mut self, now: Time, path: PathId, pn: PacketNumber) -> u32 {
        self.last_pn = self.last_pn.max(pn);
        self.bitmap |= path.bit();
        let p = &mut self.paths[path.index()];
        if !matches!(p.state, State::Open) {
            p.epoch = p.epoch.wrapping_add(1);
            p.state = State::Open;
        }
        p.last_data = now;
        p.abandoned_at = None;
        p.seq = p.seq.wrapping_add(1);
        p.seq
    }

    /// A copy of an earlier packet goes out on `path` now. Gives its number in the path sequence. It neither
    /// opens a path nor keeps it from closing, for nobody waits for what a copy may bring.
    pub fn on_copy(&mut self, path: PathId) -> u32 {
        let p = &mut self.paths[path.index()];
        p.seq = p.seq.wrapping_add(1);
        p.seq
    }

    /// The last number given out in the sequence of `path`.
    #[must_use]
    pub const fn last_seq(&self, path: PathId) -> u32 {
        self.paths[path.index()].seq
    }

    /// A bit for each path on which packets may be under way, as it stands in the data header.
    #[must_use]
    pub const fn bitmap(&self) -> u16 {
        self.bitmap
    }

    /// A marker that is to be sent now on its path. To be called until there is none.
    #[must_use]
    pub fn poll_marker(&mut self, now: Time) -> Option<(PathId, Marker)> {
        for path in paths_in(self.bitmap) {
            if self.paths[path.index()].abandoned_at.is_some_and(|at| at <= now) {
                self.close(path);
            }
        }
        let path =
            paths_in(self.bitmap).find(|&p| self.marker_due(p).is_some_and(|due| due <= now))?;
        let p = &mut self.paths[path.index()];
        let (seq, sent) = match p.state {
            State::Closing { seq, sent, .. } => (seq, sent),
            State::Open | State::Closed => {
                p.seq = p.seq.wrapping_add(1);
                (p.seq, 0)
            }
        };
        let pause = (REPEAT * (1 << sent.min(7))).min(SLOWEST_REPEAT);
        p.state = State::Closing { seq, next_marker: now + pause, sent: sent.saturating_add(1) };
        Some((path, Marker { epoch: p.epoch, last_pn: self.last_pn, seq }))
    }

    /// The receiver has all it will get from `path` up to the marker of `epoch`.
    pub fn on_marker_ack(&mut self, path: PathId, epoch: u16) {
        let p = &mut self.paths[path.index()];
        if matches!(p.state, State::Closing { .. }) && p.epoch == epoch {
            self.close(path);
        }
    }

    /// The path is down. What was under way on it is abandoned at once, since nothing is sent again:
    /// the receiver gives it up with the next packet that comes on another path.
    pub fn on_path_down(&mut self, path: PathId) {
        self.close(path);
    }

    /// The path is out of use, some path works `since` then, and what was sent here comes, or by another path, within `transit`: it is
    /// closed when that has passed since its last packet, or by a marker before. What is still under way comes in order
    /// meanwhile, be it that an operator took the path out of use, or that only the way back failed.
    pub fn on_path_left(&mut self, now: Time, path: PathId, since: Time, transit: Duration) {
        let at = self.paths[path.index()].last_data.max(since) + transit;
        if at <= now {
            self.close(path);
        } else {
            self.paths[path.index()].abandoned_at = Some(at);
        }
    }

    /// No path works: those that were left are not closed, for what was sent there cannot come by another one yet.
    pub fn on_none_works(&mut self) {
        self.paths.iter_mut().for_each(|p| p.abandoned_at = None);
    }

    /// When [`poll_marker`](Self::poll_marker) wants to be called: a path has been idle for long
    /// enough, a marker is to be repeated, or a path that was left is to be closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let due = |p| [self.marker_due(p), self.paths[p.index()].abandoned_at];
        paths_in(self.bitmap).flat_map(due).flatten().min()
    }

    fn close(&mut self, path: PathId) {
        self.paths[path.index()].state = State::Closed;
        self.paths[path.index()].abandoned_at = None;
        self.bitmap &= !path.bit();
    }

    fn marker_due(&self, path: PathId) -> Option<Time> {
        let p = &self.paths[path.index()];
        match p.state {
            State::Open if self.bitmap != path.bit() => Some(p.last_data + IDLE),
            State::Closing { next_marker, .. } => Some(next_marker),
            State::Open | State::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PathId = PathId::new(0).unwrap();
    const B: PathId = PathId::new(3).unwrap();

    fn ms(t: u64) -> Time {
        Time::from_millis(t)
    }

    fn pn(n: u64) -> PacketNumber {
        PacketNumber(n)
    }

    #[test]
    fn the_only_open_path_stays_open() {
        let mut o = OpenPaths::new();
        assert_eq!(o.on_data(ms(0), A, pn(1)), 1);
        assert_eq!(o.on_data(ms(1), A, pn(2)), 2);
        assert_eq!(o.bitmap(), A.bit());
        assert_eq!(o.poll_timeout(), None);
        assert_eq!(o.poll_marker(ms(1_000)), None);
    }

    #[test]
    fn an_idle_path_closes_only_when_its_marker_is_acknowledged() {
        let mut o = OpenPaths::new();
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(2), B, pn(2));
        assert_eq!(o.poll_timeout(), Some(ms(5)));
        assert_eq!(o.poll_marker(ms(4)), None);
        o.on_data(ms(4), B, pn(3));
        let marker = Marker { epoch: 1, last_pn: pn(3), seq: 2 };
        assert_eq!(o.poll_marker(ms(5)), Some((A, marker)));
        assert_eq!(o.poll_marker(ms(5)), None);
        o.on_data(ms(8), B, pn(4));
        let repeat = Marker { last_pn: pn(4), ..marker };
        assert_eq!(o.poll_marker(ms(10)), Some((A, repeat)), "same place, newest packet number");

        assert_eq!(o.bitmap(), A.bit() | B.bit());
        o.on_marker_ack(A, 0);
        assert_eq!(o.bitmap(), A.bit() | B.bit(), "another epoch");
        o.on_marker_ack(A, 1);
        assert_eq!(o.bitmap(), B.bit());
        assert_eq!(o.poll_timeout(), None, "B is the only one left");
    }

    #[test]
    fn data_ends_closing_and_an_old_acknowledgement_does_not_count() {
        let mut o = OpenPaths::new();
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(6), B, pn(2));
        assert!(o.poll_marker(ms(6)).is_some());
        assert_eq!(o.on_data(ms(7), A, pn(3)), 3, "the marker had 2");
        o.on_marker_ack(A, 1);
        assert_eq!(o.bitmap(), A.bit() | B.bit());
        let (path, marker) = o.poll_marker(ms(12)).unwrap();
        assert_eq!((path, marker.epoch), (A, 2));
    }

    #[test]
    fn a_copy_does_not_open_a_path_that_is_closing() {
        let mut o = OpenPaths::new();
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(0), B, pn(2));
        o.on_data(ms(6), B, pn(3));
        let marker = Marker { epoch: 1, last_pn: pn(3), seq: 2 };
        assert_eq!(o.poll_marker(ms(6)), Some((A, marker)));
        assert_eq!((o.on_copy(A), o.last_seq(A)), (3, 3), "the marker had 2");
        assert_eq!(o.poll_marker(ms(11)), Some((A, marker)), "a repeat keeps its place");
        o.on_marker_ack(A, 1);
        assert_eq!(o.bitmap(), B.bit());
        assert_eq!((o.on_copy(A), o.bitmap()), (4, B.bit()));
        assert_eq!(o.on_data(ms(20), A, pn(4)), 5);
        assert_eq!(o.poll_marker(ms(25)).map(|(_, m)| (m.epoch, m.seq)), Some((2, 6)), "afresh");
    }

    #[test]
    fn markers_become_rare() {
        let mut o = OpenPaths::new();
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(0), B, pn(2));
        let mut sent = 0;
        for t in 0..1_000 {
            while o.poll_marker(ms(t)).is_some() {
                sent += 1;
            }
        }
        assert!((2 * 20..2 * 25).contains(&sent), "{sent}");
    }

    #[test]
    fn a_path_that_is_down_is_closed_at_once() {
        let mut o = OpenPaths::new();
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(0), B, pn(2));
        o.on_path_down(A);
        assert_eq!(o.bitmap(), B.bit());
        assert_eq!(o.poll_timeout(), None);
    }

    #[test]
    fn a_path_that_was_left_is_closed_when_nothing_is_under_way_any_more() {
        let mut o = OpenPaths::new();
        let transit = Duration::from_millis(30);
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(0), B, pn(2));
        o.on_path_left(ms(10), A, ms(0), transit);
        let (path, marker) = o.poll_marker(ms(10)).unwrap();
        assert_eq!((path, marker.epoch, o.bitmap()), (A, 1, A.bit() | B.bit()));
        while o.poll_marker(ms(29)).is_some() {}
        assert!(o.bitmap() & A.bit() != 0);
        while o.poll_marker(ms(30)).is_some() {}
        assert_eq!(o.bitmap() & A.bit(), 0);

        // Used again meanwhile, it was not left.
        o.on_data(ms(40), A, pn(3));
        o.on_path_left(ms(41), A, ms(0), transit);
        o.on_data(ms(50), A, pn(4));
        o.on_data(ms(69), B, pn(5));
        while o.poll_marker(ms(70)).is_some() {}
        assert!(o.bitmap() & A.bit() != 0);

        // By its marker before.
        o.on_path_left(ms(70), A, ms(0), transit);
        o.on_marker_ack(A, 2);
        assert_eq!(o.bitmap() & A.bit(), 0);
        o.on_path_left(ms(200), B, ms(0), transit);
        assert_eq!((o.bitmap(), o.poll_timeout()), (0, None));
    }

    #[test]
    fn a_path_that_was_left_stays_open_while_none_works() {
        let mut o = OpenPaths::new();
        let transit = Duration::from_millis(30);
        o.on_data(ms(0), A, pn(1));
        o.on_data(ms(0), B, pn(2));
        o.on_path_left(ms(10), A, ms(0), transit);
        o.on_none_works();
        while o.poll_marker(ms(500)).is_some() {}
        assert!(o.bitmap() & A.bit() != 0);
        o.on_path_left(ms(510), A, ms(510), transit);
        while o.poll_marker(ms(539)).is_some() {}
        assert!(o.bitmap() & A.bit() != 0, "what was there is sent again now");
        while o.poll_marker(ms(540)).is_some() {}
        assert_eq!(o.bitmap() & A.bit(), 0);
    }
}
