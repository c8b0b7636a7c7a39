//! UDP in bulk: segments cut by the kernel on the way out, merged on the way in.

use super::{check, set_buffers, set_option};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// Room for one control message with the segment size.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 32]);

/// What one system call takes at most.
pub(crate) const SLOTS: usize = 64;

/// Asked of both ends' socket buffers: the tunnel is to be the bottleneck.
const BUFFERS: libc::c_int = 8 << 20;

/// How long a receiver sleeps at most before it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(20);

/// A socket that receives many datagrams a call, merged ones among them.
pub(crate) struct BulkReceiver {
    socket: UdpSocket,
    slot: usize,
    data: Vec<u8>,
    control: Vec<Control>,
}

impl BulkReceiver {
    /// Binds one in the calling thread's namespace; with `merged` it takes what the kernel merged
    /// (`UDP_GRO`), which needs slots of 64 KiB.
    pub(crate) fn bind(address: SocketAddr, slot: usize, merged: bool) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        set_buffers(&socket, BUFFERS);
        socket.set_read_timeout(Some(PATIENCE))?;
        if merged {
            set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
        }
        Ok(Self {
            socket,
            slot,
            data: vec![0; slot * SLOTS],
            control: vec![Control([0; 32]); SLOTS],
        })
    }

    /// Waits a moment for a datagram, takes what is there, and gives each one to `each`.
    pub(crate) fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        // SAFETY: all-zero is a valid iovec and a valid mmsghdr.
        let mut vectors: [libc::iovec; SLOTS] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; SLOTS] = unsafe { std::mem::zeroed() };
        let slots = self.data.chunks_exact_mut(self.slot).zip(&mut self.control);
        for ((vector, header), (slot, control)) in vectors.iter_mut().zip(&mut headers).zip(slots) {
            vector.iov_base = slot.as_mut_ptr().cast();
            vector.iov_len = slot.len();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.0.len() as _;
        }
        // SAFETY: each header points to one vector, slot and control buffer of its own, which live
        // through the call and are not touched otherwise meanwhile.
        let result = check(unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                SLOTS as libc::c_uint,
                libc::MSG_WAITFORONE as _,
                std::ptr::null_mut(),
            )
        });
        let count = match result {
            Ok(n) => n as usize,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        for (header, slot) in headers[..count].iter().zip(self.data.chunks_exact(self.slot)) {
            let data = &slot[..(header.msg_len as usize).min(self.slot)];
            match segment_size(&header.msg_hdr) {
                Some(size) if size > 0 => data.chunks(size).for_each(&mut each),
                _ => each(data),
            }
        }
        Ok(())
    }
}

/// Into what a merged datagram is to be cut.
fn segment_size(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel filled the control buffer and set its length; these calls stay within.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it lies within the control buffer; a segment size is a c_int,
        // possibly unaligned.
        unsafe {
            if ((*message).cmsg_level, (*message).cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO) {
                let size = libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(size).ok();
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

/// A socket connected to `destination`, in the calling thread's namespace. With `segment`, each
/// message is cut into datagrams of that size by the kernel (`UDP_SEGMENT`).
pub(crate) fn connect(destination: SocketAddr, segment: Option<u16>) -> io::Result<UdpSocket> {
    let any = if destination.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    set_buffers(&socket, BUFFERS);
    socket.connect(destination)?;
    if let Some(size) = segment {
        set_option(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, size.into())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_arrive_whole_and_in_order() {
        let mut receiver = BulkReceiver::bind(([127, 0, 0, 1], 0).into(), 65_536, true).unwrap();
        let sender = connect(receiver.socket.local_addr().unwrap(), Some(1200)).unwrap();
        let message: Vec<u8> = (0..20u8).flat_map(|n| [n; 1200]).collect();
        assert_eq!(sender.send(&message).unwrap(), message.len());
        let mut seen = Vec::new();
        for _ in 0..50 {
            receiver
                .receive(|datagram| {
                    assert_eq!(datagram.len(), 1200);
                    seen.push(datagram[0]);
                })
                .unwrap();
            if seen.len() == 20 {
                break;
            }
        }
        assert_eq!(seen, (0..20).collect::<Vec<u8>>());
    }
}
