//! Asks a daemon for its status all the time, and notes when the path over bridge 1 goes out of
//! use and comes back.

use anyhow::Result;
use mpt_core::Time;
use mpt_core::control::Status;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the status is asked for: what is noted is late by this much at most.
const POLL: Duration = Duration::from_millis(20);

/// What a daemon said of the path over bridge 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Observation {
    /// Whenever it changed: since when, whether it was in use, and why.
    pub(super) changes: Vec<(Time, bool, String)>,
    /// The last status.
    pub(super) last: Option<Status>,
}

impl Observation {
    /// When the path was first seen in use, or out of use, at `from` or later.
    pub(super) fn first(&self, in_use: bool, from: Time) -> Option<Time> {
        self.changes.iter().find(|(at, now, _)| *now == in_use && *at >= from).map(|c| c.0)
    }
}

pub(super) struct Observer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Observation>,
}

impl Observer {
    pub(super) fn start(ask: impl Fn() -> Result<Status> + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("observer".into()).spawn(move || {
            let mut observation = Observation::default();
            while !stopped.load(Ordering::Relaxed) {
                // A daemon too busy to answer will do so next time.
                if let Ok(status) = ask() {
                    note(&mut observation, status);
                }
                std::thread::sleep(POLL);
            }
            observation
        })?;
        Ok(Self { stop, thread })
    }

    pub(super) fn finish(self) -> Observation {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn note(observation: &mut Observation, status: Status) {
    let path = status.paths_named("bridge1").next().map(|(_, p)| (p.in_use, p.why.clone()));
    if let Some((in_use, why)) = path
        && observation.changes.last().is_none_or(|(_, before, _)| *before != in_use)
    {
        observation.changes.push((crate::now(), in_use, why));
    }
    observation.last = Some(status);
}
