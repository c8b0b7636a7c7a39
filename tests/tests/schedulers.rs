//! The schedulers besides `weighted`. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::Time;
use mpt_core::control::PathStatus;
use mpt_lab::emulator::Direction;
use mpt_lab::measure::{data_records, measure, paths, peer};
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use serde_json::{Value, json};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");
const UP: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);

/// Two links of these delays with a scheduler at both ends; the second path is the better one.
fn testbed(scheduler: &'static str, delays: [u32; 2]) -> anyhow::Result<Testbed> {
    let configure = move |yaml: &mut Value| {
        yaml["scheduler"] = json!(scheduler);
        for (path, priority) in [(0, 20), (1, 10)] {
            yaml["peers"][0]["paths"][path]["priority"] = json!(priority);
        }
    };
    let links = delays.map(|delay| LinkSpec::new(20_000_000, MS * delay));
    let builder = Testbed::builder(PROGRAM).links(links);
    let mut testbed = builder.configure(0, configure).configure(1, configure).build()?;
    testbed.start(UP)?;
    (1..=2).for_each(|number| testbed.link(number).record());
    Ok(testbed)
}

fn data_packets(testbed: &mut Testbed) -> anyhow::Result<Vec<u64>> {
    Ok(paths(testbed, 0)?.iter().map(|p: &PathStatus| p.tx_data_packets).collect())
}

#[test]
fn failover_goes_by_priority_and_returns() {
    measure("failover, the path of priority 10 away from 2 to 4 s", |goals| {
        let mut testbed = testbed("failover", [3, 3])?;
        let config = StreamConfig {
            duration: Duration::from_secs(7),
            ..StreamConfig::new(testbed.b().host_port(5000), 10_000_000)
        };
        let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
        let start = stream.start_time();
        std::thread::sleep(Duration::from_secs(2));
        testbed.link(2).unplug();
        let unplugged = mpt_lab::now();
        std::thread::sleep(Duration::from_secs(2));
        testbed.link(2).plug();
        let plugged = mpt_lab::now();
        let result = stream.finish();

        let [reserve, best] =
            [1, 2].map(|n| data_records(testbed.link(n), Direction::Forward, config.size));
        let count = |records: &[mpt_lab::emulator::FrameRecord], from: Time, to: Time| {
            records.iter().filter(|r| (from..to).contains(&r.offered)).count()
        };
        let end = start + config.duration + Duration::from_secs(1);
        let settled = Duration::from_millis(300);
        println!(
            "  {} sent, {} lost, longest gap {:.0} ms; {} packets into the dark",
            result.sent,
            result.lost,
            result.longest_gap * 1e3,
            count(&best, unplugged, plugged)
        );
        println!("  {:?}", peer(&testbed.site_mut(1).daemon()?.status()?)?.reordering);
        let before = count(&reserve, start, unplugged);
        goals.check(before == 0, format!("{before} packets on the reserve before"));
        let dark = count(&best, unplugged + settled, plugged);
        goals.check(dark == 0, format!("{dark} packets into the dark after {settled:?}"));
        let first = reserve.iter().find(|r| r.offered >= unplugged);
        let over = first.map(|r| r.offered.since(unplugged));
        goals.check(over.is_some_and(|t| t <= settled), format!("on the reserve after {over:?}"));
        let back = best.iter().find(|r| r.offered >= plugged).map(|r| r.offered.since(plugged));
        goals.check(
            back.is_some_and(|t| t <= Duration::from_secs(1)),
            format!("back on the best after {back:?}"),
        );
        let late = count(&reserve, plugged + Duration::from_millis(1_100), end);
        goals.check(late == 0, format!("{late} packets on the reserve after that"));
        assert_eq!((result.out_of_order, result.duplicates), (0, 0));
        Ok(())
    });
}

#[test]
fn flow_keeps_each_flow_on_one_path() {
    measure("flow, 32 flows over 3 and 23 ms", |goals| {
        let mut testbed = testbed("flow", [3, 23])?;
        let config = StreamConfig {
            flows: 32,
            record: true,
            duration: Duration::from_secs(3),
            ..StreamConfig::new(testbed.b().host_port(5000), 10_000_000)
        };
        let before = data_packets(&mut testbed)?;
        let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
        let after = data_packets(&mut testbed)?;
        let reordering = peer(&testbed.site_mut(1).daemon()?.status()?)?.reordering;
        println!("  {:?}, {reordering:?}", [after[0] - before[0], after[1] - before[1]]);
        // Latency tells the path: nothing on the second can come within 23 ms.
        let slow = |flow: u32| {
            let own = result.arrivals.iter().filter(move |a| a.flow == flow);
            own.map(|a| a.at.since(a.sent) >= MS * 23).collect::<Vec<_>>()
        };
        let on_slow: Vec<bool> = (0..32).map(|flow| slow(flow).iter().all(|&s| s)).collect();
        let on_fast: Vec<bool> = (0..32).map(|flow| slow(flow).iter().all(|&s| !s)).collect();
        let [fast, slow] = [&on_fast, &on_slow].map(|l| l.iter().filter(|&&b| b).count());
        goals.check(fast + slow == 32, format!("{fast} flows on one path, {slow} on the other"));
        goals.check(fast >= 6 && slow >= 6, "both have flows");
        goals.check(reordering.held == 0, format!("{} packets held", reordering.held));
        assert_eq!((result.out_of_order, result.lost, result.duplicates), (0, 0, 0));
        Ok(())
    });
}
