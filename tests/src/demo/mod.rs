//! The demonstration: a stream over all bridges, one of which is unplugged and comes back.
//!
//! A LAN host sends one UDP stream to another, through two routers joined by bridges. After a third
//! of the time bridge 1 goes dark without a word, after two thirds it returns. Meanwhile a line
//! twice a second shows what comes over each bridge and what reaches the host; at the end a summary
//! compares that with what the bridges can carry.

mod live;
mod observer;
mod options;
mod report;

pub use options::DemoOptions;
pub use report::{DemoReport, Goal, Phase};

use crate::stream::{Stream, StreamConfig, StreamResult};
use crate::sys::process::{catch_interrupts, interrupted};
use crate::testbed::{LinkSpec, Testbed};
use anyhow::{Context as _, Result, bail};
use live::Live;
use mpt_core::Time;
use mpt_core::control::Status;
use observer::{Observation, Observer};
use std::io::Write as _;
use std::time::Duration;

/// How long the tunnel may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// The host's port.
const STREAM_PORT: u16 = 5000;

/// What was seen in a run.
struct Seen {
    unplugged_at: Time,
    plugged_at: Time,
    stream: StreamResult,
    observation: Observation,
    /// The receiving daemon's last status.
    receiver: Option<Status>,
}

/// Runs the demonstration and prints it. Goals that were missed are printed, and no error.
///
/// # Errors
/// When the testbed or the tunnel does not come up, or a daemon ends; also on Ctrl-C.
pub fn run(options: &DemoOptions) -> Result<()> {
    catch_interrupts();
    let mut testbed = build(options)?;
    let mut live = Live::new(options);
    live.introduce();
    if options.without_tunnel {
        testbed.route_without_tunnel(1)?;
    } else {
        testbed.start(UP_WITHIN).context("the tunnel did not come up")?;
    }
    let seen = perform(options, &mut testbed, &mut live)?;
    let report = DemoReport::new(options, &testbed, seen);
    let mut out = std::io::stdout();
    // A reader that has gone (`| head`) is no error.
    let _ = if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)
    } else {
        write!(out, "{report}")
    };
    Ok(())
}

fn build(options: &DemoOptions) -> Result<Testbed> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let bridge = LinkSpec::new(options.link_rate, options.delay);
    let testbed =
        Testbed::builder(program).links(std::iter::repeat_n(bridge, options.paths)).build()?;
    (1..=options.paths).for_each(|number| testbed.link(number).record());
    Ok(testbed)
}

/// Sends the stream, pulls the plug and puts it back, and draws meanwhile.
fn perform(options: &DemoOptions, testbed: &mut Testbed, live: &mut Live) -> Result<Seen> {
    let config = StreamConfig {
        size: options.size,
        duration: options.duration(),
        ..StreamConfig::new(testbed.b().host_port(STREAM_PORT), options.rate())
    };
    let observer = match options.without_tunnel {
        true => None,
        false => Some(Observer::start(testbed.site_mut(0).daemon()?.status_source())?),
    };
    let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
    let start = stream.start_time();
    let (unplug_at, plug_at) = (start + options.duration() / 3, start + options.duration() * 2 / 3);
    let (mut unplugged_at, mut plugged_at) = (None, None);
    while !stream.is_finished() {
        let now = crate::now();
        if now >= unplug_at && unplugged_at.is_none() {
            testbed.link(1).unplug();
            unplugged_at = Some(crate::now());
            live.note("bridge 1 unplugged");
        }
        if now >= plug_at && plugged_at.is_none() {
            testbed.link(1).plug();
            plugged_at = Some(crate::now());
            live.note("bridge 1 back");
        }
        live.draw(now, testbed, &stream);
        if interrupted() {
            bail!("interrupted");
        }
        if !options.without_tunnel {
            for site in 0..2 {
                let daemon = testbed.site_mut(site).daemon()?;
                if let Some(status) = daemon.ended()? {
                    bail!("a daemon ended, {status}; its log:\n{}", daemon.log());
                }
            }
        }
        let next = [unplug_at, plug_at].into_iter().filter(|&t| t > now).min();
        let wake = now + Duration::from_millis(50);
        crate::sys::time::sleep_until(next.map_or(wake, |t| t.min(wake)));
    }
    let observation = observer.map(Observer::finish).unwrap_or_default();
    let stream = stream.finish();
    let unplugged_at = unplugged_at.context("the stream ended before the bridge was unplugged")?;
    let plugged_at = plugged_at.context("the stream ended before the bridge came back")?;
    let receiver = match options.without_tunnel {
        true => None,
        false => Some(testbed.site_mut(1).daemon()?.status()?),
    };
    Ok(Seen { unplugged_at, plugged_at, stream, observation, receiver })
}
