//! Networks that change under a load, and how soon all is well again.

use super::{Profile, Tunnel, world};
use crate::link::LinkProfile;
use crate::sim::quic::{Bulk, Control};
use crate::sim::steady::Steady;
use crate::sim::trail::{Step, Trail};
use crate::sim::world::{Way, World};
use mpt_core::Time;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// All of them happen in this network: two links of 50 Mbit/s and 20 ms.
const NETWORK: &str = "baseline";
const MBIT: f64 = 50.0;

/// Before anything changes, and so long after each change.
const BEFORE: Duration = Duration::from_secs(6);

/// What is shown as one row.
pub(super) const ROW: Duration = Duration::from_millis(500);

/// Steps of a change that takes a second.
const RAMP: u32 = 10;

/// All is well when this part of the flow's share from before the change is carried again, …
const WELL: f64 = 0.85;

/// … for this long.
const STAYS: Duration = Duration::from_secs(1);

/// A constant stream is well when it loses no more than this.
const WELL_LOST: f64 = 0.001;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Stands in the table.
    pub name: &'static str,
    /// In words.
    pub about: &'static str,
    /// In order, from the moment on when the load began.
    events: &'static [(Duration, Event)],
    /// After the last event.
    end: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Path A's rate moves there within a second, Mbit/s.
    Rate(f64),
    /// That path's one-way delay, milliseconds.
    Delay(usize, u64),
    /// Path A loses this share for 300 ms.
    Loss(f64),
    /// Path B goes, or comes back.
    Path(bool),
}

/// All of them.
pub const CHANGES: [Change; 6] = [
    Change {
        name: "capacity",
        about: "A goes from 50 to 25 Mbit/s within a second, and back to 50",
        events: &[(BEFORE, Event::Rate(25.0)), (at(12), Event::Rate(50.0))],
        end: at(18),
    },
    Change {
        name: "more capacity",
        about: "A goes from 50 to 100 Mbit/s within a second, and back to 50",
        events: &[(BEFORE, Event::Rate(100.0)), (at(12), Event::Rate(50.0))],
        end: at(18),
    },
    Change {
        name: "delay of A",
        about: "A becomes 50 ms longer, and shorter again",
        events: &[(BEFORE, Event::Delay(0, 70)), (at(12), Event::Delay(0, 20))],
        end: at(18),
    },
    Change {
        name: "delay of B",
        about: "B becomes 50 ms longer, and shorter again",
        events: &[(BEFORE, Event::Delay(1, 70)), (at(12), Event::Delay(1, 20))],
        end: at(18),
    },
    Change {
        name: "loss",
        about: "A loses 20 %, then 50 %, for 300 ms each",
        events: &[(BEFORE, Event::Loss(0.2)), (at(10), Event::Loss(0.5))],
        end: at(14),
    },
    Change {
        name: "flapping",
        about: "B goes and comes every 5 s",
        events: &[
            (BEFORE, Event::Path(false)),
            (at(11), Event::Path(true)),
            (at(16), Event::Path(false)),
            (at(21), Event::Path(true)),
            (at(26), Event::Path(false)),
            (at(31), Event::Path(true)),
        ],
        end: at(36),
    },
];

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is carried meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// One bulk flow.
    Bulk(Control),
    /// A constant stream, of 80 % of the least that the links carry at any time of the change.
    Constant,
}

impl Load {
    /// All of them.
    pub const ALL: [Self; 3] =
        [Self::Bulk(Control::Bbr), Self::Bulk(Control::Cubic), Self::Constant];

    /// Stands in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk(Control::Bbr) => "BBR",
            Self::Bulk(Control::Cubic) => "CUBIC",
            Self::Constant => "constant UDP",
        }
    }
}

/// Where it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// Two links, and the adaptive scheduler.
    Two,
    /// For comparison, one link of the rate of both, to which the same happens: the same tunnel, nothing to be scheduled.
    One,
}

/// What came through, second by half second.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Half a second each.
    pub slices: Vec<Slice>,
    /// Of each event of the change.
    pub recoveries: Vec<Recovery>,
}

