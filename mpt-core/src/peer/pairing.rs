//! Which of our paths is which of the peer's.
//!
//! Who *calls*, having a remote address by configuration, introduces a path; who is called answers with the caller's number, and says
//! nothing before it knows that. So what is guessed, by name and by addresses, is guessed once for each path that
//! somebody configured, and only such a one opens a path at the other end: an opened path is called, and opens none.

use super::path_entry::{Introduction, Origin};
use super::{Context, DatagramMeta, Path, Peer};
use crate::path::Freshness;
use crate::wire::Open;
use crate::{PathId, Rate, Time, Weight, is_shown};

impl Peer {
    /// Our path for the peer's path `theirs`: the one it names as its caller, else by name, else by address pair, else a new one.
    pub(super) fn match_path(
        &mut self,
        now: Time,
        theirs: PathId,
        open: &Open<'_>,
        newest: Freshness,
        meta: &DatagramMeta,
        cx: &mut Context<'_>,
    ) -> Option<PathId> {
        let ours = match open.caller {
            Some(caller) => self.paths[caller.index()].as_ref()?.id,
            None => {
                // It goes to logs and terminals.
                let name: String = open.name.chars().filter(|&c| is_shown(c)).collect();
                match self.guess(theirs, &name, meta) {
                    Some(id) => id,
                    None => self.open_path(now, open, name, cx)?,
                }
            }
        };
        self.pair(ours, theirs, newest, meta);
        let path = self.paths[ours.index()].as_mut()?;
        let wish = Weight::new(u64::from(open.weight)).ok();
        if path.wished_weight != wish {
            path.wished_weight = wish;
            self.views_dirty = true;
        }
        let wish = Some(open.rate_limit).filter(|bytes| *bytes > 0).map(Rate::nearest_to_bytes);
        if path.wished_limit != wish {
            path.wished_limit = wish;
            path.follow_limits(now);
            self.views_dirty = true;
        }
        if path.origin == Origin::Opened {
            path.priority = open.priority;
        }
        Some(ours)
    }

    /// By name, else by address pair. A name that came to another path's socket, from that one's remote, is no better than the addresses:
    /// the names are crossed between the ends.
    fn guess(&self, theirs: PathId, name: &str, meta: &DatagramMeta) -> Option<PathId> {
        let free = |remote_id: Option<PathId>| remote_id.is_none_or(|id| id == theirs);
        let known = || self.paths.iter().flatten().filter(|p| free(p.remote_id));
        let named = known().find(|p| p.name == name);
        let elsewhere = named.is_some_and(|p| {
            !p.remote.is_learned() && p.local.socket.is_some_and(|s| s != meta.socket)
        });
        let between = || {
            // From where an earlier process of the peer called, another path may call by now.
            known().filter(|p| !p.remote.is_learned() || p.remote_id.is_some()).find(|p| {
                p.remote.current() == Some(meta.source) && p.local.socket == Some(meta.socket)
            })
        };
        named.filter(|_| !elsewhere).or_else(between).or(named).map(|p| p.id)
    }

    /// Our path `ours` and the peer's path `theirs` are the two ends of one, and of no other.
    fn pair(&mut self, ours: PathId, theirs: PathId, newest: Freshness, meta: &DatagramMeta) {
        let Some(path) = self.paths[ours.index()].as_mut() else { return };
        let before = path.remote_id.replace(theirs);
        if before != Some(theirs) && path.remote.is_learned() {
            path.introduction = Introduction::Due;
            // Nothing was probed here that the peer answers before it is told whose path this is.
            path.health.restart_probes();
            if newest == Freshness::Newest && path.remote.current() != Some(meta.source) {
                path.remote.forget_learned();
            }
        }
        // The number that a guess gave away is taken back …
        if let Some(before) = before.filter(|&id| id != theirs) {
            self.remote_paths[before.index()] = None;
        }
        // … and the peer's number may have meant another path before it was reconfigured.
        let other = self.remote_paths[theirs.index()].replace(ours).filter(|&id| id != ours);
        if let Some(other) = other.and_then(|id| self.paths[id.index()].as_mut()) {
            other.remote_id = None;
        }
    }

    /// Opens a path that only the peer configures. One that an earlier process of the peer opened, and nobody claimed since, makes room.
    fn open_path(
        &mut self,
        now: Time,
        open: &Open<'_>,
        name: String,
        cx: &mut Context<'_>,
    ) -> Option<PathId> {
        let unclaimed = |p: &Path| {
            p.origin == Origin::Opened && p.remote_id.is_none() && !p.health.is_disabled()
        };
        let id = PathId::all().find(|id| self.paths[id.index()].is_none()).or_else(|| {
            let left = self.paths.iter().flatten().find(|p| unclaimed(p)).map(|p| p.id)?;
            self.forget_path(left);
            Some(left)
        })?;
        tracing::info!(peer = %self.name, path = name, "path opened by the peer");
        let (intervals, key) = (cx.config.probe, &self.config.public_key);
        let path = Path::opened(now, id, name, open.priority, intervals, key, cx.rng);
        self.paths[id.index()] = Some(Box::new(path));
        self.views_dirty = true;
        Some(id)
    }
}
