//! What the links between the namespaces do for a sender.

use clap::ValueEnum;
use serde::Serialize;

/// A pass over all tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// veth as it is: super-packets cross it whole and without checksums.
    #[value(name = "on")]
    Veth,
    /// Its transmit offloads are off: each packet is cut and summed up before, as for a plain
    /// network card.
    #[value(name = "off")]
    PlainNic,
    /// The same, and what comes in is joined again (GRO), as the drivers of network cards do unless told otherwise.
    #[value(name = "gro")]
    Gro,
}

impl Pass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Veth, Self::PlainNic, Self::Gro];

    /// Those that are run when nothing else is asked for.
    pub const DEFAULT: [Self; 2] = [Self::Veth, Self::PlainNic];

    /// Its name in tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Veth => "offloads on (veth as it is)",
            Self::PlainNic => "offloads off (a plain NIC)",
            Self::Gro => "transmit offloads off, GRO on (a NIC whose driver joins)",
        }
    }

    /// Its name where room is short.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Veth => "on",
            Self::PlainNic => "off",
            Self::Gro => "gro",
        }
    }
}
