use super::*;
use crate::schedule::{Estimate, Rank, Tokens};
use crate::{Rate, Weight};

const MS: Duration = Duration::from_millis(1);

/// A bulk flow, and a sparse one.
const BULK: u64 = 1 << 60;

/// Paths of so many bytes a second and milliseconds of base delay; nothing waits.
fn paths(of: &[(u64, i64)]) -> Vec<PathView> {
    of.iter()
        .zip(PathId::all())
        .map(|(&(rate, delay), id)| PathView {
            id,
            weight: Weight::DEFAULT,
            priority: 0,
            rank: Rank::Preferred,
            mtu: 1_400,
            srtt: MS * 2 * delay as u32,
            min_rtt: MS * 2 * delay as u32,
            limit: None,
            tokens: Tokens::Left,
            wait: Duration::ZERO,
            estimate: Estimate {
                rate,
                capacity: rate,
                measured: true,
                delay: Some(delay * 1_000 - 5_000_000),
                threshold: MS * 4,
                ..Estimate::default()
            },
        })
        .collect()
}

/// The queues of the paths, as they are: what the scheduler is told each 20 ms.
struct Links {
    idle_at: Vec<Time>,
    bytes: Vec<u64>,
    /// Whether somebody answers.
    answers: bool,
}

impl Links {
    fn new(n: usize) -> Self {
        Self { idle_at: vec![Time::ZERO; n], bytes: vec![0; n], answers: true }
    }

    /// Sends `rate` bytes a second of packets of 1 000 bytes of one flow for so long.
    fn run(
        &mut self,
        s: &mut Adaptive,
        views: &mut [PathView],
        rates: &[u64],
        (from, millis): (Time, u64),
        rate: u64,
    ) {
        self.bytes.iter_mut().for_each(|b| *b = 0);
        let gap = Duration::from_nanos(1_000_000_000_000 / rate);
        let (mut now, mut reported) = (from, from);
        while now < from + MS * millis as u32 {
            if now.since(reported) >= MS * 20 {
                reported = now;
                if self.answers {
                    s.on_answer(now, BULK);
                }
                for v in views.iter_mut() {
                    let queue = self.idle_at[v.id.index()].since(now);
                    (v.estimate.at, v.estimate.standing) = (now, queue);
                    v.estimate.idle_at = now + queue;
                    v.estimate.delivered += rate / 50;
                }
            }
            let id = s.pick(now, views.iter(), |_| true, BULK, 1_000).unwrap();
            let link = &mut self.idle_at[id.index()];
            *link = (*link).max(now) + Duration::from_nanos(1_000_000_000_000 / rates[id.index()]);
            self.bytes[id.index()] += 1_000;
            now += gap;
        }
    }

    fn shares(&self) -> Vec<f64> {
        let all: u64 = self.bytes.iter().sum();
        self.bytes.iter().map(|b| *b as f64 / all as f64).collect()
    }
}

#[test]
fn a_rest_ends_when_packets_wait_for_longer_than_the_path_takes() {
    let mut views = paths(&[(1_000_000, 20), (1_000_000, 40)]);
    let (mut s, far) = (Adaptive::default(), PathId::new(1).unwrap());
    let mut eligible = |s: &mut Adaptive, at: u64| {
        let now = Time::from_millis(at);
        views.iter_mut().for_each(|v| v.estimate.at = now);
        let _ = s.pick(now, views.iter(), |_| true, BULK, 1_000);
        s.eligible & far.bit() != 0
    };
    assert!(eligible(&mut s, 1_000));
    s.floor.begin_trial(Time::from_millis(1_000));
    s.lanes[far.index()].rest.begin(Time::from_millis(1_000));
    s.lanes[far.index()].admitted_until = Time::from_millis(1_000);
    assert!(!eligible(&mut s, 1_020));
    // It is 20 ms longer; to tell that apart takes as much again.
    s.on_wait(Time::from_millis(1_030), MS * 39, true);
    assert!(!eligible(&mut s, 1_040));
    s.on_wait(Time::from_millis(1_050), MS * 41, true);
    assert!(eligible(&mut s, 1_060));
    assert_eq!(s.floor.tried(Time::from_millis(9_000), 0), None, "the trial was called off");
    // It told nothing that would make the next rest longer.
    s.lanes[far.index()].rest.begin(Time::from_millis(9_000));
    s.lanes[far.index()].admitted_until = Time::from_millis(9_000);
    assert!(!eligible(&mut s, 12_900) && eligible(&mut s, 13_000));
}

