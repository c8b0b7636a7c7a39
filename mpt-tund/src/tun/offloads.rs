//! What a TUN device takes off our hands.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Flags of `TUNSETOFFLOAD`; the libc crate lacks those of USO.
const TUN_F_CSUM: libc::c_uint = 0x01;
const TUN_F_TSO4: libc::c_uint = 0x02;
const TUN_F_TSO6: libc::c_uint = 0x04;
const TUN_F_TSO_ECN: libc::c_uint = 0x08;
const TUN_F_USO4: libc::c_uint = 0x20;
const TUN_F_USO6: libc::c_uint = 0x40;

const TSO: libc::c_uint = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
const USO: libc::c_uint = TUN_F_USO4 | TUN_F_USO6;

/// Which offloads of the TUN device are in use, or may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offloads {
    /// Each packet has a header that tells of its checksum and segments (`IFF_VNET_HDR`).
    pub vnet: bool,
    /// TCP super-packets.
    pub tso: bool,
    /// UDP super-packets; kernels from 6.2 on.
    pub uso: bool,
}

impl From<crate::config::Offloads> for Offloads {
    /// The header is asked for even when nothing is to be joined: partial checksums need it.
    fn from(wanted: crate::config::Offloads) -> Self {
        Self { vnet: true, tso: wanted.tso.wanted(), uso: wanted.uso.wanted() }
    }
}

impl Offloads {
    /// Everything.
    pub const ALL: Self = Self { vnet: true, tso: true, uso: true };

    /// Nothing: one packet a call, its checksum complete.
    pub const NONE: Self = Self { vnet: false, tso: false, uso: false };

    /// Asks the kernel for as much of this as it knows, for a device that has the header or has not.
    /// Gives what was granted.
    pub(super) fn request(self, file: &File) -> Self {
        if !self.vnet {
            return Self::NONE;
        }
        let with = |tso: bool, uso: bool| Self { vnet: true, tso, uso };
        let steps = [with(self.tso, self.uso), with(self.tso, false), with(false, false)];
        steps.into_iter().find(|step| step.set(file).is_ok()).unwrap_or(with(false, false))
    }

    /// Tells the kernel to hand over what this says, and no more.
    ///
    /// # Errors
    /// `EINVAL` when the kernel does not know one of them.
    pub(super) fn set(self, file: &File) -> io::Result<()> {
        let mut flags = TUN_F_CSUM;
        if self.tso {
            flags |= TSO;
        }
        if self.uso {
            flags |= USO;
        }
        // SAFETY: the descriptor is open; TUNSETOFFLOAD takes a number and touches no memory of ours.
        let rc = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD as _, flags) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
