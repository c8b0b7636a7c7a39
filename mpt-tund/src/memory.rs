//! How much memory the machine has.

/// Bytes of memory; `None` when the kernel does not tell.
pub(crate) fn total() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// By the text of `/proc/meminfo`.
fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_by_meminfo() {
        assert_eq!(parse("MemFree: 5 kB\nMemTotal:         124416 kB\n"), Some(124_416 << 10));
        assert_eq!((parse(""), parse("MemTotal: many")), (None, None));
    }
}
