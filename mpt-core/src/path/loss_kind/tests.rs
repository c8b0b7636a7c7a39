use super::*;

/// Every 20 ms a round of reports on all that was sent, one for each of so many workers.
struct Round {
    workers: u64,
    highest: u32,
    packets: u64,
}

impl Round {
    fn of(workers: u64) -> Self {
        Self { workers, highest: 0, packets: 0 }
    }

    /// Since the round before so many were `sent`, and so many of them `came`.
    fn report(&mut self, l: &mut LossKind, ms: u64, (sent, came): (u32, u64), stands: bool) {
        let (highest, packets) = (self.highest, self.packets);
        for worker in 1..=self.workers {
            self.highest = highest.wrapping_add(sent * worker as u32 / self.workers as u32);
            self.packets = packets + came * worker / self.workers;
            let joint = (self.highest, self.packets);
            l.on_report(Time::from_millis(ms), ms as u32 * 10, joint, stands);
        }
    }
}

/// A path of 20 packets each 20 ms, of which some are lost.
struct Path {
    l: LossKind,
    millis: u64,
    round: Round,
}

impl Path {
    fn of(workers: u64) -> Self {
        Self { l: LossKind::default(), millis: 0, round: Round::of(workers) }
    }

    fn run(&mut self, rounds: u64, lost: u64) {
        for _ in 0..rounds {
            self.millis += 20;
            self.round.report(&mut self.l, self.millis, (20, 20 - lost), false);
        }
    }

    /// What is believed now.
    fn loss(&self) -> f64 {
        let now = Time::from_millis(self.millis);
        self.l.believed_until().filter(|&until| now < until).map_or(0.0, |_| self.l.random())
    }
}

/// How many workers the far end reports on.
const WORKERS: [u64; 2] = [1, 4];

#[test]
fn loss_without_a_queue_is_random_and_lateness_is_no_loss() {
    for workers in WORKERS {
        let mut l = LossKind::default();
        let mut round = Round { highest: u32::MAX - 3_000, ..Round::of(workers) };
        let mut step = |l: &mut LossKind, i: u64, sent: u32, came: u64, stands: bool| {
            round.report(l, i * 20, (sent, came), stands);
        };
        for i in 0..100 {
            // Fifty are late at any time.
            step(&mut l, i, 100, if i == 1 { 50 } else { 100 }, false);
        }
        assert!(l.random() < 0.006, "{}", l.random());
        let mut l = LossKind::default();
        for i in 100..300 {
            step(&mut l, i, 100, 99, false);
        }
        assert!((l.random() - 0.01).abs() < 0.001, "{}", l.random());
        for i in 300..400 {
            step(&mut l, i, 100, 94, true);
        }
        assert!((l.random() - 0.01).abs() < 0.001, "{}", l.random());
        assert!((l.congestive() - 0.05).abs() < 0.006, "{}", l.congestive());
    }
}

/// Nine in a hundred are lost for a minute, and then none, while a queue stands once a second.
#[test]
fn what_is_over_is_forgotten_though_queues_stand_again_and_again() {
    for workers in WORKERS {
        let (mut l, mut round, mut forgotten) = (LossKind::default(), Round::of(workers), None);
        for i in 0..4_000u64 {
            let came = if i < 3_000 { 91 } else { 100 };
            round.report(&mut l, i * 20, (100, came), i % 50 == 0);
            if i == 2_999 {
                assert!((l.random() - 0.09).abs() < 0.005, "{}", l.random());
            }
            if i >= 3_000 && l.random() < NOTABLE {
                forgotten = forgotten.or(Some((i - 3_000) * 20));
            }
        }
        // By weight alone it would take 8 s at least.
        assert!(forgotten.is_some_and(|ms| (5_000..6_000).contains(&ms)), "{forgotten:?}");
    }
}

