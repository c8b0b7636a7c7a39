//! The mpt daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    mpt_tund::cli::main_from(std::env::args_os(), |_config| anyhow::bail!("up is not built yet"))
}
