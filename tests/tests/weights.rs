//! Bytes follow the weights, and links whose rates match them are used whole. Needs root or user
//! namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::Time;
use mpt_lab::emulator::Direction;
use mpt_lab::measure::{data_records, goodput, measure, paths};
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");
const UP: Duration = Duration::from_secs(10);

/// Of what the links carry: so much is offered, …
const OFFERED: f64 = 0.985;
/// … so much arrives …
const DELIVERED: f64 = 0.97;
/// … and so far may a path's bytes be off its share.
const OFF_SHARE: f64 = 0.02;

/// One stream over links of these weights and rates, in Mbit/s.
fn shares(name: &str, links: &[(u16, u64)]) {
    measure(name, |goals| {
        let spec = |&(weight, mbit): &(u16, u64)| {
            LinkSpec::new(mbit * 1_000_000, Duration::from_millis(3)).weight(weight)
        };
        let mut testbed = Testbed::builder(PROGRAM).links(links.iter().map(spec)).build()?;
        testbed.start(UP)?;
        let rate: u64 = links.iter().map(|(_, mbit)| mbit * 1_000_000).sum();
        let config = StreamConfig::new(testbed.b().host_port(5000), 1);
        let capacity = goodput(rate, config.size);
        let config = StreamConfig {
            rate_bps: (capacity * OFFERED) as u64,
            duration: Duration::from_secs(4),
            ..config
        };
        let before = paths(&mut testbed, 0)?;
        let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
        let after = paths(&mut testbed, 0)?;

        let bytes: Vec<u64> =
            after.iter().zip(&before).map(|(a, b)| a.tx_data_bytes - b.tx_data_bytes).collect();
        let all: u64 = bytes.iter().sum();
        let weights: u16 = links.iter().map(|(weight, _)| weight).sum();
        let off = bytes.iter().zip(links).map(|(&bytes, &(weight, _))| {
            let due = all as f64 * f64::from(weight) / f64::from(weights);
            (bytes as f64 / due - 1.0).abs()
        });
        let off = off.fold(0.0, f64::max);
        println!("  bytes {bytes:?}, {} lost of {}", result.lost, result.sent);
        goals.check(off <= OFF_SHARE, format!("{:.2} % off its share at most", off * 100.0));
        let delivered = result.rate(0.5, 3.9) / capacity;
        goals.check(
            delivered >= DELIVERED,
            format!("{:.1} % of {:.2} Mbit/s", delivered * 100.0, capacity / 1e6),
        );
        let downs: u64 = after.iter().map(|p| p.downs).sum();
        goals.check(downs == 0, format!("{downs} times a path went down"));
        println!("  {} out of order", result.out_of_order);
        assert_eq!((result.out_of_order, result.duplicates, result.corrupt), (0, 0, 0));
        Ok(())
    });
}

#[test]
fn four_to_one() {
    shares("4:1 on 20 + 5 Mbit/s", &[(4, 20), (1, 5)]);
}

#[test]
fn one_to_one() {
    shares("1:1 on 20 + 20 Mbit/s", &[(1, 20), (1, 20)]);
}

#[test]
fn one_to_three() {
    shares("1:3 on 8 + 24 Mbit/s", &[(1, 8), (3, 24)]);
}

#[test]
fn three_paths() {
    shares("5:3:2 on 25 + 15 + 10 Mbit/s", &[(5, 25), (3, 15), (2, 10)]);
}

#[test]
fn twelve_paths() {
    let links: Vec<(u16, u64)> = (0..12).map(|i| (1 + i % 3, 2 + 2 * u64::from(i % 3))).collect();
    shares("twelve paths of 2, 4 and 6 Mbit/s", &links);
}

#[test]
fn a_new_weight_counts_from_the_next_packet() {
    measure("1:1 becomes 4:1 by mpt-cli", |goals| {
        let link = LinkSpec::new(50_000_000, Duration::from_millis(3));
        let mut testbed = Testbed::builder(PROGRAM).links([link; 2]).build()?;
        testbed.start(UP)?;
        (1..=2).for_each(|number| testbed.link(number).record());
        let config = StreamConfig {
            duration: Duration::from_secs(2),
            ..StreamConfig::new(testbed.b().host_port(5000), 16_000_000)
        };
        let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
        let stream_start = stream.start_time();
        std::thread::sleep(Duration::from_secs(1));
        let mut command = testbed.a().cli(&["path", "set", "bridge1", "weight", "4"]);
        let asked = mpt_lab::now();
        let output = command.output()?;
        let done = mpt_lab::now();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result = stream.finish();

        let records = [1, 2]
            .map(|number| data_records(testbed.link(number), Direction::Forward, config.size));
        // What the daemon had sent when it answered may still be on its way to the link.
        let settled = done + Duration::from_millis(2);
        let window = Duration::from_millis(200);
        let share = |from: Time, to: Time| {
            let [a, b] = [0, 1].map(|i: usize| {
                records[i].iter().filter(|r| (from..to).contains(&r.offered)).count() as f64
            });
            a / (a + b)
        };
        let before = share(stream_start + window, asked);
        let after = share(settled, settled + window);
        println!("  answered after {:?}", done.since(asked));
        // 400 packets: one more or less is 0.25 %.
        goals.check((before - 0.5).abs() < 0.01, format!("{:.1} % before", before * 100.0));
        goals.check((after - 0.8).abs() < 0.01, format!("{:.1} % after", after * 100.0));
        assert_eq!((result.out_of_order, result.lost), (0, 0));
        Ok(())
    });
}
