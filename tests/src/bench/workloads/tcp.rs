//! TCP, by iperf3.

use super::{Samples, WARM_UP};
use crate::bench::metric::Metric;
use crate::bench::process::Process;
use crate::bench::tunnels::Running;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::time::Duration;

/// Beyond its own time, what iperf3 may take to connect and to finish.
const SLACK: Duration = Duration::from_secs(6);

/// One or more TCP streams as fast as they go, and what the daemons need of the CPU for one.
pub(super) fn measure(running: &Running, streams: u32, time: Duration) -> Result<Samples> {
    let before = running.cpu()?;
    let report = Client::start(running, streams, None, WARM_UP + time)?.finish()?;
    let mut samples = match streams {
        1 => vec![(Metric::Tcp1, report.rate)],
        _ => vec![(Metric::Tcp4, report.rate)],
    };
    if let (1, Some(before), Some(after)) = (streams, before, running.cpu()?) {
        let used = after.saturating_sub(before).as_secs_f64();
        samples.push((Metric::CpuTcp, used / (report.bytes / 1e9)));
    }
    Ok(samples)
}

/// An iperf3 client under way.
pub(super) struct Client {
    process: Process,
    timeout: Duration,
}

/// What an iperf3 server saw.
pub(super) struct Report {
    /// Bits a second after the warm-up.
    pub(super) rate: f64,
    /// All bytes.
    pub(super) bytes: f64,
}

impl Client {
    /// Begins `streams` streams of cubic, limited to `rate` bits a second in all.
    pub(super) fn start(
        running: &Running,
        streams: u32,
        rate: Option<u64>,
        time: Duration,
    ) -> Result<Self> {
        // It counts in whole seconds.
        let seconds = time.as_secs_f64().ceil().max(1.0) as u64;
        let log = running.topology.file("iperf3-client.log");
        let process = Process::start(&running.topology.a, "iperf3", log, |command| {
            command.args(["-J", "-i", "0.1", "-C", "cubic", "--get-server-output"]);
            command.args(["--connect-timeout", "3000", "-P", &streams.to_string()]);
            command.args(["-t", &seconds.to_string(), "-c", &running.remote(0).ip().to_string()]);
            if let Some(rate) = rate {
                command.args(["-b", &rate.to_string()]);
            }
        })?;
        Ok(Self { process, timeout: Duration::from_secs(seconds) + SLACK })
    }

    /// Waits for its end.
    pub(super) fn finish(self) -> Result<Report> {
        let text = self.process.output(self.timeout)?;
        let report: Value = serde_json::from_str(&text).with_context(|| {
            format!("iperf3 printed no report: {}", text.lines().last().unwrap_or_default())
        })?;
        if let Some(error) = report["error"].as_str() {
            bail!("iperf3: {error}");
        }
        read(&report["server_output_json"])
    }
}

/// The receiver's report: what the sender still has in its buffers did not arrive.
fn read(server: &Value) -> Result<Report> {
    let intervals = server["intervals"].as_array().context("iperf3's server has no report")?;
    let (mut bytes, mut counted, mut seconds) = (0.0, 0.0, 0.0);
    for sum in intervals.iter().map(|interval| &interval["sum"]) {
        let number = |key: &str| sum[key].as_f64().unwrap_or(0.0);
        bytes += number("bytes");
        if number("start") + 0.01 >= WARM_UP.as_secs_f64() {
            counted += number("bytes");
            seconds += number("seconds");
        }
    }
    ensure!(counted > 0.0 && seconds > 0.0, "nothing arrived after the warm-up");
    Ok(Report { rate: counted * 8.0 / seconds, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_arrives_in_the_warm_up_does_not_count_as_speed() {
        let interval = |start: f64, bytes: f64| json!({ "sum": { "start": start, "seconds": 0.5, "bytes": bytes } });
        let server = json!({ "intervals": [interval(0.0, 900.0), interval(0.5, 100.0)] });
        let report = read(&server).unwrap();
        assert_eq!((report.rate, report.bytes), (1600.0, 1000.0));
        assert!(read(&json!({ "intervals": [interval(0.0, 900.0)] })).is_err());
    }
}
