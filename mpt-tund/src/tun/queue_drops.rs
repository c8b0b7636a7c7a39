//! What the kernel dropped in front of the TUN device.

/// Packets that found the device's queue full, as its reader had no time for them, since it is there; nothing where the kernel does
/// not tell.
#[must_use]
pub fn queue_drops(name: &str) -> Option<u64> {
    // Of the thread's own network namespace, which /sys need not be.
    find(&std::fs::read_to_string("/proc/thread-self/net/dev").ok()?, name)
}

/// After the name: eight counters of what comes in, and as many of what goes out, the fourth of them what was dropped.
fn find(table: &str, name: &str) -> Option<u64> {
    let counters = |line: &str| {
        let (device, counters) = line.split_once(':')?;
        (device.trim() == name).then(|| counters.split_ascii_whitespace().nth(11)?.parse().ok())?
    };
    table.lines().find_map(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drops_of_one_device_are_found() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo:     100       1    0    9    0     0          0         0      100       1    0    8    0     0       0          0\n  \
            mpt0: 5000      50    0    3    0     0          0         0     7000      70    1   42    2     0       0          0\n";
        assert_eq!((find(table, "mpt0"), find(table, "lo")), (Some(42), Some(8)));
        assert_eq!((find(table, "mpt"), find("", "lo")), (None, None));
        assert!(queue_drops("lo").is_some());
    }
}
