//! Opening, reading and writing the device.

use super::offloads::Offloads;
use super::owner::owner_of;
use super::steering;
use super::vnet_header::{self, VNET_HEADER_LEN};
use crate::net::interface_index;
use crate::watched::Watched;
use mpt_core::inner::Offload;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::task::{Context, Poll};

const DEVICE: &str = "/dev/net/tun";

/// An open TUN device, registered with the runtime.
pub struct TunDevice {
    /// Owns the descriptor and knows its readiness.
    fd: Watched<File>,
    /// Reads and writes packets on that descriptor; does not close it.
    device: tun::Device,
    name: String,
    index: u32,
    offloads: Offloads,
}

/// A queue of a TUN device, not yet registered with a runtime.
pub struct TunQueue {
    file: File,
    name: String,
    index: u32,
    offloads: Offloads,
}

impl TunQueue {
    /// Creates interface `name`, down and without addresses, with as many of the `wanted` offloads as the
    /// kernel knows, and up to `count` queues: one only where it cannot be said which packets go where. See
    /// [`Netlink::configure`](crate::net::Netlink::configure).
    ///
    /// # Errors
    /// See [`TunError`].
    pub fn create(name: &str, wanted: Offloads, count: usize) -> Result<Vec<Self>, TunError> {
        if !is_valid(name) {
            return Err(TunError::BadName { name: name.to_owned() });
        }
        if interface_index(name).is_some() {
            return Err(TunError::Busy { name: name.to_owned(), owner: owner_of(name) });
        }
        let queues = Self::open_all(name, wanted, count).map_err(|e| explain(name, e))?;
        if count > 1
            && let Err(error) = steering::attach(&queues[0].file)
        {
            let remedy = match error.raw_os_error() {
                Some(libc::EPERM) => {
                    "; several take CAP_BPF (CAP_SYS_ADMIN before kernel 5.8): see `CapabilityBoundingSet` in the service's file"
                }
                _ => "",
            };
            tracing::warn!(%error, "no eBPF to steer packets with: there is one worker for {name}{remedy}");
            drop(queues);
            return Self::open_all(name, wanted, 1).map_err(|e| explain(name, e));
        }
        Ok(queues)
    }

    fn open_all(name: &str, wanted: Offloads, count: usize) -> io::Result<Vec<Self>> {
        let flags = libc::IFF_TUN | libc::IFF_NO_PI;
        let flags = flags | if count > 1 { libc::IFF_MULTI_QUEUE } else { libc::IFF_TUN_EXCL };
        let mut queues: Vec<Self> = Vec::new();
        let mut vnet = wanted.vnet;
        for _ in 0..count.max(1) {
            let file = open_driver()?;
            let with_header = |on| flags | if on { libc::IFF_VNET_HDR } else { 0 };
            match attach(&file, name, with_header(vnet)) {
                // A kernel built without it.
                Err(e) if vnet && queues.is_empty() && e.raw_os_error() == Some(libc::EINVAL) => {
                    vnet = false;
                    attach(&file, name, with_header(vnet))?;
                }
                result => result?,
            }
            let offloads = Offloads { vnet, ..wanted }.request(&file);
            let index =
                interface_index(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
            queues.push(Self { file, name: name.to_owned(), index, offloads });
        }
        Ok(queues)
    }

    /// Registers it with the current runtime.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn watch(self) -> io::Result<TunDevice> {
        let mut configuration = tun::Configuration::default();
        configuration.tun_name(&self.name).raw_fd(self.file.as_raw_fd()).close_fd_on_drop(false);
        let device = tun::create(&configuration).map_err(io::Error::from)?;
        let Self { file, name, index, offloads } = self;
        Ok(TunDevice { fd: Watched::new(file)?, device, name, index, offloads })
    }
}

