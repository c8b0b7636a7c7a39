//! mpt-lab.
fn main() {}