#[test]
fn a_call_leaves_a_path_that_others_fill_until_a_probe_was_quick_there() {
    let mut views = paths(&[(1_000_000, 15), (1_000_000, 25)]);
    let mut s = Adaptive::default();
    let at = Time::from_millis;
    let mut picks = |now: u64, probed: Option<(u64, u32)>| {
        let estimate = &mut views[0].estimate;
        (estimate.at, estimate.standing) = (at(1_000), MS * 90);
        estimate.idle_at = at(1_090);
        estimate.probed = probed.map(|(sent, longer)| (at(sent), MS * longer));
        views[1].estimate.at = at(now);
        s.pick(at(now), views.iter(), |_| true, 7, 200).unwrap().get()
    };
    assert_eq!(picks(1_001, None), 1);
    // Ours would have left by now.
    assert_eq!(picks(1_300, None), 1);
    assert_eq!(picks(1_300, Some((900, 0))), 1, "that was before");
    assert_eq!(picks(1_400, Some((1_200, 80))), 1);
    assert_eq!(picks(4_000, Some((3_000, 80))), 1);
    assert_eq!(picks(4_001, Some((3_900, 2))), 0, "they are gone");
    assert_eq!(picks(9_000, None), 0, "nobody knows");
}

#[test]
fn what_a_limit_is_too_small_for_goes_by_another_path() {
    let mut views = paths(&[(1_000_000, 15), (1_000_000, 25)]);
    let mut s = Adaptive::default();
    let at = Time::from_millis;
    let mut picks = |now: u64, waited: u32| {
        views.iter_mut().for_each(|v| v.estimate.at = at(now));
        (views[0].limit, views[0].tokens) = (Some(Rate::nearest_to_bits(1_600_000)), Tokens::Spent);
        s.on_wait(at(now), MS * waited, true);
        s.pick(at(now), views.iter(), |_| true, 7, 200).unwrap().get()
    };
    // Its own millisecond, and what it waited, are less than the other is longer.
    assert_eq!([picks(1_000, 0), picks(1_100, 8), picks(1_200, 11)], [0, 0, 1]);
}

#[test]
fn what_one_path_carries_leaves_the_others_idle() {
    let mut views = paths(&[(1_000_000, 40), (1_000_000, 20)]);
    let (mut s, mut links) = (Adaptive::default(), Links::new(2));
    links.run(&mut s, &mut views, &[1_000_000; 2], (Time::from_millis(1), 3_000), 900_000);
    assert_eq!(links.shares(), [0.0, 1.0]);
}

#[test]
fn what_is_too_much_for_one_is_spread_at_the_rates_of_all() {
    let rates = [3_000_000, 1_000_000, 500_000];
    let mut views = paths(&[(rates[0], 20), (rates[1], 60), (rates[2], 30)]);
    let (mut s, mut links) = (Adaptive::default(), Links::new(3));
    links.run(&mut s, &mut views, &rates, (Time::from_millis(1), 1_000), 4_000_000);
    links.run(&mut s, &mut views, &rates, (Time::from_millis(1_001), 3_000), 4_400_000);
    for (share, rate) in links.shares().iter().zip(rates) {
        assert!((share - rate as f64 / 4_500_000.0).abs() < 0.03, "{:?}", links.shares());
    }
    let longest = links.idle_at.iter().map(|at| at.since(Time::from_millis(4_001))).max();
    assert!(longest < Some(MS * 15), "{longest:?}");
}

