//! Simulation in virtual time: parts of `mpt-core` over the [link model](crate::link).
//!
//! [`ordering`] runs order alone; [`world`] runs whole endpoints, with a network between that misbehaves
//! on demand; [`quic`] and [`tcp`] are bulk flows through them, and [`profiles`] the networks it is tried in;
//! [`trail`] follows packets; [`sweep`] runs a scenario with many seeds and says which one failed.

pub mod ordering;
pub mod outcome;
pub mod profiles;
pub mod quic;
pub mod steady;
pub mod sweep;
pub mod tcp;
pub mod trail;
pub mod world;
