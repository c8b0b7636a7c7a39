//! In steady state ordering allocates nothing: neither where packets come in order nor where each
//! second one is held.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::inner::Checksum;
use mpt_core::order::{Arrival, HeldBudget, OpenPaths, Predecessors, Reorder, ReorderLimits};
use mpt_core::{PathId, Time};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came; counting touches only a
// thread-local number that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends `packets` over so many paths, of which each is `behind` packets slower than the one before,
/// and gives the number of allocations in the second half, and of packets held.
fn run(packets: u64, paths: usize, behind: usize) -> (u64, u64) {
    let mut predecessors = Predecessors::new(1);
    let mut open_paths = OpenPaths::new();
    let mut reorder = Reorder::new(ReorderLimits::default());
    let mut budget = HeldBudget::new(16 << 20);
    let ids: Vec<PathId> = PathId::all().take(paths).collect();
    let mut flights: Vec<VecDeque<Arrival>> =
        (0..paths).map(|i| VecDeque::with_capacity(i * behind + 2)).collect();
    let packet = [7; 1_400];
    let (mut before, mut delivered) = (0, 0u64);
    for i in 0..packets {
        if i == packets / 2 {
            before = ALLOCATIONS.get();
        }
        let now = Time::from_micros(i * 20);
        let p = i as usize % paths;
        let (pn, distance) = predecessors.next(i % 5);
        let seq = open_paths.on_data(now, ids[p], pn);
        let bitmap = open_paths.bitmap();
        let send_time = (now.as_micros() / 100) as u16;
        flights[p].push_back(Arrival {
            pn,
            distance,
            bitmap,
            seq,
            send_time,
            copy: 0,
            duplicate: false,
            checksum: Checksum::Full,
        });
        if flights[p].len() > p * behind
            && let Some(arrival) = flights[p].pop_front()
        {
            let _ = reorder.on_data(now, ids[p], arrival, &packet, &mut budget, &mut |_, _| {
                delivered += 1;
            });
        }
        reorder.on_batch_end(now, &mut budget, &mut |_, _| delivered += 1);
        let _ = (reorder.poll_timeout(), open_paths.poll_marker(now), open_paths.poll_timeout());
    }
    assert!(delivered > packets - 2_000, "{delivered}");
    (ALLOCATIONS.get() - before, reorder.stats().held)
}

#[test]
fn packets_in_order_allocate_nothing() {
    assert_eq!(run(20_000, 1, 0), (0, 0));
}

#[test]
fn held_packets_allocate_nothing_once_memory_has_grown() {
    let (allocations, held) = run(20_000, 2, 100);
    assert!(held > 9_000, "{held}");
    assert_eq!(allocations, 0);
}
