//! Nothing is lost with a path, in the real kernel. Needs root or user namespaces. `mpt-lab failures` has all rows, and
//! longer.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_lab::failures::{FailuresOptions, Outcome, Row, perform, rows};
use std::path::PathBuf;
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

/// Runs the row whose name has this word in it, shorter.
fn run(word: &str, duration: Duration) -> Outcome {
    let options = FailuresOptions { times: 1, seconds: 8, seed: 7, only: Vec::new(), json: false };
    let row = rows(&options).into_iter().find(|row| row.name.contains(word)).unwrap();
    let outcome = perform(&PathBuf::from(env!("CARGO_BIN_EXE_mpt-lab")), &Row { duration, ..row });
    let outcome = outcome.unwrap();
    println!("{outcome}");
    assert_eq!((outcome.out_of_order, outcome.duplicates), (0, 0));
    outcome
}

fn nothing_lost(outcome: &Outcome, longest_gap: Duration) -> Result<(), String> {
    expect(outcome.lost == 0, format!("{} lost", outcome.lost))?;
    let gap = Duration::from_secs_f64(outcome.longest_gap);
    expect(gap < longest_gap, format!("nothing came for {gap:?}"))
}

#[test]
fn a_path_that_swallows_everything_loses_nothing() {
    attempts(|| {
        let outcome = run("swallows", ms(6_000));
        expect(outcome.rescued > 20, "nothing was under way when it failed")?;
        nothing_lost(&outcome, ms(300))
    });
}

#[test]
fn an_interface_taken_down_loses_nothing() {
    attempts(|| nothing_lost(&run("taken down", ms(6_000)), ms(200)));
}

#[test]
fn five_per_cent_loss_on_a_path_is_repaired() {
    attempts(|| {
        let outcome = run("5 % loss", ms(6_000));
        expect(outcome.sent_again > 100, "nothing was lost on the way")?;
        nothing_lost(&outcome, ms(300))
    });
}