/// Half a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    /// When it began, after the load did.
    pub at: Duration,
    /// What the links carry then of inner bytes, Mbit/s.
    pub capacity: f64,
    /// What came, Mbit/s.
    pub came: f64,
    /// One-way delays of what was sent then.
    pub median: Duration,
    /// The greatest of them.
    pub longest: Duration,
    /// Packets sent then that never came, and all.
    pub lost: Carried,
    /// Packets sent then that came after later ones.
    pub out_of_order: u64,
}

/// Of so many packets so many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    /// These.
    pub some: u64,
    /// Of these.
    pub all: u64,
}

impl Carried {
    /// The share.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.some as f64 / self.all.max(1) as f64
    }
}

/// How an event was got over.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// When it happened.
    pub at: Duration,
    /// How long until all was well, for a second at least; nothing if that never was.
    pub after: Option<Duration>,
    /// The least share of what is wanted that came in any half second afterwards, until the next event.
    pub least_after: f64,
}

impl Change {
    /// Runs it beneath `load`.
    #[must_use]
    pub fn run(&self, load: Load, network: Network, seed: u64) -> Timeline {
        let mut profile = Profile::named(NETWORK).expect("one of the profiles");
        let tunnel = match network {
            Network::Two => Tunnel::Adaptive,
            Network::One => Tunnel::Alone(0),
        };
        if network == Network::One {
            profile.links[0].rate_bps = Some(profile.rate() as u64);
        }
        let mut world = world(&profile, tunnel, seed);
        let began = world.now;
        let trail = match load {
            Load::Bulk(control) => {
                let (mut flow, _) = Bulk::new(world.now, (0, 1), 0, control, seed);
                let trail = flow.follow();
                world.hosts.push(Box::new(flow));
                trail
            }
            Load::Constant => {
                let mbit = 0.8 * self.least_capacity();
                let gap = Duration::from_secs_f64(1_264.0 * 8e-6 / mbit);
                let at = (began, began, began + self.end);
                let (mut flow, _) = Steady::new((0, 1), 5_006, 1_200, gap, at);
                let trail = flow.follow();
                world.hosts.push(Box::new(flow));
                trail
            }
        };
        for (at, event) in self.events {
            world.run((began + *at).since(world.now));
            event.happen(&mut world, network);
        }
        world.run((began + self.end + S).since(world.now));
        let trail = trail.borrow();
        self.timeline(&trail, began, load)
    }

    fn timeline(&self, trail: &Trail, began: Time, load: Load) -> Timeline {
        let rows = (self.end.as_millis() / ROW.as_millis()) as u32;
        // What came, by when it came.
        let mut came = vec![0usize; (self.end.as_millis() / MS.as_millis()) as usize + 1];
        for step in trail.steps() {
            if let Some(at) = step.came.map(|t| t.since(began).as_millis() as usize)
                && let Some(slot) = came.get_mut(at)
            {
                *slot += step.bytes;
            }
        }
        let came_within = |from: Duration, time: Duration| {
            let slots = from.as_millis() as usize..(from + time).as_millis() as usize;
            let bytes: usize = came.get(slots).unwrap_or(&[]).iter().sum();
            bytes as f64 * 8e-6 / time.as_secs_f64()
        };
        let slices = (0..rows).map(|row| {
            let from = ROW * row;
            let sent = || trail.sent_within(began + from, began + from + ROW);
            let mut delays: Vec<Duration> = sent().filter_map(Step::delay).collect();
            delays.sort_unstable();
            Slice {
                at: from,
                capacity: self.capacity(from, ROW),
                came: came_within(from, ROW),
                median: delays.get(delays.len() / 2).copied().unwrap_or_default(),
                longest: delays.last().copied().unwrap_or_default(),
                lost: Carried {
                    some: sent().filter(|s| s.came.is_none()).count() as u64,
                    all: sent().count() as u64,
                },
                out_of_order: sent().filter(|s| s.out_of_order).count() as u64,
            }
        });
        let slices: Vec<Slice> = slices.collect();
        // A share of what the links carry, or of what the stream sends.
        let before = came_within(BEFORE - 2 * S, 2 * S) / self.capacity(BEFORE - 2 * S, 2 * S);
        let wanted = |from: Duration, time: Duration| match load {
            Load::Bulk(_) => before.min(1.0) * self.capacity(from, time),
            Load::Constant => 0.8 * self.least_capacity() * 1_200.0 / 1_264.0,
        };
        let lost = |from: Duration, time: Duration| {
            let sent = || trail.sent_within(began + from, began + from + time);
            let some = sent().filter(|s| s.came.is_none()).count() as u64;
            Carried { some, all: sent().count() as u64 }.share()
        };
        let recoveries = self.events.iter().enumerate().map(|(i, &(at, _))| {
            let until = self.events.get(i + 1).map_or(self.end, |e| e.0);
            let is_well = |from: Duration, time: Duration| {
                came_within(from, time) >= wanted(from, time) * WELL
                    && (load != Load::Constant || lost(from, time) <= WELL_LOST)
            };
            // Well in each fifth of a second of it, which a flow's own cycle does not empty.
            let stays = |from: Duration| {
                (0..5).all(|n| is_well(from + STAYS / 5 * n, STAYS / 5)) && from + STAYS <= until
            };
            let steps = (until - at).as_millis() as u32 / 50;
            let after = (0..steps).map(|n| MS * 50 * n).find(|after| stays(at + *after));
            let from = after.unwrap_or(Duration::ZERO) + at;
            let left = (until.saturating_sub(from)).as_millis() / ROW.as_millis();
            let least_after = (0..left as u32)
                .map(|n| came_within(from + ROW * n, ROW) / wanted(from + ROW * n, ROW))
                .fold(f64::INFINITY, f64::min);
            Recovery { at, after, least_after }
        });
        let recoveries = recoveries.collect();
        Timeline { slices, recoveries }
    }

