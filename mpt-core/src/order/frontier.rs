//! What the open-path bitmaps tell.

use super::paths_in;
use crate::PathId;
use crate::id::MAX_PATHS;

/// On which paths packets may still be under way, and up to where the others are done.
#[derive(Debug, Default)]
pub(super) struct Frontier {
    /// The highest packet number that came, and the paths that were open then.
    newest: u64,
    open: u16,
    /// Up to where each path is known to have been closed, apart from what `newest` tells.
    closed_through: [u64; MAX_PATHS],
}

impl Frontier {
    /// The packet `pn` said that these paths were open when it was sent: each of the others brings
    /// nothing more below `pn`. Tells whether a path was opened.
    pub(super) fn on_packet(&mut self, pn: u64, open: u16) -> bool {
        if pn > self.newest {
            let opened = open & !self.open;
            let done = self.newest.saturating_sub(1);
            (self.newest, self.open) = (pn, open);
            self.raise(opened, done);
            opened != 0
        } else {
            self.raise(self.open & !open, pn.saturating_sub(1));
            false
        }
    }

    /// The paths open in the newest packet.
    pub(super) fn open(&self) -> impl Iterator<Item = PathId> + use<> {
        paths_in(self.open)
    }

    /// Up to where an open path brings nothing more because it was closed then.
    pub(super) const fn closed_through(&self, path: PathId) -> u64 {
        self.closed_through[path.index()]
    }

    fn raise(&mut self, paths: u16, through: u64) {
        for path in paths_in(paths) {
            let p = &mut self.closed_through[path.index()];
            *p = (*p).max(through);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PathId = PathId::new(0).unwrap();
    const B: PathId = PathId::new(1).unwrap();

    #[test]
    fn a_path_was_done_with_what_came_before_it_opened() {
        let mut f = Frontier::default();
        f.on_packet(5, A.bit());
        f.on_packet(9, A.bit() | B.bit());
        assert_eq!(f.open().collect::<Vec<_>>(), [A, B]);
        assert_eq!((f.closed_through(A), f.closed_through(B)), (0, 4));
        // Older, but sent after 5 and before B opened.
        f.on_packet(7, A.bit());
        assert_eq!(f.closed_through(B), 6);
        f.on_packet(6, A.bit());
        assert_eq!(f.closed_through(B), 6);
    }
}
