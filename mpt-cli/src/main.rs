//! mpt-cli.
fn main() {}
