//! Which paths the packets of a class go by.

use super::Batch;
use crate::config::SchedulerKind;
use crate::path::State;
use crate::peer::{Peer, copies};
use crate::policy::{Class, LARGEST_DUPLICATED, Protection, Route, Sending, Treatment};
use crate::protect::Cost;
use crate::repair::Handling;
use crate::schedule::{Fastest, PathView, Pick, Prefer, Rank, Tokens};
use crate::wire::{DATA_HEADER_LEN, DataHeader, HeaderFlags};
use crate::{Fragment, Outbox, PacketNumber, PathId, Time};

/// What repair has to know of it.
pub(super) fn handling(treatment: Treatment) -> Handling {
    let mut handling = Handling::within(treatment.patience);
    if treatment.protection == Protection::All {
        handling = handling.protected();
    }
    match treatment.route {
        Route::Spread | Route::Fastest => handling,
        Route::Duplicate => handling.twice(),
        Route::Pinned(_) => handling.stays(),
    }
}

/// With `failover` the paths of higher priority numbers are in reserve, for everybody.
pub(super) fn preference(kind: SchedulerKind) -> Prefer {
    match kind {
        SchedulerKind::Failover => Prefer::Priority,
        _ => Prefer::Soonest,
    }
}

impl Batch<'_> {
    /// What the parity of a packet on `path` may cost, if it is to be protected.
    pub(super) fn parity_cost(&self, path: PathId) -> Option<Cost> {
        match self.treatment.protection {
            Protection::None => None,
            Protection::Lossy => {
                self.cover.cost(path, || self.scheduler.is_sparse(self.now, self.flow))
            }
            Protection::All => Some(Cost::Any),
        }
    }

    /// A path for a packet of `inner` bytes, which takes `outer` on the way.
    pub(super) fn route_pick(&mut self, inner: usize, outer: usize) -> Pick {
        let picked = match self.treatment.route {
            Route::Spread => None,
            Route::Fastest | Route::Duplicate => {
                let picked = self.fastest.pick(self.views, inner, self.prefer);
                if picked.is_some_and(|id| {
                    Fastest::is_worth_waiting(self.views, id, inner, self.prefer, self.waited)
                }) {
                    return Pick::Wait;
                }
                picked
            }
            Route::Pinned(path) => {
                let fits = |v: &&PathView| v.id == path && usize::from(v.mtu) >= inner;
                match self.views.iter().find(fits) {
                    Some(v) if v.tokens == Tokens::Spent => return Pick::Wait,
                    fits => fits.map(|v| v.id),
                }
            }
        };
        match picked {
            Some(path) => Pick::Path(path),
            None => self.scheduler.pick(self.now, self.views, self.flow, inner, outer),
        }
    }

    /// The path for a copy of a packet of `inner` bytes on `first`, if it is to have one.
    #[inline]
    pub(super) fn second(
        &mut self,
        first: PathId,
        fragment: Fragment,
        inner: usize,
    ) -> Option<PathId> {
        match self.treatment.route {
            _ if fragment == Fragment::Allow => None,
            Route::Duplicate => self.asked_second(first, inner),
            Route::Spread if self.copies.wants(self.now, first, self.flow, inner) => {
                self.unasked_second(first, inner)
            }
            Route::Spread | Route::Fastest | Route::Pinned(_) => None,
        }
    }

    /// Where a policy wants a copy. A small one waits for no tokens, while such copies are few.
    fn asked_second(&mut self, first: PathId, inner: usize) -> Option<PathId> {
        let (views, prefer) = (self.views, self.prefer);
        let of = |tokens| Fastest::second(views, first, inner, prefer, tokens);
        of(Tokens::Left).or_else(|| {
            let small = inner <= usize::from(LARGEST_DUPLICATED);
            of(Tokens::Spent).filter(|&id| small && self.pays(id, inner))
        })
    }

    fn unasked_second(&mut self, first: PathId, inner: usize) -> Option<PathId> {
        let (now, scheduler) = (self.now, &*self.scheduler);
        if !scheduler.is_sparse(now, self.flow) {
            return None;
        }
        let arrives = |v: &PathView| scheduler.arrives(now, v);
        let id = copies::second(self.views, first, inner, arrives)?;
        self.pays(id, inner).then_some(id)
    }

    /// Whether path `id` has saved up for a copy of `inner` bytes.
    fn pays(&mut self, id: PathId, inner: usize) -> bool {
        let len = DATA_HEADER_LEN + inner + self.tag_len;
        self.paths[id.index()].as_mut().is_some_and(|p| {
            let data = p.counters.tx_data_bytes;
            let left = p.for_copies.left(data) >= len as i64;
            if left {
                p.for_copies.spend(data, len);
            }
            left
        })
    }

    /// Seals packet `pn` a second time, onto path `id`. Its first seal was `header`'s; `write` fills in the packet again.
    pub(super) fn duplicate(
        &mut self,
        id: PathId,
        header: &DataHeader,
        pn: PacketNumber,
        inner: usize,
        out: &mut Outbox,
        write: &mut impl FnMut(&mut [u8]),
    ) {
        const COPY: u8 = 1;
        let Some(slot) = self.sessions.current() else { return };
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        let Some(remote) = path.remote.current() else { return };
        let known = &mut self.lanes[id.index()];
        let Some(lane) = known.or_else(|| Some(out.lane(path.lane(self.peer, remote)?))) else {
            return;
        };
        *known = Some(lane);
        let len = DATA_HEADER_LEN + inner + self.tag_len;
        if !path.remote.may_send(remote, len) {
            return;
        }
        let sequence = self.numbers.open_paths.on_copy(id);
        let header = DataHeader {
            flags: header.flags.with(HeaderFlags::DUPLICATE),
            copy: COPY,
            index: slot.session.remote_index(id),
            sequence,
            ..*header
        };
        let datagram = out.push_at(lane, path.tos(self.tos), len);
        header.encode(datagram);
        write(&mut datagram[DATA_HEADER_LEN..DATA_HEADER_LEN + inner]);
        match slot.session.seal_later(id, self.worker, COPY, pn) {
            Ok(seal) => out.seal_last(lane, seal),
            Err(_) => out.spoil_last(lane),
        }
        if let Some(repairer) = &mut self.numbers.repairer {
            repairer.on_copy(id, sequence, pn);
        }
        self.numbers.pauses.on_sent(self.now, id, self.handling);
        path.count_data_sent(self.now, self.worker, sequence, len);
        *self.duplicated += 1;
    }
}

