//! A rule: which packets, and what is done with them.

use super::{BadPolicy, Class, Matcher, Sending};
use crate::is_shown;
use std::fmt;
use std::str::FromStr;

/// Which packets are meant, and what is done with them.
///
/// As text: keys and values in any order, lists with commas: `name calls dscp ef,cs5 size ..400 send duplicate
/// order free patience 80ms`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// What it is called.
    pub name: Option<String>,
    /// Which packets.
    pub matcher: Matcher,
    /// What is done with them.
    pub class: Class,
}

/// The keys beside those of the [`Matcher`].
const KEYS: [&str; 4] = ["name", "send", "order", "patience"];

/// Longest name; it stands in tables.
const LONGEST_NAME: usize = 64;

impl Policy {
    /// Whether somebody may give a policy this name.
    ///
    /// # Errors
    /// Why not.
    pub fn check_name(name: &str) -> Result<(), BadPolicy> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(BadPolicy(format!(
                "`{name}` has {} bytes; a policy's name has 1 to {LONGEST_NAME}",
                name.len()
            )));
        }
        if super::BUILTIN_NAMES.contains(&name) {
            return Err(BadPolicy(format!(
                "`{name}` is the name of a built-in policy; choose another"
            )));
        }
        if name.parse::<usize>().is_ok() {
            return Err(BadPolicy(format!(
                "`{name}` would be taken for a policy's number; a name has a letter"
            )));
        }
        match name.chars().find(|&c| c.is_whitespace() || !is_shown(c)) {
            Some(c) => Err(BadPolicy(format!("a policy's name cannot hold {c:?}"))),
            None => Ok(()),
        }
    }

    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), BadPolicy> {
        if let Some(name) = &self.name {
            Self::check_name(name)?;
        }
        match self.matcher.contradiction() {
            Some(why) => Err(BadPolicy(format!("no packet is ever meant: {why}"))),
            None => Ok(()),
        }
    }

    /// The path it pins packets to.
    #[must_use]
    pub fn pinned(&self) -> Option<&str> {
        match &self.class.sending {
            Sending::Pin(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "name {name} ")?;
        }
        if !self.matcher.is_everything() {
            write!(f, "{} ", self.matcher)?;
        }
        write!(f, "send {}", self.class.sending)?;
        if self.class.order != Default::default() {
            write!(f, " order {}", self.class.order)?;
        }
        self.class.patience.map_or(Ok(()), |p| write!(f, " patience {p}"))
    }
}

impl FromStr for Policy {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let mut policy = Self::default();
        let mut words = text.split_whitespace();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(key) = words.next() {
            let known = || KEYS.into_iter().chain(Matcher::KEYS);
            if !known().any(|k| k == key) {
                let keys: Vec<_> = known().collect();
                return Err(BadPolicy::unknown(&format!("one of {}", keys.join(", ")), &keys, key));
            }
            if seen.contains(&key) {
                return Err(BadPolicy(format!(
                    "`{key}` stands there twice; several values are written with commas"
                )));
            }
            seen.push(key);
            let value = words.next().ok_or_else(|| {
                BadPolicy(format!("`{key}` has no value; for example `{key} {}`", example(key)))
            })?;
            let set = match (key, value) {
                ("send", "pin") => {
                    let path = words.next().unwrap_or_default();
                    format!("pin {path}").parse().map(|s| policy.class.sending = s)
                }
                _ => policy.set(key, value),
            };
            set.map_err(|BadPolicy(why)| BadPolicy(format!("`{key}`: {why}")))?;
        }
        if !seen.iter().any(|key| ["send", "order", "patience"].contains(key)) {
            return Err(BadPolicy(
                "a policy says what is done: `send`, `order` or `patience`".to_owned(),
            ));
        }
        policy.check()?;
        Ok(policy)
    }
}

impl Policy {
    fn set(&mut self, key: &str, value: &str) -> Result<(), BadPolicy> {
        let m = &mut self.matcher;
        match key {
            "name" => self.name = Some(value.to_owned()),
            "send" => self.class.sending = value.parse()?,
            "order" => self.class.order = value.parse()?,
            "patience" => self.class.patience = Some(value.parse()?),
            "dscp" => m.dscp = list(value)?,
            "protocol" => m.protocol = list(value)?,
            "ports" => m.ports = list(value)?,
            "source_ports" => m.source_ports = list(value)?,
            "destination_ports" => m.destination_ports = list(value)?,
            "from" => m.from = list(value)?,
            "to" => m.to = list(value)?,
            _ => m.size = Some(value.parse()?),
        }
        Ok(())
    }
}

fn list<T: FromStr<Err: Into<BadPolicy>>>(text: &str) -> Result<Vec<T>, BadPolicy> {
    text.split(',').map(|item| item.parse().map_err(Into::into)).collect()
}

fn example(key: &str) -> &'static str {
    match key {
        "name" => "calls",
        "send" => "fastest",
        "order" => "free",
        "patience" => "80ms",
        "dscp" => "ef,cs5",
        "protocol" => "udp",
        "from" | "to" => "10.0.0.0/8",
        "size" => "..200",
        _ => "5000-5100",
    }
}
