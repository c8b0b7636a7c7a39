//! Names of remote ends to addresses.

use crate::udp::Family;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
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

/// The addresses of `host` (a name or a literal, IPv6 with or without brackets) and `port`, at least one, in
/// the system's order of preference. `required` is the family of the local end, where that is fixed; others
/// are left out. Literals need no resolver.
///
/// # Errors
/// See [`ResolveError`].
pub async fn resolve(
    host: &str,
    port: u16,
    required: Option<Family>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let fits = |a: &SocketAddr| required.is_none_or(|f| f == Family::of(a.ip()));
    let none = || ResolveError::NoneOfFamily {
        host: host.to_owned(),
        family: required.unwrap_or(Family::V4),
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let literal = Some(SocketAddr::new(ip, port)).filter(fits);
        return literal.map(|a| vec![a]).ok_or_else(none);
    }
    let answers = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((bare, port)))
        .await
        .map_err(|_| ResolveError::TimedOut { host: host.to_owned() })?
        .map_err(|source| ResolveError::Failed { host: host.to_owned(), source })?;
    let answers: Vec<_> = answers.into_iter().filter(fits).collect();
    if answers.is_empty() { Err(none()) } else { Ok(answers) }
}

/// Whether packets from `source` can come to `remote` and be answered: of one family, and no IPv6 address
/// that means nothing beyond its link (or this machine) where the remote is not there as well.
#[must_use]
pub fn reaches(source: IpAddr, remote: IpAddr) -> bool {
    let near = |ip: Ipv6Addr| ip.is_unicast_link_local() || ip.is_loopback();
    match (source, remote) {
        (IpAddr::V4(_), IpAddr::V4(_)) => true,
        (IpAddr::V6(source), IpAddr::V6(remote)) => !near(source) || near(remote),
        _ => false,
    }
}

/// Whether one of `sources` [`reaches`] the remote; where nothing is said of them, the system finds one.
#[must_use]
pub fn fits(sources: Option<&[IpAddr]>, remote: SocketAddr) -> bool {
    sources.is_none_or(|all| all.iter().any(|&source| reaches(source, remote.ip())))
}

/// What a path knows of its name's addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// In use.
    pub current: Option<SocketAddr>,
    /// The peer answered from there last.
    pub proven: Option<SocketAddr>,
    /// Had its turn last, beside the proven one.
    pub tried: Option<SocketAddr>,
}

