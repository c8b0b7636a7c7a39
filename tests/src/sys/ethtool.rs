//! Offloads of an interface, by the ethtool ioctl.

use std::io;
use std::os::fd::AsRawFd as _;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_SSG: u32 = 0x19;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;
const ETHTOOL_SGRO: u32 = 0x2c;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Turns off what would hand frames on unfinished: without a checksum, larger than the MTU, or
/// merged. Works in the calling thread's namespace.
pub(crate) fn disable_offloads(interface: &str) -> io::Result<()> {
    set(interface, &[ETHTOOL_SGRO], false)?;
    disable_transmit_offloads(interface)
}

/// Turns off what a plain network card would not do for the sender; what it receives may still be
/// merged. Works in the calling thread's namespace.
pub(crate) fn disable_transmit_offloads(interface: &str) -> io::Result<()> {
    set(interface, &[ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_SSG, ETHTOOL_STXCSUM], false)
}

/// Lets what comes in be joined, which veth does not do by itself. Works in the calling thread's namespace.
pub(crate) fn enable_gro(interface: &str) -> io::Result<()> {
    set(interface, &[ETHTOOL_SGRO], true)
}

fn set(interface: &str, commands: &[u32], on: bool) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    for &command in commands {
        let mut value = Value { command, data: on.into() };
        let mut request = super::packet::interface_request(interface);
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: `request` and the value it points to live through the call and are what this
        // ioctl takes.
        super::check(unsafe {
            libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request)
        })?;
    }
    Ok(())
}
