//! What is done with packets.

use super::{BadPolicy, ClassPatience};
use std::fmt;
use std::str::FromStr;

/// Which paths packets go by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Sending {
    /// As the tunnel's scheduler says.
    #[default]
    Spread,
    /// By the path that answers soonest.
    Fastest,
    /// By the two paths that answer soonest, on both.
    Duplicate,
    /// By the path of this name while it is usable, else as with [`Spread`](Self::Spread).
    Pin(String),
    /// As the scheduler says, with parity from which a lost packet is made again.
    Protect,
}

/// Whether a flow's packets are given back in the order in which they were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlowOrder {
    /// They are.
    #[default]
    Keep,
    /// Each at once when it comes: nobody waits for it, and it waits for nobody.
    Free,
}

/// What is done with the packets of a policy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Class {
    /// Which paths they go by.
    pub sending: Sending,
    /// Whether their order is kept.
    pub order: FlowOrder,
    /// How long after its first sending a lost one may still be of use; without it, as long as the
    /// receiver waits.
    pub patience: Option<ClassPatience>,
}

const SENDINGS: [&str; 5] = ["spread", "fastest", "duplicate", "pin", "protect"];
const ORDERS: [&str; 2] = ["keep", "free"];

impl fmt::Display for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread => f.write_str("spread"),
            Self::Fastest => f.write_str("fastest"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Pin(path) => write!(f, "pin {path}"),
            Self::Protect => f.write_str("protect"),
        }
    }
}

impl FromStr for Sending {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let mut words = text.split_whitespace();
        let (word, path) = (words.next().unwrap_or_default(), words.next());
        let sending = match (word, path, words.next()) {
            ("spread", None, _) => Self::Spread,
            ("fastest", None, _) => Self::Fastest,
            ("duplicate", None, _) => Self::Duplicate,
            ("protect", None, _) => Self::Protect,
            ("pin", Some(path), None) => Self::Pin(path.to_owned()),
            ("pin", None, _) => {
                return Err(BadPolicy("pin needs the name of a path: pin PATH".to_owned()));
            }
            (word, ..) => {
                let (what, found) = ("spread, fastest, duplicate, pin PATH or protect", text);
                return Err(match SENDINGS.contains(&word) {
                    true => BadPolicy(format!("expected {what}; found `{found}`")),
                    false => BadPolicy::unknown(what, &SENDINGS, word),
                });
            }
        };
        Ok(sending)
    }
}

impl fmt::Display for FlowOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Free => "free",
        })
    }
}

impl FromStr for FlowOrder {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        match text {
            "keep" => Ok(Self::Keep),
            "free" => Ok(Self::Free),
            _ => Err(BadPolicy::unknown("keep or free", &ORDERS, text)),
        }
    }
}
