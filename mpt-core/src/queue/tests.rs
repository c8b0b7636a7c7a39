use super::*;
use crate::policy::Treatment;
use crate::wire::HeaderFlags;
use crate::{Rate, Time, WorkerId};
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn mbit(n: u64) -> Rate {
    Rate::nearest_to_bits(n * 1_000_000)
}

/// Sends packets of these lengths in turn for as long as time allows; bytes by when they went.
fn flood(pacer: &mut Pacer, from: Time, time: Duration, lens: &[usize]) -> Vec<(Time, usize)> {
    let (mut now, mut sent) = (from, Vec::new());
    for i in 0.. {
        while let Err(until) = pacer.ready(now) {
            assert!(until > now, "{until:?} {now:?}");
            now = until;
            if now > from + time {
                return sent;
            }
        }
        let len = lens[i % lens.len()];
        pacer.spend(len);
        sent.push((now, len));
    }
    sent
}

fn bytes(sent: &[(Time, usize)]) -> f64 {
    sent.iter().map(|(_, len)| *len as f64).sum()
}

#[test]
fn a_pacer_keeps_to_its_rate() {
    let rates = [8_000, 100_000, 2_000_000, 20_000_000, 333_333_333, 1_000_000_000, 25_000_000_000];
    for (bits, lens) in rates.into_iter().flat_map(|r| [(r, &[1_500][..]), (r, &[60, 1_500, 333])])
    {
        let rate = Rate::nearest_to_bits(bits);
        let per_second = rate.bytes_per_second() as f64;
        // 20 000 packets or so.
        let time = Duration::from_secs_f64(20_000.0 * 1_000.0 / per_second);
        let start = Time::from_millis(77);
        let mut pacer = Pacer::new(start, rate);
        let sent = flood(&mut pacer, start, time, lens);
        let due = per_second * time.as_secs_f64();
        let burst = (per_second * 0.002).max(3_000.0) + per_second * 0.000_5 + 2_000.0;
        let got = bytes(&sent);
        assert!(got <= due * 1.000_1 + burst, "{rate}: {got} of {due}");
        assert!(got >= due * 0.999_9 - burst, "{rate}: {got} of {due}");
    }
}

#[test]
fn a_pacer_saves_up_a_burst_and_no_more() {
    let mut pacer = Pacer::new(Time::ZERO, mbit(20));
    flood(&mut pacer, Time::ZERO, MS * 100, &[1_500]);
    let later = Time::from_millis(5_000);
    let sent = flood(&mut pacer, later, Duration::ZERO, &[1_500]);
    // Two milliseconds are 5 000 bytes. The first pays for what the last one overdrew, and the last overdraws.
    assert!((3_500.0..=7_000.0).contains(&bytes(&sent)), "{sent:?}");
}

#[test]
fn what_does_not_wait_is_paid_for() {
    let mut pacer = Pacer::new(Time::ZERO, mbit(20));
    flood(&mut pacer, Time::ZERO, MS, &[1_500]);
    (0..20).for_each(|_| pacer.spend(1_000));
    // 20 000 bytes take 8 ms.
    let paid = next(&mut pacer, Time::from_millis(1));
    assert!((Time::from_millis(7)..Time::from_millis(12)).contains(&paid), "{paid:?}");
    // Nobody pays for more than a quarter of a second.
    (0..2_000).for_each(|_| pacer.spend(1_000));
    let paid = next(&mut pacer, paid);
    assert!((Time::from_millis(250)..Time::from_millis(270)).contains(&paid), "{paid:?}");
}

/// When the next packet may go.
fn next(pacer: &mut Pacer, mut now: Time) -> Time {
    while let Err(until) = pacer.ready(now) {
        now = until;
    }
    now
}

#[test]
fn a_new_rate_counts_at_once() {
    let mut pacer = Pacer::new(Time::ZERO, Rate::LEAST);
    flood(&mut pacer, Time::ZERO, Duration::ZERO, &[1_500]);
    let now = Time::from_millis(1);
    assert!(pacer.ready(now).unwrap_err() > Time::from_millis(500));
    pacer.set_rate(now, mbit(100));
    assert!(pacer.ready(now).unwrap_err() < Time::from_millis(2), "the old refusal is void");
}

