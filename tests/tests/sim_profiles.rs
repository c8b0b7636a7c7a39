//! The adaptive scheduler by its goals, in a sample small enough for every run: generous bounds, few seeds. Thousands
//! of seeds: `mpt-lab profiles --sim --seeds N`.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::sim::profiles::{Beside, Profile, Tunnel, bulk, call_alone, steady, world};
use mpt_lab::sim::quic::{Achieved, Bulk, Control};
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
            ("jit_5", 0.85),
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

#[test]
fn a_constant_stream_below_the_sum_is_carried_whole_and_in_order() {
    sweep("steady", 1, |seed| {
        for name in ["baseline", "rtt_40", "bw_10to1"] {
            let arrived = steady(&Profile::named(name).unwrap(), Tunnel::Adaptive, 0.8, seed);
            assert!(arrived.loss() < 0.001, "{name}: {} lost", arrived.loss());
            assert_eq!(arrived.out_of_order, 0, "{name}");
        }
    });
}

/// What waits, waits in front of the paths, where the call passes it by: a queue on the path would take 100 ms and half of the packets.
#[test]
fn a_call_beside_a_bulk_flow_is_as_good_as_alone_where_paths_have_jitter() {
    sweep("jittery call", 1, |seed| {
        for (name, least) in [("jit_5", 70.0), ("lte_starlink", 50.0), ("dual_lte", 35.0)] {
            let profile = Profile::named(name).unwrap();
            let own = call_alone(&profile, 0, seed).delay(0.99);
            let run = bulk(&profile, Tunnel::Adaptive, Control::Bbr, Beside::Call, seed);
            let (call, flow) = (run.call.unwrap(), run.goodput / 1e6);
            let p99 = call.delay(0.99);
            let said = format!("{name}: {own:?} alone, {p99:?}, {} lost, {flow:.1}", call.loss());
            assert!(p99 < own + 60 * MS && call.loss() < 0.01 && flow > least, "{said}");
        }
    });
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

#[test]
fn capacity_that_halves_and_comes_back_is_followed_within_two_seconds() {
    sweep("capacity", 1, |seed| {
        for control in Control::ALL {
            let mut flow = Flow::new("baseline", Tunnel::Adaptive, control, seed);
            let before = flow.after(4 * S, 2 * S);
            flow.world.lines[0].change(Way::Both, |p| p.rate_bps = Some(25_000_000));
            let halved = flow.after(2 * S, 2 * S);
            flow.world.lines[0].change(Way::Both, |p| p.rate_bps = Some(50_000_000));
            let back = flow.after(2 * S, 2 * S);
            let said = format!("{control}: {before:.1}, {halved:.1}, {back:.1}");
            assert!(before > 80.0 && halved > 50.0 && back > 65.0, "{said}");
        }
    });
}

#[test]
fn a_path_that_becomes_longer_costs_no_more_than_it_brings() {
    sweep("delay", 1, |seed| {
        for control in Control::ALL {
            let mut flow = Flow::new("baseline", Tunnel::Adaptive, control, seed);
            let before = flow.after(4 * S, 2 * S);
            flow.world.lines[1].change(Way::Both, |p| p.delay += 50 * MS);
            let longer = flow.after(2 * S, 3 * S);
            let said = format!("{control}: {before:.1}, {longer:.1}");
            assert!(before > 80.0 && longer > 40.0, "{said}");
        }
    });
}

#[test]
fn a_burst_of_losses_is_over_when_it_is_over() {
    sweep("burst", 1, |seed| {
        let mut flow = Flow::new("baseline", Tunnel::Adaptive, Control::Bbr, seed);
        let before = flow.after(4 * S, 2 * S);
        flow.world.lines[0].change(Way::Both, |p| p.loss = 0.2);
        flow.world.run(300 * MS);
        flow.world.lines[0].change(Way::Both, |p| p.loss = 0.0);
        let after = flow.after(2 * S, 2 * S);
        assert!(after > before * 0.8, "{before:.1}, {after:.1}");
    });
}

#[test]
fn a_path_that_comes_and_goes_leaves_the_other_ones_worth() {
    sweep("flapping", 1, |seed| {
        let mut flow = Flow::new("baseline", Tunnel::Adaptive, Control::Bbr, seed);
        flow.world.run(4 * S);
        for _ in 0..2 {
            flow.world.lines[1].cut(Way::Both);
            let alone = flow.after(2 * S, 3 * S);
            flow.world.lines[1].mend();
            let back = flow.after(2 * S, 3 * S);
            assert!(alone > 35.0 && back > 35.0, "{alone:.1}, {back:.1}");
        }
    });
}
