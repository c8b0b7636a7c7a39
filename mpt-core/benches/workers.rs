//! What several workers seal together: the endpoint is behind a lock, and sealing is done under it, or after it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "part of a benchmark, which measures real time"
)]

#[path = "../tests/two_ends/mod.rs"]
#[allow(dead_code, reason = "for a part of it")]
mod two_ends;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mpt_core::config::{CipherChoice, WorkerCount};
use mpt_core::{Endpoint, Outbox, Time, WorkerId};
use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};
use two_ends::{SEGMENTS, TwoEnds, super_packet};

/// `threads` send `count` super-packets each.
fn send(end: &Mutex<Endpoint>, now: Time, threads: u8, count: u64, later: bool) -> Duration {
    let barrier = Barrier::new(usize::from(threads) + 1);
    std::thread::scope(|scope| {
        for worker in (0..threads).filter_map(WorkerId::new) {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut out = if later { Outbox::sealing_later() } else { Outbox::new() };
                let (packet, offload) = super_packet(0);
                let mut buffer = vec![0; 1 << 16].into_boxed_slice();
                barrier.wait();
                for _ in 0..count {
                    buffer[..packet.len()].copy_from_slice(&packet);
                    {
                        let mut end = end.lock().unwrap();
                        let (end, range) = (end.as_worker(worker), 0..packet.len());
                        end.handle_buffer(now, &mut buffer, range, &offload, &mut out);
                    }
                    black_box(out.lanes());
                    out.clear();
                }
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

fn workers(c: &mut Criterion) {
    let mut group = c.benchmark_group("workers");
    for cipher in [CipherChoice::None, CipherChoice::Aes256Gcm, CipherChoice::ChaCha20Poly1305] {
        let ([end, _], now) = TwoEnds::with_workers(cipher, WorkerCount::nearest(2)).into_ends();
        let end = Mutex::new(end);
        for (threads, later) in [(1, false), (1, true), (2, false), (2, true)] {
            let when = if later { "after" } else { "under" };
            group.throughput(Throughput::Elements(u64::from(threads) * SEGMENTS as u64));
            group.bench_function(format!("{cipher}, {threads} sealing {when} the lock"), |b| {
                b.iter_custom(|count| send(&end, now, threads, count, later));
            });
        }
    }
}

criterion_group!(benches, workers);
criterion_main!(benches);
