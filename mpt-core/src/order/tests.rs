//! [`Reorder`] and [`Predecessors`] against a naive model, and against a hostile sender.

mod repair;

use super::*;
use crate::inner::Checksum;
use crate::repair::Repair;
use crate::{PacketNumber, PathId, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

fn path(i: usize) -> PathId {
    PathId::new(i as u8).unwrap()
}

/// A receiver with its budget, noting what it delivers. Each packet's text is its number.
struct Receiver {
    reorder: Reorder,
    budget: HeldBudget,
    delivered: Vec<u64>,
}

impl Receiver {
    fn new(limits: ReorderLimits, total: usize) -> Self {
        Self { reorder: Reorder::new(limits), budget: HeldBudget::new(total), delivered: vec![] }
    }

    fn on_data(&mut self, now: Time, path: PathId, a: Arrival, size: usize) -> Disposition {
        let mut packet = vec![0; size.max(8)];
        packet[..8].copy_from_slice(&a.pn.0.to_be_bytes());
        let delivered = &mut self.delivered;
        self.reorder.on_data(now, path, a, &packet, &mut self.budget, &mut |p, _| {
            delivered.push(u64::from_be_bytes(p[..8].try_into().unwrap()));
        })
    }

    fn on_batch_end(&mut self, now: Time) {
        let delivered = &mut self.delivered;
        self.reorder.on_batch_end(now, &mut self.budget, &mut |p, _| {
            delivered.push(u64::from_be_bytes(p[..8].try_into().unwrap()));
        });
    }

    fn flush(&mut self, now: Time) {
        let delivered = &mut self.delivered;
        self.reorder.flush(now, &mut self.budget, &mut |p, _| {
            delivered.push(u64::from_be_bytes(p[..8].try_into().unwrap()));
        });
    }
}

fn arrival(pn: u64, distance: u16, bitmap: u16) -> Arrival {
    let seq = pn as u32;
    Arrival {
        pn: PacketNumber(pn),
        distance,
        bitmap,
        seq,
        send_time: 0,
        copy: 0,
        duplicate: false,
        checksum: Checksum::Full,
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Send { flow: u64, path: usize, lost: bool },
    Arrive { path: usize },
    BatchEnd,
}

fn op(paths: usize) -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6u64, 0..paths, prop::bool::weighted(0.1))
            .prop_map(|(flow, path, lost)| Op::Send { flow, path, lost }),
        4 => (0..paths).prop_map(|path| Op::Arrive { path }),
        1 => Just(Op::BatchEnd),
    ]
}

/// FIFO paths: everything is known exactly, so sets and searches do.
#[derive(Default)]
struct Naive {
    /// By number: predecessor, and whether it was delivered.
    came: BTreeMap<u64, (Option<u64>, bool)>,
    lost: BTreeSet<u64>,
    reached: BTreeMap<usize, u64>,
    newest: (u64, u16),
    /// (path, highest number at which it was closed)
    closed: BTreeMap<usize, u64>,
}

impl Naive {
    fn on_data(&mut self, path: usize, pn: u64, predecessor: Option<u64>, bitmap: u16) {
        self.came.insert(pn, (predecessor, false));
        let reached = self.reached.entry(path).or_default();
        *reached = pn.max(*reached);
        self.newest = self.newest.max((pn, bitmap));
        for p in (0..16).filter(|p| bitmap & (1 << p) == 0) {
            let closed = self.closed.entry(p).or_default();
            *closed = (*closed).max(pn - 1);
        }
    }

    fn deliver(&mut self) {
        loop {
            let resolved = |pn| self.lost.contains(&pn) || self.came.get(&pn).is_some_and(|c| c.1);
            let ready =
                self.came.iter().find(|(_, c)| !c.1 && c.0.is_none_or(resolved)).map(|c| *c.0);
            let Some(pn) = ready else { return };
            self.came.get_mut(&pn).unwrap().1 = true;
        }
    }

    fn on_batch_end(&mut self) {
        let get = |m: &BTreeMap<usize, u64>, p| m.get(&p).copied().unwrap_or(0);
        let open = (0..16).filter(|p| self.newest.1 & (1 << p) != 0);
        let frontier =
            open.map(|p| get(&self.reached, p).max(get(&self.closed, p))).min().unwrap_or(0);
        let missing = (1..=frontier.min(self.newest.0)).filter(|pn| !self.came.contains_key(pn));
        self.lost.extend(missing);
        self.deliver();
    }

    fn delivered(&self) -> BTreeSet<u64> {
        self.came.iter().filter(|(_, c)| c.1).map(|(pn, _)| *pn).collect()
    }
}

