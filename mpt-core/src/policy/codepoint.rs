//! The value of a DSCP field.

use super::BadPolicy;
use std::fmt;
use std::str::FromStr;

/// A differentiated services codepoint, 0 to 63.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Codepoint(u8);

/// By name (RFC 4594, RFC 5865, RFC 8622).
const NAMES: [(&str, u8); 23] = [
    ("cs0", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

impl Codepoint {
    /// Expedited forwarding: voice.
    pub const EF: Self = Self(46);
    /// Class selector 5: signalling of voice, broadcast video.
    pub const CS5: Self = Self(40);

    /// That of a TOS or traffic class byte.
    #[must_use]
    pub const fn of_tos(tos: u8) -> Self {
        Self(tos >> 2)
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Codepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, value)| *value == self.0) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Codepoint {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let number = || text.parse().ok().filter(|n| *n < 64);
        named.map(|(_, value)| *value).or_else(number).map(Self).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name);
            BadPolicy::unknown("a DSCP: ef, cs0 to cs7, af11 to af43, or 0 to 63", &names, text)
        })
    }
}
