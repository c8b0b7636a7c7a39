//! Paths that fail without a word, under traffic, and come back: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::Time;
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// A failed path is out of use within this time where the round trip takes less than 100 ms, ...
const NOTICED: Duration = Duration::from_millis(300);

/// ... and within this where full queues both ways make it 200 ms.
const NOTICED_BEHIND_QUEUES: Duration = Duration::from_millis(500);

/// A path that came back is in use within this time.
const BACK: Duration = S;

/// A bridge of 4 Mbit/s with 100 ms of queue: a fifth of the demo's, so that many seeds are cheap.
fn bridge(delay: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(4_000_000),
        delay: MS * delay,
        queue: QueueLimit::Time(MS * 100),
        ..Default::default()
    }
}

/// A pair that uses all its paths, and `load` (of one bridge's rate, inner bytes) from 0 to 1.
fn loaded(seed: u64, paths: &[LinkProfile], load: f64) -> World {
    let mut w = World::pair(seed, paths, Far::Configured);
    w.run_until_up(3 * S).expect("all paths answer");
    w.stream(Traffic::new(0, 1, 4e6 * load));
    w.run(2 * S);
    let longer = w.any(S);
    w.run(longer);
    w
}

/// The dead line saw no data later than `within` after `cut`.
fn assert_out_of_use(w: &World, line: usize, way: Way, cut: Time, within: Duration) {
    let last = w.lines[line].last_data(way, w.now).unwrap_or_default();
    let after = last.since(cut);
    assert!(after < within, "line {line} {way:?}: data for {after:?} after the cut");
}

/// The line carries data in all of the time from `from` on, and its path stays in service.
fn assert_in_service(w: &World, line: usize, from: Time) {
    for (i, end) in w.ends.iter().enumerate() {
        let down = end.path_went_down(line, from);
        assert!(down.is_none(), "end {i} took the survivor out of service: {down:?}");
    }
    let pause = w.lines[line].longest_pause(Way::Up, from, w.now);
    assert!(pause < 100 * MS, "the survivor carried nothing for {pause:?}");
}

fn assert_back(w: &World, line: usize, way: Way, mended: Time) {
    let first = w.lines[line].first_data(way, mended);
    let after = first.map(|t| t.since(mended));
    assert!(
        after.is_some_and(|a| a < BACK),
        "line {line} {way:?}: data again {after:?} after it came back; {}",
        w.ends[0].path(w.now, line).why
    );
}

/// Cuts one of two lines for `time`, and looks whether all is as it should be.
fn fail_and_return(w: &mut World, way: Way, within: Duration) {
    let line = w.below(2);
    let cut = w.now;
    w.lines[line].cut(way);
    let time = 2 * S + w.any(S);
    w.run(time);
    assert_out_of_use(w, line, Way::Up, cut, within);
    assert_in_service(w, 1 - line, cut);
    let mended = w.now;
    w.lines[line].mend();
    w.run(2 * S);
    assert_back(w, line, Way::Up, mended);
    assert_in_service(w, 1 - line, cut);
    assert_eq!(w.streams[0].out_of_order, 0, "FIFO links");
}

#[test]
fn a_blackhole_is_found_out_and_its_end_too() {
    sweep("blackhole at 60 % load", 12, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(3)], 0.6);
        fail_and_return(&mut w, Way::Both, NOTICED);
    });
}

#[test]
fn a_blackhole_of_unequal_paths() {
    sweep("blackhole, 5/40 ms", 12, |seed| {
        let mut w = loaded(seed, &[bridge(5), bridge(40)], 0.6);
        fail_and_return(&mut w, Way::Both, NOTICED);
    });
}

#[test]
fn the_survivor_stays_in_service_though_it_is_offered_180_percent() {
    sweep("blackhole at saturation", 12, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(3)], 1.8 * 0.93);
        fail_and_return(&mut w, Way::Both, NOTICED);
    });
}

#[test]
fn saturation_both_ways() {
    sweep("blackhole at saturation both ways", 8, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(10)], 1.7);
        w.stream(Traffic::new(1, 0, 4e6 * 1.7));
        w.run(S);
        fail_and_return(&mut w, Way::Both, NOTICED_BEHIND_QUEUES);
        assert_eq!(w.streams[1].out_of_order, 0);
    });
}

#[test]
fn one_direction_fails() {
    for (way, name) in [(Way::Up, "only forth"), (Way::Down, "only back")] {
        sweep(name, 12, |seed| {
            let mut w = loaded(seed, &[bridge(3), bridge(3)], 0.6);
            let line = w.below(2);
            let cut = w.now;
            w.lines[line].cut(way);
            w.run(3 * S);
            assert_in_service(&w, 1 - line, cut);
            if way == Way::Up {
                assert_out_of_use(&w, line, Way::Up, cut, NOTICED);
            }
            // Data that arrives is no failure; what counts is that nothing is lost for long.
            let stream = &mut w.streams[0];
            // What was under way is sent again, and waited for behind the survivor's queue, which this load fills.
            assert!(stream.longest_gap < 250 * MS, "nothing arrived for {:?}", stream.longest_gap);
            let lost = stream.missing();
            w.run(S);
            let late = w.streams[0].missing().saturating_sub(lost);
            assert!(late < 20, "{late} lost in the fourth second");
            let mended = w.now;
            w.lines[line].mend();
            w.run(2 * S);
            assert_back(&w, line, Way::Up, mended);
            assert_in_service(&w, 1 - line, cut);
            assert_eq!(w.streams[0].out_of_order, 0);
        });
    }
}