proptest! {
    #[test]
    fn changes_of_the_rate_give_nothing_away(
        rates in prop::collection::vec(1u64..200, 1..200), gap in 1u32..20,
    ) {
        let mut pacer = Pacer::new(Time::ZERO, mbit(rates[0]));
        let (mut now, mut due, mut sent) = (Time::ZERO, 0.0, 0.0);
        for &rate in &rates {
            pacer.set_rate(now, mbit(rate));
            let time = MS * gap;
            sent += bytes(&flood(&mut pacer, now, time, &[1_500]));
            due += time.as_secs_f64() * mbit(rate).bytes_per_second() as f64;
            now += time;
        }
        let burst = 55_000.0;
        prop_assert!(sent <= due + burst, "{sent} of {due}");
        // What was saved up when the rate fell, beyond what may be saved up at the new one, is gone: of a millisecond's
        // worth less than a packet on average.
        let lost = rates.len() as f64 * 1_500.0;
        prop_assert!(sent >= due - burst - lost, "{sent} of {due}");
    }
}

fn times() -> CodelTimes {
    CodelTimes::new(Some(mbit(20)), Duration::ZERO)
}

#[test]
fn the_target_fits_a_packet_and_a_half() {
    assert_eq!((times().target, times().interval), (MS * 5, MS * 100));
    let slow = CodelTimes::new(Some(mbit(1)), MS * 350);
    assert_eq!((slow.target, slow.interval), (MS * 18, MS * 350));
    assert_eq!(CodelTimes::new(None, Duration::ZERO).target, MS * 5);
}

#[test]
fn one_flow_may_fill_what_nobody_limited() {
    let target = |rtt| times().filled_by_one(rtt).target;
    assert_eq!([target(MS * 10), target(MS * 80), target(MS * 700)], [MS * 5, MS * 40, MS * 40]);
    let grown =
        |target, rtt, more| CodelTimes { target, ..times() }.with_room_to_grow(rtt, more).target;
    assert_eq!(
        [grown(MS, MS * 50, Duration::ZERO), grown(MS, MS * 700, MS * 60)],
        [MS * 50, MS * 140]
    );
    assert_eq!(grown(MS * 130, MS * 80, Duration::ZERO), MS * 130, "bursts are enough");
    assert_eq!(times().filled_by_one(MS * 80).interval, times().interval);
}

/// Or it would never be found that something waits too long.
#[test]
fn what_may_wait_is_less_than_what_there_is_room_for() {
    for rate in [mbit(5), mbit(60), mbit(160), mbit(900)] {
        for (bursts, rtt) in [(0, 20), (0, 200), (60, 200), (100, 20), (160, 700)] {
            let mut queue = FairQueue::new(Some(rate), MS * rtt);
            queue.follow_estimate(MS * rtt);
            queue.follow_bursts(MS * bursts);
            queue.follow_growth(MS * rtt, MS * bursts.min(60));
            let holds = queue.cap() as f64 / rate.bytes_per_second() as f64;
            let target = queue.times().target.as_secs_f64();
            assert!(target < 0.9 * holds, "{rate}, {bursts}, {rtt}: {target} of {holds}");
            let wanted = (rtt.min(80) + bursts.min(60)) as f64 / 1e3;
            assert!(target > 0.7 * holds.min(wanted), "{rate}, {bursts}, {rtt}: {target}");
        }
    }
}

/// When a queue that stays too long loses packets, of one a millisecond.
fn drops(codel: &mut Codel, from: u64, to: u64, sojourn: Duration) -> Vec<u64> {
    let mut congested = |ms: &u64| {
        let verdict = codel.judge(Time::from_millis(*ms), sojourn, 100_000, times());
        verdict == Verdict::Congested
    };
    (from..to).filter(|ms| congested(ms)).collect()
}

#[test]
fn drops_follow_the_control_law() {
    let mut codel = Codel::default();
    let got = drops(&mut codel, 1_000, 2_000, MS * 50);
    // An interval of grace; then intervals divided by the root of the count.
    let (mut at, mut due) = (1_100.0, Vec::new());
    for count in 1.. {
        if at >= 2_000.0 {
            break;
        }
        due.push(at);
        at += 100.0 / f64::from(count).sqrt();
    }
    assert_eq!(got.len(), due.len());
    for (got, due) in got.iter().zip(due) {
        assert!((*got as f64 - due).abs() <= 1.0, "{got} {due}");
    }
}

