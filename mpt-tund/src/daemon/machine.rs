//! What the machine is.

use crate::config::Machine;
use mpt_core::config::WorkerCount;

/// This machine, for so many workers.
pub(super) fn machine(workers: WorkerCount) -> Machine {
    Machine {
        aes_in_hardware: aes_in_hardware(),
        workers,
        // Without an answer as little as there may be.
        memory: crate::memory::total().unwrap_or(0),
    }
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
