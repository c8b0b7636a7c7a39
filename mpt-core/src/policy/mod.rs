//! What is done with which packets.
//!
//! A [`Policy`] has a [`Matcher`], which says what packets it takes, and a [`Class`], which says how they are
//! sent, whether their order is kept, and for how long a lost one is worth sending again. The
//! [`PolicyTable`] asks them in turn, and the first one that matches wins: those of the configuration first, then
//! the built-in ones ([`builtins`]), and what is left over is spread by the scheduler. It is asked once for a
//! super-packet, which is all of one flow; without policies of one's own that costs a few comparisons.
//!
//! Everything here has a text of words and values ("`dscp ef,cs5 size ..400 send duplicate`"), which is read and
//! written alike: on the control socket, in `mpt-cli policy`, and value by value in the YAML file.

mod builtin;
mod class;
mod codepoint;
mod error;
mod explanation;
mod facts;
mod matcher;
mod packet_text;
mod patience;
#[expect(clippy::module_inception, reason = "one file, one noun")]
mod policy;
mod ports;
mod protocol;
mod size;
mod table;
#[cfg(test)]
mod tests;
mod treatment;

pub use builtin::{BUILTIN_NAMES, LARGEST_DUPLICATED, builtins};
pub use class::{Class, FlowOrder, Sending};
pub use codepoint::Codepoint;
pub use error::{BadPolicy, nearest};
pub use explanation::{Explanation, Tried};
pub use facts::Facts;
pub use matcher::{Condition, Matcher};
pub use packet_text::PacketText;
pub use patience::ClassPatience;
pub use policy::Policy;
pub use ports::PortRange;
pub use protocol::Protocol;
pub use size::SizeRange;
pub use table::{PolicyConfig, PolicyTable, RuleId};
pub use treatment::{Protection, Route, Treatment};