#[test]
fn one_direction_fails_with_traffic_both_ways() {
    for (way, name) in [(Way::Up, "only forth, both ways"), (Way::Down, "only back, both ways")] {
        sweep(name, 8, |seed| {
            let mut w = loaded(seed, &[bridge(3), bridge(3)], 1.7);
            w.stream(Traffic::new(1, 0, 4e6 * 1.7));
            w.run(S);
            let line = w.below(2);
            let cut = w.now;
            w.lines[line].cut(way);
            w.run(3 * S);
            assert_out_of_use(&w, line, way, cut, NOTICED_BEHIND_QUEUES);
            assert_in_service(&w, 1 - line, cut);
            let mended = w.now;
            w.lines[line].mend();
            w.run(2 * S);
            assert_back(&w, line, way, mended);
            assert_in_service(&w, 1 - line, cut);
        });
    }
}

#[test]
fn a_path_that_flaps_is_ranked_last_for_up_to_a_quarter_of_its_time() {
    sweep("flapping", 4, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(3)], 0.6);
        let began = w.now;
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let cut = w.now;
            w.lines[0].cut(Way::Both);
            w.run(S);
            assert_out_of_use(&w, 0, Way::Up, cut, NOTICED);
            let mended = w.now;
            w.lines[0].mend();
            w.run(S / 2 * 13);
            let first = w.lines[0].first_data(Way::Up, mended);
            pauses.push(first.map_or(7 * S, |t| t.since(mended)));
        }
        assert_in_service(&w, 1, began);
        // A quarter of the 6.5 s that it was up, and until that is noticed.
        assert!(pauses[0] < BACK && pauses[1] > S && pauses[3] > S * 3 / 2, "{pauses:?}");
        assert!(pauses.iter().all(|p| *p < S * 2), "{pauses:?}");
        assert!(pauses.is_sorted_by(|a, b| *a <= *b + 200 * MS), "{pauses:?}");
        assert_eq!(w.streams[0].out_of_order, 0);
    });
}

#[test]
fn a_path_that_never_stays_is_ranked_last_for_long() {
    sweep("flapping fast", 4, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(3)], 0.6);
        for up in [1, 1, 1, 1, 9] {
            w.lines[0].cut(Way::Both);
            w.run(S);
            let mended = w.now;
            w.lines[0].mend();
            w.run(S / 2 * 3 * up);
            if up > 1 {
                let first = w.lines[0].first_data(Way::Up, mended).expect("in the end");
                let pause = first.since(mended);
                assert!((7 * S..9 * S).contains(&pause), "{pause:?}");
            }
        }
        assert_eq!(w.streams[0].out_of_order, 0);
    });
}

#[test]
fn a_path_in_hold_down_is_used_when_no_other_answers() {
    sweep("hold-down, then the other fails", 4, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(3)], 0.6);
        for _ in 0..4 {
            w.lines[0].cut(Way::Both);
            w.run(S);
            w.lines[0].mend();
            w.run(S);
        }
        let cut = w.now;
        w.lines[1].cut(Way::Both);
        w.run(S);
        let first = w.lines[0].first_data(Way::Up, cut).expect("the one that is left is used");
        assert!(first.since(cut) < NOTICED, "after {:?}", first.since(cut));
        assert_out_of_use(&w, 1, Way::Up, cut, NOTICED);
    });
}

#[test]
fn all_paths_fail_and_return() {
    sweep("all fail", 8, |seed| {
        let mut w = loaded(seed, &[bridge(3), bridge(20)], 0.6);
        let time = w.any(20 * S);
        w.lines[0].cut(Way::Both);
        w.lines[1].cut(Way::Both);
        w.run(time);
        let mended = w.now;
        w.lines[0].mend();
        w.lines[1].mend();
        w.run(3 * S);
        let last = w.streams[0].last_delivery.unwrap();
        assert!(w.now.since(last) < 100 * MS, "nothing since {last:?}");
        let first = w.lines[0].first_data(Way::Up, mended).unwrap();
        assert!(first.since(mended) < 2 * S, "after {:?}, cut {time:?}", first.since(mended));
    });
}

#[test]
fn the_only_path_pauses_and_nothing_is_lost() {
    sweep("a pause of the only path", 8, |seed| {
        let mut w = loaded(seed, &[bridge(3)], 0.6);
        let from = w.now;
        for _ in 0..5 {
            w.lines[0].cut(Way::Both);
            w.run(200 * MS);
            w.lines[0].mend();
            w.run(S);
        }
        let pause = w.lines[0].longest_pause(Way::Up, from, w.now);
        assert!(pause < 50 * MS, "there is no better path, yet nothing was sent for {pause:?}");
    });
}
