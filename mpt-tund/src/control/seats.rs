//! The places for clients, and who gives way when all are taken.

use super::MOST_CLIENTS;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The places that are taken.
#[derive(Debug, Default)]
pub(super) struct Seats(Vec<Weak<Seat>>);

/// One client's place, free again when this goes.
#[derive(Debug)]
pub(super) struct Seat {
    /// Nothing while it is being answered.
    silent_since: Mutex<Option<Instant>>,
    claimed: Notify,
    gone: AtomicBool,
}

impl Seats {
    /// A place: a free one, else that of the client that has been silent longest. None while all are being answered.
    pub(super) fn take(&mut self) -> Option<Arc<Seat>> {
        self.0.retain(|seat| seat.strong_count() > 0);
        if self.0.len() >= MOST_CLIENTS {
            let silent = |(i, seat): (usize, &Weak<Seat>)| Some((seat.upgrade()?.silent()?, i));
            let (_, longest) = self.0.iter().enumerate().filter_map(silent).min()?;
            if let Some(seat) = self.0.swap_remove(longest).upgrade() {
                seat.gone.store(true, Ordering::Relaxed);
                seat.claimed.notify_one();
            }
        }
        let silent_since = Mutex::new(Some(Instant::now()));
        let seat =
            Arc::new(Seat { silent_since, claimed: Notify::new(), gone: AtomicBool::new(false) });
        self.0.push(Arc::downgrade(&seat));
        Some(seat)
    }
}

impl Seat {
    /// The client asked: it keeps its place until it is answered.
    pub(super) fn asked(&self) {
        self.set(None);
    }

    /// The client has its answer.
    pub(super) fn answered(&self) {
        self.set(Some(Instant::now()));
    }

    /// Comes back when somebody else is to have the place.
    pub(super) async fn claimed(&self) {
        self.claimed.notified().await;
    }

    /// Whether somebody else has the place.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn silent(&self) -> Option<Instant> {
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, silent_since: Option<Instant>) {
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = silent_since;
    }
}