#[test]
fn a_call_waits_in_a_short_queue_rather_than_for_late_packets() {
    let now = Time::from_millis(1);
    for (queue, picked) in [(0, 0), (40, 0), (60, 1)] {
        let mut views = paths(&[(1_000_000, 35), (1_000_000, 50)]);
        for (v, jitter) in views.iter_mut().zip([8, 25]) {
            (v.estimate.at, v.estimate.jitter) = (now, MS * jitter);
        }
        views[0].estimate.idle_at = now + MS * queue;
        let id = Adaptive::default().pick(now, views.iter(), |_| true, 7, 200).unwrap();
        assert_eq!(id.index(), picked, "{queue} ms");
    }
}

/// After a stall a flow sends at once what it may: by the fastest path alone all of it is there sooner.
#[test]
fn a_burst_that_is_over_soon_waits_for_the_fastest_path() {
    let mut views = paths(&[(1_000_000, 20), (300_000, 60)]);
    let mut s = Adaptive::default();
    let mut picks = |views: &[PathView], ms: u64, waited: u32| {
        let now = Time::from_millis(1_000 + ms);
        s.on_wait(now, MS * waited, true);
        s.pick(now, views.iter(), |_| true, BULK, 1_000).unwrap().index()
    };
    // It is not young any more.
    for v in &mut views {
        v.estimate.at = Time::from_millis(1_000);
    }
    for packet in 0..300 {
        picks(&views, packet, 0);
    }
    // It is 40 ms longer by the other one.
    views[0].tokens = Tokens::Spent;
    for burst in 4..8 {
        assert_eq!(picks(&views, burst * 100, 0), 0);
        assert_eq!(picks(&views, burst * 100 + 39, 30), 0);
        views[0].tokens = Tokens::Left;
        for _ in 0..10 {
            picks(&views, burst * 100 + 40, 1);
        }
        views[0].tokens = Tokens::Spent;
    }
    // That does not end.
    for ms in 0..60 {
        let picked = picks(&views, 900 + ms, 10);
        assert_eq!(picked, usize::from(ms >= 40), "{ms}");
    }
    // What has waited for so long already does not wait longer.
    views[0].tokens = Tokens::Left;
    picks(&views, 1_000, 0);
    views[0].tokens = Tokens::Spent;
    assert_eq!(picks(&views, 1_001, 41), 1);
}

/// What the first path has no tokens for would all go to the second one, which is known to carry no more, or shows it late.
#[test]
fn another_path_is_not_flooded_while_the_first_one_waits() {
    // What a steady path takes shows with its next report.
    for (jittery, measured, most) in [(true, false, 40), (false, true, 40), (false, false, 101)] {
        let rates = [1_000_000, 500_000];
        let mut views = paths(&[(rates[0], 20), (rates[1], 30)]);
        let (mut s, mut links) = (Adaptive::default(), Links::new(2));
        links.run(&mut s, &mut views, &rates, (Time::from_millis(1), 1_000), 1_600_000);
        let now = Time::from_millis(1_001);
        for v in &mut views {
            (v.estimate.at, v.estimate.idle_at) = (now, now);
            (v.estimate.jittery, v.estimate.measured) = (jittery, v.id.index() == 0 || measured);
        }
        views[0].estimate.standing = MS * 20;
        views[0].tokens = Tokens::Spent;
        // For a moment that may be a burst.
        let _ = s.pick(now, views.iter(), |_| true, BULK, 1_000);
        let now = now + MS * 11;
        for v in &mut views {
            (v.estimate.at, v.estimate.idle_at) = (now, now);
        }
        // 60 ms and the threshold of its rate are 32 packets.
        let picked =
            (0..100).map(|_| s.pick(now, views.iter(), |_| true, BULK, 1_000).unwrap().index());
        let given = picked.filter(|&i| i == 1).count();
        assert!(
            given > 20 && given < most && (most < 100 || given == 100),
            "{jittery} {measured}: {given}"
        );
    }
}

