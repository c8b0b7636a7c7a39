//! Which of several names are meant.

use std::convert::Infallible;
use std::str::FromStr;

/// Names separated by `|`; `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl FromStr for Pattern {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.split('|').map(|name| name.trim().to_owned()).collect()))
    }
}

impl Pattern {
    /// Whether `name` is one of them.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| glob(pattern, name))
    }
}

fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| glob(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stars_and_alternatives() {
        let matches = |pattern: &str, name| pattern.parse::<Pattern>().unwrap().matches(name);
        assert!(matches("veth|mpt-plain", "mpt-plain"));
        assert!(!matches("veth|mpt-plain", "mpt-plain-2paths"));
        assert!(
            matches("*", "x") && matches("mpt-*", "mpt-aes") && matches("*-2paths", "a-2paths")
        );
        assert!(!matches("mpt-*", "vxlan"));
    }
}
