//! mpt-lab.

pub mod link;
pub mod sim;
