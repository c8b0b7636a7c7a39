//! Many runs, on all processors.

use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Lines of progress where nobody watches.
const LINES: usize = 20;

/// The crew: so many threads, for so long at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew {
    pub jobs: usize,
    pub limit: Option<Duration>,
}

impl Crew {
    /// As many as asked for, else as there are processors.
    pub(super) fn new(jobs: Option<usize>, limit: Option<Duration>) -> Self {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Self { jobs: jobs.unwrap_or_else(processors).max(1), limit }
    }

    /// What `run` gives for each number below `count`, begun in that order. `None` where the time was up before, or the
    /// run panicked, of which its thread tells. Progress goes to stderr.
    pub(super) fn run<T: Send>(
        self,
        count: usize,
        run: impl Fn(usize) -> T + Sync,
    ) -> Vec<Option<T>> {
        let results: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        #[allow(clippy::disallowed_methods, reason = "how long it takes, outside the simulation")]
        let began = Instant::now();
        let work = || {
            while self.limit.is_none_or(|limit| began.elapsed() < limit) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    break;
                }
                let result = catch_unwind(AssertUnwindSafe(|| run(i))).ok();
                if let Ok(mut results) = results.lock() {
                    results[i] = result;
                }
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                self.tell(done, count, began.elapsed());
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(count) {
                scope.spawn(work);
            }
        });
        if io::stderr().is_terminal() {
            eprintln!();
        }
        results.into_inner().unwrap_or_default()
    }

    fn tell(self, done: usize, count: usize, elapsed: Duration) {
        let minutes = elapsed.as_secs_f64() / 60.0;
        let rate = done as f64 / minutes.max(1e-9);
        let left = (count - done) as f64 / rate;
        let mut err = io::stderr().lock();
        // In a file only some lines of it.
        let (before, after) = match err.is_terminal() {
            true => ("\r", " "),
            false if done.is_multiple_of(count.div_ceil(LINES)) => ("", "\n"),
            false => return,
        };
        let _ = write!(
            err,
            "{before}{done} of {count} runs, {:.1} a minute on each of {}, {left:.0} min left{after}",
            rate / self.jobs as f64,
            self.jobs
        );
        let _ = err.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_run_once_and_a_panic_is_nobody_elses() {
        let crew = Crew { jobs: 3, limit: None };
        let results = crew.run(20, |i| {
            assert_ne!(i, 7, "on purpose");
            i * i
        });
        for (i, result) in results.iter().enumerate() {
            assert_eq!(*result, (i != 7).then_some(i * i));
        }
        let late = Crew { jobs: 2, limit: Some(Duration::ZERO) };
        assert_eq!(late.run(3, |i| i), [None; 3]);
    }
}
