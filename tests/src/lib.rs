//! The laboratory: whole networks on one machine, without privileges where the kernel allows it,
//! and without a trace when they end.
//!
//! [`netns`] and [`netlink`] make hosts and cables, [`emulator`] makes cables bad, [`stream`] sends
//! numbered packets over them and says what became of each, [`testbed`] puts these together with
//! `mpt-tund` on its routers. [`mod@bench`] measures mpt beside other tunnels.

pub mod bench;
pub mod demo;
pub mod emulator;
pub mod keys;
pub mod link;
pub mod measure;
pub mod netlink;
pub mod netns;
pub mod privilege;
pub mod sim;
pub mod stream;
mod sys;
pub mod testbed;
pub mod units;

pub use sys::time::now;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this process measures, and keeps others waiting while it is held:
/// what runs beside a measurement shows in it.
#[must_use = "others measure at the same time once it is dropped"]
pub fn exclusive() -> MutexGuard<'static, ()> {
    static MEASURING: Mutex<()> = Mutex::new(());
    // A test that failed left nothing behind that could matter to the next.
    MEASURING.lock().unwrap_or_else(PoisonError::into_inner)
}
