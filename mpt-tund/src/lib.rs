//! The mpt daemon.

pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod net;
pub mod tun;
pub mod udp;
mod watched;
