//! A peer as the status shows it.

use super::{Path, Peer};
use crate::config::SchedulerKind;
use crate::control::{CopyStatus, PathEstimate, PathStatus, PeerStatus, ReorderStatus};
use crate::path::difference;
use crate::schedule::Rank;
use crate::{PathId, Time};
use std::net::SocketAddr;
use std::time::Duration;

impl Peer {
    /// Everything about it.
    pub fn status(&self, now: Time) -> PeerStatus {
        let session = self.sessions.current();
        let established = session.is_some();
        PeerStatus {
            name: self.name.clone(),
            public_key: self.config.public_key.to_string(),
            state: match (established, self.refused) {
                (true, _) => "established",
                (false, true) => "refused",
                (false, false) => "connecting",
            }
            .to_owned(),
            why: (!established).then(|| self.why_not()),
            session_age: session.map(|s| now.since(s.session.created()).as_secs_f64()),
            cipher: session.map(|s| s.session.cipher().to_string()),
            scheduler: self.scheduler.kind().to_string(),
            allowed_ips: self.config.allowed_ips.iter().map(ToString::to_string).collect(),
            tx_packets: self.tx_packets,
            tx_bytes: self.tx_bytes,
            rx_packets: self.delivered.packets,
            rx_bytes: self.delivered.bytes,
            reordering: self.reordering(),
            repair: self.repair_status(),
            queue: self.queue_status(),
            copies: CopyStatus {
                sent: self.duplicated,
                removed: self.reordering().duplicates,
                parity: self.parities,
                recovered: self.recovered,
                early: self.made_early,
            },
            drops: (&self.drops).into(),
            paths: self.path_statuses(now),
        }
    }

    /// The scheduler in force.
    pub const fn scheduler_kind(&self) -> SchedulerKind {
        self.scheduler.kind()
    }

    /// Its paths by name.
    pub fn path_names(&self) -> impl Iterator<Item = (&str, PathId)> {
        self.paths.iter().flatten().map(|p| (p.name.as_str(), p.id))
    }

    /// Why there is no session.
    fn why_not(&self) -> String {
        let waiting = match self.can_initiate() {
            true => "no answer yet",
            false if self.config.paths.is_empty() => "waiting for the peer to call",
            false => "no path can be used yet",
        };
        self.why.clone().unwrap_or_else(|| waiting.to_owned())
    }

    /// Whether the scheduler may use it now: nothing of a better rank is there.
    fn in_use(&self, path: PathId) -> bool {
        let best = self.views.iter().map(|v| v.rank).min();
        self.views.iter().any(|v| v.id == path && Some(v.rank) == best && v.rank < Rank::Unanswered)
    }

    /// All workers together; of hold times the worst worker's.
    fn reordering(&self) -> ReorderStatus {
        let workers = self.receive_workers.iter().flatten().map(|w| w.reorder.stats());
        workers.fold(ReorderStatus::default(), |a, b| ReorderStatus {
            direct: a.direct + b.direct,
            held: a.held + b.held,
            held_now: a.held_now + b.held_now,
            held_bytes: a.held_bytes + b.held_bytes,
            held_bytes_peak: a.held_bytes_peak + b.held_bytes_peak,
            hold_p50: a.hold_p50.max(b.hold_p50),
            hold_p99: a.hold_p99.max(b.hold_p99),
            released_lost: a.released_lost + b.released_lost,
            released_deadline: a.released_deadline + b.released_deadline,
            released_full: a.released_full + b.released_full,
            given_up: a.given_up + b.given_up,
            late: a.late + b.late,
            ring_slots: a.ring_slots + b.ring_slots,
            repaired: a.repaired + b.repaired,
            repaired_late: a.repaired_late + b.repaired_late,
            duplicates: a.duplicates + b.duplicates,
        })
    }

