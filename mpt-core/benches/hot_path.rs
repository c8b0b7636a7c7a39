//! What a packet costs on its way through the core, piece by piece and as a whole.
//!
//! `cargo bench -p mpt-core -- --quick` gives a first look within two minutes.

#![allow(clippy::unwrap_used, reason = "nothing is measured that fails")]

#[path = "../tests/two_ends/mod.rs"]
mod two_ends;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput};
use mpt_core::config::{CipherChoice, SchedulerKind};
use mpt_core::inner::{Checksum, FlowHasher, InnerPacket, Merger, Split};
use mpt_core::order::{Arrival, HeldBudget, OpenPaths, Predecessors, Reorder, ReorderLimits};
use mpt_core::schedule::{PathView, Rank, Scheduler};
use mpt_core::session::{Cipher, DATA_WINDOW_WORDS, ReplayWindow, Role, Session, SessionSecret};
use mpt_core::wire::{DATA_HEADER_LEN, DataHeader, HeaderFlags};
use mpt_core::{Deliver, PacketNumber, PathId, PeerId, Rate, RateLimit, Time, Weight, WorkerId};
use std::hint::black_box;
use std::time::Duration;
use two_ends::{SEGMENT_SIZE, SEGMENTS, TwoEnds, Unwatched, Watch, single_packet, super_packet};

/// Bytes of an inner packet.
const PACKET: usize = 1_400;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    ciphers(&mut criterion);
    numbers(&mut criterion);
    reordering(&mut criterion);
    inner_packets(&mut criterion);
    whole(&mut criterion);
    criterion.final_summary();
}

fn path(id: u8) -> PathId {
    PathId::new(id).unwrap()
}

fn header() -> DataHeader {
    DataHeader {
        flags: HeaderFlags::NONE,
        worker: WorkerId::default(),
        copy: 0,
        send_time: 7,
        index: 0x1234_5678,
        pn: 9,
        distance: 1,
        open_paths: 3,
        sequence: 4,
    }
}

fn ciphers(c: &mut Criterion) {
    let mut group = c.benchmark_group("cipher");
    group.throughput(Throughput::Bytes(PACKET as u64));
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305, Cipher::None] {
        let [ours, theirs] = [Role::Initiator, Role::Responder].map(|role| {
            let secret = SessionSecret::new([1; 32], [2; 32], [3; 32]);
            Session::new(&secret, role, cipher, Time::ZERO)
        });
        let (path, worker) = (path(0), WorkerId::default());
        let mut datagram = vec![0; DATA_HEADER_LEN + PACKET + ours.data_tag_len()];
        header().encode(&mut datagram);
        let mut number = PacketNumber(0);
        group.bench_function(format!("seal {cipher}"), |b| {
            b.iter(|| {
                number.0 += 1;
                ours.seal_data(path, worker, 0, number, black_box(&mut datagram))
            });
        });
        number.0 += 1;
        ours.seal_data(path, worker, 0, number, &mut datagram).unwrap();
        // It is opened in place, so each time it is a copy, which is part of the figure.
        let mut copy = datagram.clone();
        group.bench_function(format!("open {cipher}"), |b| {
            b.iter(|| {
                copy.copy_from_slice(&datagram);
                theirs.open_data(path, worker, 0, number, black_box(&mut copy)).unwrap().len()
            });
        });
    }
}

