//! Which process holds a TUN device: told only in an error, so it may be slow.

use std::fs;
use std::path::Path;

const TRIES: usize = 3;

/// `name (pid N)` of the first process with a descriptor on TUN device `interface` and a thread in
/// this thread's network namespace (elsewhere the same name means another interface).
pub(super) fn owner_of(interface: &str) -> Option<String> {
    // The kernel's list of a process's threads may leave some out while others end.
    (0..TRIES).find_map(|_| find_owner(interface))
}

fn find_owner(interface: &str) -> Option<String> {
    let here = fs::read_link("/proc/thread-self/ns/net").ok()?;
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let process = entry.path();
        (holds(&process.join("fdinfo"), interface) && is_in(&process, &here)).then(|| {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim_end())
        })
    })
}

/// The kernel writes `iff:` and the interface's name into the `fdinfo` of a TUN descriptor.
fn holds(fdinfo: &Path, interface: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(fdinfo) else { return false };
    descriptors.flatten().filter_map(|d| fs::read_to_string(d.path()).ok()).any(|text| {
        text.lines().any(|line| line.strip_prefix("iff:").is_some_and(|n| n.trim() == interface))
    })
}

fn is_in(process: &Path, namespace: &Path) -> bool {
    let Ok(threads) = fs::read_dir(process.join("task")) else { return false };
    threads.flatten().any(|t| fs::read_link(t.path().join("ns/net")).is_ok_and(|n| n == namespace))
}
