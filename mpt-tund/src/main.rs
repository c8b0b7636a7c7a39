//! The mpt daemon.
fn main() {}
