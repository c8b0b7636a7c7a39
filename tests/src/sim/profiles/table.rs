//! The comparison as a table.

use super::{Beside, PROFILES, Profile, Tunnel, bulk, call_alone, steady, trace};
use crate::sim::quic::Control;
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::time::Duration;

/// What is compared.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Simulates in virtual time.
    #[arg(long, required = true)]
    pub sim: bool,
    /// Seeds of each figure; figures are means.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub first: u64,
    /// Only these profiles.
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Only these traffics.
    #[arg(long = "traffic", value_enum)]
    pub traffic: Vec<Traffic>,
    /// Prints what the flow achieved in each second, with the adaptive scheduler.
    #[arg(long)]
    pub timeline: bool,
    /// Prints what the adaptive scheduler believes in each tenth of a second of one run; no table.
    #[arg(long)]
    pub trace: bool,
    /// Traces this path alone, 0 or 1.
    #[arg(long, value_name = "PATH")]
    pub alone: Option<usize>,
    /// Leaves out static weights.
    #[arg(long)]
    pub no_weighted: bool,
}

/// What is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Traffic {
    /// A bulk flow with CUBIC.
    Cubic,
    /// A bulk flow with BBR.
    Bbr,
    /// A constant stream at 80 % of the sum.
    Steady,
    /// A call beside a bulk flow with CUBIC.
    CallCubic,
    /// A call beside a bulk flow with BBR.
    CallBbr,
}

/// Prints the comparison.
///
/// # Errors
/// When nobody reads it.
pub fn print(options: &Options) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let wanted = |t: Traffic| options.traffic.is_empty() || options.traffic.contains(&t);
    for (traffic, control) in [(Traffic::Cubic, Control::Cubic), (Traffic::Bbr, Control::Bbr)] {
        if wanted(traffic) && options.trace {
            for profile in profiles(options) {
                trace(&profile, options.traced(), control, options.first);
            }
        } else if wanted(traffic) {
            bulk_table(options, control, &mut out)?;
        }
    }
    if options.trace {
        return Ok(());
    }
    if wanted(Traffic::Steady) {
        steady_table(options, &mut out)?;
    }
    for (traffic, control) in
        [(Traffic::CallCubic, Control::Cubic), (Traffic::CallBbr, Control::Bbr)]
    {
        if wanted(traffic) {
            call_table(options, control, &mut out)?;
        }
    }
    Ok(())
}

impl Options {
    fn traced(&self) -> Tunnel {
        self.alone.map_or(Tunnel::Adaptive, |path| Tunnel::Alone(path.min(1)))
    }
}

fn profiles(options: &Options) -> impl Iterator<Item = Profile> {
    let wanted =
        |p: &Profile| options.profiles.is_empty() || options.profiles.iter().any(|n| n == p.name);
    PROFILES.into_iter().filter(wanted)
}

fn mean(options: &Options, one: impl Fn(u64) -> f64) -> f64 {
    let seeds = options.first..options.first + options.seeds;
    seeds.map(one).sum::<f64>() / options.seeds as f64
}

fn bulk_table(options: &Options, control: Control, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\none QUIC bulk flow, {control}: Mbit/s read by the application")?;
    writeln!(
        out,
        "{:13} {:>7} {:>7} {:>8} {:>8} {:>7} {:>7}  {:>7} {:>7}",
        "profile", "A", "B", "weighted", "adaptive", "/best", "/sum", "w/best", "w/sum"
    )?;
    for profile in profiles(options) {
        let goodput = |tunnel| {
            mean(options, |seed| {
                bulk(&profile, tunnel, control, Beside::Nothing, seed).goodput / 1e6
            })
        };
        let [a, b] = [0, 1].map(|path| goodput(Tunnel::Alone(path)));
        let weighted = if options.no_weighted { 0.0 } else { goodput(Tunnel::Weighted) };
        let adaptive = goodput(Tunnel::Adaptive);
        let (best, sum) = (a.max(b), a + b);
        writeln!(
            out,
            "{:13} {a:7.1} {b:7.1} {weighted:8.1} {adaptive:8.1} {:7.2} {:7.2}  {:7.2} {:7.2}",
            profile.name,
            adaptive / best,
            adaptive / sum,
            weighted / best,
            weighted / sum
        )?;
        out.flush()?;
        if options.timeline {
            timeline(options, &profile, control, out)?;
        }
    }
    Ok(())
}

