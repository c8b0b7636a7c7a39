//! What the machine is.

use crate::config::Machine;
use mpt_core::config::WorkerCount;

/// This machine, for so many workers.
pub(super) fn machine(workers: WorkerCount) -> Machine {
    let memory = std::fs::read_to_string("/proc/meminfo").ok();
    Machine {
        aes_in_hardware: aes_in_hardware(),
        workers,
        // Without an answer as little as there may be.
        memory: memory.as_deref().and_then(total).unwrap_or(0),
    }
}

/// Bytes of memory, by the text of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Whether AES-GCM runs on this CPU's own instructions.
fn aes_in_hardware() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        std::arch::is_x86_feature_detected!("aes")
            && std::arch::is_x86_feature_detected!("pclmulqdq")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes")
            && std::arch::is_aarch64_feature_detected!("pmull")
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_by_meminfo() {
        assert_eq!(total("MemFree: 5 kB\nMemTotal:         124416 kB\n"), Some(124_416 << 10));
        assert_eq!((total(""), total("MemTotal: many")), (None, None));
    }
}