#[test]
fn short_waits_and_last_packets_pass() {
    let mut codel = Codel::default();
    assert!(drops(&mut codel, 0, 5_000, Duration::from_micros(4_900)).is_empty());
    for ms in 0..5_000 {
        let verdict = codel.judge(Time::from_millis(ms), MS * 50, 1_500, times());
        assert_eq!(verdict, Verdict::Pass, "nothing is behind it but a packet");
    }
    // A moment below the target, and the interval begins anew.
    for round in 0..10 {
        assert!(drops(&mut codel, 10_000 + round * 100, 10_099 + round * 100, MS * 50).is_empty());
        let short = Time::from_millis(10_099 + round * 100);
        assert_eq!(codel.judge(short, MS, 100_000, times()), Verdict::Pass);
    }
}

#[test]
fn it_begins_where_it_left_off_if_that_was_lately() {
    let count = |pause: u64| {
        let mut codel = Codel::default();
        drops(&mut codel, 1_000, 3_000, MS * 50);
        let _ = codel.judge(Time::from_millis(3_000), MS, 100_000, times());
        drops(&mut codel, 3_000 + pause, 3_500 + pause, MS * 50).len()
    };
    assert!(count(1) > 3 * count(10_000), "{} {}", count(1), count(10_000));
}

/// An IPv4 packet of `len` bytes, the last of which is its number.
fn packet(len: usize, ecn: u8, number: u8) -> Vec<u8> {
    let mut p = vec![0; len];
    p[0] = 0x45;
    p[1] = ecn;
    p[len - 1] = number;
    p
}

fn push(queue: &mut FairQueue, now: Time, flow: u64, packet: &[u8]) {
    let (worker, flags, tos) = (WorkerId::default(), HeaderFlags::NONE, packet[1]);
    queue.push(now, &Arrival { packet, flow, worker, flags, tos, treatment: Treatment::default() });
}

fn pop(queue: &mut FairQueue, now: Time) -> Option<(u64, Vec<u8>)> {
    let front = queue.front(now)?;
    let mut out = vec![0; front.len];
    queue.copy_front(&mut out);
    queue.remove_front();
    Some((front.flow, out))
}

#[test]
fn flows_take_turns_by_bytes() {
    let mut queue = FairQueue::new(Some(mbit(1_000)), Duration::ZERO);
    for i in 0..200 {
        push(&mut queue, Time::ZERO, 1, &packet(1_400, 0, i));
        push(&mut queue, Time::ZERO, 2, &packet(200, 0, i));
        push(&mut queue, Time::ZERO, 3, &packet(777, 0, i));
    }
    let mut bytes = [0i64; 4];
    while bytes.iter().all(|b| *b < 38_000) {
        let (flow, packet) = pop(&mut queue, Time::ZERO).unwrap();
        bytes[flow as usize] += packet.len() as i64;
        let (a, b, c) = (bytes[1], bytes[2], bytes[3]);
        assert!((a - b).abs().max((a - c).abs()) <= 3_200, "{bytes:?}");
    }
}

#[test]
fn a_sparse_flow_goes_first() {
    let mut queue = FairQueue::new(Some(mbit(20)), Duration::ZERO);
    let mut now = Time::ZERO;
    (0..100).for_each(|i| push(&mut queue, now, 1, &packet(1_400, 0, i)));
    // It is new until it has sent what it may.
    (0..2).for_each(|_| assert!(pop(&mut queue, now).is_some()));
    for i in 0..50 {
        push(&mut queue, now, 2, &packet(160, 0, i));
        let (flow, got) = pop(&mut queue, now).unwrap();
        assert_eq!((flow, got[159]), (2, i), "the call's packet waits for nobody");
        pop(&mut queue, now).unwrap();
        now += MS;
    }
}

#[test]
fn a_hundred_flows_have_a_queue_each() {
    let mut random = 7u64;
    let mut hash = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random ^ random.rotate_left(29)
    };
    let mut queue = FairQueue::new(Some(mbit(1_000)), MS * 20);
    for round in 0..100 {
        let flows: Vec<u64> = (0..100).map(|_| hash()).collect();
        // Two of each: who shares a queue has both of its packets behind the other's first.
        for _ in 0..2 {
            flows.iter().for_each(|&f| push(&mut queue, Time::ZERO, f, &packet(1_600, 0, 0)));
        }
        let mut first: Vec<u64> =
            (0..100).map(|_| pop(&mut queue, Time::ZERO).unwrap().0).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 100, "round {round}: each has its turn before any has two");
        while pop(&mut queue, Time::ZERO).is_some() {}
    }
}

