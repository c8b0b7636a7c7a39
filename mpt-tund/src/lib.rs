//! The mpt daemon.

pub mod net;
pub mod tun;
pub mod udp;
mod watched;
