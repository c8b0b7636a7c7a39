//! One run: a profile, the paths used of it, a scheduler, and what is carried.

use super::Profile;
use crate::link::LinkProfile;
use crate::sim::quic::{self, Achieved, Control};
use crate::sim::steady::{Arrived, Steady};
use crate::sim::tcp;
use crate::sim::world::{Far, World};
use mpt_core::config::{CipherChoice, SchedulerKind};
use mpt_core::{PathId, Time, Weight};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A flow's first seconds are not counted.
pub const WARM_UP: Duration = Duration::from_secs(5);

/// How long traffic lasts.
pub const LENGTH: Duration = Duration::from_secs(20);

/// Inner bytes and spacing of a call's packets.
const CALL: (usize, Duration) = (160, Duration::from_millis(20));

/// What a constant stream takes of what the links carry after headers.
pub const STEADY_SHARE: f64 = 0.8;

/// Inner bytes of a constant stream's packets; on a link they have 64 more.
const STEADY_BYTES: usize = 1_200;
const STEADY_OVERHEAD: usize = 20 + 8 + 20 + 8;

/// Which paths there are, and who spreads packets over them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tunnel {
    /// Path A or B alone, 0 or 1, through the same tunnel.
    Alone(usize),
    /// Both, with the rates as weights.
    Weighted,
    /// Both.
    Adaptive,
}

impl Tunnel {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alone(0) => "A",
            Self::Alone(_) => "B",
            Self::Weighted => "weighted",
            Self::Adaptive => "adaptive",
        }
    }
}

/// The world of a run, its tunnel up.
#[must_use]
pub fn world(profile: &Profile, tunnel: Tunnel, seed: u64) -> World {
    let (links, scheduler) = match tunnel {
        Tunnel::Alone(path) => (&profile.links[path..=path], SchedulerKind::Weighted),
        Tunnel::Weighted => (&profile.links[..], SchedulerKind::Weighted),
        Tunnel::Adaptive => (&profile.links[..], SchedulerKind::Adaptive),
    };
    let weights: &[u64] = if tunnel == Tunnel::Weighted { &profile.weights() } else { &[] };
    world_over(links, scheduler, weights, seed)
}

/// A tunnel over these links, up. The first paths have these weights, the others none.
pub(super) fn world_over(
    links: &[LinkProfile],
    scheduler: SchedulerKind,
    weights: &[u64],
    seed: u64,
) -> World {
    let mut world = World::pair(seed, links, Far::Configured);
    for i in 0..2 {
        let config = &mut world.ends[i].config;
        config.cipher = CipherChoice::None;
        config.scheduler = scheduler;
        world.start(i);
    }
    for end in 0..2 {
        for (path, weight) in PathId::all().zip(weights) {
            let weight = Weight::new(*weight).expect("rates are between 1 and 10 000 Mbit/s");
            world.operate(end, |endpoint, _, peer| endpoint.set_weight(peer, path, weight));
        }
    }
    world.run_until_up(Duration::from_secs(10));
    // The search for the MTU ends.
    world.run(Duration::from_secs(1));
    world
}

/// What a run with a bulk flow gave.
#[derive(Clone, Debug)]
pub struct BulkRun {
    /// Bits a second that the application read after the warm-up.
    pub goodput: f64,
    /// All of the flow.
    pub achieved: Achieved,
    /// When it began, on the world's clock.
    pub began: Time,
    /// The call beside it, if any.
    pub call: Option<Arrived>,
}

/// Whether a call is made beside the flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beside {
    /// The flow is alone.
    Nothing,
    /// A call goes the same way.
    Call,
}

/// Who sends a bulk flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// quinn, which paces.
    Quic(Control),
    /// A TCP with CUBIC, which does not.
    Tcp,
}

impl From<Control> for Flow {
    fn from(control: Control) -> Self {
        Self::Quic(control)
    }
}