fn numbers(c: &mut Criterion) {
    let mut group = c.benchmark_group("numbers");
    group.throughput(Throughput::Elements(1));
    let mut window = Box::new(ReplayWindow::<DATA_WINDOW_WORDS>::new());
    let mut number = 0;
    group.bench_function("replay window", |b| {
        b.iter(|| {
            number += 1;
            let new = window.check(black_box(number));
            window.commit(number);
            new
        });
    });

    let view = |id, weight| PathView {
        id: path(id),
        weight: Weight::new(weight).unwrap(),
        priority: 0,
        rank: Rank::Preferred,
        mtu: 1_420,
        srtt: Duration::from_millis(20),
        limit: None,
        tokens: Default::default(),
        wait: std::time::Duration::ZERO,
        min_rtt: Duration::from_millis(20),
        estimate: Default::default(),
    };
    let views = [view(0, 2), view(1, 1)];
    let mut scheduler = Scheduler::new(SchedulerKind::Weighted);
    group.bench_function("weighted pick of 2 paths", |b| {
        b.iter(|| scheduler.pick(Time::ZERO, black_box(&views), 5, PACKET, PACKET + 36));
    });

    let mut predecessors = Predecessors::new(1);
    let mut open_paths = OpenPaths::new();
    let mut i = 0u64;
    group.bench_function("numbering", |b| {
        b.iter(|| {
            i += 1;
            let (pn, distance) = predecessors.next(black_box(i % 5));
            let now = Time::from_micros(i * 10);
            let sequence = open_paths.on_data(now, path((i % 2) as u8), pn);
            (pn, distance, sequence, open_paths.bitmap())
        });
    });

    let header = header();
    let mut bytes = [0; DATA_HEADER_LEN];
    group.bench_function("encode header", |b| {
        b.iter(|| black_box(&header).encode(black_box(&mut bytes)));
    });
    group.bench_function("decode header", |b| b.iter(|| DataHeader::decode(black_box(&bytes))));
}

/// Packets of one flow, 10 µs apart, on two paths in turn, with a batch end after each 64.
struct Stream {
    reorder: Reorder,
    budget: HeldBudget,
    open_paths: OpenPaths,
    sent: u64,
    came: u64,
    delivered: u64,
}

impl Stream {
    fn new() -> Self {
        Self {
            reorder: Reorder::new(ReorderLimits::default()),
            budget: HeldBudget::new(16 << 20),
            open_paths: OpenPaths::new(),
            sent: 0,
            came: 0,
            delivered: 0,
        }
    }

    fn next(&mut self) -> (PathId, Arrival) {
        self.sent += 1;
        let (now, path) = (self.now(), path((self.sent % 2) as u8));
        let sequence = self.open_paths.on_data(now, path, PacketNumber(self.sent));
        let arrival = Arrival {
            pn: PacketNumber(self.sent),
            distance: u16::from(self.sent > 1),
            bitmap: 3,
            seq: sequence,
            send_time: (now.as_micros() / 100) as u16,
            copy: 0,
            duplicate: false,
            checksum: Checksum::Valid,
        };
        (path, arrival)
    }

    fn arrive(&mut self, (path, arrival): (PathId, Arrival), packet: &[u8]) {
        let (now, delivered) = (self.now(), &mut self.delivered);
        let mut deliver = |p: &[u8], _| *delivered += black_box(p).len() as u64;
        let _ = self.reorder.on_data(now, path, arrival, packet, &mut self.budget, &mut deliver);
        self.came += 1;
        if self.came.is_multiple_of(64) {
            self.reorder.on_batch_end(now, &mut self.budget, &mut deliver);
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(self.sent * 10)
    }
}

fn reordering(c: &mut Criterion) {
    let packet = [7; PACKET];
    let mut group = c.benchmark_group("reorder");
    group.throughput(Throughput::Elements(2));
    let mut stream = Stream::new();
    group.bench_function("2 in order", |b| {
        b.iter(|| {
            for _ in 0..2 {
                let next = stream.next();
                stream.arrive(next, &packet);
            }
        });
    });
    assert_eq!(stream.delivered, stream.sent * PACKET as u64);
    let mut stream = Stream::new();
    group.bench_function("2 of which one is held", |b| {
        b.iter(|| {
            let [first, second] = [stream.next(), stream.next()];
            stream.arrive(second, &packet);
            stream.arrive(first, &packet);
        });
    });
    assert_eq!(stream.delivered, stream.sent * PACKET as u64);
    assert!(stream.reorder.stats().held >= stream.sent / 2);
}

fn inner_packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("inner");
    group.throughput(Throughput::Elements(1));
    let (packet, _) = single_packet(0);
    let flows = FlowHasher::new([1, 2]);
    group.bench_function("parse and hash", |b| {
        b.iter(|| {
            let packet = black_box(&packet[..]);
            flows.hash(&InnerPacket::parse(packet).unwrap(), packet)
        });
    });

