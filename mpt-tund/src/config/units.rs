//! The values people write: durations, sizes, rates, prefixes, protocols.

use super::yaml::Yaml;
use mpt_core::config::Prefix;
use mpt_core::policy::{BadPolicy, Protocol};
use mpt_core::{RateError, RateLimit};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Text; a number or a truth value where text belongs asks for quotes.
pub(super) fn text(value: &Yaml) -> Result<&str, String> {
    match value {
        Yaml::Text(t) if t.trim().is_empty() => Err("expected text, found nothing".to_owned()),
        Yaml::Text(t) => Ok(t),
        Yaml::Int(_) | Yaml::Float(_) | Yaml::Bool(_) => {
            Err(format!("expected text, found {}; put it in quotes", value.kind()))
        }
        _ => Err(format!("expected text, found {}", value.kind())),
    }
}

/// A whole number in `range`, called `what`.
pub(super) fn number(
    what: &str,
    range: RangeInclusive<u64>,
) -> impl Fn(&Yaml) -> Result<u64, String> {
    move |value| match value {
        Yaml::Int(n) if u64::try_from(*n).is_ok_and(|n| range.contains(&n)) => Ok(*n as u64),
        _ => {
            let quoted = matches!(value, Yaml::Text(text) if text.parse::<u64>().is_ok());
            Err(format!(
                "expected {what}, a whole number from {} to {}; found {}{}",
                range.start(),
                range.end(),
                value.kind(),
                if quoted { "; leave the quotes out" } else { "" }
            ))
        }
    }
}

/// `true` or `false`, also written `on` and `off`, `yes` and `no`.
pub(super) fn truth(value: &Yaml) -> Result<bool, String> {
    match value {
        Yaml::Bool(b) => Ok(*b),
        Yaml::Text(t) if ["on", "yes"].contains(&t.as_str()) => Ok(true),
        Yaml::Text(t) if ["off", "no"].contains(&t.as_str()) => Ok(false),
        Yaml::Text(t) if ["true", "false"].contains(&t.as_str()) => {
            Err(format!("`{t}` is a text here; write it without quotes"))
        }
        _ => Err(format!("expected true or false, found {}", value.kind())),
    }
}

/// One of `words`; each stands for its value.
pub(super) fn word<T: Clone>(words: &[(&str, T)]) -> impl Fn(&Yaml) -> Result<T, String> {
    move |value| {
        let found = match value {
            Yaml::Text(t) => words.iter().find(|(word, _)| word == t),
            _ => None,
        };
        found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("expected {}; found {}", all.join(" or "), value.kind())
        })
    }
}