/// Why there is no TUN device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// `/dev/net/tun` does not exist.
    #[error(
        "there is no {DEVICE}: load the driver (`modprobe tun`), or create it (`mkdir -p /dev/net && mknod \
         {DEVICE} c 10 200`); start a container with `--device {DEVICE}`"
    )]
    NoDriver,
    /// Not root.
    #[error(
        "not allowed to create interface {name}: run as root, or give the program CAP_NET_ADMIN and access to {DEVICE}"
    )]
    NotPermitted {
        /// The interface.
        name: String,
    },
    /// An interface of that name exists.
    #[error(
        "interface {name} exists already{} choose another `interface: name`",
        match .owner {
            Some(owner) => format!(" and belongs to {owner}; end that program, or"),
            // Whoever deletes a bridge or a network card has lost more than a name.
            None if is_tun(name) => format!("; remove it (`ip link del {name}`), or"),
            None => " and is no TUN device;".to_owned(),
        }
    )]
    Busy {
        /// The interface.
        name: String,
        /// The process that holds it, if it is a TUN device whose process can be seen.
        owner: Option<String>,
    },
    /// Not a name the kernel takes.
    #[error(
        "{name:?} cannot be the name of an interface: 1 to 15 characters, no blanks, no / : or %"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Anything else.
    #[error("cannot create interface {name}")]
    Io {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl TunDevice {
    /// Creates interface `name` with one queue, see [`TunQueue::create`]. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// See [`TunError`].
    pub fn create(name: &str, wanted: Offloads) -> Result<Self, TunError> {
        let mut queues = TunQueue::create(name, wanted, 1)?;
        let queue = queues.pop().ok_or_else(|| explain(name, io::ErrorKind::NotFound.into()))?;
        queue.watch().map_err(|e| explain(name, e))
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Ready when there may be a packet to read.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_readable(cx)
    }

    /// Which offloads are in use.
    #[must_use]
    pub const fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Bytes in front of each packet that is read.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        if self.offloads.vnet { VNET_HEADER_LEN } else { 0 }
    }

    /// Stops using offloads that turned out not to work.
    pub fn set_offloads(&mut self, offloads: Offloads) {
        self.offloads = Offloads { vnet: self.offloads.vnet, ..offloads };
        if self.offloads.vnet {
            // Less than was granted before; cannot be refused.
            let _ = self.offloads.set(self.fd.get());
        }
    }

    /// Reads one packet, or super-packet, into `buffer`; what does not fit is cut off.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is none, and while the interface is down;
    /// `EBADFD` once it was deleted; [`InvalidData`](io::ErrorKind::InvalidData) for something the
    /// kernel was not asked for, which is to be skipped.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<(&'b mut [u8], Offload)> {
        let len = self.fd.read(|_| match self.device.recv(buffer) {
            // Down: some kernels say so. It must count as not readable, or whoever waits for it spins.
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        })?;
        let read = &mut buffer[..len];
        if !self.offloads.vnet {
            return Ok((read, Offload::default()));
        }
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let (header, packet) =
            read.split_first_chunk_mut::<VNET_HEADER_LEN>().ok_or_else(invalid)?;
        let offload = vnet_header::decode(header, packet).map_err(|_| invalid())?;
        Ok((packet, offload))
    }

    /// Writes one packet, or super-packet, which stands in `buffer` behind [`VNET_HEADER_LEN`] bytes
    /// that are overwritten.
    ///
    /// # Errors
    /// `EINVAL` for what is not an IP packet, or an offload that does not work after all; `EIO` while the
    /// interface is down, `EBADFD` once it was deleted. The kernel does not push back: a full queue drops.
    pub fn write(&self, buffer: &mut [u8], offload: &Offload) -> io::Result<()> {
        let Some((header, packet)) = buffer.split_first_chunk_mut::<VNET_HEADER_LEN>() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if !self.offloads.vnet {
            return self.device.send(packet).map(drop);
        }
        vnet_header::encode(offload, packet, header);
        self.device.send(buffer).map(drop)
    }
}

impl AsRawFd for TunDevice {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for TunDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunDevice")
            .field("name", &self.name)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// The kernel's rule for names, and no `%`, which it would replace by a number.
fn is_valid(name: &str) -> bool {
    let bad = |b: u8| b.is_ascii_whitespace() || matches!(b, b'/' | b':' | b'%' | 0);
    !name.is_empty()
        && name.len() < libc::IFNAMSIZ
        && !matches!(name, "." | "..")
        && !name.bytes().any(bad)
}

fn open_driver() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)
}

fn attach(file: &File, name: &str, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: all zeros is a valid `ifreq`: an empty name and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the descriptor is open; TUNSETIFF reads and writes one `ifreq`, which `request` is, and
    // the name is shorter than its field, so a zero byte ends it.
    let rc = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether interface `name` is a TUN (or TAP) device.
fn is_tun(name: &str) -> bool {
    crate::net::driver(name).as_deref() == Some("tun")
}

fn explain(name: &str, source: io::Error) -> TunError {
    let name = name.to_owned();
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV | libc::ENOTDIR) => TunError::NoDriver,
        Some(libc::EPERM | libc::EACCES) => TunError::NotPermitted { name },
        Some(libc::EBUSY | libc::EEXIST) => TunError::Busy { owner: owner_of(&name), name },
        _ => TunError::Io { name, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_kernel_takes_them() {
        assert!(is_valid("mpt0") && is_valid("a23456789012345"));
        for bad in ["", "a234567890123456", "a b", "a/b", "mpt%d", ".", "a\0"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let text = |errno| explain("mpt0", io::Error::from_raw_os_error(errno)).to_string();
        assert!(text(libc::ENOENT).contains("modprobe tun"));
        assert!(text(libc::EPERM).contains("run as root"));
        let other = explain("lo", io::Error::from_raw_os_error(libc::EBUSY)).to_string();
        assert!(
            other.contains("lo exists already and is no TUN device; choose another"),
            "{other}"
        );
        let busy = TunError::Busy { name: "mpt0".into(), owner: Some("openvpn (pid 7)".into()) };
        assert!(busy.to_string().contains("and belongs to openvpn (pid 7)"), "{busy}");
    }
}
