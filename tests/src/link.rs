//! A link as a pure model in virtual time: when does a packet handed in now come out, if at all?
//!
//! A packet passes, in this order: the black hole, the policer, the queue and the serialiser (rate), the loss,
//! the delay with its jitter. A packet lost on the wire has used the link's rate, as in the air. The
//! same profile, seed and calls give the same verdicts, so the model drives both the emulator of the
//! kernel lab and simulation.

use mpt_core::Time;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a link behaves, one direction. The default is an ideal link: no limit, no delay, no loss.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkProfile {
    /// Bits a second, counted over the bytes handed in; `None` (or 0) is unlimited.
    pub rate_bps: Option<u64>,
    /// Mean one-way delay, after the queue.
    pub delay: Duration,
    /// Standard deviation of the delay: normal, the sum truncated at zero.
    pub jitter: Duration,
    /// Time constant over which the jitter forgets: zero draws each packet's on its own, 20 ms makes
    /// packets sent within a few milliseconds share nearly the same one.
    pub jitter_correlation: Duration,
    /// Whether jitter lets packets overtake each other. When not, the link is FIFO.
    pub reorder: bool,
    /// Probability that a packet is lost, each on its own.
    pub loss: f64,
    /// Loss in bursts, besides `loss`.
    pub burst: Option<BurstLoss>,
    /// Longest queue in front of the rate; without a rate there is none.
    pub queue: QueueLimit,
    /// Drops what exceeds a rate, without a queue.
    pub policer: Option<Policer>,
    /// Swallows everything handed in. What is under way already still comes out.
    pub blackhole: bool,
}

impl LinkProfile {
    /// Whether chance has no part in it: neither jitter nor loss.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.jitter.is_zero() && self.loss <= 0.0 && self.burst.is_none()
    }
}

/// A token bucket that drops what finds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policer {
    /// Bits a second, counted over the bytes handed in.
    pub rate_bps: u64,
    /// Bytes that pass at once after a pause.
    pub burst: u64,
}

/// Loss in bursts (Gilbert–Elliott with nothing lost between bursts and everything within).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurstLoss {
    /// Mean length of a burst in packets, 1 or more.
    pub mean_length: f64,
    /// Share of all packets that is lost to bursts, 0 to below 1.
    pub loss: f64,
}

/// When the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueLimit {
    /// At what takes this long at the link's rate.
    Time(Duration),
    /// At this many bytes.
    Bytes(u64),
}

impl Default for QueueLimit {
    fn default() -> Self {
        Self::Time(Duration::from_millis(100))
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes out at this time.
    Deliver(Time),
    /// It does not come out.
    Drop(Cause),
}

/// Why a packet does not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Lost on the wire.
    Loss,
    /// The queue was full.
    Queue,
    /// It exceeded the policer's rate.
    Policer,
    /// The link is a black hole.
    Blackhole,
}

/// What a link has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    /// Packets that came out or will.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Packets lost on the wire.
    pub lost: u64,
    /// Packets dropped at the full queue.
    pub queue_dropped: u64,
    /// Packets dropped by the policer.
    #[serde(default)]
    pub policed: u64,
    /// Packets swallowed.
    pub blackholed: u64,
}

/// One direction of a link. Time must not go back between calls.
#[derive(Clone, Debug)]
pub struct Link {
    profile: LinkProfile,
    rng: ChaCha8Rng,
    counters: LinkCounters,
    /// When the serialiser is done with all that was accepted.
    busy_until: Time,
    /// When the last packet comes out, of those handed in so far.
    last_out: Time,
    in_burst: bool,
    /// Bytes that the policer lets pass, and when that was.
    tokens: (f64, Time),
    /// The correlated jitter's present value in standard deviations, and when it was drawn.
    jitter_state: (f64, Time),
    spare_normal: Option<f64>,
}

impl Link {
    /// A link of this profile; all its chance comes from `seed`.
    #[must_use]
    pub fn new(profile: LinkProfile, seed: u64) -> Self {
        let mut link = Self {
            profile,
            rng: ChaCha8Rng::seed_from_u64(seed),
            counters: LinkCounters::default(),
            busy_until: Time::ZERO,
            last_out: Time::ZERO,
            in_burst: false,
            tokens: (f64::MAX, Time::ZERO),
            jitter_state: (0.0, Time::ZERO),
            spare_normal: None,
        };
        link.jitter_state.0 = link.normal();
        link
    }

