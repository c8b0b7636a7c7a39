//! The mpt daemon.

pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod net;
pub mod tun;
pub mod udp;
mod watched;
/// Runs `mpt-tund` with these arguments, the program's name first.
pub fn main_from(
    _arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> std::process::ExitCode {
    eprintln!("mpt-tund is not built yet");
    std::process::ExitCode::FAILURE
}