impl Peer {
    /// What is done with packets of this class, as the paths are now.
    pub(super) fn treatment(&self, class: &Class) -> Treatment {
        let route = match &class.sending {
            Sending::Spread | Sending::Protect
                if self.scheduler_kind == SchedulerKind::Duplicate =>
            {
                Route::Duplicate
            }
            Sending::Spread | Sending::Protect => Route::Spread,
            Sending::Fastest => Route::Fastest,
            Sending::Duplicate => Route::Duplicate,
            Sending::Pin(name) => {
                let named = |v: &&PathView| {
                    let path = self.paths[v.id.index()].as_ref();
                    v.rank < Rank::Suspected && path.is_some_and(|p| p.name == *name)
                };
                self.views.iter().find(named).map_or(Route::Spread, |v| Route::Pinned(v.id))
            }
        };
        let protection = match (&class.sending, route) {
            (Sending::Protect, _) if self.knows_parity => Protection::All,
            (Sending::Spread, Route::Spread) if self.cover.is_on() => Protection::Lossy,
            _ => Protection::None,
        };
        Treatment { route, protection, order: class.order, patience: class.patience }
    }

    /// What happens to a packet of `class` that is sent now, a line each.
    pub fn explain(
        &self,
        now: Time,
        class: &Class,
        inner: usize,
        kind: SchedulerKind,
    ) -> Vec<String> {
        let name = |id: PathId| {
            self.paths[id.index()].as_ref().map_or_else(String::new, |p| p.name.clone())
        };
        let spread = || match self.scheduler.clone().pick(now, &self.views, 0, inner, inner) {
            Pick::NoPath => "no path can be used: it waits for one, or is dropped".to_owned(),
            _ => format!("spread: the scheduler ({kind}) picks the path"),
        };
        let fastest = || {
            let first = self.fastest.clone().pick(&self.views, inner, preference(kind))?;
            let prefer = preference(kind);
            let second = Fastest::second(&self.views, first, inner, prefer, Tokens::Spent);
            Some((first, second))
        };
        let wished = match (&class.sending, kind) {
            (Sending::Spread, SchedulerKind::Duplicate) => &Sending::Duplicate,
            (other, _) => other,
        };
        let mut lines = vec![match (wished, fastest()) {
            (Sending::Fastest, Some((first, _))) => {
                format!("by the fastest path, which is {}", name(first))
            }
            (Sending::Duplicate, Some((first, Some(second)))) => {
                format!("duplicated: on {} and on {}", name(first), name(second))
            }
            (Sending::Duplicate, Some((first, None))) => format!(
                "to be duplicated, but no second path can carry it: by the fastest path, which is {}",
                name(first)
            ),
            (Sending::Pin(path), _) => match self.treatment(class).route {
                Route::Pinned(id)
                    if self.views.iter().any(|v| v.id == id && usize::from(v.mtu) >= inner) =>
                {
                    format!("pinned to {path}, and sent again there only")
                }
                Route::Pinned(_) => {
                    format!("pinned to {path}, which is too small for it; {}", spread())
                }
                _ => format!("pinned to {path}, {}; {}", self.unusable(path), spread()),
            },
            (Sending::Protect, _) if !self.knows_parity => {
                format!("{}, without parity: the peer does not know it", spread())
            }
            (Sending::Protect, _) if inner > self.longest_protected() => {
                format!("{}, without parity, for which it is too large", spread())
            }
            (Sending::Protect, _) => format!("{}, with parity", spread()),
            _ => {
                let small = inner <= usize::from(LARGEST_DUPLICATED);
                let copied = self.explain_copies().filter(|_| small);
                let more = [self.explain_cover(), copied].into_iter().flatten();
                more.fold(spread(), |line, more| format!("{line}, {more}"))
            }
        }];
        lines.push(match class.order {
            crate::policy::FlowOrder::Keep => "order is kept within its flow".to_owned(),
            crate::policy::FlowOrder::Free => {
                "delivered at once when it comes, in whatever order; nobody waits for it".to_owned()
            }
        });
        lines.push(match (self.repairs(), class.patience) {
            (false, _) if self.sessions.current().is_none() => {
                "lost, it is sent again if the peer repairs too: there is no session yet".to_owned()
            }
            (false, _) => "lost, it stays lost: repair is off, here or at the peer".to_owned(),
            (true, None) => "lost, it is sent again while the receiver waits for it".to_owned(),
            (true, Some(p)) => {
                format!("lost, it is sent again if it arrives within {p} of its first sending")
            }
        });
        lines
    }

    /// Why nothing can be pinned to this path now.
    fn unusable(&self, name: &str) -> String {
        match self.paths.iter().flatten().find(|p| p.name == name) {
            None => "a path that this peer does not have".to_owned(),
            Some(p) if p.health.state() == State::Up => "which is held down".to_owned(),
            Some(p) => format!("which is {}", p.health.state()),
        }
    }
}