proptest! {
    /// On FIFO paths, with truthful bitmaps, what is delivered after each step is exactly what the
    /// naive model says, in the order of each flow, and nothing is ever late.
    #[test]
    fn fifo_paths_match_the_naive_model(ops in prop::collection::vec(op(3), 1..400)) {
        let mut sender = Predecessors::new(1);
        let mut flights: [VecDeque<(u64, u16, u16, u64)>; 3] = Default::default();
        let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
        let mut naive = Naive::default();
        let mut flow_of = BTreeMap::new();
        let mut now = Time::ZERO;
        for op in ops {
            now += Duration::from_micros(1);
            match op {
                Op::Send { flow, path, lost } => {
                    let (pn, distance) = sender.next(flow);
                    flow_of.insert(pn.0, flow);
                    let open = (0..3).filter(|&p| p == path || !flights[p].is_empty());
                    let bitmap = open.fold(0, |b, p| b | 1u16 << p);
                    // What is lost leaves nothing to wait for but the next packet of its path.
                    if !lost {
                        flights[path].push_back((pn.0, distance, bitmap, flow));
                    }
                }
                Op::Arrive { path: p } => {
                    let Some((pn, distance, bitmap, _)) = flights[p].pop_front() else { continue };
                    let predecessor = (distance != 0).then(|| pn - u64::from(distance));
                    naive.on_data(p, pn, predecessor, bitmap);
                    naive.deliver();
                    let d = rx.on_data(now, path(p), arrival(pn, distance, bitmap), 8);
                    prop_assert_ne!(d, Disposition::Late);
                    prop_assert_ne!(d, Disposition::Duplicate);
                }
                Op::BatchEnd => {
                    naive.on_batch_end();
                    rx.on_batch_end(now);
                }
            }
            let got: BTreeSet<u64> = rx.delivered.iter().copied().collect();
            prop_assert_eq!(got.len(), rx.delivered.len(), "at most once");
            prop_assert_eq!(got, naive.delivered());
        }
        let mut last = BTreeMap::new();
        for pn in &rx.delivered {
            let before = last.insert(flow_of[pn], *pn);
            prop_assert!(before.is_none_or(|b| b < *pn), "flow order");
        }
        rx.flush(now);
        prop_assert_eq!(rx.delivered.len(), naive.came.len(), "all is delivered in the end");
        prop_assert_eq!(rx.reorder.stats().held_now, 0);
        prop_assert_eq!(rx.budget.used(), 0);
    }

    /// In whatever order and after whatever time packets come: each is delivered once, none before
    /// its predecessor unless that was given up (and is then late), and memory stays in its bounds.
    #[test]
    fn any_order_and_any_loss(
        flows in prop::collection::vec(0..5u64, 1..300),
        fates in prop::collection::vec((0..40u64, 0..3usize, prop::bool::weighted(0.1)), 300),
        cap in prop_oneof![Just(100usize), Just(1_000), Just(1 << 20)],
    ) {
        let mut sender = Predecessors::new(1);
        let mut packets: Vec<_> = flows.iter().zip(fates).enumerate().map(|(i, (&flow, fate))| {
            let (delay, path, lost) = fate;
            let (pn, distance) = sender.next(flow);
            (i as u64 + delay, pn.0, distance, path, lost)
        }).filter(|p| !p.4).collect();
        packets.sort_unstable();
        let limits = ReorderLimits { held_bytes: cap, ..Default::default() };
        let mut rx = Receiver::new(limits, 1 << 20);
        let mut place = BTreeMap::new();
        let mut predecessors = BTreeMap::new();
        let mut late = BTreeSet::new();
        for &(at, pn, distance, p, _) in &packets {
            let now = Time::from_millis(at);
            if rx.reorder.poll_timeout().is_some_and(|t| t <= now) {
                rx.on_batch_end(now);
                prop_assert!(rx.reorder.poll_timeout().is_none_or(|t| t > now), "would spin");
            }
            predecessors.insert(pn, pn - u64::from(distance));
            match rx.on_data(now, path(p), arrival(pn, distance, 7), 20) {
                Disposition::Late => { late.insert(pn); }
                Disposition::Duplicate => prop_assert!(false, "there are none"),
                _ => {}
            }
            rx.on_batch_end(now);
            prop_assert!(rx.reorder.stats().held_bytes <= cap as u64);
            prop_assert_eq!(
                rx.on_data(now, path(p), arrival(pn, distance, 7), 20), Disposition::Duplicate);
        }
        let end = Time::from_millis(5_000);
        rx.on_batch_end(end);
        prop_assert_eq!(rx.reorder.stats().held_now, 0, "no longer than max_hold");
        for (i, pn) in rx.delivered.iter().enumerate() {
            prop_assert!(place.insert(*pn, i).is_none(), "{} twice", pn);
        }
        prop_assert_eq!(place.len(), packets.len());
        for (pn, predecessor) in predecessors {
            if predecessor != pn && let Some(before) = place.get(&predecessor) {
                prop_assert!(*before < place[&pn] || late.contains(&predecessor));
            }
        }
    }

    /// An authenticated sender that writes nonsense harms only itself.
    #[test]
    fn nonsense_is_survived(
        packets in prop::collection::vec(
            (
                prop_oneof![
                    Just(1i64), -5..5i64, -2_000..2_000i64, -70_000..70_000i64,
                    i64::from(i32::MIN)..i64::from(i32::MAX),
                ],
                prop_oneof![Just(0u16), Just(1), Just(u16::MAX), any::<u16>()],
                any::<u16>(), any::<u32>(), any::<u16>(), 0..3u8, 0..16usize, 0..2_000u64,
            ),
            1..300,
        ),
    ) {
        let repair = if packets.len() % 2 == 0 { Repair::On } else { Repair::Off };
        let limits = ReorderLimits { slots: 4096, held_bytes: 2_000, repair, ..Default::default() };
        let mut rx = Receiver::new(limits, 1_500);
        let mut now = Time::ZERO;
        for (i, (jump, distance, bitmap, seq, send_time, copy, p, wait)) in
            packets.into_iter().enumerate()
        {
            now += Duration::from_micros(wait);
            let pn = rx.reorder.highest().0.saturating_add_signed(jump);
            let a = Arrival { pn: PacketNumber(pn), distance, bitmap, seq, send_time, copy, duplicate: false, checksum: Checksum::Full };
            let _ = rx.on_data(now, path(p), a, 100);
            if i % 5 == 0 {
                let last_pn = PacketNumber(pn.saturating_add_signed(jump));
                let marker = Marker { epoch: send_time, last_pn, seq };
                rx.reorder.on_marker(now, path(p), marker);
            }
            if i % 4 == 0 {
                let around = u64::from(seq % 64);
                rx.reorder.on_abandoned(PacketNumber(pn.saturating_sub(around)), distance);
            }
            if i % 3 == 0 {
                rx.on_batch_end(now);
                prop_assert!(rx.reorder.poll_timeout().is_none_or(|t| t > now), "would spin");
            }
            prop_assert!(rx.reorder.stats().held_bytes <= 1_500);
            prop_assert!(rx.reorder.stats().ring_slots <= 4096);
        }
        rx.flush(now);
        prop_assert_eq!((rx.reorder.stats().held_now, rx.budget.used()), (0, 0));
    }
}

