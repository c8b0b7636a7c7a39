//! Moving datagrams does not allocate.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use mpt_core::{Fragment, LaneKey, Outbox, SocketId};
use mpt_tund::udp::{Family, MAX_DATAGRAM, PathSocket, RecvBatch, SocketSpec};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::test(flavor = "current_thread")]
async fn sending_and_receiving_do_not_allocate() {
    let address = "127.0.0.1".parse().unwrap();
    let spec = SocketSpec { address: Some(address), ..SocketSpec::any(Family::V4) };
    let server = PathSocket::open(&spec, &[]).unwrap();
    let client = PathSocket::open(&spec, &[]).unwrap();
    let key = LaneKey {
        peer: None,
        socket: SocketId(0),
        destination: server.local_address(),
        source: Some(address),
        fragment: Fragment::Never,
    };
    let mut out = Outbox::new();
    for _ in 0..64 {
        out.push(key, 2, 1200);
    }
    let mut batch = RecvBatch::new(64, MAX_DATAGRAM);
    let before = COUNT.get();
    let (mut received, mut bytes) = (0, 0);
    for _ in 0..50 {
        assert_eq!(client.send(&out.lanes()[0], 0, |_, e| panic!("{e}")), 64);
        poll_fn(|cx| server.poll_readable(cx)).await.unwrap();
        while server.receive(&mut batch).is_ok() {
            for datagram in batch.datagrams() {
                received += 1;
                bytes += datagram.data.len();
            }
        }
    }
    assert_eq!(COUNT.get() - before, 0);
    assert!(received > 64 && bytes == received * 1200);
}
