//! Names of remote ends to addresses.

use crate::udp::Family;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A name is asked for this long, then given up until the next try.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver said no.
    #[error("cannot resolve {host}: {source}")]
    Failed {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// It has no address of the path's IP version.
    #[error("{host} has no {} address", match .family { Family::V4 => "IPv4", Family::V6 => "IPv6" })]
    NoneOfFamily {
        /// The name.
        host: String,
        /// What the local end needs.
        family: Family,
    },
    /// No answer in time.
    #[error("no answer about {host} within {} s", TIMEOUT.as_secs())]
    TimedOut {
        /// The name.
        host: String,
    },
}

/// The address of `host` (a name or a literal, IPv6 with or without brackets) and `port`. `required` is
/// the family of the local end, where that is fixed; without it the system's order of preference stands.
/// Literals need no resolver.
///
/// # Errors
/// See [`ResolveError`].
pub async fn resolve(
    host: &str,
    port: u16,
    required: Option<Family>,
) -> Result<SocketAddr, ResolveError> {
    let fits = |a: &SocketAddr| required.is_none_or(|f| f == Family::of(a.ip()));
    let none = || ResolveError::NoneOfFamily {
        host: host.to_owned(),
        family: required.unwrap_or(Family::V4),
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port)).filter(fits).ok_or_else(none);
    }
    let answers = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((bare, port)))
        .await
        .map_err(|_| ResolveError::TimedOut { host: host.to_owned() })?
        .map_err(|source| ResolveError::Failed { host: host.to_owned(), source })?;
    answers.into_iter().find(fits).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn literals_need_no_resolver() {
        let a = resolve("[2001:db8::1]", 7, Some(Family::V6)).await.unwrap();
        assert_eq!(a, "[2001:db8::1]:7".parse().unwrap());
        assert_eq!(resolve("10.0.0.1", 7, None).await.unwrap().port(), 7);
        let e = resolve("10.0.0.1", 7, Some(Family::V6)).await.unwrap_err();
        assert_eq!(e.to_string(), "10.0.0.1 has no IPv6 address");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn local_names_have_the_family_asked_for() {
        let a = resolve("localhost", 7, Some(Family::V4)).await.unwrap();
        assert!(a.ip().is_loopback() && a.is_ipv4());
    }
}
