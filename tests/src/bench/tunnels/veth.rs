//! No tunnel at all: what the machine itself carries.

use super::Parts;
use crate::bench::topology::{Topology, cable, outer};
use anyhow::Result;

/// The cable is the interface.
pub(super) fn start(_topology: &Topology) -> Result<Parts> {
    Ok(Parts { interface: cable(1), daemons: Vec::new(), addresses: [outer(1, 0), outer(1, 1)] })
}
