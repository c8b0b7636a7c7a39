//! The bench: mpt beside other tunnels, in one run.
//!
//! In each round and pass all tunnels are brought up, each between two namespaces of its own. Then
//! each workload goes over all of them, one after the other, before the next workload begins; every
//! other round goes over them backwards. So what is compared was measured within seconds of each
//! other, and a machine that is slower for a while is slower for all. An idle tunnel costs next to
//! nothing.
//!
//! A tunnel that does not come up, or a measurement that fails, is told with its reason and missing
//! from the tables; the others go on.

mod facts;
mod goals;
mod install;
mod json;
mod metric;
mod options;
mod pass;
mod pattern;
mod process;
mod progress;
mod records;
mod table;
mod topology;
mod tunnels;
mod workloads;

pub use facts::Facts;
pub use metric::Metric;
pub use options::BenchOptions;
pub use pass::Pass;
pub use pattern::Pattern;

use crate::sys::process::{catch_interrupts, interrupted};
use anyhow::{Context as _, Result, bail, ensure};
use progress::Progress;
use records::{Key, Records};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;
use tunnels::{Running, Tunnel};
use workloads::Workload;

/// Runs the bench and prints its tables; progress goes to stderr.
///
/// # Errors
/// When nothing can be measured, a file cannot be written, or on Ctrl-C.
pub fn run(options: &BenchOptions) -> Result<()> {
    catch_interrupts();
    let tunnels = tunnels::catalogue(options);
    ensure!(
        !tunnels.is_empty(),
        "--only matches no tunnel; there are veth, vxlan, mpt-*, and with --peers wireguard-go, \
         openvpn, fastd, vtun and tinc"
    );
    if options.peers
        && let Err(error) = install::missing()
    {
        // Those that are there are measured, those that are not are told.
        eprintln!("{error:#}");
    }
    ensure!(install::exists("iperf3"), "iperf3 is missing: apt-get install iperf3 (or --peers)");
    let facts = Facts::gather();
    let mut bench = Bench {
        options,
        tunnels: &tunnels,
        records: Records::default(),
        packet_rates: BTreeMap::new(),
        progress: Progress::new(options),
    };
    for round in 1..=options.rounds() {
        for pass in options.passes() {
            bench.round(round, pass)?;
        }
    }
    let records = bench.records;
    let goals = goals::compare(&records, &tunnels, options.rounds());
    let mut text = format!(
        "# mpt-lab bench\n\n{facts}.\n{} of {} s a measurement: median (range).\n\n",
        match options.rounds() {
            1 => "One round".to_owned(),
            rounds => format!("{rounds} rounds"),
        },
        options.seconds
    );
    for pass in options.passes() {
        text += &table::pass(&records, &tunnels, pass);
    }
    text += &table::goals(&goals);
    text += &table::failures(&records);
    // A reader that has gone (`| head`) is no error.
    let _ = write!(std::io::stdout(), "{text}");
    let write = |file: &std::path::Path, text: &str| {
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    if let Some(file) = &options.markdown {
        write(file, &text)?;
    }
    if let Some(file) = &options.json {
        let report = json::report(options, &facts, &records, &tunnels, &goals);
        write(file, &serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

/// A run under way.
struct Bench<'a> {
    options: &'a BenchOptions,
    tunnels: &'a [Tunnel],
    records: Records,
    /// Datagrams a second that a tunnel was last found to carry: where the next search begins.
    packet_rates: BTreeMap<(Pass, &'static str), f64>,
    progress: Progress,
}

impl Bench<'_> {
    fn round(&mut self, round: u32, pass: Pass) -> Result<()> {
        self.progress.round(round, pass);
        let mut running = self.bring_up(round, pass)?;
        if round.is_multiple_of(2) {
            running.reverse();
        }
        for &workload in Workload::ALL {
            if self.options.workloads.matches(workload.name()) {
                for running in &mut running {
                    self.measure(running, workload, round, pass)?;
                }
                self.progress.workload(workload);
            }
        }
        for running in &running {
            let tunnel = running.tunnel.name;
            if let Some(bytes) = running.resident() {
                let key = Key { pass, tunnel, metric: Metric::Resident };
                self.records.add(key, round, bytes as f64);
            }
        }
        Ok(())
    }

    /// All tunnels that come up.
    fn bring_up(&mut self, round: u32, pass: Pass) -> Result<Vec<Running>> {
        let mut up = Vec::new();
        for tunnel in self.tunnels {
            check_interrupt()?;
            let started = Running::start(tunnel, pass).and_then(|mut running| {
                running.wait_up()?;
                let mtu = running.mtu()?;
                Ok((running, mtu))
            });
            match started {
                Ok((running, mtu)) => {
                    self.records.mtus.insert((pass, tunnel.name), mtu);
                    up.push(running);
                }
                Err(error) => {
                    check_interrupt()?;
                    let reason = format!("{error:#}");
                    self.progress.failed(tunnel.name, "does not come up", &reason);
                    if round == 1 {
                        self.records.absent.insert((pass, tunnel.name), reason);
                    } else {
                        for workload in tunnel.workloads {
                            let metric = workload.metric();
                            let key = Key { pass, tunnel: tunnel.name, metric };
                            self.records.fail(key, reason.clone());
                        }
                    }
                }
            }
        }
        Ok(up)
    }

    fn measure(
        &mut self,
        running: &mut Running,
        workload: Workload,
        round: u32,
        pass: Pass,
    ) -> Result<()> {
        check_interrupt()?;
        if !running.tunnel.workloads.contains(&workload) {
            return Ok(());
        }
        let tunnel = running.tunnel.name;
        let time = Duration::from_secs_f64(self.options.seconds);
        let mut rate = self.packet_rates.get(&(pass, tunnel)).copied();
        match workload.measure(running, time, &mut rate) {
            Ok(samples) => {
                for (metric, value) in samples {
                    self.records.add(Key { pass, tunnel, metric }, round, value);
                }
                if let Some(rate) = rate {
                    self.packet_rates.insert((pass, tunnel), rate);
                }
            }
            Err(error) => {
                check_interrupt()?;
                let reason = format!("{error:#}");
                self.progress.failed(tunnel, workload.name(), &reason);
                self.records.fail(Key { pass, tunnel, metric: workload.metric() }, reason);
            }
        }
        Ok(())
    }
}

/// Fails once Ctrl-C or SIGTERM came, so that everything that was built is taken down.
fn check_interrupt() -> Result<()> {
    if interrupted() {
        bail!("interrupted");
    }
    Ok(())
}