/// A duration such as `500ms`, `2s` or `1m`, within `range`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Yaml) -> Result<Duration, String> {
    move |value| {
        let nanos = quantity(
            value,
            "a duration such as 500ms, 2s or 1m",
            &[("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000)],
        )?;
        let duration = Duration::from_nanos(nanos);
        if range.contains(&duration) {
            return Ok(duration);
        }
        Err(format!("{} is outside {:?} to {:?}", value.kind(), range.start(), range.end()))
    }
}

/// A size in bytes, such as `8MiB`, at most what this machine can address.
pub(super) fn size(value: &Yaml) -> Result<usize, String> {
    let bytes = quantity(
        value,
        "a size such as 512KiB or 8MiB",
        &[
            ("B", 1),
            ("kB", 1_000),
            ("KiB", 1 << 10),
            ("MB", 1_000_000),
            ("MiB", 1 << 20),
            ("GB", 1_000_000_000),
            ("GiB", 1 << 30),
        ],
    )?;
    usize::try_from(bytes).map_err(|_| format!("{} is more than this machine has", value.kind()))
}

/// A rate such as `20mbit`, at least 8 kbit/s, or `off`.
pub(super) fn rate_limit(value: &Yaml) -> Result<RateLimit, String> {
    let unit = match value {
        Yaml::Bool(false) => return Ok(RateLimit::Off),
        Yaml::Text(text) => return text.parse().map_err(|e: RateError| e.to_string()),
        Yaml::Int(_) | Yaml::Float(_) => " without a unit",
        _ => "",
    };
    let kind = value.kind();
    Err(format!("expected a rate such as 300kbit, 20mbit or 2.5gbit; found {kind}{unit}"))
}

/// A decimal number with one of `units`; the number must come out whole in the smallest.
fn quantity(value: &Yaml, what: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let complaint = || {
        let needs_unit = match value {
            Yaml::Int(_) | Yaml::Float(_) => " without a unit",
            _ => "",
        };
        format!("expected {what}; found {}{needs_unit}", value.kind())
    };
    let Yaml::Text(text) = value else { return Err(complaint()) };
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(complaint)?;
    let (number, unit) = (&text[..split], text[split..].trim());
    let exact = units.iter().find(|(u, _)| *u == unit);
    let (_, factor) = exact
        .or_else(|| units.iter().find(|(u, _)| u.eq_ignore_ascii_case(unit)))
        .ok_or_else(complaint)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Nine digits hold a nanosecond of a second; more are a slip.
    if number.is_empty() || fraction.len() > 9 || number.ends_with('.') {
        return Err(complaint());
    }
    let whole: u64 =
        if whole.is_empty() { Ok(0) } else { whole.parse() }.map_err(|_| complaint())?;
    let fraction: u64 = if fraction.is_empty() {
        0
    } else {
        format!("{fraction:0<9}").parse().map_err(|_| complaint())?
    };
    let parts = u128::from(whole) * 1_000_000_000 + u128::from(fraction);
    u64::try_from(parts * u128::from(*factor) / 1_000_000_000).map_err(|_| complaint())
}

/// An address and the number of its leading bits that count: `10.77.0.1/30`. Without a length,
/// the address alone.
pub(super) fn address_and_length(value: &Yaml) -> Result<(IpAddr, u8), String> {
    let complaint = |why: &str| {
        Err(format!(
            "expected an address and a length such as 10.77.0.0/24 or fd77::/64; found {}{why}",
            value.kind()
        ))
    };
    let Yaml::Text(text) = value else { return complaint("") };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text.as_str(), None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return complaint(&format!(" (`{address}` is no address)"));
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    match length.map_or(Ok(bits), str::parse) {
        Ok(length) if length <= bits => Ok((address, length)),
        _ => complaint(&format!(" (the length is 0 to {bits})")),
    }
}

/// An address that one host can have; of another one, what it is.
pub(super) fn of_one_host(address: IpAddr) -> Result<IpAddr, String> {
    let what = match address.to_canonical() {
        a if a.is_unspecified() => "is no host's address",
        a if a.is_multicast() => "is a multicast address",
        IpAddr::V4(a) if a.is_broadcast() => "is the broadcast address",
        _ => return Ok(address),
    };
    Err(format!("{address} {what}"))
}

/// A prefix; host bits are an error, since it is not clear what was meant.
pub(super) fn prefix(value: &Yaml) -> Result<Prefix, String> {
    let (address, length) = address_and_length(value)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    match Prefix::new(address, length) {
        Some(prefix) if prefix.address == address => Ok(prefix),
        Some(prefix) => Err(format!(
            "{address}/{length} has bits beyond its length; write {prefix} for the network, or {address}/{bits} for the one host"
        )),
        None => Err(format!("{length} is too long for {address}")),
    }
}

/// A protocol by name or number.
pub(super) fn protocol(value: &Yaml) -> Result<Protocol, String> {
    parsed(value)
}

/// What the core reads; a number is read as it is written.
pub(super) fn parsed<T: FromStr<Err = BadPolicy>>(value: &Yaml) -> Result<T, String> {
    match value {
        Yaml::Int(n) => n.to_string().parse(),
        _ => text(value)?.parse(),
    }
    .map_err(|BadPolicy(why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::Rate;

    fn t(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }

    #[test]
    fn durations() {
        let d = duration(Duration::from_millis(1)..=Duration::from_secs(600));
        assert_eq!(d(&t("500ms")), Ok(Duration::from_millis(500)));
        assert_eq!(d(&t("2s")), Ok(Duration::from_secs(2)));
        assert_eq!(d(&t("1m")), Ok(Duration::from_secs(60)));
        assert_eq!(d(&t("0.5 s")), Ok(Duration::from_millis(500)));
        for bad in
            ["", "5", "ms", "5 parsecs", "1h", "-1s", "1.s", "1..2s", "99999999999999999999s"]
        {
            assert!(d(&t(bad)).is_err(), "{bad}");
        }
        assert!(d(&Yaml::Int(500)).unwrap_err().contains("without a unit"));
        assert!(d(&t("1us")).unwrap_err().contains("outside 1ms to 600s"));
    }

    #[test]
    fn sizes_and_rates() {
        assert_eq!(size(&t("8MiB")), Ok(8 << 20));
        assert_eq!(size(&t("8mib")), Ok(8 << 20));
        assert_eq!(size(&t("1.5KiB")), Ok(1536));
        let bits = |text| rate_limit(&t(text)).map(|l| l.rate().map(Rate::bits_per_second));
        assert_eq!(bits("20mbit"), Ok(Some(20_000_000)));
        assert_eq!(bits("2.5gbit"), Ok(Some(2_500_000_000)));
        assert_eq!(bits("off"), Ok(None));
        assert_eq!(rate_limit(&Yaml::Bool(false)), Ok(RateLimit::Off));
        assert!(bits("20MB").is_err());
        assert!(bits("1bit").unwrap_err().contains("at least"));
        assert!(rate_limit(&Yaml::Int(20)).unwrap_err().contains("without a unit"));
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix(&t("10.0.0.0/8")).unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(prefix(&t("10.1.2.3")).unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(prefix(&t("::/0")).unwrap().to_string(), "::/0");
        for bad in ["10.0.0.0/33", "10.0.0/8", "fd77::/129", "x/8", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(prefix(&t(bad)).is_err(), "{bad}");
        }
        assert!(prefix(&t("10.0.0.1/8")).unwrap_err().contains("write 10.0.0.0/8"));
    }

    #[test]
    fn addresses_of_one_host() {
        let told = |text: &str| of_one_host(text.parse().unwrap());
        for good in ["10.1.0.2", "127.0.0.1", "fe80::1", "2001:db8::1", "::ffff:10.1.0.2"] {
            assert_eq!(told(good).unwrap().to_string(), good);
        }
        for none in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
            assert_eq!(told(none).unwrap_err(), format!("{none} is no host's address"));
        }
        for many in ["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"] {
            assert_eq!(told(many).unwrap_err(), format!("{many} is a multicast address"));
        }
        assert!(told("255.255.255.255").unwrap_err().ends_with("is the broadcast address"));
    }

    #[test]
    fn protocols() {
        assert_eq!(protocol(&t("udp")), Ok(Protocol(17)));
        assert_eq!(protocol(&Yaml::Int(89)), Ok(Protocol(89)));
        assert_eq!(Protocol(17).to_string(), "udp");
        assert_eq!(Protocol(89).to_string(), "89");
        assert!(protocol(&Yaml::Int(256)).is_err());
        assert!(protocol(&t("upd")).is_err());
    }
}