    let (whole, offload) = super_packet(0);
    let split = Split::new(&whole, &offload, &InnerPacket::parse(&whole).unwrap()).unwrap();
    let mut segment = vec![0; split.header_len() + SEGMENT_SIZE];
    group.throughput(Throughput::Bytes(segment.len() as u64));
    group.bench_function("write a segment", |b| {
        b.iter(|| {
            let range = SEGMENT_SIZE..2 * SEGMENT_SIZE;
            split.write(black_box(&whole), 1, range, black_box(&mut segment));
        });
    });

    let segments: Vec<Vec<u8>> = (0..SEGMENTS)
        .map(|i| {
            let mut to = vec![0; split.header_len() + SEGMENT_SIZE];
            split.write(&whole, i as u16, i * SEGMENT_SIZE..(i + 1) * SEGMENT_SIZE, &mut to);
            to
        })
        .collect();
    let mut merger = Merger::new();
    group.throughput(Throughput::Elements(SEGMENTS as u64));
    group.bench_function(format!("merge {SEGMENTS} segments"), |b| {
        b.iter(|| {
            for segment in &segments {
                merger.push(black_box(segment), Checksum::Partial, &mut |_, _| ());
            }
            merger.flush(&mut |packet, _| assert!(black_box(packet).len() > whole.len()));
        });
    });
}

/// The time that one direction takes.
struct Timed {
    wanted: Direction,
    sum: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Send,
    Receive,
}

impl Timed {
    fn time(&mut self, direction: Direction, call: impl FnOnce()) {
        if direction != self.wanted {
            return call();
        }
        let start = WallTime.start();
        call();
        self.sum += WallTime.end(start);
    }
}

impl Watch for Timed {
    fn send(&mut self, call: impl FnOnce()) {
        self.time(Direction::Send, call);
    }

    fn receive(&mut self, calls: impl FnOnce()) {
        self.time(Direction::Receive, calls);
    }

    fn batch_end(&mut self, call: impl FnOnce()) {
        call();
    }
}

/// Gives packets to nobody.
struct Nowhere;

impl Deliver for Nowhere {
    fn deliver(&mut self, _: PeerId, packet: &[u8], _: Checksum) {
        black_box(packet);
    }
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("endpoint");
    for cipher in [CipherChoice::None, CipherChoice::Aes256Gcm] {
        let mut ends = TwoEnds::new(cipher);
        for direction in [Direction::Send, Direction::Receive] {
            carry(&mut group, &cipher.to_string(), direction, &mut ends);
        }
        // Through the queue, though nothing waits.
        ends.set_rate_limit(RateLimit::At(Rate::GREATEST));
        carry(&mut group, &format!("{cipher}, paced"), Direction::Send, &mut ends);
    }
}

fn carry(
    group: &mut BenchmarkGroup<'_, WallTime>,
    how: &str,
    direction: Direction,
    ends: &mut TwoEnds,
) {
    let verb = match direction {
        Direction::Send => "send",
        Direction::Receive => "receive",
    };
    for (name, (packet, offload)) in
        [("super-packet", super_packet(0)), ("packet", single_packet(0))]
    {
        group.throughput(Throughput::Elements(offload.packets(&packet)));
        group.bench_function(format!("{verb} {name}, {how}"), |b| {
            b.iter_custom(|count| {
                let mut timed = Timed { wanted: direction, sum: Duration::ZERO };
                for _ in 0..count {
                    ends.carry(0, &packet, &offload, &mut timed, &mut Nowhere);
                    ends.pass_time(&mut Unwatched, &mut Nowhere);
                }
                timed.sum
            });
        });
    }
}
