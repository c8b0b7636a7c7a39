//! How many handshake messages are worth the work: in total, and from one source.

use crate::Time;
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher as _;
use std::net::IpAddr;
use std::time::Duration;

/// All handshake messages: 50 a second, 100 at once. One costs about 0.2 ms on a desktop CPU and some
/// milliseconds on a small router.
const TOTAL: Rate = Rate { interval: Duration::from_millis(20), burst: 100 };
/// Those of one source: 10 a second, 20 at once.
const PER_SOURCE: Rate = Rate { interval: Duration::from_millis(100), burst: 20 };
/// How long an end counts as under load after it was.
const LOAD_LINGERS: Duration = Duration::from_secs(1);

/// The table of sources: 256 sets of four, 24 KiB.
const SETS: usize = 256;
const WAYS: usize = 4;

/// A token bucket's measure.
#[derive(Clone, Copy)]
struct Rate {
    /// For one token.
    interval: Duration,
    /// Tokens when full.
    burst: u32,
}

/// A token bucket as the point in time when it will be full again; a past one means it is.
#[derive(Clone, Copy, Default, Debug)]
struct Bucket {
    full_at: Time,
}

impl Bucket {
    /// Takes a token, if there is one.
    fn take(&mut self, now: Time, rate: Rate) -> bool {
        let full_at = self.full_at.max(now) + rate.interval;
        let granted = full_at.since(now) <= rate.interval * rate.burst;
        if granted {
            self.full_at = full_at;
        }
        granted
    }
}

/// Whether this end has more handshake messages to look at than it should.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Load {
    /// No.
    Normal,
    /// Yes: who wants an answer must show a cookie.
    High,
}

/// Tells when an end is under load.
#[derive(Clone, Default, Debug)]
pub struct LoadMeter {
    bucket: Bucket,
    high_until: Time,
}

impl LoadMeter {
    /// Counts a handshake message; the load with it.
    pub fn arrived(&mut self, now: Time) -> Load {
        if !self.bucket.take(now, TOTAL) {
            self.high_until = now + LOAD_LINGERS;
        }
        if now < self.high_until { Load::High } else { Load::Normal }
    }
}

/// One source: an IPv4 address, or the /64 of an IPv6 address, which is one site's.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Source {
    v6: bool,
    prefix: u64,
}

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(a) => Self { v6: false, prefix: u64::from(u32::from(a)) },
            IpAddr::V6(a) => Self { v6: true, prefix: (u128::from(a) >> 64) as u64 },
        }
    }
}

/// A token bucket for each source, in a table of fixed size.
///
/// A source has four places, chosen by a keyed hash. When all are taken by others, the one whose
/// bucket is nearest to full makes way; it loses least by being forgotten. Sources get here only
/// with a cookie, so whoever wants to push others out needs as many real addresses.
pub struct RateLimiter {
    seed: (u64, u64),
    sets: Box<[[(Source, Bucket); WAYS]]>,
}

impl RateLimiter {
    /// An empty table. `seed` is random and secret: nobody may aim at a place in the table.
    #[must_use]
    pub fn new(seed: (u64, u64)) -> Self {
        Self { seed, sets: vec![Default::default(); SETS].into() }
    }

    /// Takes a token of `source`; false when it has none left.
    pub fn allow(&mut self, now: Time, source: IpAddr) -> bool {
        let source = Source::from(source);
        let set = self.set(source);
        let mut place = 0;
        for (i, (owner, bucket)) in set.iter().enumerate() {
            if *owner == source {
                return set[i].1.take(now, PER_SOURCE);
            }
            if bucket.full_at < set[place].1.full_at {
                place = i;
            }
        }
        set[place] = (source, Bucket::default());
        set[place].1.take(now, PER_SOURCE)
    }

    fn set(&mut self, source: Source) -> &mut [(Source, Bucket); WAYS] {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u8(source.v6.into());
        hasher.write_u64(source.prefix);
        &mut self.sets[hasher.finish() as usize % SETS]
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let mut limiter = RateLimiter::new((1, 2));
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let granted = (0..1_000).filter(|_| limiter.allow(at(5_000), ip)).count();
        assert_eq!(granted, 20);
        let granted = (0..10_000).filter(|i| limiter.allow(at(5_000 + i), ip)).count();
        assert!((99..=100).contains(&granted), "10 a second, was {granted} in 10 s");
        assert!(limiter.allow(at(15_000), "192.0.2.2".parse().unwrap()), "another one has its own");
    }

    #[test]
    fn an_ipv6_source_is_a_64() {
        let mut limiter = RateLimiter::new((1, 2));
        for i in 0..20 {
            assert!(limiter.allow(at(0), format!("2001:db8::{i}").parse().unwrap()));
        }
        assert!(!limiter.allow(at(0), "2001:db8::ffff:1:2:3".parse().unwrap()));
        assert!(limiter.allow(at(0), "2001:db8:0:1::".parse().unwrap()));
        for _ in 0..20 {
            limiter.allow(at(0), "192.0.2.1".parse().unwrap());
        }
        assert!(!limiter.allow(at(0), "::ffff:192.0.2.1".parse().unwrap()), "one and the same");
    }

    #[test]
    fn a_flood_of_sources_pushes_out_those_that_lose_least() {
        let mut limiter = RateLimiter::new((1, 2));
        let busy: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..20 {
            limiter.allow(at(0), busy);
        }
        for i in 0..100_000u32 {
            limiter.allow(at(0), IpAddr::from(i.to_be_bytes()));
        }
        assert!(!limiter.allow(at(0), busy), "an empty bucket stays");
    }

    #[test]
    fn load_comes_with_the_flood_and_goes_a_second_after_it() {
        let mut meter = LoadMeter::default();
        for i in 0..200 {
            assert_eq!(meter.arrived(at(i * 25)), Load::Normal, "40 a second");
        }
        let loads: Vec<_> = (0..1_000).map(|i| meter.arrived(at(10_000 + i))).collect();
        let first = loads.iter().position(|&l| l == Load::High).unwrap();
        assert!((100..110).contains(&first), "after the burst, at {first}");
        assert!(loads[first..].iter().all(|&l| l == Load::High));
        assert_eq!(meter.arrived(at(11_500)), Load::High);
        assert_eq!(meter.arrived(at(13_000)), Load::Normal);
    }
}
