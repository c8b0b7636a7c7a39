use super::*;
use crate::Weight;
use crate::policy::ClassPatience;
use crate::repair::Handling;
use crate::wire::{HeaderFlags, PathGaps};

const A: PathId = PathId::new(0).unwrap();
const B: PathId = PathId::new(1).unwrap();
const MS: Duration = Duration::from_millis(1);

fn ms(t: u64) -> Time {
    Time::from_millis(t)
}

fn view(id: PathId, rank: Rank, srtt: u64) -> PathView {
    PathView {
        id,
        weight: Weight::DEFAULT,
        priority: 0,
        rank,
        mtu: 1_400,
        srtt: Duration::from_millis(srtt),
        limit: None,
        tokens: Default::default(),
        wait: Duration::ZERO,
        min_rtt: Duration::from_millis(srtt),
        estimate: Default::default(),
    }
}

fn both() -> [PathView; 2] {
    [view(A, Rank::Preferred, 20), view(B, Rank::Preferred, 30)]
}

fn kept(handling: Handling) -> Kept {
    Kept { distance: 1, open_paths: 3, flags: HeaderFlags::NONE, handling }
}

/// Sends packets 1, 2, … a millisecond apart, by `A` and `B` in turn.
fn sent(packets: u64) -> Repairer {
    sent_of::<100>(packets)
}

/// Of this length.
fn sent_of<const LEN: usize>(packets: u64) -> Repairer {
    let mut r = Repairer::new(1 << 20, Duration::from_secs(1), 500 * MS);
    for pn in 1..=packets {
        let path = if pn % 2 == 1 { A } else { B };
        let seq = pn.div_ceil(2) as u32;
        r.on_sent(
            ms(pn),
            path,
            seq,
            PacketNumber(pn),
            kept(Handling::NONE),
            Content::Packet(&[pn as u8; LEN]),
        );
    }
    r
}

/// Of `path`, up to `settled` all but these came.
fn arrived(path: PathId, settled: u32, gaps: &[(u32, u32)], resolved: u64) -> Arrived {
    let mut a = Arrived::new(100 * MS, PacketNumber(resolved));
    let mut p = PathGaps::new(path, settled, 0);
    for &(first, last) in gaps {
        assert!(p.add(first, last));
    }
    a.add(p);
    a
}

/// Everything that is due at `now`; copies get sequence numbers from 1 000 on.
fn steps(r: &mut Repairer, now: Time, views: &[PathView]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = r.poll(now, views) {
        if let Step::Resend { pn, path } = step {
            r.on_copy(path, 1_000 + pn.0 as u32, pn);
        }
        steps.push(step);
    }
    steps
}

/// `A` fails under so much traffic, bytes a second.
fn fail(r: &mut Repairer, traffic: u64) {
    r.on_path_failed(A);
    assert!(r.is_rescuing() && r.wants_load());
    r.set_load(Load { traffic, ..Default::default() });
}

fn resend(pn: u64, path: PathId) -> Step {
    Step::Resend { pn: PacketNumber(pn), path }
}

fn abandon(pn: u64) -> Step {
    Step::Abandon { pn: PacketNumber(pn), distance: 1 }
}

#[test]
fn what_a_path_lost_goes_by_the_other_one_once() {
    let mut r = sent(20);
    r.on_arrived(ms(30), &arrived(A, 5, &[(2, 3)], 0));
    assert_eq!(steps(&mut r, ms(30), &both()), [resend(3, B), resend(5, B)]);
    r.on_arrived(ms(31), &arrived(A, 6, &[(2, 3)], 2));
    assert_eq!(steps(&mut r, ms(31), &both()), []);
    let (sent, bytes) = r.packet(PacketNumber(5)).unwrap();
    assert_eq!((sent.copy, sent.distance, sent.open_paths, bytes.head()), (1, 1, 3, &[5; 100][..]));
    r.on_arrived(ms(60), &arrived(B, 1_005, &[], 20));
    assert_eq!(steps(&mut r, ms(60), &both()), []);
    assert_eq!((r.stats().sent_again, r.stats().abandoned), (2, 0));
}

#[test]
fn a_lost_copy_is_sent_again_while_there_is_time() {
    let mut r = sent(4);
    r.on_arrived(ms(10), &arrived(A, 2, &[(1, 1)], 0));
    assert_eq!(steps(&mut r, ms(10), &both()), [resend(1, B)]);
    r.on_arrived(ms(50), &arrived(B, 1_001, &[(1_001, 1_001)], 0));
    assert_eq!(steps(&mut r, ms(50), &both()), [resend(1, A)]);
    r.on_arrived(ms(90), &arrived(A, 1_001, &[(1_001, 1_001)], 0));
    assert_eq!(steps(&mut r, ms(90), &both()), [abandon(1)], "100 ms are over before it comes");
}

