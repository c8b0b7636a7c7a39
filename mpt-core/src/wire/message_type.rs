//! What a datagram is.

/// The type of a datagram: the low four bits of its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MessageType {
    /// First message of a handshake.
    Initiation = 1,
    /// Second message of a handshake.
    Response = 2,
    /// Instead of a response while under load.
    Cookie = 3,
    /// An inner packet.
    Data = 4,
    /// Is anybody there?
    Probe = 5,
    /// Yes.
    Echo = 6,
    /// What has arrived.
    Report = 7,
    /// Goodbye.
    Close = 8,
    /// Nothing more comes by this path for now.
    Marker = 9,
    /// Lost packets that are not sent again.
    Abandon = 10,
    /// What a lost packet is made again from.
    Parity = 11,
    /// Nothing follows on this path just now.
    Pause = 12,
}

impl MessageType {
    /// The type of `datagram`. Flags are only data's: all other types have none.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Option<Self> {
        let first = *datagram.first()?;
        Some(match first {
            1 => Self::Initiation,
            2 => Self::Response,
            3 => Self::Cookie,
            b if b & 0x0f == 4 => Self::Data,
            5 => Self::Probe,
            6 => Self::Echo,
            7 => Self::Report,
            8 => Self::Close,
            9 => Self::Marker,
            10 => Self::Abandon,
            11 => Self::Parity,
            12 => Self::Pause,
            _ => return None,
        })
    }

    /// As it stands on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it is about the order of a sending worker's packets: then that worker's number stands in the high
    /// four bits of the second byte, and it is for whoever restores that order.
    #[must_use]
    pub const fn is_ordered(self) -> bool {
        matches!(self, Self::Data | Self::Marker | Self::Abandon | Self::Parity | Self::Pause)
    }

    /// Whether it belongs to a handshake, before there is a session.
    #[must_use]
    pub const fn is_handshake(self) -> bool {
        matches!(self, Self::Initiation | Self::Response | Self::Cookie)
    }
}
