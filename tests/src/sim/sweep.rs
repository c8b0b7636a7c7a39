//! The same scenario with many seeds.

use std::time::Instant;

/// Runs `scenario` with seeds 1 to `default`, or as many as `MPT_SEEDS` says; `MPT_SEED` runs that one
/// alone. When it panics, says with which seed.
///
/// # Panics
/// When the scenario does.
pub fn sweep(name: &str, default: u64, mut scenario: impl FnMut(u64)) {
    let seeds = match (number("MPT_SEED"), number("MPT_SEEDS")) {
        (Some(one), _) => one..=one,
        (None, count) => 1..=count.unwrap_or(default),
    };
    let count = seeds.clone().count();
    #[allow(clippy::disallowed_methods, reason = "how long a test took, outside the simulation")]
    let began = Instant::now();
    for seed in seeds {
        let shown = Shown { name, seed };
        scenario(seed);
        drop(shown);
    }
    println!("{name}: {count} seeds in {:.1} s", began.elapsed().as_secs_f64());
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Prints its seed when the scenario panics.
struct Shown<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}: failed with seed {seed}; MPT_SEED={seed} repeats it alone",
                self.name,
                seed = self.seed
            );
        }
    }
}
