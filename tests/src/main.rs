//! `mpt-lab`: demonstrations of the tunnel in networks of its own.

use clap::{Parser, Subcommand};
use mpt_lab::bench::{self, BenchOptions};
use mpt_lab::demo::{self, DemoOptions};
use mpt_lab::failures::{self, FailuresOptions};
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
    let result = mpt_lab::privilege::enter().and_then(|()| match arguments.command {
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Failures(options) => failures::run(&options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
