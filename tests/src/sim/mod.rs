//! Simulation in virtual time: parts of `mpt-core` over the [link model](crate::link).

pub mod ordering;
pub mod outcome;