#[test]
fn a_sparse_flow_goes_first_beside_many() {
    let mut queue = FairQueue::new(Some(mbit(20)), Duration::ZERO);
    (0..200u8).for_each(|i| push(&mut queue, Time::ZERO, u64::from(i % 20), &packet(900, 0, i)));
    (0..60).for_each(|_| assert!(pop(&mut queue, Time::ZERO).is_some()));
    // Five packets come in a turn of the others; together they are less than one of them may send.
    for i in 0..15 {
        push(&mut queue, Time::ZERO, 99, &packet(160, 0, i));
        assert_eq!(pop(&mut queue, Time::ZERO).unwrap().0, 99, "packet {i}");
        (0..8).for_each(|_| assert!(pop(&mut queue, Time::ZERO).unwrap().0 != 99));
    }
}

#[test]
fn a_flow_that_only_seems_sparse_starves_nobody() {
    let mut queue = FairQueue::new(Some(mbit(20)), Duration::ZERO);
    (0..40).for_each(|i| push(&mut queue, Time::ZERO, 1, &packet(1_400, 0, i)));
    let mut turns = [0; 3];
    for i in 0..60 {
        // It comes back the moment it was served.
        push(&mut queue, Time::ZERO, 2, &packet(1_400, 0, i));
        turns[pop(&mut queue, Time::ZERO).unwrap().0 as usize] += 1;
    }
    assert!(turns[1] >= 28, "{turns:?}");
}

#[test]
fn the_fattest_flow_pays_for_the_cap() {
    let mut queue = FairQueue::new(Some(mbit(20)), Duration::ZERO);
    assert_eq!(queue.cap(), 250_000);
    push(&mut queue, Time::ZERO, 2, &packet(160, 0, 1));
    (0..=255).for_each(|i| push(&mut queue, Time::ZERO, 1, &packet(1_000, 0, i)));
    push(&mut queue, Time::ZERO, 3, &packet(160, 0, 2));
    assert!(queue.bytes() <= 250_000 && queue.bytes() > 248_000, "{}", queue.bytes());
    let dropped = queue.take_counts();
    assert_eq!((dropped.overflow, dropped.delay), (7, 0));
    let mut flows = HashMap::<u64, Vec<u8>>::new();
    while let Some((flow, packet)) = pop(&mut queue, Time::ZERO) {
        flows.entry(flow).or_default().push(*packet.last().unwrap());
    }
    assert_eq!((&flows[&2], &flows[&3]), (&vec![1], &vec![2]));
    assert_eq!(flows[&1], (7..=255).collect::<Vec<_>>(), "the oldest went");
}

#[test]
fn memory_is_bounded_whatever_the_size_of_packets() {
    let mut queue = FairQueue::new(Some(mbit(8)), Duration::ZERO);
    (0..100_000u32).for_each(|i| push(&mut queue, Time::ZERO, u64::from(i), &packet(40, 0, 0)));
    assert!(queue.packets() <= 2 * 100_000 / 256 + 1, "{}", queue.packets());
    queue.follow(Some(mbit(10_000)), Duration::ZERO);
    assert_eq!(queue.cap(), 4 << 20);
    queue.follow(Some(Rate::LEAST), Duration::ZERO);
    assert_eq!(queue.cap(), 64 << 10);
}

#[test]
fn marks_where_it_would_drop() {
    let run = |ecn: u8| {
        let mut queue = FairQueue::new(Some(mbit(20)), Duration::ZERO);
        let (mut got, mut marked) = (0, 0);
        // Two come, one goes, at a millisecond each; from a standing queue of 50 packets.
        (0..50).for_each(|i| push(&mut queue, Time::ZERO, 1, &packet(1_000, ecn, i)));
        for ms in 0..1_000 {
            let now = Time::from_millis(ms);
            push(&mut queue, now, 1, &packet(1_000, ecn, 0));
            let front = queue.front(now).unwrap();
            let (_, packet) = pop(&mut queue, now).unwrap();
            assert_eq!(front.tos, packet[1], "the outer header is told");
            got += 1;
            marked += u64::from(packet[1] == 3);
        }
        (got, marked, queue.take_counts())
    };
    let (_, marked, counts) = run(0);
    assert!(counts.delay > 5 && marked == 0 && counts.marked == 0, "{counts:?}");
    for ecn in [1, 2] {
        let (got, marked, counts) = run(ecn);
        assert_eq!((got, counts.delay, counts.overflow), (1_000, 0, 0));
        assert!(marked > 5 && marked == counts.marked, "{counts:?}");
    }
}

