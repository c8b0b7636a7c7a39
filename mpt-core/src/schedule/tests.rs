use super::*;
use crate::Weight;
use crate::config::SchedulerKind;
use std::time::Duration;

fn views(weights: &[u64]) -> Vec<PathView> {
    weights
        .iter()
        .zip(PathId::all())
        .map(|(&w, id)| PathView {
            id,
            weight: Weight::new(w).unwrap(),
            priority: 0,
            rank: Rank::Preferred,
            mtu: 1400,
            srtt: Duration::from_millis(10),
            limit: None,
            tokens: Tokens::Left,
            wait: Duration::ZERO,
            min_rtt: Duration::from_millis(10),
            estimate: Estimate::default(),
        })
        .collect()
}

fn path(pick: Pick) -> usize {
    match pick {
        Pick::Path(id) => id.index(),
        other => panic!("{other:?}"),
    }
}

/// Sizes of a mixed stream: alike, evenly spread, and acknowledgements between full packets.
const SIZES: [fn(usize) -> usize; 3] =
    [|_| 1400, |i| 60 + (i * 7919) % 1341, |i| if i * 7919 % 5 < 2 { 64 } else { 1400 }];

#[test]
fn bytes_follow_the_weights_within_a_packet_at_any_time() {
    let twelve: Vec<u64> = (1..=12).collect();
    let one_big = [&[100][..], &[1; 11]].concat();
    let sets: [&[u64]; 8] =
        [&[4, 1], &[1, 1], &[1, 3], &[5, 2, 1], &twelve, &[1; 12], &one_big, &[10_000, 1]];
    for (weights, size) in sets.into_iter().flat_map(|w| SIZES.map(|s| (w, s))) {
        let views = views(weights);
        let mut s = Scheduler::new(SchedulerKind::Weighted);
        let mut bytes = vec![0usize; weights.len()];
        let total: u64 = weights.iter().sum();
        let mut all = 0;
        for i in 0..20_000 {
            let len = size(i);
            bytes[path(s.pick(Time::ZERO, &views, 0, len, len))] += len;
            all += len;
            for (b, w) in bytes.iter().zip(weights) {
                let due = all as f64 * *w as f64 / total as f64;
                assert!((*b as f64 - due).abs() <= 1400.0, "{weights:?}: {b} bytes of {due}");
            }
        }
    }
}

#[test]
fn paths_alternate_as_evenly_as_weights_allow() {
    let views = views(&[1, 1]);
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    let picks: Vec<_> = (0..100).map(|_| path(s.pick(Time::ZERO, &views, 0, 1000, 1000))).collect();
    assert!(picks.windows(2).all(|w| w[0] != w[1]));

    // 5, 2 and 1 of eight: never more than two in a row, and the smallest one every eighth time.
    let views = self::views(&[5, 2, 1]);
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    let picks: Vec<_> = (0..800).map(|_| path(s.pick(Time::ZERO, &views, 0, 1000, 1000))).collect();
    assert!(picks.windows(3).all(|w| w != [0, 0, 0] && w[..2] != [1, 1]));
    assert!(picks.windows(8).all(|w| w.iter().filter(|&&p| p == 2).count() == 1));
}

#[test]
fn a_path_that_returns_takes_no_burst() {
    let both = views(&[1, 1]);
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    for _ in 0..1000 {
        let _ = s.pick(Time::ZERO, &both[..1], 0, 1000, 1000);
    }
    let second = (0..10).filter(|_| path(s.pick(Time::ZERO, &both, 0, 1000, 1000)) == 1).count();
    assert_eq!(second, 5);
}

#[test]
fn a_new_weight_counts_from_the_next_packet() {
    let mut views = views(&[1, 1]);
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    for _ in 0..1001 {
        let _ = s.pick(Time::ZERO, &views, 0, 1000, 1000);
    }
    views[0].weight = Weight::new(9).unwrap();
    let first = (0..100).filter(|_| path(s.pick(Time::ZERO, &views, 0, 1000, 1000)) == 0).count();
    assert_eq!(first, 90);
}

#[test]
fn ranks_go_before_weights() {
    let mut v = views(&[100, 1, 1]);
    v[0].rank = Rank::Suspected;
    v[1].rank = Rank::HeldDown;
    for kind in [SchedulerKind::Weighted, SchedulerKind::Failover, SchedulerKind::Flow] {
        let mut s = Scheduler::new(kind);
        assert_eq!(path(s.pick(Time::ZERO, &v, 1, 100, 136)), 2);
        assert_eq!(path(s.pick(Time::ZERO, &v[..2], 1, 100, 136)), 1);
        assert_eq!(path(s.pick(Time::ZERO, &v[..1], 1, 100, 136)), 0);
        assert_eq!(s.pick(Time::ZERO, &[], 1, 100, 136), Pick::NoPath);
    }
}

