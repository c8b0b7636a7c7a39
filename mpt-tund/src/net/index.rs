//! Interface names to numbers, without netlink.

use std::ffi::CString;

/// The index of interface `name` in this thread's network namespace, if there is one. (Not by
/// `/sys/class/net`, which may show another namespace's.)
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a string that ends in a zero byte and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    #[test]
    fn loopback_is_there() {
        assert!(super::interface_index("lo").is_some());
        assert!(super::interface_index("mpt-no-such-if").is_none());
        assert!(super::interface_index("l\0o").is_none());
    }
}