#[test]
fn nobody_wants_what_waited_for_seconds() {
    let mut queue = FairQueue::new(Some(mbit(20)), Duration::ZERO);
    push(&mut queue, Time::ZERO, 1, &packet(100, 2, 1));
    push(&mut queue, Time::from_millis(2_500), 1, &packet(100, 2, 2));
    let (_, got) = pop(&mut queue, Time::from_millis(3_500)).unwrap();
    assert_eq!((got[99], queue.take_counts().delay), (2, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Push { flow: u8, len: usize, ecn: u8 },
    Pop,
    Look,
    Pass(u8),
    Follow(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6u8, 21..3_000usize, 0..4u8).prop_map(|(flow, len, ecn)| Step::Push { flow, len, ecn }),
        3 => Just(Step::Pop),
        1 => Just(Step::Look),
        1 => any::<u8>().prop_map(Step::Pass),
        1 => (1..100u64).prop_map(Step::Follow),
    ];
    prop::collection::vec(step, 1..600)
}

proptest! {
    /// Whatever happens: each flow's packets come in order and unharmed, each is accounted for, and the caps hold.
    #[test]
    fn packets_come_in_order_or_are_counted(steps in steps()) {
        let mut queue = FairQueue::new(Some(mbit(5)), Duration::ZERO);
        let mut flows: HashMap<u64, VecDeque<Vec<u8>>> = HashMap::new();
        let (mut now, mut pushed, mut popped, mut number) = (Time::ZERO, 0u64, 0u64, 0u8);
        let (mut dropped, mut marked) = (0u64, 0u64);
        for step in steps {
            match step {
                Step::Push { flow, len, ecn } => {
                    number = number.wrapping_add(1);
                    let bytes = packet(len, ecn, number);
                    push(&mut queue, now, u64::from(flow), &bytes);
                    flows.entry(u64::from(flow)).or_default().push_back(bytes);
                    pushed += 1;
                    prop_assert!(queue.bytes() <= queue.cap().max(len));
                }
                Step::Pop => {
                    let Some((flow, mut got)) = pop(&mut queue, now) else { continue };
                    popped += 1;
                    let sent = flows.get_mut(&flow).unwrap();
                    loop {
                        let sent = sent.pop_front().expect("it was pushed, and not before what came last");
                        let capable = sent[1] != 0;
                        if got[1] == 3 && capable && sent[1] != 3 {
                            // Marked; the header checksum follows.
                            let mut unmarked = got.clone();
                            unmarked[1] = sent[1];
                            unmarked[10..12].copy_from_slice(&sent[10..12]);
                            if unmarked == sent {
                                got = sent;
                                break;
                            }
                        }
                        if got == sent {
                            break;
                        }
                    }
                    prop_assert!(!got.is_empty());
                }
                Step::Look => {
                    let once = queue.front(now).map(|f| (f.flow, f.len));
                    let again = queue.front(now).map(|f| (f.flow, f.len));
                    prop_assert_eq!(once, again);
                }
                Step::Pass(ms) => now += MS * u32::from(ms),
                Step::Follow(n) => queue.follow(Some(mbit(n)), Duration::ZERO),
            }
            let counts = queue.take_counts();
            dropped += counts.overflow + counts.delay;
            marked += counts.marked;
            prop_assert_eq!(pushed, popped + dropped + queue.packets() as u64);
            prop_assert_eq!(queue.is_empty(), queue.packets() == 0);
        }
        now += MS;
        while pop(&mut queue, now).is_some() {
            popped += 1;
        }
        dropped += queue.take_counts().delay;
        prop_assert_eq!((pushed, queue.bytes()), (popped + dropped, 0));
        prop_assert!(marked <= pushed);
    }
}
