//! The TUN device: where inner packets come from and go to.
//!
//! Where the kernel can (`IFF_VNET_HDR`), one call moves a super-packet of up to 64 KiB, which stands for
//! many packets of one flow; [`Offloads`] says what is in use. The device is not persistent: it vanishes with the descriptor, however the
//! daemon ends, and its addresses and routes with it.

mod device;
mod offloads;
mod owner;
mod probe;
mod queue_drops;
mod steering;
mod vnet_header;

pub use device::{TunDevice, TunError, TunQueue};
pub use offloads::Offloads;
pub use queue_drops::queue_drops;
pub use vnet_header::VNET_HEADER_LEN;