#[test]
fn what_comes_after_all_was_not_lost() {
    for workers in WORKERS {
        let (mut l, mut round) = (LossKind::default(), Round::of(workers));
        let mut step = |l: &mut LossKind, i: u64, sent: u32, came: u64, stands: bool| {
            round.report(l, i * 20, (sent, came), stands);
        };
        (0..20).for_each(|i| step(&mut l, i, 20, 20, false));
        // A burst that grows: each report finds more of it under way.
        (20..50).for_each(|i| step(&mut l, i, 4 * i as u32, 4 * i - 20, false));
        assert!(l.random() > 0.05, "{}", l.random());
        // Nothing more is sent, and the rest comes, though something stands in the queue by now.
        (50..80).for_each(|i| step(&mut l, i, 0, 20, true));
        (80..90).for_each(|i| step(&mut l, i, 0, 0, true));
        assert!(l.random() < 0.008 && l.congestive() < 0.002, "{} {}", l.random(), l.congestive());
        // What is really lost in the queue from then on stays.
        (90..200).for_each(|i| step(&mut l, i, 100, 90, true));
        assert!(l.congestive() > 0.08, "{}", l.congestive());
    }
}

#[test]
fn what_was_on_its_way_before_a_silence_takes_nothing_back() {
    for workers in WORKERS {
        let mut p = Path::of(workers);
        p.run(500, 1);
        let before = p.loss();
        assert!(before > 0.04, "{before}");
        // Thirty are late when it falls silent, and come with what is sent after it.
        p.round.highest += 30;
        p.millis += 2_100;
        p.run(1, 1);
        p.round.packets += 30;
        p.run(SETTLED as u64, 1);
        p.run(100, 1);
        assert!(p.loss() > before * 0.8, "{} after {before}", p.loss());
    }
}

#[test]
fn the_loss_of_a_path_that_carries_nothing_is_believed_for_longer_each_time_that_it_is_found() {
    for workers in WORKERS {
        let mut p = Path::of(workers);
        p.run(200, 12);
        for believed in [2, 4, 8, 16, 32, 32] {
            assert!(p.loss() > 0.5, "{}", p.loss());
            p.millis += believed * 1_000 - 20;
            assert!(p.loss() > 0.5, "after {believed} s: {}", p.loss());
            p.millis += 20;
            assert_eq!(p.loss(), 0.0, "after {believed} s");
            // What arrives first only tells where to begin.
            p.run(1, 12);
            assert_eq!(p.loss(), 0.0);
            p.run(SETTLED as u64 + 4, 12);
        }
        p.millis += 32_000;
        p.run(100, 0);
        assert_eq!(p.loss(), 0.0);
        // It was well: what is lost from now on is believed as in the beginning.
        p.run(200, 12);
        p.millis += 2_000;
        assert_eq!(p.loss(), 0.0);
    }
}

#[test]
fn probes_that_are_answered_make_it_doubtful_and_a_little_loss_stays_known() {
    for workers in WORKERS {
        let mut p = Path::of(workers);
        p.run(200, 12);
        // Where four of ten are answered, eleven in a row are one chance in 24 000.
        for row in [30, 31, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] {
            assert!(p.loss() > 0.5, "{}", p.loss());
            p.l.on_probe_answered(row);
        }
        p.millis += 500;
        p.l.on_probe_answered(11);
        assert_eq!(p.loss(), 0.0);
        p.run(400, 0);
        for _ in 0..200 {
            p.run(4, 0);
            p.run(1, 1);
        }
        (0..500).for_each(|row| p.l.on_probe_answered(row));
        p.millis += 50_000;
        assert!((0.005..0.015).contains(&p.loss()), "{}", p.loss());
    }
}

#[test]
fn loss_that_is_over_is_believed_for_a_few_hundred_packets_more() {
    for workers in WORKERS {
        let mut p = Path::of(workers);
        p.run(500, 12);
        assert!(p.loss() > 0.5, "{}", p.loss());
        p.run(SETTLED as u64 + 26, 0);
        assert!(p.loss() < 0.02, "{}", p.loss());
    }
}

#[test]
fn what_an_outage_swallowed_is_no_random_loss() {
    for workers in WORKERS {
        let mut p = Path::of(workers);
        p.run(200, 0);
        // Sent, and nothing came back.
        p.round.highest += 2_000;
        p.millis += 3_000;
        p.run(100, 0);
        assert_eq!(p.loss(), 0.0);
    }
}

/// Half of every tenth round's packets take 100 ms longer.
#[test]
fn what_comes_five_rounds_later_is_late() {
    for workers in WORKERS {
        let (mut l, mut round) = (LossKind::default(), Round::of(workers));
        for i in 0..200u64 {
            let came = [50, 100, 100, 100, 100, 150, 100, 100, 100, 100][i as usize % 10];
            round.report(&mut l, i * 20, (100, came), false);
            assert!(l.random() < 0.001, "{workers} workers, {i}: {}", l.random());
        }
    }
}
