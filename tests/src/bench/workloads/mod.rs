//! What is sent through a tunnel, and what is counted.
//!
//! Generators live in the daemons' own namespaces. TCP, GSO and pings have ordinary priority: they
//! compete for the CPU with the tunnel as programs of a router do, and with every tunnel alike.

mod cost;
mod datagram;
mod gso;
pub(crate) mod ping;
mod rate_search;
mod receiver;
mod tcp;

use super::metric::Metric;
use super::tunnels::Running;
use anyhow::Result;
use std::time::Duration;

/// How long traffic flows before it counts.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);

/// The port of our own UDP.
const PORT: u16 = 5300;

/// What a measurement found.
pub(crate) type Samples = Vec<(Metric, f64)>;

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Workload {
    Ping,
    Tcp1,
    Tcp4,
    Gso,
    Udp1200,
    Udp200,
    Udp64,
    PingLoaded,
    CpuUdp,
}

impl Workload {
    /// All of them, in the order in which they run.
    pub(crate) const ALL: &[Self] = &[
        Self::Ping,
        Self::Tcp1,
        Self::Tcp4,
        Self::Gso,
        Self::Udp1200,
        Self::Udp200,
        Self::Udp64,
        Self::PingLoaded,
        Self::CpuUdp,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Tcp1 => "tcp1",
            Self::Tcp4 => "tcp4",
            Self::Gso => "gso",
            Self::Udp1200 => "udp1200",
            Self::Udp200 => "udp200",
            Self::Udp64 => "udp64",
            Self::PingLoaded => "ping-loaded",
            Self::CpuUdp => "cpu-udp",
        }
    }

    /// The figure that stands for it in messages.
    pub(crate) fn metric(self) -> Metric {
        match self {
            Self::Ping => Metric::PingP50,
            Self::Tcp1 => Metric::Tcp1,
            Self::Tcp4 => Metric::Tcp4,
            Self::Gso => Metric::Gso,
            Self::Udp1200 => Metric::Udp1200,
            Self::Udp200 => Metric::Udp200,
            Self::Udp64 => Metric::Udp64,
            Self::PingLoaded => Metric::LoadedP50,
            Self::CpuUdp => Metric::CpuUdp,
        }
    }

    /// Sends it through `running` and counts for `time`. `packet_rate` is what the tunnel was last
    /// found to carry, datagrams a second, if it was; a search begins there and writes its own.
    pub(crate) fn measure(
        self,
        running: &mut Running,
        time: Duration,
        packet_rate: &mut Option<f64>,
    ) -> Result<Samples> {
        let samples = match self {
            Self::Ping => ping::idle(running, time),
            Self::Tcp1 => tcp::measure(running, 1, time),
            Self::Tcp4 => tcp::measure(running, 4, time),
            Self::Gso => gso::measure(running, time),
            Self::Udp1200 => {
                rate_search::measure(running, Metric::Udp1200, 1200, time, packet_rate)
            }
            Self::Udp200 => rate_search::measure(running, Metric::Udp200, 200, time, packet_rate),
            Self::Udp64 => rate_search::measure(running, Metric::Udp64, 64, time, packet_rate),
            Self::PingLoaded => ping::loaded(running, time),
            Self::CpuUdp => cost::measure(running, time),
        };
        // Why a daemon ended says more than that nothing came through.
        running.check()?;
        samples
    }
}
