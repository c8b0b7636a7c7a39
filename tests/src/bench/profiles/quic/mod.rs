//! One QUIC flow as fast as it goes: quinn over the kernel's sockets, with GSO and GRO as it uses
//! them by itself. Loss detection is quinn's default, with a packet threshold of 3; only cryptography is
//! left out. Its pacing follows the congestion window, not BBR's pacing rate, so its BBR overruns
//! queues now and then, by a third of what it sends, with or without a tunnel.

use super::network::Ends;
use super::traffic::Control;
use super::window::Window;
use crate::bench::check_interrupt;
use crate::sim::quic::plain::{Clear, Plain};
use crate::sys::set_buffers;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use std::future::Future;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const PORT: u16 = 4_433;

/// More than rate times round trip of any profile.
const WINDOW: u32 = 32 << 20;

/// Asked of the sockets: what the application drops is not to look like the network's loss.
const BUFFERS: libc::c_int = 8 << 20;

/// Given to quinn at a time.
const CHUNK: usize = 64 * 1024;

/// How long a flow runs at most before the clock and Ctrl-C are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the handshake may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What a flow achieved.
pub(super) struct Achieved {
    /// Bits a second that the receiving application read while it counted.
    pub(super) goodput: f64,
    /// Share of all its packets that the sender took for lost.
    pub(super) taken_for_lost: f64,
}

/// A flow under way.
pub(super) struct QuicFlow {
    window: Window,
    sender: JoinHandle<Result<f64>>,
    receiver: JoinHandle<Result<u64>>,
}

impl QuicFlow {
    /// Begins one.
    pub(super) fn start(ends: &Ends<'_>, control: Control, window: Window) -> Result<Self> {
        let address = ends.destination(PORT);
        let there = ends.to.run(|| socket(address)).context("cannot receive QUIC")?;
        let here = ends.from.run(|| socket(([0, 0, 0, 0], 0).into())).context("no QUIC socket")?;
        let receiver = ends.to.spawn("quic-rx", move || run(receive(there, window)))?;
        let sender =
            ends.from.spawn("quic-tx", move || run(send(here, address, control, window)))?;
        Ok(Self { window, sender, receiver })
    }

    /// Waits for the end.
    pub(super) fn finish(self) -> Result<Achieved> {
        let lost = self.sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let bytes = self.receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Achieved { taken_for_lost: lost?, goodput: self.window.rate(bytes?) })
    }
}

fn socket(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    set_buffers(&socket, BUFFERS);
    Ok(socket)
}

/// Runs one side on a thread of its own.
fn run<T>(side: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(side)
}

fn transport(control: Control) -> Arc<TransportConfig> {
    let factory: Arc<dyn ControllerFactory + Send + Sync> = match control {
        Control::Bbr => Arc::new(BbrConfig::default()),
        Control::Cubic => Arc::new(CubicConfig::default()),
    };
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(factory)
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into());
    Arc::new(transport)
}

fn endpoint(socket: UdpSocket, server: Option<ServerConfig>) -> Result<Endpoint> {
    let config = EndpointConfig::new(Arc::new(Clear));
    Ok(Endpoint::new(config, server, socket, Arc::new(TokioRuntime))?)
}

/// Sends until the end; the share of packets taken for lost.
async fn send(
    socket: UdpSocket,
    address: SocketAddr,
    control: Control,
    window: Window,
) -> Result<f64> {
    let endpoint = endpoint(socket, None)?;
    let mut config = ClientConfig::new(Arc::new(Plain));
    config.transport_config(transport(control));
    let connecting = endpoint.connect_with(config, address, "lab")?;
    let connection = tokio::time::timeout(CONNECT_WITHIN, connecting)
        .await
        .context("no QUIC handshake within 10 s")??;
    let mut stream = connection.open_uni().await?;
    let zeros = Bytes::from_static(&[0; CHUNK]);
    let sending = async {
        loop {
            stream.write_chunk(zeros.clone()).await?;
        }
    };
    // Its end is the time's, unless the connection breaks before.
    if let Some(broken) = until_end(window, sending).await? {
        let result: Result<(), quinn::WriteError> = broken;
        result.context("the QUIC flow broke")?;
    }
    let path = connection.stats().path;
    Ok(path.lost_packets as f64 / path.sent_packets.max(1) as f64)
}

/// Receives until the end; the bytes that counted.
async fn receive(socket: UdpSocket, window: Window) -> Result<u64> {
    let mut server = ServerConfig::new(Arc::new(Plain), Arc::new(Clear));
    server.transport_config(transport(Control::Cubic));
    let endpoint = endpoint(socket, Some(server))?;
    let mut bytes = 0;
    let receiving = async {
        let incoming = endpoint.accept().await.context("no QUIC connection came")?;
        let connection = incoming.await?;
        let mut stream = connection.accept_uni().await?;
        // As it comes: in order, quinn ends a connection that has lost 1 024 pieces at a time, which its
        // own BBR does at 300 Mbit/s. Nothing comes twice this way either.
        while let Some(chunk) = stream.read_chunk(usize::MAX, false).await? {
            if window.contains(crate::now()) {
                bytes += chunk.bytes.len() as u64;
            }
        }
        Ok(())
    };
    if let Some(ended) = until_end(window, receiving).await? {
        let result: Result<()> = ended;
        result.context("the QUIC flow ended early")?;
    }
    Ok(bytes)
}

/// What `future` comes to, unless the window ends before; looks out for Ctrl-C meanwhile.
async fn until_end<T>(window: Window, future: impl Future<Output = T>) -> Result<Option<T>> {
    let mut future = pin!(future);
    loop {
        let patience = window.left().min(PATIENCE);
        if let Ok(output) = tokio::time::timeout(patience, &mut future).await {
            return Ok(Some(output));
        }
        check_interrupt()?;
        if window.left().is_zero() {
            return Ok(None);
        }
    }
}
