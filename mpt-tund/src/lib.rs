//! The mpt daemon.

pub mod config;
