//! In steady state packets are sent and received without an allocation, super-packets and single ones.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod two_ends;

use mpt_core::config::CipherChoice;
use mpt_core::inner::{Checksum, Merger, Offload};
use mpt_core::{Deliver, PeerId, Rate, RateLimit};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use two_ends::{
    SEGMENTS, TwoEnds, Unwatched, Watch, single_packet, small_super_packet, super_packet,
};

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

/// Allocations by where they were made.
#[derive(Default, PartialEq, Eq, Debug)]
struct Allocations {
    sending: u64,
    receiving: u64,
    batch_ends: u64,
}

fn count(total: &mut u64, call: impl FnOnce()) {
    let before = ALLOCATIONS.get();
    call();
    *total += ALLOCATIONS.get() - before;
}

impl Watch for Allocations {
    fn send(&mut self, call: impl FnOnce()) {
        count(&mut self.sending, call);
    }

    fn receive(&mut self, calls: impl FnOnce()) {
        count(&mut self.receiving, calls);
    }

    fn batch_end(&mut self, call: impl FnOnce()) {
        count(&mut self.batch_ends, call);
    }
}

/// Joins what comes, as the daemon does before it writes to TUN.
struct Joined {
    merger: Merger,
    packets: usize,
    written: usize,
}

impl Deliver for Joined {
    fn deliver(&mut self, _: PeerId, packet: &[u8], checksum: Checksum) {
        self.packets += 1;
        let written = &mut self.written;
        self.merger.push(packet, checksum, &mut |_, _| *written += 1);
    }
}

/// Carries `count` packets from each end to the other.
fn run(
    ends: &mut TwoEnds,
    count: usize,
    make: fn(usize) -> (Vec<u8>, Offload),
    watch: &mut impl Watch,
    sink: &mut Joined,
) {
    (sink.packets, sink.written) = (0, 0);
    let packets = [make(0), make(1)];
    for i in 0..count * 2 {
        let (packet, offload) = &packets[i % 2];
        ends.carry(i % 2, packet, offload, watch, sink);
        ends.pass_time(watch, sink);
        let written = &mut sink.written;
        sink.merger.flush(&mut |_, _| *written += 1);
    }
}

fn allocate_nothing(cipher: CipherChoice, limit: RateLimit) {
    allocate_nothing_between(TwoEnds::new(cipher), cipher, limit);
}

fn allocate_nothing_between(mut ends: TwoEnds, cipher: CipherChoice, limit: RateLimit) {
    ends.set_rate_limit(limit);
    let mut sink = Joined { merger: Merger::new(), packets: 0, written: 0 };
    for (make, each) in [(super_packet as fn(usize) -> _, SEGMENTS), (single_packet, 1)] {
        // Long enough for buffers to have become as large, and as small, as this traffic needs.
        run(&mut ends, 1_500, make, &mut Unwatched, &mut sink);
        let mut allocations = Allocations::default();
        run(&mut ends, 2_000, make, &mut allocations, &mut sink);
        assert_eq!(sink.packets, 4_000 * each, "all came");
        assert_eq!(sink.written, 4_000, "in order, so that they join again");
        assert_eq!(allocations, Allocations::default(), "{cipher}, {each} segments");
    }
}

#[test]
fn plain_packets_allocate_nothing() {
    allocate_nothing(CipherChoice::None, RateLimit::Off);
}

#[test]
fn encrypted_packets_allocate_nothing() {
    allocate_nothing(CipherChoice::Aes256Gcm, RateLimit::Off);
}

#[test]
fn packets_sealed_and_opened_apart_allocate_nothing() {
    let cipher = CipherChoice::ChaCha20Poly1305;
    let mut ends = TwoEnds::new(cipher);
    ends.seal_and_open_apart();
    allocate_nothing_between(ends, cipher, RateLimit::Off);
}

/// Through the queue, but never for long.
#[test]
fn paced_packets_allocate_nothing() {
    allocate_nothing(CipherChoice::None, RateLimit::At(Rate::GREATEST));
}

/// Packets that are sent twice, protected, or in no order, by policies with all kinds of conditions.
#[test]
fn packets_of_policies_allocate_nothing() {
    let conditions = "protocol tcp,udp ports 1-65535 from 10.0.0.0/8 to 10.0.0.0/8 size 100..";
    for class in ["send duplicate", "send protect", "send pin second order free patience 80ms"] {
        let mut ends = TwoEnds::new(CipherChoice::None);
        ends.add_policy(&format!("dscp af41 ports 5000-5100 {class}"));
        ends.add_policy(&format!("{conditions} {class}"));
        let mut sink = Joined { merger: Merger::new(), packets: 0, written: 0 };
        run(&mut ends, 500, small_super_packet, &mut Unwatched, &mut sink);
        let mut allocations = Allocations::default();
        run(&mut ends, 2_000, small_super_packet, &mut allocations, &mut sink);
        assert_eq!(sink.packets, 4_000 * SEGMENTS, "{class}: all came once");
        assert_eq!(allocations, Allocations::default(), "{class}");
    }
}
