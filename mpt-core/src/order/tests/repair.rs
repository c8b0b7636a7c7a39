//! Lost numbers that are sent again, abandoned, or waited for in vain.

use super::*;

fn receiver() -> Receiver {
    let limits = ReorderLimits { repair: Repair::On, ..Default::default() };
    Receiver::new(limits, 16 << 20)
}

fn ms(t: u64) -> Time {
    Time::from_millis(t)
}

/// What becomes of a packet that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Arrives,
    Repaired,
    Abandoned,
    /// Abandoned, though it comes after all.
    Late,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Arrives),
        2 => Just(Fate::Repaired),
        2 => Just(Fate::Abandoned),
        2 => Just(Fate::Late),
    ]
}

proptest! {
    /// In whatever order lost packets are sent again or abandoned: what comes is delivered, each flow in order. One
    /// that was abandoned takes its place while its flow waits before it, and never overtakes who comes before it.
    #[test]
    fn repaired_or_abandoned_all_is_delivered_in_order(
        packets in prop::collection::vec((0..5u64, fate()), 1..200),
        mut chance in any::<u64>(),
    ) {
        let (mut r, mut numbers) = (receiver(), Predecessors::new(1));
        let mut flows = BTreeMap::new();
        let (mut later, mut late) = (Vec::new(), BTreeSet::new());
        let last = (9, Fate::Arrives);
        for (flow, fate) in packets.into_iter().chain([last]) {
            let (pn, distance) = numbers.next(flow);
            flows.insert(pn.0, (flow, fate));
            let a = arrival(pn.0, distance, 1);
            match fate {
                Fate::Arrives => { let _ = r.on_data(ms(1), path(0), a, 8); }
                _ => later.push((a, fate)),
            }
            if pn.0 % 3 == 0 {
                r.on_batch_end(ms(1));
            }
        }
        while !later.is_empty() {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (a, fate) = later.swap_remove((chance >> 33) as usize % later.len());
            match fate {
                Fate::Abandoned => r.reorder.on_abandoned(a.pn, a.distance),
                Fate::Late => {
                    r.reorder.on_abandoned(a.pn, a.distance);
                    later.push((a, Fate::Arrives));
                }
                Fate::Arrives => {
                    if r.on_data(ms(1), path(0), a, 8) == Disposition::Late {
                        late.insert(a.pn.0);
                    }
                }
                Fate::Repaired => { let _ = r.on_data(ms(1), path(1), Arrival { copy: 1, ..a }, 8); }
            }
            r.on_batch_end(ms(1));
        }
        for wanted in [0, 1, 2, 3, 4, 9] {
            let of = |pn: &u64| flows[pn].0 == wanted;
            let all: Vec<u64> = r.delivered.iter().copied().filter(of).collect();
            let delivered: Vec<u64> = all.iter().copied().filter(|pn| !late.contains(pn)).collect();
            let came = |(pn, f): (&u64, &(u64, Fate))| {
                let due = f.0 == wanted && f.1 != Fate::Abandoned && !late.contains(pn);
                due.then_some(*pn)
            };
            let sent: Vec<u64> = flows.iter().filter_map(came).collect();
            prop_assert_eq!(delivered, sent, "flow {}", wanted);
            for (i, pn) in all.iter().enumerate().filter(|(_, pn)| late.contains(pn)) {
                let overtaken = all[i..].iter().find(|other| *other < pn && !late.contains(other));
                prop_assert_eq!(overtaken, None, "by {}", pn);
            }
        }
        prop_assert_eq!(r.reorder.resolved(), r.reorder.highest());
        prop_assert_eq!(r.budget.used(), 0);
    }
}

#[test]
fn an_abandoned_packet_that_comes_waits_for_its_predecessor() {
    let mut r = receiver();
    // 1, 2, 3 and 4 are one flow; path 0 has them all but 4.
    assert_eq!(r.on_data(ms(1), path(1), arrival(4, 1, 3), 8), Disposition::Held);
    for pn in [2, 3] {
        r.reorder.on_abandoned(PacketNumber(pn), 1);
    }
    r.on_batch_end(ms(2));
    // Who comes first is not who goes first, wherever 4 waits by now.
    assert_eq!(r.on_data(ms(3), path(0), arrival(3, 1, 3), 8), Disposition::Held);
    assert_eq!(r.on_data(ms(3), path(0), arrival(2, 1, 3), 8), Disposition::Held);
    assert_eq!(r.on_data(ms(4), path(0), arrival(2, 1, 3), 8), Disposition::Duplicate);
    assert_eq!(r.on_data(ms(5), path(1), arrival(5, 1, 3), 8), Disposition::Held);
    assert_eq!(r.on_data(ms(5), path(0), arrival(1, 0, 3), 8), Disposition::Delivered);
    assert_eq!(r.delivered, [1, 2, 3, 4, 5]);
    assert_eq!((r.reorder.stats().given_up, r.reorder.resolved()), (0, PacketNumber(5)));
}