const A: PathId = PathId::new(0).unwrap();
const B: PathId = PathId::new(1).unwrap();
const BOTH: u16 = 0b11;

fn ms(t: u64) -> Time {
    Time::from_millis(t)
}

#[test]
fn a_loss_holds_only_its_own_flow() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    // 1 and 2 of flow a, 3 of flow b; 1 is lost.
    assert_eq!(rx.on_data(ms(0), A, arrival(2, 1, BOTH), 8), Disposition::Held);
    assert_eq!(rx.on_data(ms(0), A, arrival(3, 0, BOTH), 8), Disposition::Delivered);
    rx.on_batch_end(ms(0));
    assert_eq!(rx.delivered, [3]);
    // B brings something newer: 1 is not under way any more.
    assert_eq!(rx.on_data(ms(1), B, arrival(4, 1, BOTH), 8), Disposition::Delivered);
    rx.on_batch_end(ms(1));
    assert_eq!(rx.delivered, [3, 4, 2]);
    let stats = rx.reorder.stats();
    assert_eq!((stats.released_lost, stats.given_up, stats.held), (1, 1, 1));
    assert_eq!(rx.on_data(ms(2), A, arrival(1, 0, BOTH), 8), Disposition::Late);
}

#[test]
fn a_closed_path_is_not_waited_for() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    assert_eq!(rx.on_data(ms(0), A, arrival(2, 1, BOTH), 8), Disposition::Held);
    rx.on_batch_end(ms(0));
    assert_eq!(rx.on_data(ms(1), A, arrival(3, 0, A.bit()), 8), Disposition::Delivered);
    rx.on_batch_end(ms(1));
    assert_eq!(rx.delivered, [3, 2]);
}

#[test]
fn a_marker_moves_the_frontier() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    assert_eq!(rx.on_data(ms(0), A, arrival(2, 1, BOTH), 8), Disposition::Held);
    rx.reorder.on_marker(ms(3), B, Marker { epoch: 1, last_pn: PacketNumber(2), seq: 2 });
    rx.on_batch_end(ms(3));
    assert_eq!(rx.delivered, [2]);
    assert_eq!(rx.reorder.marker_ack(B), Some(1));
    assert_eq!(rx.reorder.marker_ack(A), None);
}

