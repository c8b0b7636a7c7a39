//! Binding to an address that no interface has yet.

use super::spec::{Family, Presence, SocketSpec};
use std::io;

/// Lets the socket of `spec` be bound to its address before an interface has it, where that is wanted, by
/// options (level and name) that `set` switches on. The wildcard is always here and needs none.
///
/// `IPV6_FREEBIND` came with Linux 4.15; its IPv4 namesake, known for longer, sets the same bit of the socket.
pub(super) fn allow_absent(
    spec: &SocketSpec,
    mut set: impl FnMut(libc::c_int, libc::c_int) -> io::Result<()>,
) -> io::Result<()> {
    if spec.presence == Presence::Now || spec.address.is_none() {
        return Ok(());
    }
    if spec.family == Family::V6 {
        match set(libc::IPPROTO_IPV6, libc::IPV6_FREEBIND) {
            Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
            result => return result,
        }
    }
    set(libc::IPPROTO_IP, libc::IP_FREEBIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options that were asked for at a kernel which refuses those of `refused`'s level with `error`.
    fn asked(spec: &SocketSpec, refused: i32, error: i32) -> (Vec<(i32, i32)>, io::Result<()>) {
        let mut asked = Vec::new();
        let result = allow_absent(spec, |level, name| {
            asked.push((level, name));
            if level == refused { Err(io::Error::from_raw_os_error(error)) } else { Ok(()) }
        });
        (asked, result)
    }

    const V4: (i32, i32) = (libc::IPPROTO_IP, libc::IP_FREEBIND);
    const V6: (i32, i32) = (libc::IPPROTO_IPV6, libc::IPV6_FREEBIND);

    fn later(address: Option<&str>, family: Family) -> SocketSpec {
        let address = address.map(|a| a.parse().unwrap());
        SocketSpec { address, presence: Presence::Later, ..SocketSpec::any(family) }
    }

    #[test]
    fn the_wildcard_and_what_is_here_ask_for_nothing() {
        let here = SocketSpec { presence: Presence::Now, ..later(Some("fd00::1"), Family::V6) };
        for spec in [later(None, Family::V4), later(None, Family::V6), here] {
            let (asked, result) = asked(&spec, libc::IPPROTO_IPV6, libc::ENOPROTOOPT);
            assert!(asked.is_empty() && result.is_ok(), "{spec:?}");
        }
    }

    #[test]
    fn a_kernel_before_4_15_is_asked_by_the_older_option() {
        let spec = later(Some("fd00::1"), Family::V6);
        let (order, result) = asked(&spec, libc::IPPROTO_IPV6, libc::ENOPROTOOPT);
        assert_eq!(order, [V6, V4]);
        assert!(result.is_ok());
        assert_eq!(asked(&spec, -1, 0).0, [V6]);
        assert_eq!(asked(&later(Some("10.0.0.1"), Family::V4), -1, 0).0, [V4]);
        let (order, result) = asked(&spec, libc::IPPROTO_IPV6, libc::EPERM);
        assert_eq!(order, [V6]);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn the_older_option_does_for_ipv6() {
        use socket2::{Domain, Socket, Type};
        use std::os::fd::AsFd;
        let absent: std::net::SocketAddr = "[fd0f:beef::1]:0".parse().unwrap();
        let Ok(socket) = Socket::new(Domain::IPV6, Type::DGRAM, None) else { return };
        assert!(socket.bind(&absent.into()).is_err());
        super::super::sys::set_option(socket.as_fd(), V4.0, V4.1, 1).unwrap();
        socket.bind(&absent.into()).unwrap();
    }
}