    /// What both links carry on average within that time, Mbit/s of inner bytes of large packets.
    fn capacity(&self, from: Duration, time: Duration) -> f64 {
        const STEPS: u32 = 20;
        let one = |n: u32| self.links_at(from + time / STEPS * n) * INNER;
        (0..STEPS).map(one).sum::<f64>() / f64::from(STEPS)
    }

    fn least_capacity(&self) -> f64 {
        let tenths = 0..self.end.as_millis() as u32 / 100;
        tenths.map(|n| self.links_at(MS * 100 * n)).fold(f64::INFINITY, f64::min)
    }

    /// The rates of both links, Mbit/s.
    fn links_at(&self, time: Duration) -> f64 {
        let (mut a, mut b) = (MBIT, MBIT);
        for &(at, event) in self.events.iter().filter(|(at, _)| *at <= time) {
            match event {
                Event::Rate(to) => a += (to - a) * ramp(time - at),
                Event::Path(there) => b = if there { MBIT } else { 0.0 },
                Event::Delay(..) | Event::Loss(_) => {}
            }
        }
        a + b
    }
}

/// Of a large packet on a link this part is inner.
const INNER: f64 = 1_378.0 / 1_442.0;

/// How much of a change has happened.
fn ramp(since: Duration) -> f64 {
    let step = (since.as_millis() / (S.as_millis() / u128::from(RAMP)) + 1).min(u128::from(RAMP));
    step as f64 / f64::from(RAMP)
}

impl Event {
    fn happen(self, world: &mut World, network: Network) {
        let one = network == Network::One;
        let mut change = |line: usize, change: &dyn Fn(&mut LinkProfile)| {
            world.lines[if one { 0 } else { line }].change(Way::Both, change);
        };
        match self {
            Self::Rate(to) => {
                let to = if one { to + MBIT } else { to };
                let from = world.lines[0].rate().unwrap_or(0) as f64;
                for step in 1..=RAMP {
                    let rate = from + (to * 1e6 - from) * f64::from(step) / f64::from(RAMP);
                    world.lines[0].change(Way::Both, |p| p.rate_bps = Some(rate as u64));
                    world.run(S / RAMP);
                }
            }
            Self::Delay(line, millis) => {
                change(line, &|p| p.delay = Duration::from_millis(millis));
            }
            Self::Loss(share) => {
                let share = if one { share / 2.0 } else { share };
                change(0, &|p| p.loss = share);
                world.run(300 * MS);
                world.lines[0].change(Way::Both, |p| p.loss = 0.0);
            }
            Self::Path(there) if one => {
                let rate = if there { 2.0 * MBIT } else { MBIT };
                change(0, &|p| p.rate_bps = Some((rate * 1e6) as u64));
            }
            Self::Path(true) => world.lines[1].mend(),
            Self::Path(false) => world.lines[1].cut(Way::Both),
        }
    }
}