/// When the packet 50, whose predecessor is missing, is released; B last brought something at 10 ms.
fn released_at(b_alive: bool, b_known: bool) -> u64 {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    if b_known {
        assert_eq!(rx.on_data(ms(10), B, arrival(1, 0, BOTH), 8), Disposition::Delivered);
    }
    let hold = ms(20);
    let send_time = 200;
    let a = Arrival { send_time, ..arrival(50, 1, BOTH) };
    assert_eq!(rx.on_data(hold, A, a, 8), Disposition::Held);
    for t in 20..1_000 {
        if b_alive {
            // B is slow, not stalled: it brings something, but nothing newer.
            let _ = rx.on_data(ms(t), B, Arrival { copy: 1, ..arrival(3, 0, BOTH) }, 8);
        }
        rx.on_batch_end(ms(t));
        if rx.delivered.contains(&50) {
            assert_eq!(rx.reorder.stats().released_deadline, 1);
            return t - 20;
        }
    }
    panic!("never released");
}

#[test]
fn a_stalled_path_is_waited_for_until_the_deadline() {
    // Sent at 0 and come at 10 ms; sent and come at 20 ms: B is 10 ms slower, and 50 ms are patience.
    assert_eq!(released_at(false, true), 60);
}

#[test]
fn a_slow_path_is_waited_for_until_max_hold() {
    assert_eq!(released_at(true, true), 500);
}

#[test]
fn a_path_never_heard_of_may_be_as_slow_as_any() {
    assert_eq!(released_at(false, false), 500);
}

#[test]
fn a_jump_beyond_the_ring_releases_all_in_order() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    for pn in [7, 5, 9] {
        assert_eq!(rx.on_data(ms(0), A, arrival(pn, 1, BOTH), 8), Disposition::Held);
    }
    assert_eq!(rx.on_data(ms(0), A, arrival(70_000_000, 1, BOTH), 8), Disposition::Delivered);
    assert_eq!(rx.delivered, [5, 7, 9, 70_000_000]);
    assert_eq!(rx.reorder.stats().ring_slots, 1024);
}

#[test]
fn a_number_out_of_this_world_is_refused() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    assert_eq!(rx.on_data(ms(0), A, arrival(u64::MAX, 1, BOTH), 8), Disposition::Duplicate);
    assert_eq!(rx.reorder.highest(), PacketNumber(0));
    let last_pn = PacketNumber(u64::MAX);
    rx.reorder.on_marker(ms(0), A, Marker { epoch: 1, last_pn, seq: u32::MAX });
    rx.on_batch_end(ms(0));
    // Overtaken by that marker, the path seems to reorder by 1 ms; its own fault, and it passes.
    assert_eq!(rx.on_data(ms(1), A, arrival(2, 1, A.bit()), 8), Disposition::Held);
    rx.on_batch_end(ms(3));
    assert_eq!(rx.delivered, [2]);
}

#[test]
fn a_saturated_distance_waits_for_all_that_is_so_far_back() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    let far = 65_536;
    assert_eq!(
        rx.on_data(ms(0), A, arrival(far, DISTANCE_SATURATED, BOTH), 8),
        Disposition::Held,
        "1 has not come"
    );
    assert_eq!(rx.on_data(ms(0), B, arrival(1, 0, BOTH), 8), Disposition::Delivered);
    assert_eq!(rx.delivered, [1, far]);
}

#[test]
fn memory_of_held_packets_is_given_back_when_idle() {
    let mut rx = Receiver::new(ReorderLimits::default(), 1 << 20);
    assert_eq!(rx.on_data(ms(0), A, arrival(2, 1, BOTH), 1_000), Disposition::Held);
    rx.on_batch_end(ms(0));
    assert!((1_000..1_100).contains(&rx.budget.used()), "with its place: {}", rx.budget.used());
    assert_eq!(rx.on_data(ms(5), B, arrival(1, 0, BOTH), 1_000), Disposition::Delivered);
    rx.on_batch_end(ms(5));
    assert_eq!(rx.budget.used(), 0);
    assert_eq!(rx.reorder.poll_timeout(), Some(ms(1_000)));
    rx.on_batch_end(ms(1_000));
    assert_eq!(rx.reorder.poll_timeout(), None);
}

#[test]
fn others_memory_is_not_waited_for() {
    let mut rx = Receiver::new(ReorderLimits::default(), 0);
    assert_eq!(rx.on_data(ms(0), A, arrival(2, 1, BOTH), 8), Disposition::Delivered);
    assert_eq!(rx.on_data(ms(0), B, arrival(1, 0, BOTH), 8), Disposition::Delivered);
    assert_eq!(rx.reorder.stats().released_full, 1);
}