    /// Changes the link from the next packet on. What is queued or under way is not touched.
    pub fn set_profile(&mut self, profile: LinkProfile) {
        self.profile = profile;
    }

    /// How the link behaves now.
    #[must_use]
    pub fn profile(&self) -> &LinkProfile {
        &self.profile
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// How long a packet handed in at `now` waits in the queue.
    #[must_use]
    pub fn backlog(&self, now: Time) -> Duration {
        self.busy_until.since(now)
    }

    /// Hands in a packet of `bytes` at `now`.
    pub fn send(&mut self, now: Time, bytes: usize) -> Verdict {
        let verdict = self.decide(now, bytes);
        let c = &mut self.counters;
        match verdict {
            Verdict::Deliver(_) => {
                c.delivered += 1;
                c.delivered_bytes += bytes as u64;
            }
            Verdict::Drop(Cause::Loss) => c.lost += 1,
            Verdict::Drop(Cause::Queue) => c.queue_dropped += 1,
            Verdict::Drop(Cause::Policer) => c.policed += 1,
            Verdict::Drop(Cause::Blackhole) => c.blackholed += 1,
        }
        verdict
    }

    fn decide(&mut self, now: Time, bytes: usize) -> Verdict {
        if self.profile.blackhole {
            return Verdict::Drop(Cause::Blackhole);
        }
        if !self.conforms(now, bytes) {
            return Verdict::Drop(Cause::Policer);
        }
        let Some(leaves) = self.serialise(now, bytes) else {
            return Verdict::Drop(Cause::Queue);
        };
        if self.is_lost() {
            return Verdict::Drop(Cause::Loss);
        }
        let mut out = leaves + self.draw_delay(leaves);
        if !self.profile.reorder {
            out = out.max(self.last_out);
        }
        self.last_out = self.last_out.max(out);
        Verdict::Deliver(out)
    }

    fn conforms(&mut self, now: Time, bytes: usize) -> bool {
        let Some(Policer { rate_bps, burst }) = self.profile.policer else { return true };
        let (tokens, at) = self.tokens;
        let earned = now.since(at).as_secs_f64() * rate_bps as f64 / 8.0;
        let tokens = (tokens + earned).min(burst as f64);
        let conforms = tokens >= bytes as f64;
        self.tokens = (if conforms { tokens - bytes as f64 } else { tokens }, now);
        conforms
    }

    /// When the last bit has left, or nothing when the queue is full.
    fn serialise(&mut self, now: Time, bytes: usize) -> Option<Time> {
        let Some(rate) = self.profile.rate_bps.filter(|&r| r > 0) else {
            return Some(now);
        };
        let backlog = self.backlog(now);
        let full = match self.profile.queue {
            QueueLimit::Time(limit) => backlog > limit,
            QueueLimit::Bytes(limit) => {
                let queued = backlog.as_nanos() * u128::from(rate) / 8_000_000_000;
                // A single packet always fits, else nothing would ever pass.
                queued > 0 && queued + bytes as u128 > u128::from(limit)
            }
        };
        if full {
            return None;
        }
        let nanos = bytes as u128 * 8_000_000_000 / u128::from(rate);
        self.busy_until = self.busy_until.max(now) + Duration::from_nanos(nanos as u64);
        Some(self.busy_until)
    }

    fn is_lost(&mut self) -> bool {
        let mut lost = self.profile.loss > 0.0 && self.uniform() < self.profile.loss;
        if let Some(burst) = self.profile.burst {
            // Stationary share of the bad state: enter / (enter + leave) = loss.
            let leave = 1.0 / burst.mean_length.max(1.0);
            let enter = leave * burst.loss / (1.0 - burst.loss).max(f64::EPSILON);
            let turns = self.uniform() < if self.in_burst { leave } else { enter };
            self.in_burst ^= turns;
            lost |= self.in_burst;
        }
        lost
    }

    fn draw_delay(&mut self, at: Time) -> Duration {
        let LinkProfile { delay, jitter, jitter_correlation, .. } = self.profile;
        if jitter.is_zero() {
            return delay;
        }
        let mut x = self.normal();
        if !jitter_correlation.is_zero() {
            // An Ornstein–Uhlenbeck process: correlation exp(-dt/τ), variance 1 at any spacing.
            let (last, since) = self.jitter_state;
            let keep = (-at.since(since).as_secs_f64() / jitter_correlation.as_secs_f64()).exp();
            x = last * keep + x * (1.0 - keep * keep).sqrt();
            self.jitter_state = (x, at);
        }
        Duration::from_secs_f64((delay.as_secs_f64() + x * jitter.as_secs_f64()).max(0.0))
    }

    /// Uniform over [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Marsaglia's polar method (two at a time).
    fn normal(&mut self) -> f64 {
        if let Some(x) = self.spare_normal.take() {
            return x;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = x * x + y * y;
            if s > 0.0 && s < 1.0 {
                let scale = (-2.0 * s.ln() / s).sqrt();
                self.spare_normal = Some(y * scale);
                return x * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The one-way delays, in seconds, of `n` packets of 1 000 bytes sent `gap` apart.
    fn delays(link: &mut Link, n: u64, gap: Duration) -> Vec<Option<f64>> {
        (0..n)
            .map(|i| {
                let now = Time::ZERO + gap * i as u32;
                match link.send(now, 1_000) {
                    Verdict::Deliver(at) => Some(at.since(now).as_secs_f64()),
                    Verdict::Drop(_) => None,
                }
            })
            .collect()
    }

    #[test]
    fn an_ideal_link_delivers_at_once() {
        let mut link = Link::new(LinkProfile::default(), 1);
        assert_eq!(link.send(Time::from_millis(7), 1_500), Verdict::Deliver(Time::from_millis(7)));
    }

    #[test]
    fn the_same_seed_gives_the_same_verdicts() {
        let profile =
            LinkProfile { jitter: 5 * MS, loss: 0.1, reorder: true, ..Default::default() };
        let run = |seed| delays(&mut Link::new(profile, seed), 500, MS);
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn rate_spaces_packets_and_the_queue_ends() {
        let profile = LinkProfile {
            rate_bps: Some(8_000_000),
            delay: 10 * MS,
            queue: QueueLimit::Bytes(5_000),
            ..Default::default()
        };
        let mut link = Link::new(profile, 1);
        // 1 000 bytes take 1 ms; five fit into the queue.
        let out: Vec<_> = (0..7).map(|_| link.send(Time::ZERO, 1_000)).collect();
        for (i, v) in out[..5].iter().enumerate() {
            assert_eq!(*v, Verdict::Deliver(Time::from_millis(11 + i as u64)));
        }
        assert_eq!(out[5..], [Verdict::Drop(Cause::Queue); 2]);
        assert_eq!(link.backlog(Time::from_millis(2)), 3 * MS);
        assert_eq!(link.counters().queue_dropped, 2);

        let mut link = Link::new(LinkProfile { queue: QueueLimit::default(), ..profile }, 1);
        let passed =
            (0..500).filter(|_| link.send(Time::ZERO, 1_000) != Verdict::Drop(Cause::Queue));
        assert_eq!(passed.count(), 101, "100 ms of backlog and the one that reaches beyond");
    }

    #[test]
    fn fifo_never_overtakes_and_reordering_does() {
        for correlation in [Duration::ZERO, 20 * MS] {
            for reorder in [false, true] {
                let profile = LinkProfile {
                    delay: 25 * MS,
                    jitter: 5 * MS,
                    jitter_correlation: correlation,
                    reorder,
                    ..Default::default()
                };
                let mut link = Link::new(profile, 9);
                let mut last = Time::ZERO;
                let mut overtakes = 0;
                for i in 0..10_000 {
                    let Verdict::Deliver(at) = link.send(Time::from_micros(i * 100), 100) else {
                        panic!("lost");
                    };
                    overtakes += usize::from(at < last);
                    last = last.max(at);
                }
                assert_eq!(overtakes > 0, reorder, "{profile:?}: {overtakes}");
            }
        }
    }

    #[test]
    fn jitter_has_its_mean_and_deviation_at_any_correlation() {
        for correlation in [Duration::ZERO, 5 * MS] {
            let profile = LinkProfile {
                delay: 40 * MS,
                jitter: 5 * MS,
                jitter_correlation: correlation,
                reorder: true,
                ..Default::default()
            };
            let d = delays(&mut Link::new(profile, 5), 50_000, MS);
            let d: Vec<f64> = d.into_iter().flatten().collect();
            let mean = d.iter().sum::<f64>() / d.len() as f64;
            let dev = (d.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d.len() as f64).sqrt();
            assert!((mean - 0.040).abs() < 0.0005, "{mean}");
            assert!((dev - 0.005).abs() < 0.0003, "{dev}");
            // Neighbours 1 ms apart: exp(-1/5) with a time constant of 5 ms, nothing without one.
            let cov = d.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>();
            let r = cov / d.len() as f64 / (dev * dev);
            let want = if correlation.is_zero() { 0.0 } else { 0.819 };
            assert!((r - want).abs() < 0.03, "{r}");
        }
    }

    #[test]
    fn loss_has_its_share_and_bursts_their_length() {
        let lost = |profile| -> Vec<bool> {
            delays(&mut Link::new(profile, 11), 200_000, MS).iter().map(Option::is_none).collect()
        };
        let share = |l: &[bool]| l.iter().filter(|&&x| x).count() as f64 / l.len() as f64;
        let runs = |l: &[bool]| l.windows(2).filter(|w| w[0] && !w[1]).count() as f64;

        let single = lost(LinkProfile { loss: 0.02, ..Default::default() });
        assert!((share(&single) - 0.02).abs() < 0.002);

        let burst = Some(BurstLoss { mean_length: 8.0, loss: 0.02 });
        let bursts = lost(LinkProfile { burst, ..Default::default() });
        assert!((share(&bursts) - 0.02).abs() < 0.004, "{}", share(&bursts));
        let length = share(&bursts) * bursts.len() as f64 / runs(&bursts);
        assert!((length - 8.0).abs() < 1.0, "{length}");
    }

    #[test]
    fn a_policer_lets_its_rate_pass_and_a_burst_and_delays_nothing() {
        let policer = Some(Policer { rate_bps: 8_000_000, burst: 20_000 });
        let mut link = Link::new(LinkProfile { policer, ..Default::default() }, 1);
        // Twice the rate for a second, after a pause; and then half of it.
        let passed = |v: &[Option<f64>]| v.iter().flatten().count();
        let twice = delays(&mut link, 2_000, Duration::from_micros(500));
        assert!((1_018..=1_021).contains(&passed(&twice)), "{}", passed(&twice));
        assert!(twice.iter().flatten().all(|d| *d == 0.0));
        let mut link = Link::new(LinkProfile { policer, ..Default::default() }, 1);
        assert_eq!(passed(&delays(&mut link, 500, 2 * MS)), 500);
        assert_eq!(link.counters().policed, 0);
    }

    #[test]
    fn a_black_hole_opens_and_closes() {
        let mut link = Link::new(LinkProfile::default(), 1);
        link.set_profile(LinkProfile { blackhole: true, ..Default::default() });
        assert_eq!(link.send(Time::ZERO, 100), Verdict::Drop(Cause::Blackhole));
        link.set_profile(LinkProfile::default());
        assert_eq!(link.send(Time::ZERO, 100), Verdict::Deliver(Time::ZERO));
        assert_eq!(link.counters().blackholed, 1);
    }

    #[test]
    fn a_profile_may_leave_things_out() {
        let json = r#"{"rate_bps": 20000000, "queue": {"bytes": 60000}}"#;
        let profile: LinkProfile = serde_json::from_str(json).unwrap();
        assert_eq!(profile.rate_bps, Some(20_000_000));
        assert_eq!(profile.queue, QueueLimit::Bytes(60_000));
        assert_eq!(profile.delay, Duration::ZERO);
        assert!(serde_json::from_str::<LinkProfile>(r#"{"dealy": 3}"#).is_err());
    }
}
