//! Rows that compare: calls over two bad paths, and more than the paths carry, with repair and without.

use super::{FailuresOptions, SETTLE, UP_WITHIN};
use crate::link::{LinkProfile, QueueLimit};
use crate::measure::{goodput, peer};
use crate::stream::{Stream, StreamConfig};
use crate::sys::process::interrupted;
use crate::testbed::{LinkSpec, Testbed};
use anyhow::{Result, bail};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Calls at once, each a flow of its own: their packets add up to something in a minute.
const CALLS: u16 = 20;

/// A call: 50 packets of 160 bytes a second.
const CALL_SIZE: usize = 160;
const CALL_RATE: u64 = 50 * 160 * 8;

const PORT: u16 = 5000;

/// What each link carries, and one way's delay.
const RATE: u64 = 20_000_000;
const DELAY: Duration = Duration::from_millis(10);

/// How calls are sent, and what share of them may be lost.
struct Call {
    name: &'static str,
    send: &'static str,
    repair: &'static str,
    calls: u16,
    goal: f64,
}

/// Each end of two links of 5 % loss; two round trips are 40 ms. Lost twice is 0.25 %, give and take four standard
/// deviations of 30 000 packets. A single call has 3 000 in a minute, of which both links lose seven or eight.
const CALL_ROWS: [Call; 5] = [
    call("call, duplicated, repair off", "duplicate", "off", CALLS, 0.0037),
    call("call, duplicated, repair", "duplicate", "on", CALLS, 0.0001),
    call("call by itself, duplicated, repair", "duplicate", "on", 1, 0.0007),
    call("call, protected, repair off", "protect", "off", CALLS, 0.02),
    call("call, protected, repair", "protect", "on", CALLS, 0.01),
];

const fn call(
    name: &'static str,
    send: &'static str,
    repair: &'static str,
    calls: u16,
    goal: f64,
) -> Call {
    Call { name, send, repair, calls, goal }
}

/// More than the links carry together.
const OVERLOAD: &str = "overload";
const OVERLOAD_SHARE: f64 = 1.2;
const OVERLOAD_SIZE: usize = 1_000;
const ROUNDS: usize = 3;

/// Runs those that are asked for, and prints a line for each.
///
/// # Errors
/// When a testbed or the tunnel does not come up; also on Ctrl-C.
pub(super) fn compare(program: &Path, options: &FailuresOptions) -> Result<()> {
    for row in CALL_ROWS.iter().filter(|row| options.wants(row.name)) {
        calls(program, options, row)?;
    }
    if options.wants(OVERLOAD) {
        overload(program, options)?;
    }
    Ok(())
}

fn links(loss: f64) -> [LinkSpec; 2] {
    let profile = LinkProfile {
        rate_bps: Some(RATE),
        delay: DELAY,
        queue: QueueLimit::Time(Duration::from_millis(100)),
        loss,
        ..Default::default()
    };
    [LinkSpec::emulated(profile).weight(20); 2]
}

/// A tunnel over these links, with this repair at both ends; `send` is what its ends do with small UDP packets.
fn tunnel(
    program: &Path,
    loss: f64,
    repair: &str,
    send: Option<&str>,
    seed: u64,
) -> Result<Testbed> {
    let mut builder = Testbed::builder(program).links(links(loss)).seed(seed);
    for site in 0..2 {
        let (repair, send) = (repair.to_owned(), send.map(str::to_owned));
        builder = builder.configure(site, move |yaml| {
            if repair == "off" {
                yaml["repair"] = json!("off");
            }
            if let Some(send) = send {
                let matches = json!({"protocol": "udp", "size": "..400"});
                yaml["policies"] =
                    json!([{"name": "call", "match": matches, "send": send, "patience": "40ms"}]);
            }
        });
    }
    let mut testbed = builder.build()?;
    testbed.start(UP_WITHIN)?;
    std::thread::sleep(SETTLE);
    Ok(testbed)
}

