//! The states of a path.

use std::fmt;

/// The state of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody answered over it yet.
    Probing,
    /// It answers.
    Up,
    /// What was sent does not seem to arrive; used only where there is no other.
    Suspected,
    /// It does not answer, or somebody who knows said that it cannot.
    Down,
    /// Taken out of use by an operator, here or at the other end.
    Disabled,
}

impl State {
    /// Whether data may be sent over it.
    #[must_use]
    pub const fn in_service(self) -> bool {
        matches!(self, Self::Up | Self::Suspected)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Probing => "probing",
            Self::Up => "up",
            Self::Suspected => "suspected",
            Self::Down => "down",
            Self::Disabled => "disabled",
        })
    }
}

/// What a path is good for; greater is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Usability {
    /// For nothing.
    No,
    /// For data where no path is preferred: suspected, or held down after flapping.
    LastResort,
    /// For data.
    Preferred,
}
