//! The mpt daemon: YAML, TUN, UDP sockets, netlink and the control socket around `mpt-core`.

pub mod check;
pub mod cli;
pub mod config;
pub mod control;
mod daemon;
mod memory;
pub mod net;
mod patience;
pub mod tun;
pub mod udp;
mod watched;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `mpt-tund` with these arguments, the program's name first.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    cli::main_from(arguments, daemon::run)
}