/// A bulk flow.
#[must_use]
pub fn bulk(
    profile: &Profile,
    tunnel: Tunnel,
    flow: impl Into<Flow>,
    beside: Beside,
    seed: u64,
) -> BulkRun {
    bulk_in(world(profile, tunnel, seed), flow.into(), beside, seed)
}

/// A bulk flow begins.
pub(super) fn add_bulk(world: &mut World, flow: Flow, seed: u64) -> Rc<RefCell<Achieved>> {
    match flow {
        Flow::Quic(control) => {
            let (flow, achieved) = quic::Bulk::new(world.now, (0, 1), 0, control, seed);
            world.hosts.push(Box::new(flow));
            achieved
        }
        Flow::Tcp => {
            let (flow, achieved) = tcp::Bulk::new(world.now, (0, 1), 0);
            world.hosts.push(Box::new(flow));
            achieved
        }
    }
}

/// A bulk flow in this world.
pub(super) fn bulk_in(mut world: World, flow: Flow, beside: Beside, seed: u64) -> BulkRun {
    let (began, counts) = (world.now, world.now + WARM_UP);
    let achieved = add_bulk(&mut world, flow, seed);
    let call = (beside == Beside::Call).then(|| add_call(&mut world, counts));
    world.run(WARM_UP);
    let before = achieved.borrow().bytes;
    world.run(LENGTH - WARM_UP);
    let achieved = achieved.borrow().clone();
    let bytes = achieved.bytes - before;
    if call.is_some() {
        world.run(Duration::from_secs(1));
    }
    BulkRun {
        goodput: bytes as f64 * 8.0 / (LENGTH - WARM_UP).as_secs_f64(),
        achieved,
        began,
        call: call.map(take),
    }
}

/// A call with nothing beside it, through one path.
#[must_use]
pub fn call_alone(profile: &Profile, path: usize, seed: u64) -> Arrived {
    call_in(world(profile, Tunnel::Alone(path), seed))
}

/// A call with nothing beside it in this world.
pub(super) fn call_in(mut world: World) -> Arrived {
    let counts = world.now + WARM_UP;
    let arrived = add_call(&mut world, counts);
    world.run(LENGTH + Duration::from_secs(1));
    take(arrived)
}

/// A stream of constant rate: this share of what the links carry after headers. Counted from 2 s on.
#[must_use]
pub fn steady(profile: &Profile, tunnel: Tunnel, share: f64, seed: u64) -> Arrived {
    steady_in(world(profile, tunnel, seed), profile.rate() * share)
}

/// A stream of this rate, bits a second on the links, in this world. Counted from 2 s on.
pub(super) fn steady_in(mut world: World, rate: f64) -> Arrived {
    let counts = world.now + Duration::from_secs(2);
    let arrived = add_steady(&mut world, rate, counts);
    world.run(LENGTH + Duration::from_secs(2));
    take(arrived)
}

/// A stream of this rate on the links begins.
pub(super) fn add_steady(world: &mut World, rate: f64, counts: Time) -> Rc<RefCell<Arrived>> {
    let on_link = (STEADY_BYTES + STEADY_OVERHEAD) as f64;
    let gap = Duration::from_secs_f64(on_link * 8.0 / rate);
    let at = (world.now, counts, world.now + LENGTH);
    let (steady, arrived) = Steady::new((0, 1), 5_006, STEADY_BYTES, gap, at);
    world.hosts.push(Box::new(steady));
    arrived
}

/// A call begins.
pub(super) fn add_call(world: &mut World, counts: Time) -> Rc<RefCell<Arrived>> {
    let (bytes, gap) = CALL;
    let at = (world.now + gap / 3, counts, world.now + LENGTH);
    let (steady, arrived) = Steady::new((0, 1), 5_004, bytes, gap, at);
    world.hosts.push(Box::new(steady));
    arrived
}

fn take(arrived: Rc<RefCell<Arrived>>) -> Arrived {
    arrived.borrow().clone()
}
