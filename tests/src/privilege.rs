//! The right to make networks: root has it; anybody else gets it in a user namespace, where the
//! kernel allows one.

use crate::sys::namespace;
use anyhow::{Result, bail};

/// Bits of the capability sets, from `linux/capability.h`: what making namespaces, interfaces and
/// packet sockets takes.
const NEEDED: [u32; 3] = [12, 13, 21];

/// Makes sure that this process may make network namespaces; when it may not, moves it into a user
/// namespace where it may. To be called while the process has one thread only, so first thing in
/// `main`; in tests [`kernel_tests!`](crate::kernel_tests) does it.
///
/// # Errors
/// When neither works, with what to do about it.
pub fn enter() -> Result<()> {
    if !privileged() {
        // What came of it, `check` looks at: it knows the remedy.
        let _ = namespace::unshare_user();
    }
    check()
}

/// Whether this process may make network namespaces.
///
/// # Errors
/// When it may not, with what to do about it.
pub(crate) fn check() -> Result<()> {
    if privileged() {
        return Ok(());
    }
    bail!(
        "the lab needs to make network namespaces, and this user may not: not root, and the kernel \
         refuses user namespaces.\nRun it as root (`sudo`), or allow them: \
         `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000`, on Ubuntu \
         also `kernel.apparmor_restrict_unprivileged_userns=0`; in a container, \
         `--privileged` or `--cap-add NET_ADMIN --cap-add SYS_ADMIN --cap-add NET_RAW`."
    );
}

fn privileged() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    NEEDED.iter().all(|bit| effective >> bit & 1 == 1)
}

/// Run by the loader before `main`, when there is one thread only.
#[doc(hidden)]
pub extern "C" fn enter_at_start() {
    // The first namespace that is made tells what is wrong.
    let _ = enter();
}

/// For files of kernel tests, once at their top: lets the whole test process run as
/// [`privilege::enter`](crate::privilege::enter) says, without which tests fail when not run as
/// root. It must happen before the test harness starts threads.
#[macro_export]
macro_rules! kernel_tests {
    () => {
        #[used]
        #[unsafe(link_section = ".init_array")]
        static ENTER_LAB: extern "C" fn() = $crate::privilege::enter_at_start;
    };
}