#[test]
fn a_path_too_small_is_passed_over() {
    let mut v = views(&[100, 1]);
    v[0].mtu = 1000;
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 1200, 1236)), 1);
    assert_eq!(s.pick(Time::ZERO, &v, 0, 1500, 1536), Pick::NoneFits);
    v[1].rank = Rank::HeldDown;
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 1200, 1236)), 1, "rather than in parts");
    v[1].rank = Rank::Suspected;
    assert_eq!(s.pick(Time::ZERO, &v, 0, 1200, 1236), Pick::NoneFits, "rather than into nowhere");
    v[0].rank = Rank::Suspected;
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 1200, 1236)), 1);
}

#[test]
fn packets_too_large_for_a_path_leave_its_share_of_the_others() {
    let mut v = views(&[1, 1]);
    v[1].mtu = 1000;
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    let mut small = [0; 2];
    for _ in 0..1000 {
        assert_eq!(path(s.pick(Time::ZERO, &v, 0, 1200, 1236)), 0);
        small[path(s.pick(Time::ZERO, &v, 0, 100, 136))] += 1;
    }
    assert_eq!(small, [500, 500]);
}

#[test]
fn failover_stays_among_equals_and_goes_by_priority() {
    let mut v = views(&[1, 1]);
    let mut s = Scheduler::new(SchedulerKind::Failover);
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 100, 136)), 0);
    v[1].srtt = Duration::from_millis(1);
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 100, 136)), 0);
    v[0].priority = 5;
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 100, 136)), 1);
    assert_eq!(path(s.pick(Time::ZERO, &v[..1], 0, 100, 136)), 0);
    assert_eq!(path(s.pick(Time::ZERO, &v, 0, 100, 136)), 1);
}

#[test]
fn flows_stay_and_only_those_of_a_lost_path_move() {
    let v = views(&[1, 2, 3]);
    let mut s = Scheduler::new(SchedulerKind::Flow);
    let flows = 60_000u64;
    let mut count = [0f64; 3];
    for f in 0..flows {
        let f = f.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let before = path(s.pick(Time::ZERO, &v, f, 100, 136));
        count[before] += 1.0;
        let after = path(s.pick(Time::ZERO, &v[1..], f, 100, 136));
        assert!(before == 0 || before == after);
    }
    for (n, w) in count.iter().zip([1.0, 2.0, 3.0]) {
        let due = flows as f64 * w / 6.0;
        assert!((n - due).abs() < due * 0.02, "{n} of {due}");
    }
}

#[test]
fn paths_out_of_tokens_are_passed_over() {
    for kind in [SchedulerKind::Weighted, SchedulerKind::Failover, SchedulerKind::Flow] {
        let mut v = views(&[1, 1, 1]);
        v[0].tokens = Tokens::Spent;
        v[2].rank = Rank::HeldDown;
        let mut s = Scheduler::new(kind);
        assert!((0..50).all(|flow| path(s.pick(Time::ZERO, &v, flow, 100, 136)) == 1));
        v[1].tokens = Tokens::Spent;
        assert_eq!(
            s.pick(Time::ZERO, &v, 1, 100, 136),
            Pick::Wait,
            "a path of lower rank is no way round a limit"
        );
        v[1].mtu = 50;
        assert_eq!(s.pick(Time::ZERO, &v, 1, 100, 136), Pick::Wait, "nor is one that is too small");
        assert_eq!(s.pick(Time::ZERO, &v, 1, 1_500, 1_536), Pick::NoneFits);
        v[0].mtu = 50;
        assert_eq!(path(s.pick(Time::ZERO, &v, 1, 100, 136)), 2);
    }
}

#[test]
fn waiting_for_tokens_does_not_upset_the_weights() {
    let mut v = views(&[3, 1]);
    let mut s = Scheduler::new(SchedulerKind::Weighted);
    let mut count = [0; 2];
    for i in 0..4_000 {
        // Every other packet finds one path spent, which costs it that packet and nothing else.
        v[0].tokens = if i % 2 == 0 { Tokens::Spent } else { Tokens::Left };
        let picked = path(s.pick(Time::ZERO, &v, 0, 1_000, 1_000));
        count[picked] += usize::from(i % 2 == 1);
    }
    assert_eq!(count, [1_500, 500]);
}
