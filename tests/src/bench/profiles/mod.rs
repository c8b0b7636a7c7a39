//! Sixteen networks of two links: what one flow, a constant stream and a call get there.
//!
//! Each cell of the tables is a traffic over a carrier in a profile's network, which is made for it:
//! emulated links, routers with daemons that have learned nothing yet, hosts. Traffic runs from the
//! first host to the second for so many seconds, of which the first do not count. Delays are one way,
//! by the clock that all namespaces share. Carriers are the tunnel with each scheduler over both links
//! (weights are the links' rates), the tunnel over either link alone, link A without a tunnel, and
//! the kernel's MPTCP between the routers.
//!
//! In a round a traffic goes over all carriers before the next traffic begins, every other round
//! backwards, so that what is compared was measured within minutes of each other. A cell that fails is
//! told with its reason; the others go on.

mod carrier;
mod cell;
mod figure;
mod json;
mod network;
mod options;
mod plan;
mod quic;
mod records;
mod table;
mod tcp;
mod traffic;
mod window;

pub use options::ProfilesOptions;
pub use traffic::{Beside, Traffic};

use super::facts::Facts;
use super::{check_interrupt, write_reports};
use crate::sim::profiles::Profile;
use carrier::Carrier;
use cell::Cell;
use mpt_core::Time;
use plan::Plan;
use records::{Key, Records};

/// What a cell takes besides its traffic: its network is built, its tunnel comes up.
const BRING_UP: f64 = 3.0;

/// Runs it and prints its tables; progress goes to stderr.
///
/// # Errors
/// When the options make no sense, the daemon knows no such scheduler, a file cannot be written, or on
/// Ctrl-C.
pub fn run(options: &ProfilesOptions) -> anyhow::Result<()> {
    let plan = Plan::new(options)?;
    for carrier in &plan.carriers {
        if let Carrier::Both(scheduler) = carrier {
            network::accepts(&plan.profiles()[0], scheduler)?;
        }
    }
    let facts = Facts::gather();
    let mut run = Run { options, plan: &plan, records: Records::default(), start: crate::now() };
    let cells = plan.cells() * options.rounds as usize;
    let minutes = cells as f64 * (options.seconds + BRING_UP) / 60.0;
    run.line(&format!("{cells} cells, about {minutes:.0} minutes"));
    // What was measured before Ctrl-C is told all the same.
    let ended = (1..=options.rounds).try_for_each(|round| run.round(round));
    let records = run.records;
    let mut text = format!(
        "# mpt-lab bench profiles\n\n{facts}.\n{} of {} s, without the first {} s: median (range).\n\n",
        match options.rounds {
            1 => "One round".to_owned(),
            rounds => format!("{rounds} rounds"),
        },
        options.seconds,
        options.warm_up().as_secs_f64()
    );
    for &traffic in &plan.traffics {
        text += &table::traffic(options, &plan, &records, traffic);
    }
    text += &table::failures(&records);
    let report = || json::report(options, &facts, &plan, &records);
    write_reports(&text, options.markdown.as_deref(), options.json.as_deref(), report)?;
    ended
}

/// A run under way.
struct Run<'a> {
    options: &'a ProfilesOptions,
    plan: &'a Plan,
    records: Records,
    start: Time,
}

impl Run<'_> {
    fn round(&mut self, round: u32) -> anyhow::Result<()> {
        let plan = self.plan;
        for profile in plan.profiles() {
            self.line(&format!("round {round} of {}, {}", self.options.rounds, profile.name));
            for traffic in plan.traffics_in(profile) {
                let mut carriers: Vec<&Carrier> =
                    plan.carriers.iter().filter(|carrier| traffic.goes_by(carrier)).collect();
                if round.is_multiple_of(2) {
                    carriers.reverse();
                }
                for carrier in carriers {
                    self.measure(profile, traffic, carrier, round)?;
                }
            }
        }
        Ok(())
    }

    fn measure(
        &mut self,
        profile: &Profile,
        traffic: Traffic,
        carrier: &Carrier,
        round: u32,
    ) -> anyhow::Result<()> {
        check_interrupt()?;
        let key = Key { profile: profile.name, traffic, carrier: carrier.clone() };
        let cell = Cell { profile, traffic, carrier };
        let result = match cell.measure(self.options, round) {
            Ok(samples) => {
                let mut words = Vec::new();
                for (figure, value) in samples {
                    words.push(format!("{} {}", figure.title(), figure.show(value)));
                    self.records.add(&key, figure, round, value);
                }
                words.join("; ")
            }
            Err(error) => {
                check_interrupt()?;
                let reason = format!("{error:#}");
                self.records.fail(key, round, reason.clone());
                format!("failed: {reason}")
            }
        };
        self.line(&format!("  {:10} {:12} {result}", traffic.name(), carrier.title()));
        Ok(())
    }

    fn line(&self, text: &str) {
        let seconds = crate::now().since(self.start).as_secs();
        eprintln!("{:3}:{:02} {text}", seconds / 60, seconds % 60);
    }
}