/// Of a burst that is more than enough for both the one whose limit nobody has seen takes more than its share.
#[test]
fn a_burst_does_not_all_go_to_the_path_that_is_known_to_be_small() {
    let mut views = paths(&[(500_000, 20), (1_000_000, 60)]);
    let now = Time::from_millis(1);
    for v in &mut views {
        v.estimate.at = now;
        (v.estimate.jittery, v.estimate.measured) = (v.id.index() == 1, v.id.index() == 0);
    }
    views[0].estimate.standing = MS * 20;
    let mut s = Adaptive::default();
    let picked =
        (0..600).map(|_| s.pick(now, views.iter(), |_| true, BULK, 1_000).unwrap().index());
    let given = picked.filter(|&i| i == 0).count();
    assert!((150..250).contains(&given), "{given}");
}

#[test]
fn far_and_lossy_paths_are_for_loads_that_do_not_yield() {
    for change in
        [(|e: &mut Estimate| e.delay = e.delay.map(|d| d + 300_000)) as fn(&mut Estimate), |e| {
            e.random_loss = 0.06
        }]
    {
        let mut views = paths(&[(1_000_000, 20), (1_000_000, 40)]);
        change(&mut views[1].estimate);
        views[1].srtt += MS * 300;
        let (mut s, mut links) = (Adaptive::default(), Links::new(2));
        links.idle_at[0] = Time::from_millis(90);
        let rates = [1_000_000; 2];
        links.run(&mut s, &mut views, &rates, (Time::from_millis(1), 2_000), 1_000_000);
        assert_eq!(links.shares()[1], 0.0);
        views[0].estimate.overflowing_since = Some(Time::from_millis(500));
        links.run(&mut s, &mut views, &rates, (Time::from_millis(2_001), 2_000), 1_500_000);
        assert!(links.shares()[1] > 0.25, "{:?}", links.shares());
    }
}

#[test]
fn a_small_fast_path_beside_a_large_one_is_left_to_sparse_flows() {
    for (small, measured, used) in
        [(1_000_000, true, false), (1_000_000, false, true), (2_000_000, true, true)]
    {
        let rates = [small, 10_000_000];
        let mut views = paths(&[(rates[0], 5), (rates[1], 40)]);
        views[0].estimate.measured = measured;
        let (mut s, mut links) = (Adaptive::default(), Links::new(2));
        links.run(&mut s, &mut views, &rates, (Time::from_millis(1), 2_000), small * 2);
        let said = format!("{small} {measured}: {:?}", links.shares());
        assert_eq!(links.shares()[0] > 0.1, used, "{said}");
        let now = Time::from_millis(2_001);
        let call = s.pick(now, views.iter(), |_| true, 7, 200).unwrap();
        assert_eq!(call.index(), usize::from(used && links.idle_at[0] > now + MS * 35), "{said}");
        // As good as alone: it is home again.
        views[1].estimate.random_loss = 0.05;
        links.run(&mut s, &mut views, &rates, (Time::from_millis(2_001), 1_000), small / 2);
        assert!(links.shares()[0] > 0.9, "{said}");
    }
}

#[test]
fn sparse_flows_go_where_they_arrive_first() {
    let mut views = paths(&[(1_000_000, 20), (1_000_000, 40)]);
    let mut s = Adaptive::default();
    let now = Time::from_millis(1_000);
    let pick = |s: &mut Adaptive, views: &[PathView], now| {
        s.pick(now, views.iter(), |_| true, 7, 200).unwrap().index()
    };
    assert_eq!(pick(&mut s, &views, now), 0);
    (views[0].estimate.at, views[0].estimate.idle_at) = (now, now + MS * 30);
    assert_eq!(pick(&mut s, &views, now), 1);
    assert_eq!(pick(&mut s, &views, now + MS * 15), 0);
}

#[test]
fn weights_are_a_bias() {
    let rates = [1_000_000; 2];
    let mut views = paths(&[(rates[0], 20), (rates[1], 20)]);
    views[0].weight = Weight::new(3).unwrap();
    let (mut s, mut links) = (Adaptive::default(), Links::new(2));
    links.run(&mut s, &mut views, &rates, (Time::from_millis(1), 400), 2_200_000);
    let [a, b] = [0, 1].map(|i| links.idle_at[i].since(Time::from_millis(401)).as_secs_f64());
    assert!(a / b > 1.8, "{a} {b}");
}

