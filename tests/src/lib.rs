//! mpt-lab.

pub mod link;