/// 2 is lost, and 3 of the same flow waits for it.
fn lost() -> Receiver {
    let mut r = receiver();
    let _ = r.on_data(ms(0), path(0), arrival(1, 0, 1), 8);
    assert_eq!(r.on_data(ms(1), path(0), arrival(3, 1, 1), 8), Disposition::Held);
    r.on_batch_end(ms(1));
    assert_eq!(r.delivered, [1], "lost is not given up");
    r
}

#[test]
fn patience_ends_and_a_later_copy_is_dropped() {
    let mut r = lost();
    assert_eq!(r.reorder.poll_timeout(), Some(ms(151)));
    r.on_batch_end(ms(150));
    assert_eq!(r.delivered, [1]);
    r.on_batch_end(ms(151));
    assert_eq!(r.delivered, [1, 3]);
    let copy = Arrival { copy: 1, ..arrival(2, 1, 1) };
    assert_eq!(r.on_data(ms(152), path(1), copy, 8), Disposition::Duplicate);
    assert_eq!((r.delivered.len(), r.reorder.stats().repaired_late), (2, 1));
}

#[test]
fn a_repair_teaches_patience() {
    let mut r = lost();
    let copy = Arrival { copy: 1, ..arrival(2, 1, 1) };
    assert_eq!(r.on_data(ms(11), path(1), copy, 8), Disposition::Delivered);
    assert_eq!((&r.delivered[..], r.reorder.stats().repaired), (&[1, 2, 3][..], 1));
    // 10 ms and four times half of that, 3.5 times.
    assert_eq!(r.reorder.patience(), Duration::from_millis(105));
}

#[test]
fn nobody_waits_for_a_sender_that_repairs_nothing_now() {
    let mut r = lost();
    r.reorder.set_unrepaired(true);
    r.on_batch_end(ms(2));
    assert_eq!(r.delivered, [1, 3]);
}

#[test]
fn a_stalled_path_is_waited_for_up_to_the_limit() {
    let mut r = receiver();
    // Path 0 has brought nothing, and is open: the frontier does not move.
    assert_eq!(r.on_data(ms(1), path(1), arrival(2, 1, 3), 8), Disposition::Held);
    r.on_batch_end(ms(400));
    assert!(r.delivered.is_empty());
    r.on_batch_end(ms(501));
    assert_eq!(r.delivered, [2]);
}

#[test]
fn what_nobody_repairs_is_not_abandoned_either() {
    let mut r = Receiver::new(ReorderLimits::default(), 16 << 20);
    let _ = r.on_data(ms(1), path(0), arrival(1, 0, 1), 8);
    r.reorder.on_abandoned(PacketNumber(5), 1);
    r.on_batch_end(ms(900));
    assert_eq!(r.reorder.poll_timeout(), None, "nothing is due");
}

#[test]
fn abandoned_before_something_after_it_came() {
    let mut r = receiver();
    let _ = r.on_data(ms(1), path(0), arrival(1, 0, 1), 8);
    r.on_batch_end(ms(1));
    r.reorder.on_abandoned(PacketNumber(2), 1);
    r.on_batch_end(ms(2));
    assert!(r.reorder.poll_timeout().is_none_or(|at| at > ms(2)), "it waits without turning");
    let _ = r.on_data(ms(3), path(0), arrival(3, 1, 1), 8);
    r.on_batch_end(ms(3));
    assert_eq!(r.delivered, [1, 3]);
}

#[test]
fn a_long_chain_of_abandoned_packets_is_no_work() {
    const LAST: u64 = 40_000;
    let mut r = receiver();
    let _ = r.on_data(ms(1), path(0), arrival(LAST, 0, 3), 8);
    // Shuffled, as several messages would be.
    for pn in (2..LAST).step_by(2).chain((3..LAST).step_by(2)) {
        r.reorder.on_abandoned(PacketNumber(pn), 1);
    }
    r.on_batch_end(ms(2));
    // All of the flow wait for packet 1: a look for it must not walk the chain, or this takes minutes.
    for i in 1..=10_000 {
        let _ = r.on_data(ms(2), path(0), arrival(LAST + i, (i + 1) as u16, 3), 8);
    }
    assert_eq!(r.delivered, [LAST], "which has no predecessor; the others wait");
    let _ = r.on_data(ms(3), path(0), Arrival { copy: 1, ..arrival(1, 0, 3) }, 8);
    assert_eq!(r.delivered.len(), 10_002, "the first, and all that waited for it");
}
