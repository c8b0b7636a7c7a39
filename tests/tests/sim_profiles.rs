//! The adaptive scheduler by its goals, in a sample small enough for every run: generous bounds, few seeds. Thousands
//! of seeds: `mpt-lab profiles --sim --seeds N`.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::sim::profiles::{
    Beside, CHANGES, Load, Network, PROFILES, Profile, Timeline, Tunnel, bulk, call_alone, steady,
    world,
};
use mpt_lab::sim::quic::{Achieved, Bulk, Control};
use mpt_lab::sim::steady::Steady;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Way, World};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A bulk flow that goes on.
struct Flow {
    world: World,
    achieved: Rc<RefCell<Achieved>>,
}

impl Flow {
    fn new(name: &str, tunnel: Tunnel, control: Control, seed: u64) -> Self {
        let mut world = world(&Profile::named(name).unwrap(), tunnel, seed);
        let (flow, achieved) = Bulk::new(world.now, (0, 1), 0, control, seed);
        world.hosts.push(Box::new(flow));
        Self { world, achieved }
    }

    /// Mbit/s during the next `time`.
    fn rate(&mut self, time: Duration) -> f64 {
        let before = self.achieved.borrow().bytes;
        self.world.run(time);
        (self.achieved.borrow().bytes - before) as f64 * 8e-6 / time.as_secs_f64()
    }

    fn after(&mut self, time: Duration, measured: Duration) -> f64 {
        self.world.run(time);
        self.rate(measured)
    }
}

/// Through both paths, against the better one alone and the sum of both.
fn compare(name: &str, control: Control, seed: u64, best: f64, sum: f64) {
    let through = |tunnel| Flow::new(name, tunnel, control, seed).after(4 * S, 6 * S);
    let [a, b] = [0, 1].map(|path| through(Tunnel::Alone(path)));
    let both = through(Tunnel::Adaptive);
    let said = format!("{name}, {control}: {a:.1} and {b:.1} alone, {both:.1} together");
    assert!(both >= a.max(b) * best, "{said}");
    assert!(both >= (a + b) * sum, "{said}");
}

#[test]
fn a_bbr_flow_uses_both_paths() {
    sweep("bbr", 1, |seed| {
        for (name, sum) in [
            ("baseline", 0.85),
            ("rtt_40", 0.85),
            ("loss_05", 0.85),
            ("bw_4to1", 0.85),
            ("rtt_320", 0.0),
        ] {
            compare(name, Control::Bbr, seed, 0.93, sum);
        }
    });
}

#[test]
fn a_cubic_flow_uses_both_paths() {
    sweep("cubic", 1, |seed| {
        for (name, sum) in [
            ("baseline", 0.85),
            ("rtt_40", 0.8),
            // Sixteen seeds reach 0.92 to 0.99 in the end; how soon hangs on what the start lost.
            ("jit_5", 0.8),
            ("bw_4to1", 0.85),
            ("rtt_320", 0.0),
        ] {
            compare(name, Control::Cubic, seed, 0.93, sum);
        }
    });
}

/// Losses are repaired before the flow sees them; a queue is not overrun for that.
#[test]
fn a_cubic_flow_does_not_see_random_loss() {
    sweep("random loss", 2, |seed| {
        let mut flow = Flow::new("loss_05", Tunnel::Alone(0), Control::Cubic, seed);
        flow.world.run(4 * S);
        let before = flow.achieved.borrow().lost;
        flow.world.run(6 * S);
        let achieved = flow.achieved.borrow();
        // One in 200 of some 15 000 packets.
        assert!(achieved.lost - before < 30, "{} lost", achieved.lost - before);
    });
}

/// Nothing is lost beyond what the links lose, and all comes in order: in every profile, far paths and lossy ones too.
#[test]
fn a_constant_stream_below_the_sum_is_carried_whole_and_in_order() {
    sweep("steady", 1, |seed| {
        for profile in PROFILES {
            let arrived = steady(&profile, Tunnel::Adaptive, 0.8, seed);
            let (name, own) = (profile.name, profile.loss());
            assert!(arrived.loss() <= own, "{name}: lost {}, the links {own}", arrived.loss());
            let most = if profile.reorders() { 1e-4 } else { 0.0 };
            assert!(arrived.disorder() <= most, "{name}: {} out of order", arrived.disorder());
        }
    });
}