    fn path_statuses(&self, now: Time) -> Vec<PathStatus> {
        let paths = || self.paths.iter().flatten();
        let up: u64 = paths().map(|p| p.data_up.rate(now).bytes).sum();
        let down: u64 = paths().map(|p| p.data_down.rate(now).bytes).sum();
        paths().map(|p| self.path_status(now, p, up, down)).collect()
    }

    fn path_estimate(&self, now: Time, p: &Path) -> Option<PathEstimate> {
        let rtt = |p: &Path| p.health.rtt().smoothed().unwrap_or_default();
        let base = |p: &Path| Some((p.model.delay().base_micros()?, rtt(p)));
        let own = base(p)?;
        let others = self.paths.iter().flatten().filter_map(|p| base(p));
        let extra = others.map(|other| difference(own, other)).max()?;
        let (loss_random, loss_congestive) = p.model.losses(now);
        Some(PathEstimate {
            rate: p.model.capacity()?,
            rate_is_limit: p.model.estimate().measured,
            extra_delay: extra as f64 / 1e6,
            queue: p.model.standing(now).as_secs_f64(),
            jitter: p.model.delay().jitter().as_secs_f64(),
            loss_random,
            loss_congestive,
        })
    }

    fn path_status(&self, now: Time, p: &Path, all_up: u64, all_down: u64) -> PathStatus {
        let share = |part: u64, all: u64| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        let seconds = |d: Option<Duration>| d.map(|d| d.as_secs_f64());
        let (up, down) = (p.rate_up.rate(now).bytes, p.rate_down.rate(now).bytes);
        let waiting = self.sessions.current().is_none() && p.local.socket.is_some();
        let worker = self.receive_workers.iter().flatten().next();
        PathStatus {
            id: p.id.get(),
            name: p.name.clone(),
            state: p.health.state().to_string(),
            in_use: self.in_use(p.id),
            why: match p.remote.current() {
                None if p.local.called => "the peer has not called by it yet".to_owned(),
                None => "its remote address is not known yet".to_owned(),
                Some(_) if waiting => self.why_not(),
                Some(_) => p.health.why().to_owned(),
            },
            last_change: now.since(p.health.changed()).as_secs_f64(),
            interface: p.local.interface.clone(),
            local: match (p.local.address, p.local.source) {
                (Some(address), Some(source)) => {
                    Some(SocketAddr::new(source, address.port()).to_string())
                }
                (Some(address), None) => Some(address.to_string()),
                (None, source) => source.map(|ip| ip.to_string()),
            },
            remote: p.remote.current().map(|a| a.to_string()),
            weight: p.effective_weight().get(),
            priority: p.priority,
            rate_limit: p.limit().map(|(rate, _)| rate.bytes_per_second() as f64),
            rate_limit_source: p.limit().map(|(_, source)| source.label().to_owned()),
            srtt: seconds(p.health.rtt().smoothed()),
            rtt_p50: seconds(p.health.rtt().quantile(0.5)),
            rtt_p99: seconds(p.health.rtt().quantile(0.99)),
            loss_up: p.loss_up.loss(now),
            loss_down: p.loss_down.loss(now),
            rate_up: up as f64,
            rate_down: down as f64,
            share_up: share(p.data_up.rate(now).bytes, all_up),
            share_down: share(p.data_down.rate(now).bytes, all_down),
            mtu: p.mtu.mtu(),
            extent: match (p.remote_id, worker) {
                (Some(theirs), Some(w)) => w.reorder.extent(theirs).as_secs_f64(),
                _ => 0.0,
            },
            tx_packets: p.counters.tx_packets,
            tx_bytes: p.counters.tx_bytes,
            rx_packets: p.counters.rx_packets,
            rx_bytes: p.counters.rx_bytes,
            tx_data_packets: p.counters.tx_data_packets,
            tx_data_bytes: p.counters.tx_data_bytes,
            downs: p.health.downs(),
            kernel_drops: p.counters.kernel_drops,
            estimate: self.path_estimate(now, p),
        }
    }
}
