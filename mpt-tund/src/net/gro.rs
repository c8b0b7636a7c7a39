//! Whether an interface joins packets that come in (GRO), by the ethtool ioctl.

use std::os::fd::AsRawFd as _;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GGRO: u32 = 0x2b;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Whether GRO is on at `interface`; `None` when the kernel does not tell.
#[must_use]
pub fn gro(interface: &str) -> Option<bool> {
    if interface.len() >= libc::IFNAMSIZ {
        return None;
    }
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    let mut value = Value { command: ETHTOOL_GGRO, data: 0 };
    // SAFETY: all zeros is a valid `ifreq`: an empty name and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the descriptor is open; the request and the value it points to live through the call and are
    // what this ioctl takes; the name is shorter than its field, so a zero byte ends it.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    (rc == 0).then_some(value.data != 0)
}