fn calls(program: &Path, options: &FailuresOptions, row: &Call) -> Result<()> {
    let mut testbed = tunnel(program, 0.05, row.repair, Some(row.send), options.seed)?;
    let mut streams = Vec::new();
    for number in 0..row.calls {
        let config = StreamConfig {
            size: CALL_SIZE,
            duration: Duration::from_secs(options.seconds),
            linger: Duration::from_secs(1),
            ..StreamConfig::new(testbed.b().host_port(PORT + number), CALL_RATE)
        };
        streams.push(Stream::start(testbed.a().host(), testbed.b().host(), &config)?);
    }
    let (mut sent, mut lost, mut late, mut p99) = (0, 0, 0, 0f64);
    for stream in streams {
        let result = stream.finish();
        sent += result.sent;
        lost += result.lost;
        late += result.out_of_order;
        p99 = p99.max(result.latency.p99);
    }
    if interrupted() {
        bail!("interrupted");
    }
    let status = testbed.site_mut(0).daemon()?.status()?;
    let (from, data) = {
        let peer = peer(&status)?;
        (peer.clone(), peer.paths.iter().map(|p| p.tx_data_packets).sum::<u64>())
    };
    let more = data + from.copies.parity;
    let share = lost as f64 / sent.max(1) as f64;
    let mark = if share <= row.goal { '✓' } else { '✗' };
    println!(
        "{mark} {}: {sent} sent, {lost} lost ({:.4} %, goal {:.4} %), {late} out of order, delay p99 {:.1} ms; \
         {more} datagrams, {:.1} % more than packets ({} duplicated, {} parities, {} sent again, {} abandoned)",
        row.name,
        share * 100.0,
        row.goal * 100.0,
        p99 * 1e3,
        (more as f64 / from.tx_packets.max(1) as f64 - 1.0) * 100.0,
        from.copies.sent,
        from.copies.parity,
        from.repair.sent_again,
        from.repair.abandoned,
    );
    Ok(())
}

/// With repair and without in turns, so that a machine that becomes slower spoils both.
fn overload(program: &Path, options: &FailuresOptions) -> Result<()> {
    let offered = (goodput(2 * RATE, OVERLOAD_SIZE) * OVERLOAD_SHARE) as u64;
    let seconds = (options.seconds / 3).max(4);
    let mut sums = [0.0; 2];
    for round in 0..ROUNDS {
        for (i, repair) in ["on", "off"].into_iter().enumerate() {
            let seed = options.seed + round as u64;
            let mut testbed = tunnel(program, 0.0, repair, None, seed)?;
            let config = StreamConfig {
                size: OVERLOAD_SIZE,
                flows: 8,
                duration: Duration::from_secs(seconds),
                linger: Duration::from_secs(1),
                ..StreamConfig::new(testbed.b().host_port(PORT), offered)
            };
            let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
            if interrupted() {
                bail!("interrupted");
            }
            let arrived = (result.sent - result.lost) as f64 * OVERLOAD_SIZE as f64 * 8.0;
            let mbit = arrived / seconds as f64 / 1e6;
            sums[i] += mbit;
            let status = testbed.site_mut(0).daemon()?.status()?;
            let repairs = peer(&status)?.repair;
            println!(
                "    {OVERLOAD}, repair {repair}: {mbit:.2} Mbit/s of {:.2} offered, {} out of order, p99 {:.0} ms, {} sent again",
                offered as f64 / 1e6,
                result.out_of_order,
                result.latency.p99 * 1e3,
                repairs.sent_again,
            );
        }
    }
    let [on, off] = sums.map(|sum| sum / ROUNDS as f64);
    // A hundredth is what two runs of the same differ by.
    let mark = if on >= off * 0.99 { '✓' } else { '✗' };
    println!("{mark} {OVERLOAD}, 120 %: {on:.2} Mbit/s with repair, {off:.2} without");
    Ok(())
}
