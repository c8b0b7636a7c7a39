use super::*;

const RTT: u64 = 20;

/// A path on which packets up to `mtu` pass, each probe or its echo lost with probability
/// `loss`.
struct Path {
    mtu: u16,
    loss: f64,
    random: u64,
}

impl Path {
    fn loses(&mut self) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.random >> 33) as f64 / f64::from(1u32 << 31)) < self.loss
    }

    /// Runs `search` from `from` for `millis`; returns the probes sent.
    fn run(&mut self, search: &mut MtuSearch, from: u64, millis: u64) -> Vec<u16> {
        let (mut sizes, mut echoes) = (Vec::new(), Vec::new());
        for t in from..from + millis {
            let now = Time::from_millis(t);
            echoes.retain(|&(at, token)| at > t || !search.on_echo(token));
            let due = search.poll_timeout().is_some_and(|at| at <= now);
            let probe = search.poll_probe(now, Duration::from_millis(30));
            assert!(probe.is_none() || due, "a probe that no timeout announced");
            if let Some((probe, size)) = probe {
                sizes.push(size);
                if size <= self.mtu && !self.loses() {
                    echoes.push((t + RTT, probe.token));
                }
            }
        }
        sizes
    }
}

fn search(max: u16) -> MtuSearch {
    let mut search = MtuSearch::new(TokenSource::new([9; 16]), max);
    search.restart();
    search
}

fn clean(mtu: u16) -> Path {
    Path { mtu, loss: 0.0, random: 1 }
}

#[test]
fn an_ordinary_path_takes_one_round_trip() {
    let mut search = search(1_500);
    assert_eq!((search.mtu(), search.is_known()), (1_280, false));
    assert_eq!(clean(1_500).run(&mut search, 0, RTT + 1), [1_500]);
    assert_eq!((search.mtu(), search.poll_change()), (1_500, Some(1_500)));
    assert!(search.is_known() && search.poll_change().is_none());
    assert!(clean(1_500).run(&mut search, RTT + 1, 590_000).is_empty());
    assert_eq!(clean(1_500).run(&mut search, 591_000, 100_000), [1_500], "verified now and then");
}

#[test]
fn finds_every_mtu_within_its_precision() {
    for mtu in (FLOOR..=1_500).chain([1_700, 2_000, 4_470, 8_996, 9_000]) {
        for max in [1_500, 9_000] {
            let mut search = search(max);
            let probes = clean(mtu).run(&mut search, 0, 20_000);
            let found = search.mtu();
            let most = mtu.min(max);
            assert!(found <= most && most - found < PRECISION, "{found} of {most} in {max}");
            assert!(probes.len() < 48, "{mtu}: {probes:?}");
        }
    }
}

#[test]
fn common_sizes_are_found_fast_and_exactly() {
    for (mtu, within) in [(1_492, 1_000), (1_420, 3_000), (1_300, 6_000), (1_280, 8_000)] {
        let mut search = search(1_500);
        clean(mtu).run(&mut search, 0, within);
        assert_eq!(search.mtu(), mtu);
    }
    let mut search = search(1_500);
    clean(1_000).run(&mut search, 0, 8_000);
    assert!((993..=1_000).contains(&search.mtu()), "{}", search.mtu());
}

#[test]
fn random_loss_only_makes_it_careful_and_the_raise_timer_mends_it() {
    for seed in 0..50 {
        for mtu in [1_500, 1_492, 1_420, 1_300, 1_280, 1_000] {
            let mut search = search(1_500);
            let mut path = Path { mtu, loss: 0.2, random: seed };
            let mut found = 0;
            // Eight rounds of ten minutes: one alone misses a size now and then.
            for round in 0..8 {
                path.run(&mut search, round * 610_000, 40_000);
                found = found.max(search.mtu());
            }
            assert!(found <= mtu || mtu < BASE, "seed {seed}: {found} of {mtu}");
            assert!(mtu.saturating_sub(search.mtu()) < PRECISION, "seed {seed}: {found} of {mtu}");
        }
    }
}

#[test]
fn what_failed_while_probes_were_missed_is_tried_again_when_they_are_not() {
    let mut search = search(1_500);
    clean(1_500).run(&mut search, 0, 100);
    search.on_loss(Time::from_millis(100), 0.6);
    Path { mtu: 1_500, loss: 1.0, random: 1 }.run(&mut search, 100, 5_000);
    assert!(search.mtu() <= 1_280, "{}", search.mtu());
    search.on_calm(Time::from_millis(5_100));
    clean(1_500).run(&mut search, 5_100, 250);
    assert_eq!(search.mtu(), 1_500);
    // Where nothing failed nothing is tried, and where it fails again not often.
    search.on_calm(Time::from_millis(5_350));
    assert!(clean(1_500).run(&mut search, 5_350, 1_000).is_empty());
    search.on_large_loss(1_500);
    clean(1_400).run(&mut search, 10_000, 5_000);
    search.on_calm(Time::from_millis(15_000));
    assert!(clean(1_400).run(&mut search, 15_000, 5_000).is_empty());
    search.on_calm(Time::from_millis(20_200));
    assert!(clean(1_400).run(&mut search, 20_200, 5_000).contains(&1_500));
    assert_eq!(search.mtu(), 1_400);
}

#[test]
fn raised_after_ten_minutes() {
    let mut search = search(1_500);
    clean(1_400).run(&mut search, 0, 10_000);
    assert_eq!(search.mtu(), 1_400);
    assert!(clean(1_500).run(&mut search, 10_000, 580_000).is_empty());
    clean(1_500).run(&mut search, 590_000, 20_000);
    assert_eq!(search.mtu(), 1_500);
}

