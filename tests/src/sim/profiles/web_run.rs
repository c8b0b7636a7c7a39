//! Short connections beside a bulk flow, both of the TCP that does not pace.

use super::run::{Flow, add_bulk};
use super::{LENGTH, Profile, Tunnel, WARM_UP, world};
use crate::sim::tcp::{Fetched, Web};
use crate::sim::world::World;
use mpt_core::Time;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What is open in the end has so long to finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a run gave.
#[derive(Clone, Debug)]
pub struct WebRun {
    /// Bits a second of the bulk flow, after the warm-up.
    pub goodput: f64,
    /// The connections begun after the warm-up.
    pub fetched: Vec<Fetched>,
    /// When all was over.
    ended: Time,
}

impl WebRun {
    /// What they took, from the first SYN to the last byte, sorted. Those that did not finish count as long as they had.
    fn times(&self) -> Vec<Duration> {
        let took = |f: &Fetched| f.took.unwrap_or_else(|| self.ended.since(f.began));
        let mut times: Vec<Duration> = self.fetched.iter().map(took).collect();
        times.sort_unstable();
        times
    }

    /// The mean of that.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.times().iter().sum::<Duration>() / self.fetched.len().max(1) as u32
    }

    /// What a share of `q` did not exceed.
    #[must_use]
    pub fn within(&self, q: f64) -> Duration {
        let times = self.times();
        let at = (times.len().saturating_sub(1) as f64 * q).round() as usize;
        times.get(at).copied().unwrap_or_default()
    }

    /// How many did not finish.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.fetched.iter().filter(|f| f.took.is_none()).count()
    }
}

/// Short connections beside a bulk flow.
#[must_use]
pub fn web(profile: &Profile, tunnel: Tunnel, seed: u64) -> WebRun {
    web_in(world(profile, tunnel, seed), seed)
}

/// The same in this world.
pub(super) fn web_in(mut world: World, seed: u64) -> WebRun {
    let counts = world.now + WARM_UP;
    let achieved = add_bulk(&mut world, Flow::Tcp, seed);
    let fetched = add_web(&mut world);
    world.run(WARM_UP);
    let before = achieved.borrow().bytes;
    world.run(LENGTH - WARM_UP);
    let bytes = achieved.borrow().bytes - before;
    let finished = fetched.clone();
    // Most have finished a moment later.
    world.run_until(PATIENCE, |_| finished.borrow().iter().all(|f| f.took.is_some()));
    let fetched = fetched.borrow().iter().filter(|f| f.began >= counts).copied().collect();
    WebRun {
        goodput: bytes as f64 * 8.0 / (LENGTH - WARM_UP).as_secs_f64(),
        fetched,
        ended: world.now,
    }
}

/// Short connections begin, until the run's end.
pub(super) fn add_web(world: &mut World) -> Rc<RefCell<Vec<Fetched>>> {
    let (web, fetched) = Web::new(world.now, (0, 1), world.now + LENGTH);
    world.hosts.push(Box::new(web));
    fetched
}
