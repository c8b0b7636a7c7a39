//! The bytes on the wire.
//!
//! Every datagram begins with its type. Data and control headers carry the receiver index at the same
//! place, so that one look finds session and path. All integers are big-endian. Decoders take any bytes,
//! never panic, and ignore what stands behind the fields they know, so that later versions can add some.

use crate::WorkerId;

mod abandon;
mod arrived;
mod control_header;
mod cursor;
mod data_header;
mod marker;
mod message_type;
mod parity;
mod probe;
mod report;

pub use abandon::{Abandon, MAX_ABANDONED};
pub use arrived::{Arrived, MAX_GAPS, PathGaps};
pub use control_header::{CONTROL_HEADER_LEN, CONTROL_TAG_LEN, ControlHeader};
pub use cursor::{Reader, Writer};
pub use data_header::{DATA_HEADER_LEN, DataHeader, HeaderFlags};
pub use marker::{Close, CloseReason, Marker, Pause};
pub use message_type::MessageType;
pub use parity::{Beside, Covered, MAX_COVERED, PARITY_HEADER_LEN, Parity, Piece};
pub use probe::{Echo, MAX_NAME, Open, Probe};
pub use report::{DelayReport, PathReport, Report};

/// The receiver index of a data or control datagram.
#[must_use]
pub fn receiver_index(datagram: &[u8]) -> Option<u32> {
    let bytes = datagram.get(4..8)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The sending worker whose order a datagram is about: for whoever restores that order, before it is opened.
#[must_use]
pub fn ordered_worker(datagram: &[u8]) -> Option<WorkerId> {
    let second = *datagram.get(1)?;
    MessageType::of(datagram).filter(|kind| kind.is_ordered())?;
    WorkerId::new(second >> 4)
}

#[cfg(test)]
mod tests;
