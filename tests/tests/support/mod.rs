//! What the tests of whole tunnels share: testbeds, streams both ways, and a watch over statuses.
#![allow(clippy::unwrap_used, reason = "part of tests")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use mpt_core::Time;
use mpt_core::control::{DropCount, PathStatus, Status};
use mpt_lab::stream::{Stream, StreamConfig, StreamResult};
use mpt_lab::testbed::{LinkSpec, Site, Testbed, TestbedBuilder};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a tunnel may take to come up when nothing is wrong.
pub const UP_WITHIN: Duration = Duration::from_secs(10);

/// Within this traffic is to flow again after whatever happened to addresses or daemons.
pub const AGAIN_WITHIN: Duration = Duration::from_secs(2);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// A bridge of 20 Mbit/s and 3 ms.
pub fn bridge() -> LinkSpec {
    LinkSpec::new(20_000_000, ms(3))
}

/// Begins a testbed.
pub fn testbed() -> TestbedBuilder {
    Testbed::builder(env!("CARGO_BIN_EXE_mpt-lab"))
}

/// A pair joined by this many bridges, its tunnel up.
pub fn running_pair(bridges: usize) -> Testbed {
    running(testbed().links(vec![bridge(); bridges]))
}

/// The testbed, its tunnel up.
pub fn running(builder: TestbedBuilder) -> Testbed {
    let mut testbed = builder.build().unwrap();
    testbed.start(UP_WITHIN).unwrap_or_else(|e| panic!("{e:#}"));
    testbed
}

/// Measures again, three times in all, while `measure` finds its figures out of bounds: another
/// process may have had the CPU.
pub fn attempts(mut measure: impl FnMut() -> Result<(), String>) {
    for attempt in 1..=3 {
        match measure() {
            Ok(()) => return,
            Err(why) if attempt == 3 => panic!("{why}"),
            Err(why) => println!("once more: {why}"),
        }
    }
}

/// For [`attempts`]: an error that says `what` unless `good`.
pub fn expect(good: bool, what: impl Into<String>) -> Result<(), String> {
    if good { Ok(()) } else { Err(what.into()) }
}

/// A stream each way between the hosts of two sites, 4 Mbit/s in packets of 1000 bytes.
pub struct Traffic {
    streams: [Stream; 2],
}

impl Traffic {
    pub fn start(one: &Site, other: &Site) -> Self {
        Self::at_rates(one, other, [4_000_000; 2])
    }

    /// Bits a second, there and back.
    pub fn at_rates(one: &Site, other: &Site, rates: [u64; 2]) -> Self {
        Self::with(one, other, rates, 0)
    }

    /// Beside others: each needs a `number` of its own.
    pub fn start_at(one: &Site, other: &Site, number: usize) -> Self {
        Self::with(one, other, [4_000_000; 2], number)
    }

    fn with(one: &Site, other: &Site, rates: [u64; 2], number: usize) -> Self {
        let port = 5000 + number as u16;
        let stream = |from: &Site, to: &Site, rate| {
            let config = StreamConfig {
                duration: Duration::from_secs(60),
                linger: ms(500),
                record: true,
                ..StreamConfig::new(to.host_port(port), rate)
            };
            Stream::start(from.host(), to.host(), &config).unwrap()
        };
        Self { streams: [stream(one, other, rates[0]), stream(other, one, rates[1])] }
    }

    /// Ends both, and tells what came of them.
    pub fn finish(self) -> [StreamResult; 2] {
        self.streams.iter().for_each(Stream::stop);
        self.streams.map(|stream| {
            let result = stream.finish();
            assert_eq!(result.corrupt, 0);
            assert_eq!(result.receiver_dropped, 0, "the lab could not keep up");
            result
        })
    }
}

/// How long after `event` packets flowed again: to the end of the last pause of more than 60 ms that
/// lies after it. Longest when nothing came in the end.
pub fn again_after(stream: &StreamResult, event: Time) -> Duration {
    let arrivals: Vec<Time> = stream.arrivals.iter().map(|a| a.at).collect();
    // Those at 500 a second; the end of the stream itself is a pause like any other.
    let end = stream.start + Duration::from_secs_f64(stream.timeline.len() as f64 * stream.bucket);
    let last = arrivals.last().copied().unwrap_or(stream.start);
    if end.since(last) > ms(600) {
        return Duration::MAX;
    }
    let pause = arrivals.windows(2).rfind(|w| w[1] > event && w[1].since(w[0]) > ms(60));
    pause.map_or(Duration::ZERO, |w| w[1].since(event))
}

/// Packets of `stream` that were lost among those sent from `from` to `to`.
pub fn lost_between(stream: &StreamResult, from: Time, to: Time) -> u64 {
    let offset = |t: Time| t.since(stream.start).as_secs_f64();
    stream.lost_between(offset(from), offset(to))
}

/// Looks at a daemon's status every 10 ms, also while it is restarted.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Time, Status)>>,
}

/// What a watch saw.
pub struct Seen(Vec<(Time, Status)>);

impl Watch {
    pub fn start(site: &mut Site) -> Self {
        let ask = site.daemon().unwrap().status_source();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(status) = ask() {
                    seen.push((mpt_lab::now(), status));
                }
                sleep(ms(10));
            }
            seen
        });
        Self { stop, thread }
    }

    pub fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        Seen(self.thread.join().unwrap())
    }
}

impl Seen {
    /// How long after `event` the path was first seen in use, or out of use.
    pub fn in_use(&self, path: &str, in_use: bool, event: Time) -> Option<Duration> {
        self.first(event, |status| path_of(status, path).is_some_and(|p| p.in_use == in_use))
    }

    /// How long after `event` the status was first so.
    pub fn first(&self, event: Time, so: impl Fn(&Status) -> bool) -> Option<Duration> {
        let (at, _) = self.0.iter().find(|(at, status)| *at >= event && so(status))?;
        Some(at.since(event))
    }

    /// Every different value of something, in the order in which they were seen.
    pub fn values<T: PartialEq>(&self, of: impl Fn(&Status) -> T) -> Vec<T> {
        let mut values: Vec<T> = self.0.iter().map(|(_, status)| of(status)).collect();
        values.dedup();
        values
    }
}

/// The path of that name, of the first peer that has one.
pub fn path_of<'a>(status: &'a Status, name: &str) -> Option<&'a PathStatus> {
    status.peers.iter().flat_map(|p| &p.paths).find(|p| p.name == name)
}

/// All drops by reason, those of peers and those of nobody together.
pub fn drops(status: &Status) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for DropCount { reason, count } in
        status.peers.iter().flat_map(|p| &p.drops).chain(&status.drops)
    {
        *all.entry(reason.clone()).or_insert(0) += count;
    }
    all
}

/// What came on top since `before`.
pub fn more(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let difference = now
        .iter()
        .map(|(reason, count)| (reason.clone(), count - before.get(reason).copied().unwrap_or(0)));
    difference.filter(|(_, count)| *count > 0).collect()
}

/// "bridge1 up, bridge2 down (probes unanswered)".
pub fn paths_in_words(status: &Status) -> String {
    let paths = status.peers.iter().flat_map(|p| &p.paths);
    let words = paths.map(|p| match p.state.as_str() {
        "up" => format!("{} up", p.name),
        state => format!("{} {state} ({})", p.name, p.why),
    });
    words.collect::<Vec<_>>().join(", ")
}
