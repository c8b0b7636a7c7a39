//! What is measured.

use serde::Serialize;

/// A figure of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// One TCP stream, bits a second of payload.
    Tcp1,
    /// Four TCP streams.
    Tcp4,
    /// Datagrams of 1200 bytes, sent 20 a call by UDP GSO with a bounded number in flight, bits a
    /// second of payload that arrived.
    Gso,
    /// Datagrams of 1200 bytes a second with less than 0.5 % lost.
    Udp1200,
    /// The same of 200 bytes.
    Udp200,
    /// The same of 64 bytes.
    Udp64,
    /// Datagrams that arrived after a later one, over all UDP measurements of a round.
    OutOfOrder,
    /// Median round trip of 64 bytes on an idle tunnel, seconds.
    PingP50,
    /// Its 99th percentile.
    PingP99,
    /// Median round trip beside one TCP stream of 500 Mbit/s.
    LoadedP50,
    /// Its 99th percentile.
    LoadedP99,
    /// What that TCP stream reached, bits a second.
    LoadedRate,
    /// CPU of both daemons during one TCP stream, seconds for 10⁹ bytes of payload.
    CpuTcp,
    /// The same during 100 Mbit/s of datagrams of 1200 bytes.
    CpuUdp,
    /// Resident memory of the larger daemon at the end of a round, bytes.
    Resident,
}

impl Metric {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 15] = [
        Self::Tcp1,
        Self::Tcp4,
        Self::Gso,
        Self::Udp1200,
        Self::Udp200,
        Self::Udp64,
        Self::OutOfOrder,
        Self::PingP50,
        Self::PingP99,
        Self::LoadedP50,
        Self::LoadedP99,
        Self::LoadedRate,
        Self::CpuTcp,
        Self::CpuUdp,
        Self::Resident,
    ];

    /// The head of its column, with the unit.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Tcp1 => "TCP, Mbit/s",
            Self::Tcp4 => "TCP × 4, Mbit/s",
            Self::Gso => "UDP GSO, Mbit/s",
            Self::Udp1200 => "UDP 1200 B, kpps",
            Self::Udp200 => "UDP 200 B, kpps",
            Self::Udp64 => "UDP 64 B, kpps",
            Self::OutOfOrder => "out of order",
            Self::PingP50 => "ping p50, µs",
            Self::PingP99 => "p99, µs",
            Self::LoadedP50 => "beside TCP p50, µs",
            Self::LoadedP99 => "p99 beside TCP, µs",
            Self::LoadedRate => "that TCP, Mbit/s",
            Self::CpuTcp => "CPU s/GB, TCP",
            Self::CpuUdp => "CPU s/GB, UDP",
            Self::Resident => "resident, MB",
        }
    }

    /// A value as tables show it.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        let (scaled, digits) = match self {
            Self::Tcp1 | Self::Tcp4 | Self::Gso | Self::LoadedRate => (value / 1e6, 0),
            Self::Udp1200 | Self::Udp200 | Self::Udp64 => (value / 1e3, 1),
            Self::OutOfOrder => (value, 0),
            Self::PingP50 | Self::PingP99 | Self::LoadedP50 | Self::LoadedP99 => (value * 1e6, 0),
            Self::CpuTcp | Self::CpuUdp => (value, 2),
            Self::Resident => (value / 1e6, 1),
        };
        format!("{scaled:.digits$}")
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        use Metric::*;
        matches!(self, Tcp1 | Tcp4 | Gso | Udp1200 | Udp200 | Udp64 | LoadedRate)
    }
}
