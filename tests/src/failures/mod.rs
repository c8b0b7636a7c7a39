//! What is lost when paths fail and when they lose: a stream in the real kernel, row by row, beside the goals.
//!
//! Each row builds routers and links of its own, with the tunnel's default configuration, sends one
//! numbered stream, lets its accident happen, and says what came of it. A row that misses its goal is marked; that
//! is no error, for the machine may have been busy.

mod accident;
mod comparisons;
mod options;
mod outcome;
mod rows;
mod video;

pub use accident::Accident;
pub use options::FailuresOptions;
pub use outcome::Outcome;
pub use rows::{Goal, Row, rows};

use crate::measure::goodput;
use crate::stream::{Stream, StreamConfig};
use crate::sys::process::{catch_interrupts, interrupted};
use crate::testbed::Testbed;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

/// How long the tunnel may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// Estimates settle and the search for the MTU ends before the stream begins.
const SETTLE: Duration = Duration::from_millis(1_500);

/// The host's port.
const STREAM_PORT: u16 = 5000;

/// Payload of a packet.
const SIZE: usize = 1_000;

/// Runs the rows and prints each.
///
/// # Errors
/// When a testbed or the tunnel does not come up, or a daemon ends; also on Ctrl-C.
pub fn run(options: &FailuresOptions) -> Result<()> {
    catch_interrupts();
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    if !options.json {
        println!("{}", Outcome::HEADING);
    }
    let mut all = Vec::new();
    for row in rows(options).into_iter().filter(|row| options.wants(row.name)) {
        let mut outcome: Option<Outcome> = None;
        for number in 0..row.times {
            let once = Row { seed: row.seed + u64::from(number), ..row.clone() };
            let one = perform(&program, &once).with_context(|| row.name.to_owned())?;
            outcome = Some(outcome.map_or(one.clone(), |all| all.and(one)));
        }
        let Some(mut outcome) = outcome else { continue };
        outcome.judge(&row);
        if !options.json {
            println!("{outcome}");
        }
        all.push(outcome);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    if !options.json {
        comparisons::compare(&program, options)?;
        if options.wants("video") {
            video::compare(&program, options)?;
        }
    }
    Ok(())
}

/// Runs a row once.
///
/// # Errors
/// As [`run`].
pub fn perform(program: &PathBuf, row: &Row) -> Result<Outcome> {
    let mut testbed = Testbed::builder(program).links(row.links.iter().copied()).build()?;
    testbed.start(UP_WITHIN).context("the tunnel did not come up")?;
    std::thread::sleep(SETTLE);
    let rate: u64 = row.rates().iter().sum();
    let config = StreamConfig {
        size: SIZE,
        duration: row.duration,
        linger: Duration::from_secs(1),
        seed: row.seed,
        ..StreamConfig::new(
            testbed.b().host_port(STREAM_PORT),
            (goodput(rate, SIZE) * row.share) as u64,
        )
    };
    let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
    let mut accident = row.accident.begin(stream.start_time(), row.duration, row.seed);
    while !stream.is_finished() {
        accident.turn(crate::now(), &testbed)?;
        if interrupted() {
            bail!("interrupted");
        }
        let soon = crate::now() + Duration::from_millis(20);
        crate::sys::time::sleep_until(accident.next().map_or(soon, |at| at.min(soon)));
    }
    let stream = stream.finish();
    let mut statuses = Vec::new();
    for site in 0..2 {
        statuses.push(testbed.site_mut(site).daemon()?.status()?);
    }
    Outcome::new(row.name, &stream, &statuses[0], &statuses[1], accident.events())
}