/// Packets that have one entry while they can: of one moment, on one path.
#[test]
fn what_was_sent_alike_parts_where_its_fates_do() {
    let mut r = Repairer::new(1 << 20, Duration::from_secs(1), 500 * MS);
    for pn in 1..=40 {
        let packet = [pn as u8; 100];
        let (number, kept) = (PacketNumber(pn), kept(Handling::NONE));
        r.on_sent(ms(1), A, pn as u32, number, kept, Content::Packet(&packet));
    }
    // Five of the gap were given up, five were not.
    r.on_arrived(ms(20), &arrived(A, 30, &[(11, 20)], 15));
    let expected: Vec<_> = (16..=20).map(|pn| resend(pn, B)).collect();
    assert_eq!(steps(&mut r, ms(20), &both()), expected);
    assert_eq!((r.stats().sent_again, r.stats().abandoned), (5, 5));
    for pn in 16..=40 {
        let (sent, bytes) = r.packet(PacketNumber(pn)).unwrap();
        assert_eq!((sent.copy, bytes.head()), (u8::from(pn <= 20), &[pn as u8; 100][..]));
    }
    // What was under way on the path, and nothing else, goes by the other one when it fails.
    fail(&mut r, 0);
    let only_b = [view(A, Rank::Suspected, 20), view(B, Rank::Preferred, 30)];
    let expected: Vec<_> = (31..=40).map(|pn| resend(pn, B)).collect();
    assert_eq!(steps(&mut r, ms(25), &only_b), expected);
    assert_eq!((r.stats().rescued, r.stats().abandoned), (10, 5));
}

#[test]
fn a_path_far_ahead_repairs_its_own_losses() {
    let far = [view(A, Rank::Preferred, 20), view(B, Rank::Preferred, 160)];
    let mut r = sent(4);
    r.on_arrived(ms(10), &arrived(A, 2, &[(1, 1)], 0));
    assert_eq!(steps(&mut r, ms(10), &far), [resend(1, A)], "70 ms ahead");
    r.on_arrived(ms(10), &arrived(B, 2, &[(1, 1)], 0));
    assert_eq!(steps(&mut r, ms(10), &far), [resend(2, A)]);
}

#[test]
fn beyond_the_budget_losses_are_abandoned() {
    let mut r = sent_of::<500>(1_000);
    r.on_arrived(ms(1_000), &arrived(A, 500, &[(101, 500)], 0));
    let (again, left): (Vec<_>, Vec<_>) = steps(&mut r, ms(1_000), &both())
        .into_iter()
        .partition(|s| matches!(s, Step::Resend { .. }));
    assert_eq!(again.len(), 200);
    assert_eq!(left.len(), 200);
}

#[test]
fn congestion_goes_on_while_much_is_lost_at_once() {
    let mut r = sent_of::<500>(1_000);
    r.on_arrived(ms(1_000), &arrived(A, 500, &[(101, 500)], 0));
    steps(&mut r, ms(1_000), &both());
    // Fifty packets each 10 ms, by one path; so many of them are lost, one after the other.
    let mut round = |n: u64, lost: u32| {
        let now = ms(1_000 + 10 * n);
        for i in 1..=50 {
            let (pn, seq) = (PacketNumber(1_000 + 50 * n + i), 500 + (50 * n + i) as u32);
            r.on_sent(now, A, seq, pn, kept(Handling::NONE), Content::Packet(&[1; 500]));
        }
        let last = 550 + 50 * n as u32;
        let gaps = [(last - 20, last - 21 + lost)];
        let gaps = if lost == 0 { &[][..] } else { &gaps };
        r.on_arrived(now + 5 * MS, &arrived(A, last, gaps, 0));
        steps(&mut r, now + 5 * MS, &both());
        (r.is_congested(), r.stats().sent_again)
    };
    for n in 0..100 {
        assert_eq!(round(n, 10), (true, 200), "{n}");
    }
    assert!(!(100..130).map(|n| round(n, 0)).last().unwrap().0, "it is over");
    assert_eq!(round(130, 10), (false, 210));
}