fn timeline(
    options: &Options,
    profile: &Profile,
    control: Control,
    out: &mut impl Write,
) -> io::Result<()> {
    let run = bulk(profile, Tunnel::Adaptive, control, Beside::Nothing, options.first);
    let from = (run.began.as_micros() / 100_000) as usize;
    let seconds = run.achieved.timeline.get(from..).unwrap_or(&[]).chunks(10);
    let rates: Vec<String> =
        seconds.map(|s| format!("{:.0}", s.iter().sum::<u64>() as f64 * 8e-6)).collect();
    writeln!(out, "    each second: {}", rates.join(" "))?;
    let a = &run.achieved;
    writeln!(out, "    rtt {:?}, lost {} of {}", a.rtt, a.lost, a.packets)
}

fn steady_table(options: &Options, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\nconstant UDP at 80 % of the sum: loss above the links' own, out of order, delay in ms"
    )?;
    writeln!(
        out,
        "{:13} {:>9} {:>9} {:>9} {:>9} {:>9}  {:>9} {:>9} {:>9}",
        "profile", "links'", "loss", "disorder", "p50", "p99", "w loss", "w disord", "w p99"
    )?;
    for profile in profiles(options) {
        let figures = |tunnel| {
            let mut sums = [0.0; 4];
            for seed in options.first..options.first + options.seeds {
                let a = steady(&profile, tunnel, 0.8, seed);
                let one = [a.loss(), a.disorder(), millis(a.delay(0.5)), millis(a.delay(0.99))];
                for (sum, x) in sums.iter_mut().zip(one) {
                    *sum += x / options.seeds as f64;
                }
            }
            sums
        };
        let a = figures(Tunnel::Adaptive);
        let w = if options.no_weighted { [0.0; 4] } else { figures(Tunnel::Weighted) };
        writeln!(
            out,
            "{:13} {:8.3}% {:8.3}% {:8.4}% {:9.1} {:9.1}  {:8.3}% {:8.4}% {:9.1}",
            profile.name,
            profile.loss() * 100.0,
            a[0] * 100.0,
            a[1] * 100.0,
            a[2],
            a[3],
            w[0] * 100.0,
            w[1] * 100.0,
            w[3]
        )?;
        out.flush()?;
    }
    Ok(())
}

fn call_table(options: &Options, control: Control, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\na call beside a bulk flow ({control}): one-way delay in ms, loss")?;
    writeln!(
        out,
        "{:13} {:>9} {:>9} {:>9} {:>9} {:>9}  {:>9} {:>9}",
        "profile", "path's", "p50", "p99", "loss", "flow", "w p99", "w loss"
    )?;
    for profile in profiles(options) {
        let figures = |tunnel| {
            let mut sums = [0.0; 4];
            for seed in options.first..options.first + options.seeds {
                let run = bulk(&profile, tunnel, control, Beside::Call, seed);
                let Some(call) = run.call else { continue };
                let one = [
                    millis(call.delay(0.5)),
                    millis(call.delay(0.99)),
                    call.loss() * 100.0,
                    run.goodput / 1e6,
                ];
                for (sum, x) in sums.iter_mut().zip(one) {
                    *sum += x / options.seeds as f64;
                }
            }
            sums
        };
        let a = figures(Tunnel::Adaptive);
        let w = if options.no_weighted { [0.0; 4] } else { figures(Tunnel::Weighted) };
        writeln!(
            out,
            "{:13} {:9.1} {:9.1} {:9.1} {:8.2}% {:9.1}  {:9.1} {:8.2}%",
            profile.name,
            own(options, &profile),
            a[0],
            a[1],
            a[2],
            a[3],
            w[1],
            w[2]
        )?;
        out.flush()?;
    }
    Ok(())
}

/// What a call has alone by the better path: p99.
fn own(options: &Options, profile: &Profile) -> f64 {
    let alone = |path| mean(options, |seed| millis(call_alone(profile, path, seed).delay(0.99)));
    alone(0).min(alone(1))
}

fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}
