//! What is carried.

use super::carrier::Carrier;
use super::figure::Figure;
use clap::ValueEnum;
use serde::Serialize;

/// A kind of traffic, from the first host to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// One QUIC bulk flow with quinn's BBR.
    QuicBbr,
    /// One QUIC bulk flow with CUBIC.
    QuicCubic,
    /// One TCP flow with the kernel's BBR.
    TcpBbr,
    /// One TCP flow with CUBIC.
    TcpCubic,
    /// A constant UDP stream at 80 % of what the links used carry after headers.
    Udp80,
    /// A call, 50 packets of 160 bytes a second, beside a bulk flow.
    Call,
}

/// A bulk flow beside a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beside {
    /// QUIC with BBR.
    QuicBbr,
    /// QUIC with CUBIC.
    QuicCubic,
    /// TCP with BBR.
    TcpBbr,
    /// TCP with CUBIC.
    TcpCubic,
}

/// A bulk flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bulk {
    pub(super) transport: Transport,
    pub(super) control: Control,
}

/// What a bulk flow speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Quic,
    Tcp,
}

/// Congestion control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Bbr,
    Cubic,
}

impl Traffic {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 6] =
        [Self::QuicBbr, Self::QuicCubic, Self::TcpBbr, Self::TcpCubic, Self::Udp80, Self::Call];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QuicBbr => "quic-bbr",
            Self::QuicCubic => "quic-cubic",
            Self::TcpBbr => "tcp-bbr",
            Self::TcpCubic => "tcp-cubic",
            Self::Udp80 => "udp80",
            Self::Call => "call",
        }
    }

    /// What is measured of it.
    pub(super) fn figures(self) -> &'static [Figure] {
        match self {
            Self::QuicBbr | Self::QuicCubic => {
                &[Figure::Goodput, Figure::TakenForLost, Figure::LostOnLinks]
            }
            Self::TcpBbr | Self::TcpCubic => &[Figure::Goodput, Figure::LostOnLinks],
            Self::Udp80 => &[
                Figure::Loss,
                Figure::OutOfOrder,
                Figure::DelayP50,
                Figure::DelayP99,
                Figure::LostOnLinks,
            ],
            Self::Call => &[Figure::DelayP50, Figure::DelayP99, Figure::Loss, Figure::Goodput],
        }
    }

    /// Whether `carrier` can carry it: MPTCP carries TCP only.
    pub(super) fn goes_by(self, carrier: &Carrier) -> bool {
        *carrier != Carrier::Mptcp || matches!(self, Self::TcpBbr | Self::TcpCubic)
    }

    /// The bulk flow in it.
    pub(super) fn bulk(self, beside: Beside) -> Option<Bulk> {
        Some(match self {
            Self::QuicBbr => Beside::QuicBbr.bulk(),
            Self::QuicCubic => Beside::QuicCubic.bulk(),
            Self::TcpBbr => Beside::TcpBbr.bulk(),
            Self::TcpCubic => Beside::TcpCubic.bulk(),
            Self::Call => beside.bulk(),
            Self::Udp80 => return None,
        })
    }

    /// Above its table.
    pub(super) fn title(self, beside: Beside) -> String {
        match self {
            Self::QuicBbr => "One QUIC flow, BBR".into(),
            Self::QuicCubic => "One QUIC flow, CUBIC".into(),
            Self::TcpBbr => "One TCP flow, BBR".into(),
            Self::TcpCubic => "One TCP flow, CUBIC".into(),
            Self::Udp80 => "UDP at 80 % of what the links used carry".into(),
            Self::Call => format!("A call beside one flow ({})", beside.name()),
        }
    }
}

impl Beside {
    fn bulk(self) -> Bulk {
        let (transport, control) = match self {
            Self::QuicBbr => (Transport::Quic, Control::Bbr),
            Self::QuicCubic => (Transport::Quic, Control::Cubic),
            Self::TcpBbr => (Transport::Tcp, Control::Bbr),
            Self::TcpCubic => (Transport::Tcp, Control::Cubic),
        };
        Bulk { transport, control }
    }

    fn name(self) -> &'static str {
        match self {
            Self::QuicBbr => "quic-bbr",
            Self::QuicCubic => "quic-cubic",
            Self::TcpBbr => "tcp-bbr",
            Self::TcpCubic => "tcp-cubic",
        }
    }
}
