//! Explicit congestion notification through the tunnel, normal mode of RFC 6040.

use super::checksum::replace_u16;
use crate::DropReason;

const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const CE: u8 = 3;

/// Folds the outer packet's ECN field into the inner packet (RFC 6040, figure 4).
///
/// # Errors
/// Congestion was signalled to a packet that does not take part in ECN: it is to be dropped.
pub fn decapsulate_ecn(packet: &mut [u8], outer: u8) -> Result<(), DropReason> {
    let outer = outer & 3;
    let Some(inner) = get(packet) else { return Ok(()) };
    match (inner, outer) {
        (NOT_ECT, CE) => Err(DropReason::EcnNotCapable),
        (_, NOT_ECT) | (NOT_ECT | CE, _) => Ok(()),
        (_, CE) => {
            set(packet, CE);
            Ok(())
        }
        (_, ECT_1) => {
            set(packet, ECT_1);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a packet takes part in ECN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capability {
    /// It does: marking it is as good as dropping it.
    Capable,
    /// It does not.
    NotCapable,
}

/// Marks "congestion experienced" on a packet that takes part in ECN (RFC 3168); its header is enough.
pub fn mark_congestion(packet: &mut [u8]) -> Capability {
    match get(packet) {
        None | Some(NOT_ECT) => Capability::NotCapable,
        Some(_) => {
            set(packet, CE);
            Capability::Capable
        }
    }
}

fn get(packet: &[u8]) -> Option<u8> {
    match packet.first()? >> 4 {
        4 => packet.get(1).map(|tos| tos & 3),
        6 => packet.get(1).map(|b| b >> 4 & 3),
        _ => None,
    }
}

fn set(packet: &mut [u8], ecn: u8) {
    if packet[0] >> 4 == 4 && packet.len() >= 20 {
        let word = u16::from_be_bytes([packet[0], packet[1]]) & !3 | u16::from(ecn);
        replace_u16(packet, 0, word, 10);
    } else if packet[0] >> 4 == 6 {
        // IPv6 has no header checksum.
        packet[1] = packet[1] & !0x30 | ecn << 4;
    }
}
