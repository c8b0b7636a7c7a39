//! What keeping sent packets costs, on the way of every packet: no allocation in steady state, and one copy.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::repair::{Content, Gaps, Handling, Kept, Repairer};
use mpt_core::wire::{Arrived, HeaderFlags, MAX_GAPS, PathGaps};
use mpt_core::{PacketNumber, PathId, Time};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything through to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends `packets` of 1 400 bytes by two paths, one every `gap`, of which one in a hundred is lost and which
/// are reported 20 ms later, every 10 ms. Time within `on_sent`, per packet.
fn run(r: &mut Repairer, next: &mut u64, packets: u64, gap: Duration) -> Duration {
    let packet = [7; 1_400];
    let paths: Vec<PathId> = PathId::all().take(2).collect();
    let mut gaps = [Gaps::default(), Gaps::default()];
    let mut spent = Duration::ZERO;
    let late = (Duration::from_millis(20).as_nanos() / gap.as_nanos()) as u64;
    let every = (Duration::from_millis(10).as_nanos() / gap.as_nanos()) as u64;
    let end = *next + packets;
    while *next < end {
        #[allow(clippy::disallowed_methods, reason = "it is what is measured")]
        let began = Instant::now();
        for pn in *next..*next + every {
            let (path, seq) = ((pn % 2) as usize, (pn / 2) as u32);
            let now = Time::ZERO + gap * pn as u32;
            let (pn, flags, handling) = (PacketNumber(pn), HeaderFlags::NONE, Handling::NONE);
            let kept = Kept { distance: 1, open_paths: 3, flags, handling };
            r.on_sent(now, paths[path], seq, pn, kept, Content::Packet(&packet));
        }
        spent += began.elapsed();
        *next += every;
        let now = Time::ZERO + gap * *next as u32;
        let reported = next.saturating_sub(late);
        for pn in reported.saturating_sub(every)..reported {
            if pn % 100 != 0 {
                gaps[(pn % 2) as usize].on_number(now, (pn / 2) as u32);
            }
        }
        let mut arrived =
            Arrived::new(Duration::from_millis(100), PacketNumber(reported.saturating_sub(every)));
        for (path, gaps) in paths.iter().zip(&mut gaps) {
            gaps.expire(now);
            let zero = Duration::ZERO;
            let mut entry = PathGaps::new(*path, gaps.settled(now, zero, MAX_GAPS), gaps.floor());
            for g in gaps.newest(now, zero, MAX_GAPS) {
                if !entry.add(g.first, g.last) {
                    break;
                }
            }
            arrived.add(entry);
        }
        r.on_arrived(now, &arrived);
        while r.poll(now, &[]).is_some() {}
    }
    spent / packets as u32
}

#[test]
fn keeping_a_packet_costs_a_copy_and_no_allocation() {
    let mut r = Repairer::new(8 << 20, Duration::from_secs(1), Duration::from_millis(500));
    let mut next = 1;
    for (name, gap) in [("560 Mbit/s", 20_000), ("1.1 Gbit/s", 10_000)] {
        let gap = Duration::from_nanos(gap);
        run(&mut r, &mut next, 50_000, gap);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let cost = run(&mut r, &mut next, 100_000, gap);
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!(
            "{name}: {cost:?} a packet, {} bytes of memory, {allocations} allocations",
            r.stats().memory
        );
        // The two trackers of gaps in this test are new in each run.
        assert!(allocations < 30, "{allocations} allocations");
    }
}