/// Which of a name's `answers` a path is to use: the first that [`fits`]. The current one stays as long as
/// it is among them, unless it was tried in vain: then another one has its `turn`, every second time the proven one. When none fits, nothing is
/// better than the current one or the very first, and what is missing is told of that.
#[must_use]
pub fn choose(
    answers: &[SocketAddr],
    sources: Option<&[IpAddr]>,
    known: Known,
    turn: bool,
) -> Option<SocketAddr> {
    let fitting: Vec<_> = answers.iter().copied().filter(|&a| fits(sources, a)).collect();
    let candidates = if fitting.is_empty() { answers } else { &fitting };
    let current = known.current.filter(|c| candidates.contains(c));
    let proven = known.proven.filter(|p| candidates.contains(p));
    match current {
        Some(current) if !turn || fitting.is_empty() => Some(current),
        None => proven.or(candidates.first().copied()),
        Some(current) if proven.is_some_and(|proven| proven != current) => proven,
        Some(current) => {
            let last = if proven.is_some() { known.tried } else { Some(current) };
            let after = candidates.iter().position(|&c| Some(c) == last).map_or(0, |at| at + 1);
            let others = candidates.iter().cycle().skip(after).take(candidates.len());
            others.copied().find(|&c| c != current).or(Some(current))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn literals_need_no_resolver() {
        let a = resolve("[2001:db8::1]", 7, Some(Family::V6)).await.unwrap();
        assert_eq!(a, ["[2001:db8::1]:7".parse().unwrap()]);
        assert_eq!(resolve("10.0.0.1", 7, None).await.unwrap()[0].port(), 7);
        let e = resolve("10.0.0.1", 7, Some(Family::V6)).await.unwrap_err();
        assert_eq!(e.to_string(), "10.0.0.1 has no IPv6 address");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn local_names_have_the_family_asked_for() {
        let a = resolve("localhost", 7, Some(Family::V4)).await.unwrap();
        assert!(a.iter().all(|a| a.ip().is_loopback() && a.is_ipv4()));
    }

    const V6: &str = "[2001:db8::1]:7";
    const V4: &str = "192.0.2.1:7";

    const OTHER: &str = "192.0.2.2:7";

    /// The choice among `answers` for an interface with the addresses `sources`.
    fn chosen(answers: &[&str], sources: &[&str], current: Option<&str>, turn: bool) -> String {
        let answers: Vec<_> = answers.iter().map(|a| a.parse().unwrap()).collect();
        let sources: Vec<_> = sources.iter().map(|a| a.parse().unwrap()).collect();
        let known = Known { current: current.map(|a| a.parse().unwrap()), ..Known::default() };
        choose(&answers, Some(&sources), known, turn).unwrap().to_string()
    }

    #[test]
    fn the_first_answer_that_the_interface_can_use_is_taken() {
        let first = |sources: &[&str]| chosen(&[V6, V4], sources, None, false);
        assert_eq!(first(&["10.0.0.2"]), V4);
        assert_eq!(first(&["fe80::2", "10.0.0.2"]), V4, "link-local is too near");
        assert_eq!(first(&["::1", "10.0.0.2"]), V4);
        assert_eq!(first(&["10.0.0.2", "2001:db8:2::2"]), V6, "the resolver's order");
        assert_eq!(chosen(&[V4, V6], &["fe80::2", "2001:db8:2::2"], None, false), V6);
    }

    #[test]
    fn when_no_answer_fits_the_first_is_taken() {
        assert_eq!(chosen(&[V6, V4], &[], None, false), V6);
        assert_eq!(chosen(&[V6], &["fe80::2"], None, true), V6);
        assert_eq!(chosen(&[V6, V4], &[], Some(V4), true), V4, "or the current one stays");
        assert_eq!(choose(&[], None, Known::default(), false), None);
    }

    #[test]
    fn without_an_interface_the_resolvers_order_stands() {
        let answers = [V6, V4].map(|a| a.parse().unwrap());
        assert_eq!(choose(&answers, None, Known::default(), false), Some(answers[0]));
    }

    #[test]
    fn the_current_answer_stays_until_it_was_tried_in_vain_or_fits_no_longer() {
        let both = ["10.0.0.2", "2001:db8:2::2"];
        assert_eq!(chosen(&[V6, V4], &both, Some(V4), false), V4);
        assert_eq!(chosen(&[V6, V4], &both, Some(V6), true), V4);
        assert_eq!(chosen(&[V6, V4], &both, Some(V4), true), V6, "and from the start again");
        assert_eq!(chosen(&[V6, V4], &both[..1], Some(V4), true), V4, "there is no other");
        assert_eq!(chosen(&[V6, V4], &both[..1], Some(V6), false), V4);
        assert_eq!(chosen(&[V6, V4], &both, Some("192.0.2.9:7"), true), V6, "it is no answer now");
    }

    #[test]
    fn the_proven_answer_has_every_second_turn() {
        let answers = [V6, V4, OTHER].map(|a| a.parse().unwrap());
        let [v6, v4, other] = answers;
        let mut known = Known { current: Some(v4), proven: Some(v4), tried: None };
        for expected in [v6, v4, other, v4, v6, v4, other] {
            let chosen = choose(&answers, None, known, true).unwrap();
            assert_eq!(chosen, expected);
            known.current = Some(chosen);
            if chosen != v4 {
                known.tried = Some(chosen);
            }
        }
        known.current = None;
        assert_eq!(choose(&answers, None, known, false), Some(v4), "first of all, too");
        // The name has moved.
        let moved = Known { current: Some(v6), ..known };
        assert_eq!(choose(&[v6, other], None, moved, true), Some(other));
    }

    #[test]
    fn a_near_source_reaches_what_is_near() {
        let reach = |a: &str, b: &str| reaches(a.parse().unwrap(), b.parse().unwrap());
        assert!(reach("fe80::2", "fe80::1") && reach("2001:db8::2", "fe80::1"));
        assert!(reach("::1", "::1") && reach("10.0.0.2", "192.0.2.1"));
        assert!(!reach("fe80::2", "2001:db8::1") && !reach("10.0.0.2", "2001:db8::1"));
    }
}
