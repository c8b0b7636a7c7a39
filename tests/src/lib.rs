//! The laboratory: whole networks on one machine, without privileges where the kernel allows it,
//! and without a trace when they end.
//!
//! [`netns`] and [`netlink`] make hosts and cables, [`emulator`] makes cables bad, [`stream`] sends
//! numbered packets over them and says what became of each, [`testbed`] puts these together with
//! `mpt-tund` on its routers.

pub mod emulator;
pub mod link;
pub mod netlink;
pub mod netns;
pub mod privilege;
pub mod stream;
mod sys;

pub use sys::time::now;
