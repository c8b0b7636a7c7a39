//! Which process holds a TUN device: told only in an error, so it may be slow.

use std::fs;
use std::path::Path;

/// `name (pid N)` of the first process with a descriptor on TUN device `interface`.
pub(super) fn owner_of(interface: &str) -> Option<String> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        holds(&entry.path().join("fdinfo"), interface).then(|| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
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
