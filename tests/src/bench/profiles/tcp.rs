//! One TCP or MPTCP flow as fast as it goes, between sockets of our own.

use super::network::Ends;
use super::traffic::Control;
use super::window::Window;
use anyhow::{Context as _, Result, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

const PORT: u16 = 5_201;

/// Given to the kernel, or taken, at a time.
const CHUNK: usize = 256 * 1024;

/// How long a call waits at most before the clock is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the handshake may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A flow under way.
pub(super) struct TcpFlow {
    window: Window,
    sender: JoinHandle<Result<()>>,
    receiver: JoinHandle<Result<u64>>,
}

impl TcpFlow {
    /// Begins one.
    pub(super) fn start(
        ends: &Ends<'_>,
        protocol: Protocol,
        control: Control,
        window: Window,
    ) -> Result<Self> {
        let address = ends.destination(PORT);
        let open = move || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol))?;
            socket.set_tcp_congestion(name(control))?;
            Ok(socket)
        };
        let refused = || format!("the kernel has no socket for {protocol:?} with {control:?}");
        let listener = ends
            .to
            .run(|| {
                let socket = open()?;
                // MPTCP's further subflows come to other addresses of this end.
                socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
                socket.listen(1)?;
                // On Linux this bounds accept, too.
                socket.set_read_timeout(Some(CONNECT_WITHIN))?;
                io::Result::Ok(socket)
            })
            .with_context(refused)?;
        let socket = ends.from.run(open).with_context(refused)?;
        let receiver = ends.to.spawn("tcp-rx", move || receive(&listener, window))?;
        let sender = ends.from.spawn("tcp-tx", move || {
            socket.connect_timeout(&address.into(), CONNECT_WITHIN).context("cannot connect")?;
            send(socket, window)
        })?;
        Ok(Self { window, sender, receiver })
    }

    /// Waits for the end: bits a second that were read while it counted.
    pub(super) fn finish(self) -> Result<f64> {
        let sent = self.sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let bytes = self.receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What the sender has to say explains what the receiver missed.
        sent?;
        Ok(self.window.rate(bytes?))
    }
}

fn name(control: Control) -> &'static [u8] {
    match control {
        Control::Bbr => b"bbr",
        Control::Cubic => b"cubic",
    }
}

fn send(mut socket: Socket, window: Window) -> Result<()> {
    socket.set_write_timeout(Some(PATIENCE))?;
    // At the end, what is still in the buffer is of no use to anybody.
    socket.set_linger(Some(Duration::ZERO))?;
    let zeros = vec![0; CHUNK];
    while !window.left().is_zero() {
        match socket.write(&zeros) {
            Err(error) if !is_patience(&error) => {
                // The receiver may end a moment earlier.
                ensure!(window.left() < PATIENCE, "the flow broke: {error}");
            }
            _ => crate::bench::check_interrupt()?,
        }
    }
    Ok(())
}

fn receive(listener: &Socket, window: Window) -> Result<u64> {
    let (mut socket, _) = listener.accept().context("no connection came")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    while !window.left().is_zero() {
        match socket.read(&mut buffer) {
            Ok(0) => bail!("the flow ended early"),
            Ok(count) if window.contains(crate::now()) => bytes += count as u64,
            Err(error) if !is_patience(&error) => {
                ensure!(window.left() < PATIENCE, "the flow broke: {error}");
                break;
            }
            _ => crate::bench::check_interrupt()?,
        }
    }
    Ok(bytes)
}

fn is_patience(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