#[test]
fn what_is_under_way_on_a_failed_path_is_rescued_in_order() {
    let mut r = sent(100);
    r.on_arrived(ms(100), &arrived(A, 30, &[], 0));
    let views = [view(A, Rank::Suspected, 20), view(B, Rank::Preferred, 30)];
    fail(&mut r, 1_000_000);
    let got = steps(&mut r, ms(100), &views);
    let want: Vec<_> = (31..=50).map(|seq| resend(2 * seq - 1, B)).collect();
    assert_eq!(got, want);
    assert_eq!((r.stats().rescued, r.stats().sent_again), (20, 0));
    r.on_path_failed(A);
    assert!(!r.wants_load(), "nothing is left there");
}

#[test]
fn a_rescue_waits_for_its_pace_and_for_a_path() {
    let mut r = sent(400);
    fail(&mut r, 0);
    let none = [view(A, Rank::Suspected, 20)];
    assert_eq!(steps(&mut r, ms(400), &none), []);
    assert_eq!(r.poll_timeout(), None, "nothing to wait for but a path");
    let first = steps(&mut r, ms(401), &both()).len();
    assert!((160..200).contains(&first), "{first} at once");
    let at = r.poll_timeout().unwrap();
    assert!(at > ms(401) && at < ms(403), "{at:?}");
    assert!(!steps(&mut r, at, &both()).is_empty());
}

#[test]
fn what_is_too_old_is_abandoned_instead_of_rescued() {
    let mut r = sent(400);
    fail(&mut r, 10_000_000);
    let got = steps(&mut r, ms(690), &both());
    // 500 ms less half a round trip of 20 ms.
    let oldest = got.iter().position(|s| matches!(s, Step::Resend { .. })).unwrap();
    assert_eq!(got[oldest], resend(201, A));
    assert_eq!(got[oldest - 1], abandon(199));
}

#[test]
fn what_would_come_too_late_for_its_class_is_abandoned_at_once() {
    let patience = ClassPatience::from_millis(40);
    for (lost_at, again) in [(20, true), (40, false)] {
        let mut r = Repairer::new(1 << 20, Duration::from_secs(1), 500 * MS);
        r.on_sent(
            ms(0),
            A,
            1,
            PacketNumber(1),
            kept(Handling::within(patience)),
            Content::Packet(&[1; 100]),
        );
        r.on_arrived(ms(lost_at), &arrived(A, 1, &[(1, 1)], 0));
        // The copy takes half of B's round trip, 15 ms.
        let want = match again {
            true => Step::Resend { pn: PacketNumber(1), path: B },
            false => Step::Abandon { pn: PacketNumber(1), distance: 1 },
        };
        assert_eq!(steps(&mut r, ms(lost_at), &both()), [want], "lost after {lost_at} ms");
    }
}

#[test]
fn a_duplicate_is_lost_when_both_are_and_goes_on_both_paths_again() {
    let mut r = Repairer::new(1 << 20, Duration::from_secs(1), 500 * MS);
    r.on_sent(
        ms(0),
        A,
        1,
        PacketNumber(1),
        kept(Handling::NONE.twice()),
        Content::Packet(&[1; 100]),
    );
    r.on_copy(B, 1, PacketNumber(1));
    r.on_arrived(ms(20), &arrived(A, 1, &[(1, 1)], 0));
    assert_eq!(steps(&mut r, ms(20), &both()), []);
    r.on_arrived(ms(30), &arrived(B, 1, &[(1, 1)], 0));
    let on = |path| Step::Resend { pn: PacketNumber(1), path };
    assert_eq!(steps(&mut r, ms(30), &both()), [on(A), on(B)]);
    assert_eq!(r.packet(PacketNumber(1)).unwrap().0.copy, 3, "four seals");
}

#[test]
fn a_pinned_packet_is_sent_again_where_it_was_lost() {
    for (rank, path) in [(Rank::Preferred, A), (Rank::Suspected, B)] {
        let mut r = Repairer::new(1 << 20, Duration::from_secs(1), 500 * MS);
        r.on_sent(
            ms(0),
            A,
            1,
            PacketNumber(1),
            kept(Handling::NONE.stays()),
            Content::Packet(&[1; 100]),
        );
        r.on_arrived(ms(20), &arrived(A, 1, &[(1, 1)], 0));
        let views = [view(A, rank, 20), view(B, Rank::Preferred, 30)];
        assert_eq!(steps(&mut r, ms(20), &views), [Step::Resend { pn: PacketNumber(1), path }]);
    }
}

