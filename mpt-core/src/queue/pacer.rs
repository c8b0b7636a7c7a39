//! When a path with a limit may send.

use crate::{Rate, Time};
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

/// Bytes of a large packet.
const PACKET: u64 = 1_500;

/// Tokens saved up: two packets, or what this time brings. A daemon that wakes a millisecond late loses nothing.
const BURST: Duration = Duration::from_millis(2);

/// Bought at once at high rates, so that timers ring at most 2 000 times a second.
const CHUNK: Duration = Duration::from_micros(500);

/// What never waits (probes, reports, what is sent again) goes into debt no deeper than this: a few packets, or
/// what this time brings. Beyond, data would wait for what nobody remembers.
const MOST_DEBT: Duration = Duration::from_millis(250);

/// Bytes of a cell at least.
const LEAST_CELL: u64 = 256;

/// A cell takes this long at least: rounding it to nanoseconds is 0.005 % then.
const LEAST_PERIOD: Duration = Duration::from_micros(10);

/// Lets bytes go at a rate: a token bucket of the `governor` crate, in the protocol's time.
///
/// The limiter counts cells of 256 bytes or more; what a cell holds beyond the packets it was bought for
/// stays as credit, so that rates are exact to the byte. A packet may go while there is credit, and may
/// overdraw it; the debt is paid before the next one goes.
pub struct Pacer {
    limiter: Limiter,
    rate: Rate,
    /// Bytes of a cell.
    cell: u64,
    /// Cells saved up at most.
    burst: NonZeroU32,
    /// Bytes bought and not spent; not above zero: the next packet has to wait until more can be bought.
    credit: i64,
    /// Refused until then.
    until: Time,
}

impl Pacer {
    /// A pacer that has saved up all it may.
    #[must_use]
    pub fn new(now: Time, rate: Rate) -> Self {
        let (cell, burst) = cells(rate);
        Self { limiter: limiter(now, rate, cell, burst), rate, cell, burst, credit: 0, until: now }
    }

    /// The rate.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Goes on at another rate, with what was saved up or owed so far: changes, however frequent, neither bring
    /// nor take more than a cell.
    pub fn set_rate(&mut self, now: Time, rate: Rate) {
        if rate == self.rate {
            return;
        }
        self.limiter.clock().set(now);
        let mut n = self.burst.get().next_power_of_two();
        while let Some(cells) = NonZeroU32::new(n) {
            if cells <= self.burst && self.buy(cells).is_ok() {
                self.credit += i64::from(n) * self.cell as i64;
            }
            n /= 2;
        }
        (self.cell, self.burst) = cells(rate);
        self.rate = rate;
        self.limiter = limiter(now, rate, self.cell, self.burst);
        // What a new limiter has saved up was not earned.
        let _ = self.buy(self.burst);
        self.credit = self.credit.min(i64::from(self.burst.get()) * self.cell as i64);
        self.until = now;
    }

    /// Whether a packet may go.
    ///
    /// # Errors
    /// Not before this time, which is later than `now`.
    #[inline]
    pub fn ready(&mut self, now: Time) -> Result<(), Time> {
        if self.credit > 0 { Ok(()) } else { self.earn(now) }
    }

    /// A packet of `bytes` went.
    #[inline]
    pub fn spend(&mut self, bytes: usize) {
        let most = bytes_in(self.rate, MOST_DEBT).max(4 * PACKET) as i64;
        self.credit = (self.credit - bytes as i64).max(-most);
    }

    /// When [`ready`](Self::ready) will say so, if it refused last.
    #[must_use]
    pub const fn refused_until(&self) -> Time {
        self.until
    }

    /// How long it takes until a packet may go, if [`ready`](Self::ready) refused it at `now`: what is owed is paid first.
    #[must_use]
    pub fn wait(&self, now: Time) -> Duration {
        if self.credit > 0 {
            return Duration::ZERO;
        }
        let owed = (1 - self.credit).unsigned_abs().saturating_mul(1_000_000_000);
        let paid = Duration::from_nanos(owed / self.rate.bytes_per_second().max(1));
        self.until.since(now).max(paid)
    }

    fn earn(&mut self, now: Time) -> Result<(), Time> {
        if now < self.until {
            return Err(self.until);
        }
        self.limiter.clock().set(now);
        while self.credit <= 0 {
            let bytes = (1 - self.credit).max(bytes_in(self.rate, CHUNK) as i64) as u64;
            let wanted = u32::try_from(bytes.div_ceil(self.cell)).unwrap_or(u32::MAX);
            let wanted = NonZeroU32::new(wanted).unwrap_or(NonZeroU32::MIN).min(self.burst);
            if let Err(until) = self.buy(wanted) {
                self.until = until;
                return Err(until);
            }
            self.credit += i64::from(wanted.get()) * self.cell as i64;
        }
        Ok(())
    }

    /// Cells, all or none.
    fn buy(&self, cells: NonZeroU32) -> Result<(), Time> {
        match self.limiter.check_n(cells) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(Time::from_nanos(not_until.earliest_possible().0)),
            // Nobody asks for more than the burst.
            Err(_) => Err(self.limiter.clock().now().time() + BURST),
        }
    }
}

impl std::fmt::Debug for Pacer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pacer").field("rate", &self.rate).field("credit", &self.credit).finish()
    }
}

/// Bytes of a cell, and how many make a burst.
fn cells(rate: Rate) -> (u64, NonZeroU32) {
    let cell = bytes_in(rate, LEAST_PERIOD).next_power_of_two().max(LEAST_CELL);
    let burst = bytes_in(rate, BURST).max(2 * PACKET).div_ceil(cell);
    (cell, u32::try_from(burst).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
}

/// What the rate brings in this time.
fn bytes_in(rate: Rate, time: Duration) -> u64 {
    (u128::from(rate.bytes_per_second()) * time.as_nanos() / 1_000_000_000) as u64
}

fn limiter(now: Time, rate: Rate, cell: u64, burst: NonZeroU32) -> Limiter {
    let per_second = rate.bits_per_second();
    let period = (u128::from(cell) * 8 * 1_000_000_000 + u128::from(per_second) / 2)
        / u128::from(per_second);
    let period = Duration::from_nanos(period.max(1) as u64);
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    RateLimiter::direct_with_clock(quota.allow_burst(burst), VirtualClock(Cell::new(now)))
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, VirtualClock, NoOpMiddleware<Reading>>;

/// A clock that shows what it was told last.
struct VirtualClock(Cell<Time>);

impl VirtualClock {
    fn set(&self, now: Time) {
        self.0.set(now);
    }
}

impl Clock for VirtualClock {
    type Instant = Reading;

    fn now(&self) -> Reading {
        Reading(self.0.get().as_nanos())
    }
}

/// The clock's reading, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Reading(u64);

impl Reading {
    fn time(self) -> Time {
        Time::from_nanos(self.0)
    }
}

impl Add<Nanos> for Reading {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Reading {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}
