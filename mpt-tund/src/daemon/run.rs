//! The first worker's loop, which also serves all but packets.
//!
//! 1. Sleep until a socket or TUN is readable, somebody sent a message, or the endpoint's deadline passes.
//! 2. Take a turn at the packets, see [`plane`](super::plane).
//! 3. Serve what the endpoint and the messages ask for.

use super::Daemon;
use super::plane::Load;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::task::Poll;

/// What woke the loop, beside sockets and TUN.
pub(super) enum Wake {
    /// Sockets, TUN, or the deadline.
    Packets,
    /// A message from one of the tasks.
    Message(super::Message),
    /// The tasks are gone: nothing can be steered any more.
    Closed,
}

impl Daemon {
    /// Runs until somebody asks it to stop.
    pub(super) async fn run(&mut self) -> io::Result<()> {
        loop {
            match self.wait().await? {
                Wake::Packets => {}
                Wake::Message(message) => {
                    if let ControlFlow::Break(end) = self.on_message(message) {
                        return end;
                    }
                    while let Ok(message) = self.messages.try_recv() {
                        if let ControlFlow::Break(end) = self.on_message(message) {
                            return end;
                        }
                    }
                }
                Wake::Closed => return Ok(()),
            }
            let load = self.plane.turn()?;
            self.serve_events().await;
            if load == Load::MoreToDo {
                // `wait` will not sleep: without this the tasks beside the loop, signals and the control
                // socket among them, would never run again, and the runtime would not look at the sockets.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Step 1.
    async fn wait(&mut self) -> io::Result<Wake> {
        self.plane.set_alarm()?;
        if self.plane.wait_briefly() {
            return Ok(Wake::Packets);
        }
        poll_fn(|cx| {
            let ready = self.plane.poll_ready(cx)?.is_ready();
            match self.messages.poll_recv(cx) {
                Poll::Ready(Some(message)) => return Poll::Ready(Ok(Wake::Message(message))),
                Poll::Ready(None) => return Poll::Ready(Ok(Wake::Closed)),
                Poll::Pending => {}
            }
            if ready {
                return Poll::Ready(Ok(Wake::Packets));
            }
            Poll::Pending
        })
        .await
    }
}
