//! Rates, and limits to them, as people write them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A rate: at least 8 kbit/s, at most 1 Tbit/s. Written `300kbit`, `20mbit`, `2.5gbit`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rate(u64);

/// A text that is no rate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RateError {
    /// No number with a unit of rates.
    #[error("expected a rate such as 300kbit, 20mbit or 2.5gbit; found `{0}`")]
    Text(String),
    /// Below 8 kbit/s.
    #[error("`{0}` is too little; a rate is at least 8kbit")]
    TooLittle(String),
    /// Above 1 Tbit/s.
    #[error("`{0}` is too much; a rate is at most 1000gbit")]
    TooMuch(String),
}

/// Units, largest first, in bits per second.
const UNITS: [(&str, u64); 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

impl Rate {
    /// The least there is: a packet a second and a half.
    pub const LEAST: Self = Self(8_000);

    /// The greatest there is.
    pub const GREATEST: Self = Self(1_000_000_000_000);

    /// The rate nearest to this many bits per second.
    #[must_use]
    pub fn nearest_to_bits(bits_per_second: u64) -> Self {
        Self(bits_per_second.clamp(Self::LEAST.0, Self::GREATEST.0))
    }

    /// The rate nearest to this many bytes per second.
    #[must_use]
    pub fn nearest_to_bytes(bytes_per_second: u64) -> Self {
        Self::nearest_to_bits(bytes_per_second.saturating_mul(8))
    }

    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// Bytes per second.
    #[must_use]
    pub const fn bytes_per_second(self) -> u64 {
        self.0 / 8
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, unit)| self.0 >= *unit);
        let (name, unit) = whole.copied().unwrap_or(("bit", 1));
        write!(f, "{}{name}", self.0 as f64 / unit as f64)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let wrong = || RateError::Text(text.to_owned());
        let digits = |c: char| c.is_ascii_digit() || c == '.';
        let split = text.find(|c| !digits(c)).ok_or_else(wrong)?;
        let unit = text[split..].trim();
        let (_, unit) =
            UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
        let number: f64 = text[..split].parse().map_err(|_| wrong())?;
        // 53 bits hold a terabit to the bit.
        let bits = (number * *unit as f64).round();
        if bits < Self::LEAST.0 as f64 {
            return Err(RateError::TooLittle(text.to_owned()));
        }
        if bits > Self::GREATEST.0 as f64 {
            return Err(RateError::TooMuch(text.to_owned()));
        }
        Ok(Self(bits as u64))
    }
}

/// Most that is sent on a path: a [`Rate`] of outer IP packets, or `off`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RateLimit {
    /// None, whatever the peer wishes.
    Off,
    /// This.
    At(Rate),
}

impl RateLimit {
    /// The rate, where there is one.
    #[must_use]
    pub const fn rate(self) -> Option<Rate> {
        match self {
            Self::Off => None,
            Self::At(rate) => Some(rate),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(rate) => rate.fmt(f),
        }
    }
}

impl FromStr for RateLimit {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text.eq_ignore_ascii_case("off") { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl TryFrom<String> for RateLimit {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<RateLimit> for String {
    fn from(limit: RateLimit) -> Self {
        limit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (text, bits, written) in [
            ("20mbit", 20_000_000, "20mbit"),
            ("2.5gbit", 2_500_000_000, "2.5gbit"),
            ("0.1 Mbit", 100_000, "100kbit"),
            ("8000bit", 8_000, "8kbit"),
            ("1000gbit", 1_000_000_000_000, "1000gbit"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.bits_per_second(), rate.to_string().as_str()), (bits, written));
        }
        for (text, complaint) in [
            ("20", "such as"),
            ("mbit", "such as"),
            ("1.2.3mbit", "such as"),
            ("-1mbit", "such as"),
            ("20mb", "such as"),
            ("", "such as"),
            ("7kbit", "at least 8kbit"),
            ("0mbit", "at least 8kbit"),
            ("1001gbit", "at most"),
        ] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
        assert_eq!(Rate::nearest_to_bytes(u64::MAX), Rate::GREATEST);
        assert_eq!(Rate::nearest_to_bytes(1), Rate::LEAST);
    }

    #[test]
    fn a_limit_may_be_off() {
        let json = |limit: RateLimit| serde_json::to_string(&limit).unwrap();
        assert_eq!(json("10mbit".parse().unwrap()), "\"10mbit\"");
        assert_eq!(json(RateLimit::Off), "\"off\"");
        let back: RateLimit = serde_json::from_str("\"off\"").unwrap();
        assert_eq!(back.rate(), None);
        assert!(serde_json::from_str::<RateLimit>("\"10\"").is_err());
    }
}
