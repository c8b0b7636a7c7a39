//! A path's rate limit is kept to, and what waits for it waits its turn. Needs root or user namespaces, and Debian's
//! `iperf3`.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use anyhow::{Context as _, Result};
use mpt_lab::emulator::Direction;
use mpt_lab::measure::{goodput, measure, paths};
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");
const UP: Duration = Duration::from_secs(10);

/// Links of 100 Mbit/s and 3 ms, with these limits at site 0.
fn limited(limits: &'static [&'static str]) -> Result<Testbed> {
    let link = LinkSpec::new(100_000_000, Duration::from_millis(3));
    let mut testbed = Testbed::builder(PROGRAM)
        .links(limits.iter().map(|_| link))
        .configure(0, |document| {
            for (i, limit) in limits.iter().enumerate() {
                document["peers"][0]["paths"][i]["rate_limit"] = json!(limit);
            }
        })
        .build()?;
    testbed.start(UP)?;
    Ok(testbed)
}

/// 50 packets of 160 bytes a second.
fn call(testbed: &Testbed, duration: Duration) -> Result<Stream> {
    let config = StreamConfig {
        size: 132,
        duration,
        ..StreamConfig::new(testbed.b().host_port(5001), 50 * 132 * 8)
    };
    Stream::start(testbed.a().host(), testbed.b().host(), &config)
}

#[test]
fn a_limit_is_kept_to_and_a_call_passes() {
    measure("twice 20 Mbit/s, which may change to 10", |goals| {
        let testbed = limited(&["20mbit"])?;
        let time = Duration::from_secs(4);
        let config = StreamConfig {
            flows: 4,
            duration: time,
            ..StreamConfig::new(testbed.b().host_port(5000), 40_000_000)
        };
        testbed.link(1).record();
        let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
        let call = call(&testbed, time)?;
        std::thread::sleep(Duration::from_secs(2));
        let output =
            testbed.a().cli(&["path", "set", "bridge1", "rate_limit", "10mbit"]).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("rate_limit 20mbit -> 10mbit"), "{said}");
        let (result, call) = (stream.finish(), call.finish());
        for (from, to, mbit) in [(0.5, 1.9, 20), (2.3, 3.8, 10)] {
            let of = goodput(mbit * 1_000_000, config.size);
            let share = result.rate(from, to) / of;
            // The call, probes and reports have a part of it: 1 % of 10 Mbit/s.
            goals.check((0.96..1.02).contains(&share), format!("{:.1} % of {mbit}", share * 100.0));
        }
        let records = testbed.link(1).records(Direction::Forward);
        let within = records.iter().filter(|r| {
            let at = r.offered.since(result.start);
            (Duration::from_millis(500)..Duration::from_millis(1_900)).contains(&at)
        });
        let bits = within.map(|r| f64::from(r.bytes) * 8.0).sum::<f64>() / 1.4;
        let of = bits / 20e6;
        goals.check((0.97..1.01).contains(&of), format!("{:.2} % of 20 on the link", of * 100.0));
        let p99 = call.latency.p99 * 1e3;
        goals.check(p99 < 33.0, format!("a call's p99 {p99:.1} ms"));
        goals.check(call.lost == 0, format!("{} of {} of its packets lost", call.lost, call.sent));
        assert_eq!((result.out_of_order, call.out_of_order), (0, 0));
        Ok(())
    });
}

#[test]
fn two_limited_paths_carry_their_sum() {
    measure("20 + 10 Mbit/s of limits", |goals| {
        let mut testbed = limited(&["20mbit", "10mbit"])?;
        let config = StreamConfig {
            flows: 4,
            duration: Duration::from_secs(3),
            ..StreamConfig::new(testbed.b().host_port(5000), 45_000_000)
        };
        let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
        let share = result.rate(0.5, 2.9) / goodput(30_000_000, config.size);
        goals.check((0.96..1.02).contains(&share), format!("{:.1} % of the sum", share * 100.0));
        let limits: Vec<_> = paths(&mut testbed, 0)?.iter().map(|p| p.rate_limit).collect();
        assert_eq!(limits, [Some(2_500_000.0), Some(1_250_000.0)]);
        // The far end has paths of its own, without limits: ours is its wish, which it honours.
        let theirs = &paths(&mut testbed, 1)?[0];
        assert_eq!(theirs.rate_limit_source.as_deref(), Some("peer"));
        assert_eq!((result.out_of_order, result.duplicates, result.corrupt), (0, 0, 0));
        Ok(())
    });
}

/// The workers' packets share the limit and the queue, and whoever is awake sends them.
#[test]
fn workers_share_a_limit_in_order() {
    measure("two workers at 20 + 10 Mbit/s of limits", |goals| {
        let link = LinkSpec::new(100_000_000, Duration::from_millis(3));
        let mut builder = Testbed::builder(PROGRAM).links([link; 2]);
        for site in 0..2 {
            builder = builder.configure(site, |document| {
                document["workers"] = json!(2);
                document["peers"][0]["paths"][0]["rate_limit"] = json!("20mbit");
                document["peers"][0]["paths"][1]["rate_limit"] = json!("10mbit");
            });
        }
        let mut testbed = builder.build()?;
        testbed.start(UP)?;
        let config = StreamConfig {
            flows: 16,
            duration: Duration::from_secs(3),
            ..StreamConfig::new(testbed.b().host_port(5000), 45_000_000)
        };
        let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
        let share = result.rate(0.5, 2.9) / goodput(30_000_000, config.size);
        goals.check((0.96..1.02).contains(&share), format!("{:.1} % of the sum", share * 100.0));
        let status = testbed.site_mut(0).daemon()?.status()?;
        let again = status.peers[0].repair.sent_again;
        let order = testbed.site_mut(1).daemon()?.status()?.peers[0].reordering;
        println!("  {again} of {} sent again; {order:?}", result.received);
        println!("  {} out of order", result.out_of_order);
        goals.check(again * 1_000 < result.received, format!("{again} sent again"));
        assert_eq!((result.out_of_order, result.duplicates, result.corrupt), (0, 0, 0));
        Ok(())
    });
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn tcp_takes_the_limit_and_leaves_a_call_alone() {
    for congestion in ["cubic", "bbr"] {
        measure(&format!("TCP {congestion} and a call at 20 Mbit/s"), |goals| {
            let testbed = limited(&["20mbit"])?;
            let mut server = testbed.b().host().command("iperf3");
            server.args(["-s", "-1"]).stdin(Stdio::null()).stdout(Stdio::null());
            let _server = Process(server.spawn().context("iperf3 (apt-get install iperf3)")?);
            std::thread::sleep(Duration::from_millis(200));
            let mut client = testbed.a().host().command("iperf3");
            let address = testbed.b().host_v4().to_string();
            client.args(["-J", "-t", "5", "-O", "1", "-C", congestion, "-c", &address]);
            let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
            let call = call(&testbed, Duration::from_secs(5))?;
            let output = client.wait_with_output()?;
            let call = call.finish();
            let report: Value = serde_json::from_slice(&output.stdout)?;
            let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap_or(0.0);
            // Of 1 500 bytes on the link 1 384 or so are TCP's payload.
            let share = rate / (20e6 * 1_384.0 / 1_500.0);
            goals.check(share > 0.9, format!("{:.1} % of the limit", share * 100.0));
            let p99 = call.latency.p99 * 1e3;
            goals.check(p99 < 33.0, format!("a call's p99 {p99:.1} ms"));
            goals.check(call.lost == 0, format!("{} of {} lost", call.lost, call.sent));
            assert_eq!(call.out_of_order, 0);
            Ok(())
        });
    }
}
