//! Sockets, TUN device and routing against the real kernel, in network namespaces made here.
//!
//! They need root: `sudo -E cargo test -p mpt-tund --test kernel`. Without, they fail and say so.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod daemon;
mod events;
mod lab;
mod routing;
mod sockets;
mod tunnel;