#[test]
fn a_black_hole_is_verified_before_it_is_believed() {
    let mut search = search(1_500);
    clean(1_500).run(&mut search, 0, 100);
    search.on_large_loss(1_500);
    clean(1_500).run(&mut search, 100, 100);
    assert_eq!(search.mtu(), 1_500, "false alarm");
    search.on_large_loss(1_500);
    clean(1_400).run(&mut search, 200, 700);
    assert_eq!(search.mtu(), 1_280);
    clean(1_400).run(&mut search, 900, 5_000);
    assert_eq!(search.mtu(), 1_400);
}

#[test]
fn loss_makes_it_verify_but_not_often_and_with_patience() {
    let mut search = search(1_500);
    clean(1_500).run(&mut search, 0, 100);
    for millis in (100..20_100).step_by(50) {
        search.on_loss(Time::from_millis(millis), 0.05);
        clean(1_500).run(&mut search, millis, 50);
    }
    assert_eq!(search.mtu(), 1_500, "the packets were lost for another reason");
    search.on_loss(Time::from_millis(21_000), 0.05);
    let probes = clean(1_300).run(&mut search, 21_000, 5 * 200 + 50);
    assert_eq!((&probes[..5], search.mtu()), (&[1_500; 5][..], 1_280));
    clean(1_300).run(&mut search, 23_000, 6_000);
    assert_eq!(search.mtu(), 1_300);
    clean(1_500).run(&mut search, 29_000, 20_000);
    assert_eq!(search.mtu(), 1_500, "asked again soon");
}

#[test]
fn a_path_that_loses_two_thirds_keeps_its_mtu() {
    let mut small = 0;
    for seed in 0..100 {
        let mut search = search(1_500);
        clean(1_500).run(&mut search, 0, 100);
        let mut path = Path { mtu: 1_500, loss: 0.65, random: seed };
        for millis in (100..30_100).step_by(1_000) {
            search.on_loss(Time::from_millis(millis), 0.65);
            path.run(&mut search, millis, 1_000);
        }
        small += usize::from(search.mtu() < 1_500);
    }
    assert!(small <= 2, "{small} of 100");
}

#[test]
fn local_errors_count_at_once() {
    let mut search = search(1_500);
    clean(1_500).run(&mut search, 0, 100);
    search.on_packet_too_big(1_500);
    assert_eq!(search.mtu(), 1_280);
    clean(1_492).run(&mut search, 100, 100);
    assert_eq!(search.mtu(), 1_492);
    search.set_max(1_400);
    assert_eq!(search.mtu(), 1_400);
    assert!(clean(1_400).run(&mut search, 200, 100).is_empty(), "less than what passes");
    search.set_max(9_000);
    clean(9_000).run(&mut search, 300, 100);
    assert_eq!(search.mtu(), 9_000);
}

#[test]
fn a_path_that_went_down_loses_nothing_and_is_verified_first() {
    let mut search = search(1_500);
    clean(1_492).run(&mut search, 0, 2_000);
    search.on_large_loss(1_500);
    let _ = search.poll_probe(Time::from_millis(2_000), LEAST_WAIT);
    search.pause();
    assert_eq!((search.poll_timeout(), search.mtu()), (None, 1_280), "until it was verified");
    assert!(clean(0).run(&mut search, 2_000, 10_000).is_empty());
    search.restart();
    assert_eq!(clean(1_492).run(&mut search, 20_000, 50), [1_492, 1_500]);
    assert_eq!(search.mtu(), 1_492);
}

#[test]
fn what_seems_not_to_pass_is_held_back_until_it_is_known() {
    let mut search = search(1_500);
    clean(1_500).run(&mut search, 0, 1_000);
    assert_eq!((search.mtu(), search.poll_change()), (1_500, Some(1_500)));
    // It is not for their size that small ones do not arrive.
    search.on_large_loss(576);
    assert_eq!((search.mtu(), search.poll_change()), (1_500, None));
    // It passes: a round trip later all is as before.
    search.on_large_loss(1_500);
    assert_eq!((search.mtu(), search.poll_change()), (1_280, Some(1_280)));
    assert_eq!(clean(1_500).run(&mut search, 1_000, RTT + 1), [1_500]);
    assert_eq!((search.mtu(), search.poll_change()), (1_500, Some(1_500)));
    // What is no larger than what is assumed of every path: that may not pass either.
    search.on_large_loss(1_200);
    assert_eq!((search.mtu(), search.poll_change()), (576, Some(576)));
    clean(1_500).run(&mut search, 1_500, RTT + 1);
    assert_eq!((search.mtu(), search.poll_change()), (1_500, Some(1_500)));
    // It does not, nor does what is assumed instead: less and less is sent, at once.
    search.on_large_loss(1_500);
    clean(1_000).run(&mut search, 2_000, 50);
    search.on_large_loss(1_500);
    assert_eq!((search.mtu(), search.poll_change()), (576, Some(576)));
    clean(1_000).run(&mut search, 2_050, 10_000);
    let found = search.mtu();
    assert!((992..=1_000).contains(&found), "{found}");
    search.on_large_loss(1_500);
    assert_eq!(search.mtu(), 576, "already less than what is assumed of every path");
    clean(1_000).run(&mut search, 13_000, 100);
    assert_eq!(search.mtu(), found);
}

#[test]
fn tiny_interfaces_and_the_largest_possible() {
    let mut small = search(500);
    clean(400).run(&mut small, 0, 5_000);
    assert_eq!(small.mtu(), 500, "nothing is smaller than the smallest");
    let mut large = search(u16::MAX);
    clean(u16::MAX).run(&mut large, 0, 100);
    assert_eq!(large.mtu(), u16::MAX);
}
