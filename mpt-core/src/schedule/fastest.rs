//! The path that answers soonest.

use super::{PathView, Rank, Tokens};
use crate::PathId;
use std::time::Duration;

/// Another path has to be ahead by more than this part of its time, and by more than the least, to take over:
/// moving costs a marker, and a flow's next packet may wait for the one before.
const AHEAD: u32 = 8;
const LEAST_AHEAD: Duration = Duration::from_millis(1);

/// Who goes first among paths of the same rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefer {
    /// The one that answers soonest.
    Soonest,
    /// The one of the lowest priority number: the others are in reserve.
    Priority,
}

/// How soon a packet sent now is expected to be answered: all that [`Fastest`] knows of a path's speed.
const fn expected(view: &PathView) -> Duration {
    view.srtt
}

/// The path of the best rank that answers soonest, and the one after it. Where two are about as good, the one in
/// use stays in use.
#[derive(Clone, Debug, Default)]
pub struct Fastest {
    current: Option<PathId>,
}

impl Fastest {
    /// The path for an inner packet of `inner` bytes; none when it fits none.
    pub fn pick(&mut self, views: &[PathView], inner: usize, prefer: Prefer) -> Option<PathId> {
        let best = best(views, (inner, Tokens::Left), prefer, None)?;
        let same_class = |v: &&PathView| {
            Some(v.id) == self.current
                && fits(v, inner, Tokens::Left)
                && v.rank == best.rank
                && (prefer == Prefer::Soonest || v.priority == best.priority)
        };
        let stays = views.iter().find(same_class).filter(|v| {
            let (now, then) = (expected(best), expected(v));
            then <= now + (then / AHEAD).max(LEAST_AHEAD)
        });
        self.current = Some(stays.unwrap_or(best).id);
        self.current
    }

    /// Whether a packet that has `waited` for tokens arrives sooner by a path that has none yet than by `picked`, which has some. What a limit is
    /// too small for goes by another path.
    #[must_use]
    pub fn is_worth_waiting(
        views: &[PathView],
        picked: PathId,
        inner: usize,
        prefer: Prefer,
        waited: Duration,
    ) -> bool {
        let Some(picked) = views.iter().find(|v| v.id == picked) else { return false };
        let spent = best(views, (inner, Tokens::Spent), prefer, None);
        spent
            .filter(|v| v.tokens == Tokens::Spent && v.rank == picked.rank)
            .is_some_and(|v| waited + v.wait < expected(picked).saturating_sub(expected(v)) / 2)
    }

    /// The path for the same packet's copy: the best one beside `first` that works; when all are suspected, which the loss of
    /// one that carried the reports about the others makes them for a moment, any. `tokens`: whether those of its limit may be spent.
    #[must_use]
    pub fn second(
        views: &[PathView],
        first: PathId,
        inner: usize,
        prefer: Prefer,
        tokens: Tokens,
    ) -> Option<PathId> {
        let works = views.iter().any(|v| v.rank < Rank::Suspected);
        let worst = if works { Rank::HeldDown } else { Rank::Suspected };
        best(views, (inner, tokens), prefer, Some(first)).filter(|v| v.rank <= worst).map(|v| v.id)
    }
}

/// Whether it may carry such a packet now.
fn fits(view: &PathView, inner: usize, tokens: Tokens) -> bool {
    usize::from(view.mtu) >= inner && view.tokens <= tokens
}

fn best(
    views: &[PathView],
    (inner, tokens): (usize, Tokens),
    prefer: Prefer,
    but: Option<PathId>,
) -> Option<&PathView> {
    let priority = |v: &PathView| if prefer == Prefer::Priority { v.priority } else { 0 };
    let last = Rank::last_resort(views)?;
    let may = |v: &&PathView| Some(v.id) != but && fits(v, inner, tokens) && v.rank <= last;
    let others = views.iter().filter(may);
    others.min_by_key(|v| (v.rank, priority(v), expected(v), v.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weight;

    fn view(id: u8, rank: Rank, srtt: u64, priority: u16) -> PathView {
        let id = PathId::new(id).unwrap();
        let srtt = Duration::from_millis(srtt);
        let (limit, tokens, estimate) = (None, Tokens::Left, Default::default());
        PathView {
            id,
            weight: Weight::DEFAULT,
            priority,
            rank,
            mtu: 1_400,
            srtt,
            min_rtt: srtt,
            limit,
            tokens,
            wait: Duration::ZERO,
            estimate,
        }
    }

    #[test]
    fn the_soonest_of_the_best_rank_and_the_next() {
        use Rank::{HeldDown, Preferred, Suspected};
        let id = |n| PathId::new(n);
        let second = |views: &[PathView], first| {
            Fastest::second(views, first, 100, Prefer::Soonest, Tokens::Left)
        };
        let mut f = Fastest::default();
        let views = [view(0, Preferred, 40, 1), view(1, Preferred, 20, 2), view(2, HeldDown, 5, 0)];
        assert_eq!(f.pick(&views, 100, Prefer::Soonest), id(1));
        assert_eq!(second(&views, id(1).unwrap()), id(0));
        assert_eq!(f.pick(&views, 100, Prefer::Priority), id(0));
        assert_eq!(f.pick(&views, 1_401, Prefer::Soonest), None);
        let views = [view(0, Preferred, 40, 1), view(1, Suspected, 20, 2)];
        assert_eq!(second(&views, id(0).unwrap()), None);
        let views = [view(0, Preferred, 40, 1), view(2, HeldDown, 20, 2)];
        assert_eq!(second(&views, id(0).unwrap()), id(2));
        let views = [view(0, Suspected, 40, 1), view(1, Suspected, 20, 2)];
        assert_eq!(second(&views, id(1).unwrap()), id(0));
        let views = [view(0, Rank::Unanswered, 40, 1), view(1, Suspected, 20, 2)];
        assert_eq!(second(&views, id(1).unwrap()), None);
    }

    #[test]
    fn what_arrives_sooner_by_a_path_without_tokens_waits() {
        let ms = Duration::from_millis;
        let mut views = [view(0, Rank::Preferred, 20, 0), view(1, Rank::Preferred, 220, 0)];
        (views[0].tokens, views[0].wait) = (Tokens::Spent, ms(3));
        let far = Fastest::default().pick(&views, 100, Prefer::Soonest).unwrap();
        assert_eq!(far.index(), 1);
        let waits = |views: &[PathView], waited| {
            Fastest::is_worth_waiting(views, far, 100, Prefer::Soonest, ms(waited))
        };
        assert!(waits(&views, 0) && waits(&views, 96) && !waits(&views, 97));
        views[0].wait = ms(250);
        assert!(!waits(&views, 0), "it owes much");
        (views[0].wait, views[0].rank) = (ms(3), Rank::Suspected);
        assert!(!waits(&views, 0));
        (views[0].rank, views[0].tokens) = (Rank::Preferred, Tokens::Left);
        assert!(!waits(&views, 0));
    }

    #[test]
    fn about_as_good_is_no_reason_to_move() {
        let mut f = Fastest::default();
        let mut pick = |a, b| {
            let views = [view(0, Rank::Preferred, a, 0), view(1, Rank::Preferred, b, 0)];
            f.pick(&views, 100, Prefer::Soonest).unwrap().get()
        };
        let picks = [(20, 21), (22, 20), (24, 20), (23, 22), (3, 4), (5, 4), (9, 4)];
        assert_eq!(picks.map(|(a, b)| pick(a, b)), [0, 0, 1, 1, 1, 1, 1]);
    }
}
