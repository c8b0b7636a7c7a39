//! What the ethtool ioctl tells of an interface.

use std::os::fd::AsRawFd as _;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GGRO: u32 = 0x2b;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// Whether GRO is on at `interface`; `None` when the kernel does not tell.
#[must_use]
pub fn gro(interface: &str) -> Option<bool> {
    let mut value = Value { command: ETHTOOL_GGRO, data: 0 };
    // SAFETY: this command takes and fills in a `Value`.
    unsafe { ask(interface, &mut value) }.then_some(value.data != 0)
}

/// The name of the driver of `interface`, `tun` for TUN and TAP devices; `None` when the kernel does not tell.
#[must_use]
pub fn driver(interface: &str) -> Option<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    // SAFETY: this command takes and fills in a `DriverInfo`.
    if !unsafe { ask(interface, &mut info) } {
        return None;
    }
    let name = info.driver.split(|&byte| byte == 0).next()?;
    String::from_utf8(name.to_vec()).ok()
}

/// Asks about `interface`; false when the kernel gives no answer.
///
/// # Safety
/// `about` must be what its command, which it begins with, takes and fills in.
unsafe fn ask<T>(interface: &str, about: &mut T) -> bool {
    if interface.len() >= libc::IFNAMSIZ {
        return false;
    }
    let Ok(socket) = std::net::UdpSocket::bind("0.0.0.0:0") else { return false };
    // SAFETY: all zeros is a valid `ifreq`: an empty name and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(about).cast();
    // SAFETY: the descriptor is open; the request and what it points to live through the call and are
    // what this ioctl takes; the name is shorter than its field, so a zero byte ends it.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    rc == 0
}

const _: () = assert!(size_of::<DriverInfo>() == 196);
