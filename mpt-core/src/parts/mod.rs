//! Inner packets that no path carries in one piece: they travel in parts.
//!
//! The tunnel's MTU is never under 1 280, but a path's may be: then the sender cuts what is too long for
//! every path into as few [`Part`]s as it takes, all of about the same size. Each is a data packet like any other, with a
//! number, a predecessor and repair of its own, so the order brings the parts of a flow's packets out one after the other.
//! The receiver puts them together behind the order, in its [`Assembler`]. No network has to fragment anything: what
//! fragments would need is what black holes lack.

mod assembler;
mod part;

pub use assembler::Assembler;
pub use part::{BadPart, PART_HEADER_LEN, Part};

/// Both ends know parts: a capability in the handshake's hello.
pub const CAPABILITY: u32 = 4;
