//! What people use works through the tunnel: iperf3 and ping, in any mix of IPv4 and IPv6. Needs root
//! or user namespaces, and Debian's `iperf3` and `iputils-ping`.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use anyhow::{Context as _, Result, ensure};
use mpt_lab::measure::measure;
use mpt_lab::netns::Namespace;
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{Family, LinkSpec, Testbed};
use serde_json::Value;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");
const UP: Duration = Duration::from_secs(10);

fn bridges(families: [Family; 2]) -> Result<Testbed> {
    let link = LinkSpec::new(20_000_000, Duration::from_millis(3));
    let links = families.map(|family| link.family(family));
    let mut testbed = Testbed::builder(PROGRAM).links(links).build()?;
    testbed.start(UP)?;
    Ok(testbed)
}

/// An iperf3 server for one test; killed when dropped.
struct Server(Child);

impl Server {
    fn start(host: &Namespace) -> Result<Self> {
        let mut command = host.command("iperf3");
        command.args(["-s", "-1"]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().context("cannot start iperf3 (apt-get install iperf3)")?;
        // It says that it listens only on a terminal.
        std::thread::sleep(Duration::from_millis(200));
        Ok(Self(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What iperf3 on host a, against host b, says at its end.
fn iperf3(testbed: &Testbed, address: IpAddr, arguments: &[&str]) -> Result<Value> {
    let _server = Server::start(testbed.b().host())?;
    let mut command = testbed.a().host().command("iperf3");
    command.args(["-J", "-t", "4", "-O", "1", "-c", &address.to_string()]).args(arguments);
    let report: Value = serde_json::from_slice(&output(command)?)?;
    if let Some(error) = report["error"].as_str() {
        anyhow::bail!("iperf3 {arguments:?}: {error}");
    }
    Ok(report["end"].clone())
}

fn output(mut command: Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// So many pings with so many bytes from host a to host b; how many were answered.
fn ping(testbed: &Testbed, address: IpAddr, count: usize, bytes: u32) -> Result<usize> {
    let mut command = testbed.a().host().command("ping");
    command.args(["-n", "-i", "0.2", "-W", "1"]);
    command.args(["-c", &count.to_string(), "-s", &bytes.to_string(), &address.to_string()]);
    let output = command.output().context("cannot run ping (apt-get install iputils-ping)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter(|line| line.contains("bytes from")).count())
}

#[test]
fn tcp_and_udp_in_both_directions() {
    measure("iperf3 over 20 + 20 Mbit/s", |goals| {
        let testbed = bridges([Family::V4; 2])?;
        let address = testbed.b().host_v4();
        for direction in [&[][..], &["-R"]] {
            let end = iperf3(&testbed, address, direction)?;
            let rate = end["sum_received"]["bits_per_second"].as_f64().unwrap_or(0.0) / 1e6;
            let retransmits = &end["sum_sent"]["retransmits"];
            // One path alone carries less than 20.
            goals.check(
                rate > 30.0,
                format!("TCP {direction:?} {rate:.1} Mbit/s, {retransmits} sent again"),
            );
        }
        for direction in [&[][..], &["-R"]] {
            let arguments = [&["-u", "-b", "30M"], direction].concat();
            let end = iperf3(&testbed, address, &arguments)?;
            let sum = &end["sum"];
            let rate = sum["bits_per_second"].as_f64().unwrap_or(0.0) / 1e6;
            let lost = sum["lost_percent"].as_f64().unwrap_or(100.0);
            let out_of_order = end["streams"][0]["udp"]["out_of_order"].as_u64();
            goals.check(
                rate > 29.0 && lost < 0.1,
                format!(
                    "UDP {direction:?} {rate:.1} of 30 Mbit/s, {lost:.3} % lost, {} packets",
                    sum["packets"]
                ),
            );
            assert_eq!(out_of_order, Some(0), "{end}");
        }
        Ok(())
    });
}

#[test]
fn pings_larger_than_the_tunnel_pass() {
    let testbed = bridges([Family::V4; 2]).unwrap_or_else(|e| panic!("{e:#}"));
    for address in [testbed.b().host_v4(), testbed.b().host_v6()] {
        for bytes in [56, 1472, 8000] {
            // A question that is too large teaches host a the tunnel's MTU, an IPv6 answer host b:
            // each is told so instead of being delivered.
            let first = ping(&testbed, address, 3, bytes).unwrap();
            let then = ping(&testbed, address, 5, bytes).unwrap();
            println!("ping -s {bytes} {address}: {first} of the first 3, then {then} of 5");
            assert!(first >= 1 && then == 5);
        }
    }
}

#[test]
fn any_family_goes_over_any() {
    for families in [[Family::V4; 2], [Family::V6; 2], [Family::V4, Family::V6]] {
        let testbed = bridges(families).unwrap_or_else(|e| panic!("{e:#}"));
        for address in [testbed.b().host_v4(), testbed.b().host_v6()] {
            let answers = ping(&testbed, address, 5, 1000).unwrap();
            let config = StreamConfig {
                flows: 4,
                duration: Duration::from_secs(1),
                ..StreamConfig::new((address, 5000).into(), 20_000_000)
            };
            let result = Stream::run(testbed.a().host(), testbed.b().host(), &config).unwrap();
            println!(
                "{address} over {families:?}: {answers} of 5 pings, {} of {} packets, {} out of order",
                result.received, result.sent, result.out_of_order
            );
            assert_eq!(answers, 5);
            assert_eq!((result.lost, result.out_of_order, result.corrupt), (0, 0, 0));
        }
    }
}