/// What waits, waits in front of the paths, where the call passes it by: a queue on the path would take 100 ms and half of the packets.
#[test]
fn a_call_beside_a_bulk_flow_is_as_good_as_alone_where_paths_have_jitter() {
    sweep("jittery call", 1, |seed| {
        // Of the goal, 30 ms, lte_starlink falls short in one seed of three.
        let profiles = [("jit_5", 70.0, 30), ("lte_starlink", 50.0, 110), ("dual_lte", 30.0, 70)];
        for (name, least, more) in profiles {
            let profile = Profile::named(name).unwrap();
            let own = call_alone(&profile, 0, seed).delay(0.99);
            let run = bulk(&profile, Tunnel::Adaptive, Control::Bbr, Beside::Call, seed);
            let (call, flow) = (run.call.unwrap(), run.goodput / 1e6);
            let p99 = call.delay(0.99);
            let said = format!("{name}: {own:?} alone, {p99:?}, {} lost, {flow:.1}", call.loss());
            assert!(p99 < own + more * MS && call.loss() < 0.01 && flow > least, "{said}");
        }
    });
}

/// With this seed the flow once sent 1.8 times what the paths carry: what stood there was taken for its own bursts, nothing
/// was paced, and the call lost 41 %.
#[test]
fn a_queue_that_loses_half_is_not_taken_for_bursts() {
    let profile = Profile::named("congested").unwrap();
    let run = bulk(&profile, Tunnel::Adaptive, Control::Bbr, Beside::Call, 1);
    let (call, flow) = (run.call.unwrap(), run.goodput / 1e6);
    // Half a per cent in the mean of ten seeds; taken for bursts, nearly half was lost.
    assert!(call.loss() < 0.04 && flow > 10.0, "{} lost, {flow:.1}", call.loss());
}

#[test]
fn capacity_of_jittery_paths_is_followed_too() {
    sweep("jittery capacity", 1, |seed| {
        let mut flow = Flow::new("jit_5", Tunnel::Adaptive, Control::Bbr, seed);
        let before = flow.after(4 * S, 2 * S);
        flow.world.lines[0].change(Way::Both, |p| p.rate_bps = Some(25_000_000));
        let halved = flow.after(2 * S, 2 * S);
        flow.world.lines[0].change(Way::Both, |p| p.rate_bps = Some(50_000_000));
        let back = flow.after(2 * S, 2 * S);
        let said = format!("{before:.1}, {halved:.1}, {back:.1}");
        assert!(before > 75.0 && halved > 45.0 && back > 60.0, "{said}");
    });
}

/// A small path that fills up first does not end a flow's start, and does not cost it later.
#[test]
fn a_small_path_beside_a_large_one_is_worth_something_to_a_cubic_flow() {
    sweep("small", 1, |seed| compare("bw_10to1", Control::Cubic, seed, 0.96, 0.88));
}

/// All is well again within this time.
const RECOVERY: f64 = 2.0;

/// What happens to `load` in the change of that name, over several seeds.
fn changed(name: &str, load: Load, check: impl Fn(&Timeline, &str)) {
    let change = CHANGES.into_iter().find(|c| c.name == name).unwrap();
    sweep(name, 2, |seed| {
        let timeline = change.run(load, Network::Two, seed);
        let said = format!("{name}, {}: {:?}", load.name(), timeline.recoveries);
        check(&timeline, &said);
        let disorder: u64 = timeline.slices.iter().map(|s| s.out_of_order).sum();
        let packets: u64 = timeline.slices.iter().map(|s| s.lost.all).sum();
        assert!(disorder as f64 <= 0.005 * packets as f64, "{said}: {disorder} out of order");
    });
}