#[test]
fn a_stream_that_nobody_answers_is_spread_over_far_paths_before_anything_overflows() {
    for answered in [false, true] {
        let rates = [1_000_000; 2];
        let mut views = paths(&[(rates[0], 20), (rates[1], 320)]);
        let (mut s, mut links) = (Adaptive::default(), Links::new(2));
        links.answers = answered;
        let mut longest = Duration::ZERO;
        for ms in (1..3_000).step_by(50) {
            let at = (Time::from_millis(ms), 50);
            links.run(&mut s, &mut views, &rates, at, if ms < 1_000 { 400_000 } else { 1_600_000 });
            let end = Time::from_millis(ms + 50);
            longest = longest.max(links.idle_at[0].since(end));
        }
        assert!(s.wants_answers());
        if answered {
            assert_eq!(links.shares()[1], 0.0);
        } else {
            assert!((links.shares()[1] - 0.4).abs() < 0.1, "{:?}", links.shares());
            assert!(longest < MS * 30, "{longest:?}");
        }
    }
}

/// What a path brings is worth little waiting to a flow that is answered, and needed by one that is too much for the others.
#[test]
fn a_path_that_brings_little_is_used_by_a_stream_that_nobody_answers() {
    for answers in [true, false] {
        let (mut s, mut links) = (Adaptive::default(), Links::new(2));
        links.answers = answers;
        let rates = [10_000_000, 1_000_000];
        let mut views = paths(&[(rates[0], 10), (rates[1], 60)]);
        links.run(&mut s, &mut views, &rates, (Time::ZERO, 2_000), 10_100_000);
        links.run(&mut s, &mut views, &rates, (Time::from_millis(2_000), 1_000), 10_100_000);
        let share = links.shares()[1];
        assert_eq!(share > 0.005, !answers, "answered: {answers}: {share}");
    }
}

/// A path's delay as read through a queue, once: nothing is sent there for that, and nothing tells that it is gone.
#[test]
fn a_delay_measured_long_ago_is_not_believed() {
    let mut s = Adaptive::default();
    let mut views = paths(&[(1_000_000, 20), (1_000_000, 10)]);
    views[1].estimate.delay = views[1].estimate.delay.map(|d| d + 80_000);
    let pick = |s: &mut Adaptive, views: &mut [PathView], second: u64| {
        let now = Time::from_millis(second * 1_000);
        views[0].estimate.at = now;
        s.pick(now, views.iter(), |_| true, 1, 100).unwrap().index()
    };
    assert_eq!(pick(&mut s, &mut views, 1), 0);
    assert_eq!(pick(&mut s, &mut views, 50), 0);
    assert_eq!(pick(&mut s, &mut views, 70), 1);
}

#[test]
fn a_packet_that_has_to_wait_is_not_counted() {
    let mut views = paths(&[(1_000_000, 20), (1_000_000, 320)]);
    views[0].tokens = Tokens::Spent;
    let (mut s, now) = (Adaptive::default(), Time::from_millis(1_000));
    for _ in 0..1_000 {
        assert_eq!(s.pick(now, views.iter(), |_| true, 7, 1_000), Some(views[0].id));
    }
    assert_eq!(s.queue(now, &views[0]), Duration::ZERO);
}

/// The fastest path carries less than the other one: long packets pass it by, and change nothing for the rest.
#[test]
fn packets_that_do_not_fit_the_fastest_path_leave_it_known() {
    let mut s = Adaptive::default();
    let mut views = paths(&[(2_000_000, 5), (2_000_000, 60)]);
    views[0].mtu = 1_196;
    for i in 0..200u64 {
        let now = Time::from_millis(1_000 + i);
        let len = if i % 2 == 0 { 1_250 } else { 200 };
        let picked = s.pick(now, views.iter(), |v| usize::from(v.mtu) >= len, 7, len).unwrap();
        assert_eq!(picked, views[usize::from(len > 1_196)].id, "{i}");
        assert_eq!((s.known, s.fastest), (0b11, Some(views[0].id)), "{i}");
    }
}
