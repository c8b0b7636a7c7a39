//! Keeping an Internet checksum right while a field changes (RFC 1624, equation 3).

/// The checksum after a 16-bit field changed from `old` to `new`. A wrong checksum stays as wrong as it was.
pub(super) fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Writes `new` at `at` and updates the checksum at `sum_at`. Both lie within `packet`.
///
/// `at` is even within the checksummed area.
pub(super) fn replace_u16(packet: &mut [u8], at: usize, new: u16, sum_at: usize) {
    let old = u16::from_be_bytes([packet[at], packet[at + 1]]);
    let sum = u16::from_be_bytes([packet[sum_at], packet[sum_at + 1]]);
    packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
    packet[sum_at..sum_at + 2].copy_from_slice(&updated(sum, old, new).to_be_bytes());
}
