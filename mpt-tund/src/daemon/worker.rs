//! The workers beside the first one, each a thread with a runtime of its own.

use super::Message;
use super::plane::{Load, Plane, Shared};
use super::{clock::Clock, coalesce::Coalescing, plane::Counters, stray::Strays};
use crate::tun::TunQueue;
use crate::udp::UnwatchedSocket;
use mpt_core::{SocketId, WorkerId};
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a worker is told.
pub(super) enum Order {
    /// Its socket of a group.
    Open(SocketId, UnwatchedSocket),
    /// A group was closed.
    Close(SocketId),
}

/// A running worker. It ends when this is dropped.
pub(super) struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    pub(super) counters: Arc<Mutex<Counters>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts worker number `id`. `main` is told of what concerns all, and of its end.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        id: WorkerId,
        clock: Clock,
        shared: Shared,
        queue: TunQueue,
        strays: Strays,
        main: mpsc::Sender<Message>,
        coalesce: Duration,
    ) -> io::Result<Self> {
        let (orders, received) = mpsc::unbounded_channel();
        let counters = Arc::<Mutex<Counters>>::default();
        let shown = counters.clone();
        let end = End::of(id, main.clone())?;
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let (tun, coalescing) = (queue.watch()?, Coalescing::new(coalesce));
                let plane = Plane::new(id, clock, shared, tun, strays, shown, coalescing)?;
                run(plane, received, &main).await
            })
        };
        let thread = spawn(end, run)?;
        Ok(Self { orders, counters, thread: Some(thread) })
    }

    /// Tells it something. It is gone only when the daemon ends.
    pub(super) fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a sender it stops.
        self.orders = mpsc::unbounded_channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a worker's thread, which tells of its end however that comes.
fn spawn(
    end: End,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let name = format!("mpt-worker-{}", end.id.get());
    std::thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = run() {
            tracing::error!(worker = end.id.get(), %error, "a worker ended");
        }
        drop(end);
    })
}

/// Tells the loop of a worker's end when this is dropped, by a panic too. The kernel goes on giving its part of
/// the flows to a worker that is gone: the daemon must not go on without it.
struct End {
    id: WorkerId,
    /// A place in the loop's queue, which may be full then.
    place: Option<mpsc::OwnedPermit<Message>>,
}

impl End {
    fn of(id: WorkerId, main: mpsc::Sender<Message>) -> io::Result<Self> {
        let place = main.try_reserve_owned().map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self { id, place: Some(place) })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.send(Message::WorkerEnded(self.id));
        }
    }
}

async fn run(
    mut plane: Plane,
    mut orders: mpsc::UnboundedReceiver<Order>,
    main: &mpsc::Sender<Message>,
) -> io::Result<()> {
    loop {
        plane.set_alarm()?;
        let wake = poll_fn(|cx| {
            match orders.poll_recv(cx) {
                Poll::Ready(Some(order)) => {
                    return Poll::Ready(Ok(ControlFlow::Continue(Some(order))));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(ControlFlow::Break(()))),
                Poll::Pending => {}
            }
            if plane.poll_ready(cx)?.is_ready() {
                return Poll::Ready(Ok::<_, io::Error>(ControlFlow::Continue(None)));
            }
            Poll::Pending
        });
        match wake.await? {
            ControlFlow::Break(()) => return Ok(()),
            ControlFlow::Continue(Some(Order::Open(id, socket))) => {
                // Without it, what the kernel gives to this worker would be lost.
                plane.sockets.insert(id, socket.watch().map_err(io::Error::other)?);
            }
            ControlFlow::Continue(Some(Order::Close(id))) => {
                plane.sockets.retain(|open| open != id);
            }
            ControlFlow::Continue(None) => {}
        }
        let load = plane.turn()?;
        if plane.endpoint().has_events() {
            // When its queue is full it is awake.
            let _ = main.try_send(Message::Events);
        }
        if load == Load::MoreToDo {
            // As in the first worker's loop.
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_is_told_of_a_workers_end_though_its_queue_is_full() {
        let id = WorkerId::default();
        let ends: [fn() -> io::Result<()>; 3] =
            [|| Ok(()), || Err(io::Error::other("too many files")), || panic!("as a bug would")];
        for run in ends {
            let (sender, mut messages) = mpsc::channel(2);
            let end = End::of(id, sender.clone()).unwrap();
            assert!(sender.try_send(Message::Events).is_ok());
            assert!(sender.try_send(Message::Events).is_err(), "its place is kept");
            let _ = spawn(end, run).unwrap().join();
            assert!(matches!(messages.try_recv(), Ok(Message::Events)));
            assert!(matches!(messages.try_recv(), Ok(Message::WorkerEnded(ended)) if ended == id));
        }
    }
}
