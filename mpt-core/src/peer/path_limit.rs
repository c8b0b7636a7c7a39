//! What a path is kept to: what somebody set, or what it was seen to deliver.

use super::path_entry::{Path, outer_headers};
use crate::path::PathModel;
use crate::queue::Pacer;
use crate::{Rate, RateLimit, Time};

/// Where the limit in force comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitSource {
    /// Configured or set here.
    Own,
    /// The peer wished it.
    Peer,
    /// The path was found to carry no more.
    Estimate,
}

impl LimitSource {
    /// A word for the status.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Peer => "peer",
            Self::Estimate => "estimate",
        }
    }
}

impl Path {
    /// The limit in force, and who set it: ours, else the peer's wish, and what is estimated where that is lower.
    pub fn limit(&self) -> Option<(Rate, LimitSource)> {
        let ours = self.rate_limit.map(|limit| limit.rate().zip(Some(LimitSource::Own)));
        let set = ours.unwrap_or(self.wished_limit.zip(Some(LimitSource::Peer)));
        let estimated = self.estimated_limit.zip(Some(LimitSource::Estimate));
        set.into_iter().chain(estimated).min_by_key(|(rate, _)| *rate)
    }

    /// A report told what the path delivers: it is kept to that, with the headers that reports do not count.
    pub fn follow_bottleneck(&mut self, now: Time) {
        let headers = self.remote.current().as_ref().map_or(0, outer_headers);
        let part = self.model.share_of(headers);
        let limit = self.model.bottleneck().map(|rate| (rate * (1.0 + part) * 8.0) as u64);
        self.estimated_limit = limit.map(Rate::nearest_to_bits);
        self.follow_limits(now);
    }

    /// Time has passed: a path of which nothing is told is not kept to what it was seen to deliver for ever.
    pub fn expire_bottleneck(&mut self, now: Time) {
        let kept = self.model.bottleneck().is_some();
        self.model.expire(now);
        if kept && self.model.bottleneck().is_none() {
            self.estimated_limit = None;
            self.follow_limits(now);
        }
    }

    /// Nothing is known of what the path delivers, and it is not kept to what was.
    pub fn forget_bottleneck(&mut self, now: Time) {
        self.model = PathModel::default();
        self.estimated_limit = None;
        self.follow_limits(now);
    }

    /// What the peer is to keep to on the way back, bytes per second; 0: no wish.
    pub fn wish_for_limit(&self) -> u64 {
        self.rate_limit.and_then(RateLimit::rate).map_or(0, Rate::bytes_per_second)
    }

    /// A limit may have changed.
    pub fn follow_limits(&mut self, now: Time) {
        match (self.limit(), &mut self.pacer) {
            (None, pacer) => *pacer = None,
            (Some((rate, _)), Some(pacer)) => pacer.set_rate(now, rate),
            (Some((rate, _)), pacer) => *pacer = Some(Pacer::new(now, rate)),
        }
    }
}