#[test]
fn what_made_room_is_abandoned_when_it_is_lost() {
    // Room for two of ten.
    let mut r = Repairer::new(2_500, Duration::from_secs(1), 500 * MS);
    for pn in 1..=10 {
        let content = Content::Packet(&[1; 1_000]);
        r.on_sent(ms(0), A, pn as u32, PacketNumber(pn), kept(Handling::NONE), content);
    }
    r.on_arrived(ms(10), &arrived(A, 10, &[(10, 10), (3, 4)], 2));
    let mut steps = Vec::new();
    while let Some(step) = r.poll(ms(10), &both()) {
        if let Step::Resend { pn, path } = step {
            r.on_copy(path, 1_000, pn);
        }
        steps.push(step);
    }
    let abandon = |pn| Step::Abandon { pn: PacketNumber(pn), distance: 1 };
    let resend = Step::Resend { pn: PacketNumber(10), path: B };
    assert_eq!(steps, [abandon(3), abandon(4), resend]);
}

/// Of 2 000 packets on `A` alone one in five is lost and known to be resolved when the report comes.
fn every_fifth_is_resolved(handling: Handling) -> Repairer {
    let mut r = Repairer::new(1 << 20, Duration::from_secs(1), 500 * MS);
    for pn in 1..=2_000 {
        r.on_sent(
            ms(pn),
            A,
            pn as u32,
            PacketNumber(pn),
            kept(handling),
            Content::Packet(&[7; 100]),
        );
        if pn % 5 == 0 {
            let lost = pn as u32 - 1;
            r.on_arrived(ms(pn), &arrived(A, pn as u32, &[(lost, lost)], pn));
            assert_eq!(steps(&mut r, ms(pn), &both()), []);
        }
    }
    r
}

#[test]
fn what_parity_made_good_is_not_charged() {
    let r = every_fifth_is_resolved(Handling::NONE.protected());
    assert_eq!((r.is_congested(), r.stats().abandoned), (false, 0));
    // Without parity the receiver gave it up.
    let r = every_fifth_is_resolved(Handling::NONE);
    assert_eq!((r.is_congested(), r.stats().abandoned > 300), (true, true));
}

/// Unless something speaks for its queue, or for a policer.
#[test]
fn a_path_that_is_much_faster_gets_again_what_it_lost_once() {
    type Change = fn(&mut PathView);
    let known: Change = |v| v.estimate.at = ms(1);
    let changes: [(Change, u64, u8, PathId); 7] = [
        (known, 110, 0, A),
        (known, 110, 1, B),
        (known, 90, 0, B),
        (|_| (), 110, 0, B),
        (|v| (v.estimate.at, v.estimate.standing) = (ms(1), 20 * MS), 110, 0, B),
        (|v| (v.estimate.at, v.estimate.random_loss) = (ms(1), 0.05), 110, 0, B),
        (|v| (v.estimate.at, v.rank) = (ms(1), Rank::HeldDown), 110, 0, B),
    ];
    for (i, (change, srtt, copy, picked)) in changes.into_iter().enumerate() {
        let mut views = [view(A, Rank::Preferred, 20), view(B, Rank::Preferred, srtt)];
        change(&mut views[0]);
        let target = target(&views, (A, copy), 100, 150 * MS).map(|v| v.id);
        assert_eq!(target, Some(picked), "{i}");
    }
}

/// An outage of both paths: what it swallowed is found by gaps when one is back, and is not charged.
#[test]
fn what_an_outage_swallowed_is_rescued_whatever_it_is() {
    let mut r = sent_of::<500>(600);
    [A, B].into_iter().for_each(|path| r.on_path_out(path));
    r.on_path_back(A);
    r.on_arrived(ms(610), &arrived(A, 300, &[(1, 300)], 0));
    assert!(r.wants_load() && !r.is_congested());
    r.set_load(Load { traffic: 1 << 30, ..Default::default() });
    let views = [view(A, Rank::Preferred, 20), view(B, Rank::Suspected, 30)];
    let got = steps(&mut r, ms(610), &views);
    let again = got.iter().filter(|s| matches!(s, Step::Resend { .. })).count();
    // The others are more than half a second old.
    assert!((235..=240).contains(&again), "{again} of {}", got.len());
    assert_eq!((r.stats().sent_again, r.is_congested()), (0, false));
    // Sent after it was back, it is lost as anything else.
    r.on_sent(
        ms(620),
        A,
        5_000,
        PacketNumber(601),
        kept(Handling::NONE),
        Content::Packet(&[1; 500]),
    );
    r.on_arrived(ms(650), &arrived(A, 5_000, &[(5_000, 5_000)], 0));
    assert_eq!(steps(&mut r, ms(650), &views), [resend(601, A)]);
    assert_eq!(r.stats().sent_again, 1);
}
