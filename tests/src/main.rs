//! `mpt-lab`: demonstrations of the tunnel in networks of its own.

use clap::{Parser, Subcommand};
use mpt_lab::bench::{self, BenchOptions};
use mpt_lab::demo::{self, DemoOptions};
use mpt_lab::failures::{self, FailuresOptions};
use mpt_lab::sim::profiles;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs mpt in networks made for the purpose, on this machine, without touching its own.
#[derive(Debug, Parser)]
#[command(name = "mpt-lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bridges carry one UDP stream; one is unplugged and comes back.
    Demo(DemoOptions),
    /// Sixteen networks: each path alone, static weights, and the adaptive scheduler.
    Profiles(profiles::Options),
    Bench(Box<BenchOptions>),
    Failures(FailuresOptions),
}

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    // Testbeds run their routers' programs from this file.
    match arguments.get(1).and_then(|a| a.to_str()) {
        Some("internal-tund") => {
            arguments.splice(..2, ["mpt-tund".into()]);
            mpt_tund::main_from(arguments)
        }
        Some("internal-cli") => {
            arguments.splice(..2, ["mpt-cli".into()]);
            mpt_cli::main_from(arguments)
        }
        _ => run(Arguments::parse_from(arguments)),
    }
}

fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Demo(options) => mpt_lab::privilege::enter().and_then(|()| demo::run(&options)),
        Command::Bench(options) => mpt_lab::privilege::enter().and_then(|()| bench::run(&options)),
        Command::Failures(options) => {
            mpt_lab::privilege::enter().and_then(|()| failures::run(&options))
        }
        // In virtual time: nothing of this machine is needed.
        Command::Profiles(options) => profiles::print(&options).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
