use super::*;
use crate::wire::DelayReport;
use crate::{PacketNumber, PathId};

const MS: u64 = 1_000;

/// Jitter that looks normal, microseconds, from a sum of twelve.
fn jitter(x: &mut u64) -> i64 {
    let sum: f64 = (0..12)
        .map(|_| {
            *x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
        .sum();
    (sum * 8e3) as i64
}

/// A report at `now` in microseconds: packets and bytes in all, and the delays of those that came since the last one, microseconds.
fn report(
    highest: u32,
    (packets, bytes): (u64, u64),
    delays: &[i64],
    jitter: u16,
    now: u64,
) -> PathReport {
    let least = *delays.iter().min().unwrap();
    let mean = delays.iter().sum::<i64>() / delays.len() as i64;
    PathReport {
        path: PathId::new(0).unwrap(),
        marker_epoch: None,
        highest_seq: highest,
        highest_pn: PacketNumber(highest.into()),
        packets,
        bytes,
        since_highest: 0,
        delays: Some(DelayReport {
            least: (least / 100) as u32,
            jitter,
            mean: ((mean - least) / 100) as u16,
            packets: delays.len() as u16,
            at: (now / 100) as u32,
        }),
    }
}

/// A path of a megabyte a second, 40 ms and a jitter of 8 ms, with a report each 20 ms that arrives `copies` times. A packet of
/// 1 000 bytes leaves each 1.1 ms; after three seconds each 0.5 ms for 40 ms, and each 2 for the next 160. How far what is predicted of the
/// queue is off at most from then on, and how long the queue was.
fn predicted(copies: usize) -> (u64, u64) {
    let (mut model, mut turn) = (PathModel::default(), CommonTurn::default());
    let (mut x, mut sequence, mut idle_at) = (7u64, 0u32, 0u64);
    let mut under_way: Vec<(u64, u32, i64)> = Vec::new();
    let (mut packets, mut highest) = (0u64, 0u32);
    let (mut off, mut longest) = (0, 0);
    let mut next = 0;
    for now in (0..8_000 * MS).step_by(100) {
        let at = Time::from_micros(1_000 * MS + now);
        let burst = now % (200 * MS) < 40 * MS;
        while next <= now {
            sequence += 1;
            model.on_sent(at, WorkerId::default(), sequence, 1_000);
            idle_at = idle_at.max(now) + MS;
            let delay = idle_at - now + 40 * MS;
            let delay = delay.saturating_add_signed(jitter(&mut x).max(-40 * MS as i64));
            under_way.push((now + delay, sequence, delay as i64));
            next += match now > 3_000 * MS {
                false => 1_100,
                true if burst => 500,
                true => 2_000,
            };
        }
        if now % (20 * MS) != 0 {
            continue;
        }
        let (came, rest): (Vec<_>, Vec<_>) = under_way.iter().partition(|p| p.0 <= now);
        under_way = rest;
        let Some(last) = came.iter().map(|p| p.1).max() else { continue };
        packets += came.len() as u64;
        highest = highest.max(last);
        let delays: Vec<_> = came.iter().map(|p| p.2).collect();
        let report = report(highest, (packets, packets * 1_000), &delays, 90, now);
        let srtt = Some(Duration::from_millis(80));
        for _ in 0..copies {
            model.on_report(at, WorkerId::default(), &report, srtt, &mut turn);
        }
        if now > 4_000 * MS {
            let e = model.estimate();
            let told = (e.idle_at.since(at) + e.threshold / 2).as_micros();
            let queue = idle_at.saturating_sub(now);
            off = off.max((told as u64).abs_diff(queue.max(e.threshold.as_micros() as u64 / 2)));
            longest = longest.max(queue);
        }
    }
    (off, longest)
}

#[test]
fn a_queue_behind_jitter_is_predicted_from_what_was_sent() {
    for copies in [1, 2] {
        let (off, longest) = predicted(copies);
        assert!(longest > 30 * MS, "{longest}");
        assert!(off < 9 * MS, "{copies} copies: {off} µs off, the queue {longest}");
    }
}

/// The first worker sends 100 packets of 1 450 bytes a report, the second 1 000 of 88.
#[test]
fn headers_are_a_share_of_what_all_workers_send() {
    let (mut model, mut turn) = (PathModel::default(), CommonTurn::default());
    let path = PathId::new(0).unwrap();
    let workers = [(0, 100u32, 1_450usize), (1, 1_000, 88)];
    for round in 1..=100u32 {
        let now = Time::from_millis(u64::from(round) * 20);
        for (id, count, bytes) in workers {
            let (worker, last) = (WorkerId::new(id).unwrap(), round * count);
            for sequence in last - count + 1..=last {
                model.on_sent(now, worker, sequence, bytes);
            }
            let report = PathReport {
                path,
                marker_epoch: None,
                highest_seq: last,
                highest_pn: PacketNumber(last.into()),
                packets: last.into(),
                bytes: u64::from(last) * bytes as u64,
                since_highest: 0,
                delays: None,
            };
            model.on_report(now, worker, &report, None, &mut turn);
            let outer = 28.0 * 1_100.0 / (100.0 * 1_450.0 + 1_000.0 * 88.0);
            let told = (1.0 + model.share_of(28)) / (1.0 + outer);
            assert!(round < 50 || (0.97..1.03).contains(&told), "{round}, {id}: {told}");
        }
    }
}

/// A path of a megabit a second is given 1.3 of it: when it is kept to something, seconds.
#[test]
fn a_slow_path_is_kept_to_its_rate_before_a_thousand_packets() {
    let (mut model, mut turn) = (PathModel::default(), CommonTurn::default());
    let (mut sequence, mut idle_at) = (0u32, 0u64);
    let mut under_way: Vec<(u64, u32, u64)> = Vec::new();
    let (mut packets, mut next, mut kept) = (0u64, 0, None);
    for now in (0..8_000 * MS).step_by(1_000) {
        let at = Time::from_micros(1_000 * MS + now);
        let given = model.bottleneck().unwrap_or(162_500.0).min(162_500.0);
        while next <= now {
            sequence += 1;
            model.on_sent(at, WorkerId::default(), sequence, 1_400);
            idle_at = idle_at.max(now) + 11_200;
            under_way.push((idle_at + 20 * MS, sequence, idle_at + 20 * MS - now));
            next += (1_400e6 / given) as u64;
        }
        if now % (50 * MS) != 0 {
            continue;
        }
        let (came, rest): (Vec<_>, Vec<_>) = under_way.iter().partition(|p| p.0 <= now);
        under_way = rest;
        let Some(last) = came.iter().map(|p| p.1).max() else { continue };
        packets += came.len() as u64;
        let delays: Vec<_> = came.iter().map(|p| p.2 as i64).collect();
        let report = report(last, (packets, packets * 1_400), &delays, 0, now);
        model.on_report(
            at,
            WorkerId::default(),
            &report,
            Some(Duration::from_millis(40)),
            &mut turn,
        );
        if model.bottleneck().is_some() {
            kept.get_or_insert(now / MS);
        }
        let queue = idle_at.saturating_sub(now) / MS;
        // 8 000 bytes, which take 64 ms, are no queue yet, and what is tried beyond the rate is told late.
        assert!(now < 4_000 * MS || queue < 150, "{queue} ms stand after {now} µs");
    }
    assert!(kept.is_some_and(|ms| ms < 2_500), "{kept:?}");
}