/// Well again after each event, and never below `least` of what is wanted from then on.
fn recovers(least: f64) -> impl Fn(&Timeline, &str) {
    recovers_within(RECOVERY, least)
}

fn recovers_within(time: f64, least: f64) -> impl Fn(&Timeline, &str) {
    move |timeline, said| {
        for r in &timeline.recoveries {
            assert!(r.after.is_some_and(|a| a.as_secs_f64() <= time), "{said}");
            assert!(r.least_after >= least, "{said}");
        }
    }
}

/// What comes from `after` each event on, until the next one, is never less than this share of what the links carry.
fn never_below(least: f64, after: Duration) -> impl Fn(&Timeline, &str) {
    move |timeline, said| {
        let events: Vec<Duration> = timeline.recoveries.iter().map(|r| r.at).collect();
        for slice in timeline.slices.iter().filter(|s| s.at >= events[0]) {
            let last = events.iter().rfind(|at| **at <= slice.at).unwrap();
            let share = slice.came / slice.capacity;
            let settles = slice.at < *last + after;
            assert!(settles || share >= least, "{said}: {share:.2} at {:?}", slice.at);
        }
    }
}

#[test]
fn changes_beneath_a_bbr_flow() {
    let load = Load::Bulk(Control::Bbr);
    for name in ["capacity", "more capacity", "delay of A", "delay of B", "loss"] {
        changed(name, load, recovers(0.7));
    }
}

#[test]
fn changes_beneath_a_constant_stream() {
    for name in ["capacity", "more capacity", "delay of A", "delay of B", "loss", "flapping"] {
        // What comes 50 ms later is missing from that half second, a tenth of it, and a little more that waits until the spare rate of the
        // other path has carried it.
        changed(name, Load::Constant, recovers(0.85));
    }
}

/// A flow that only grows by losses has a window that fits what changes, too: by itself it would need seconds to grow.
#[test]
fn changes_beneath_a_cubic_flow() {
    let load = Load::Bulk(Control::Cubic);
    for name in ["capacity", "more capacity", "delay of B"] {
        changed(name, load, recovers(0.7));
    }
    // Two of 24 were not within two seconds.
    changed("delay of A", load, recovers_within(5.0, 0.6));
    // After the 50 %, a quarter of the seeds are not well again within four seconds, but have the better path's worth.
    changed("loss", load, never_below(0.42, 2 * S));
}

/// What fits both paths is there still when the other one is back.
#[test]
fn a_path_that_comes_and_goes_is_filled_at_once() {
    for control in Control::ALL {
        changed("flapping", Load::Bulk(control), recovers(0.75));
    }
}

/// Send times wrap every 6.5 s. A path that carries its first packet in another turn than the first path did is as slow
/// as it is, not 6.5 s slower, which would keep every flow that yields off it.
#[test]
fn a_path_is_used_whenever_it_carries_its_first_packet() {
    sweep("turns", 2, |seed| {
        for control in [Control::Bbr, Control::Cubic] {
            let mut world = world(&Profile::named("rtt_40").unwrap(), Tunnel::Adaptive, seed);
            let (call, _) = Steady::new(
                (0, 1),
                5_004,
                172,
                20 * MS,
                (world.now, world.now, world.now + 60 * S),
            );
            world.hosts.push(Box::new(call));
            world.run(20 * S);
            let (flow, achieved) = Bulk::new(world.now, (0, 1), 0, control, seed);
            world.hosts.push(Box::new(flow));
            world.run(4 * S);
            for path in 0..2 {
                let estimate = world.ends[0].path(world.now, path).estimate.unwrap();
                assert!(estimate.extra_delay < 1.0, "{control}: path {path}: {estimate:?}");
            }
            let before = achieved.borrow().bytes;
            world.run(6 * S);
            let rate = (achieved.borrow().bytes - before) as f64 * 8e-6 / 6.0;
            let sum = Profile::named("rtt_40").unwrap().rate() * 1e-6;
            assert!(rate > 0.75 * sum, "{control}: {rate:.1} of {sum:.1} Mbit/s");
        }
    });
}
