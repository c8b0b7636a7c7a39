//! The TUN device: where inner packets come from and go to.
//!
//! One packet a call for now; what offloads add (`IFF_VNET_HDR`, super-packets, several queues) fits
//! behind the same type. The device is not persistent: it vanishes with the descriptor, however the
//! daemon ends, and its addresses and routes with it.

mod device;
mod owner;

pub use device::{TunDevice, TunError};
