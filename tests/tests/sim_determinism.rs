//! The same seed gives the same run, to the byte.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{BurstLoss, LinkProfile};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Everything at once: jitter that reorders, bursts of loss, a failure, a rebinding, a restart.
fn eventful(seed: u64) -> (u64, Vec<(u64, u64)>) {
    let link = |delay| LinkProfile {
        rate_bps: Some(8_000_000),
        delay: MS * delay,
        jitter: MS * 3,
        reorder: true,
        loss: 0.01,
        burst: Some(BurstLoss { mean_length: 4.0, loss: 0.01 }),
        ..Default::default()
    };
    let mut w = World::new(seed);
    let hub = w.add_end();
    for i in 0..3 {
        let spoke = w.add_end();
        w.connect(spoke, hub, &[link(5 + i), link(30)], Far::Hub);
        w.stream(Traffic::new(spoke, hub, 1e6));
        w.stream(Traffic::new(hub, spoke, 1e6).on_off(100 * MS, 50 * MS));
    }
    w.run(2 * S);
    w.lines[1].cut(Way::Down);
    w.rebind(2);
    w.run(S);
    w.kill(hub);
    w.run(100 * MS);
    w.start(hub);
    w.run(2 * S);
    (w.digest(), w.streams.iter().map(|s| (s.sent, s.delivered)).collect())
}

#[test]
fn the_same_seed_gives_the_same_datagrams() {
    sweep("determinism", 5, |seed| {
        let run = eventful(seed);
        assert_eq!(run, eventful(seed));
        assert_ne!(run.0, eventful(seed + 1_000_000).0);
        assert!(run.1.iter().all(|(_, delivered)| *delivered > 200), "{:?}", run.1);
    });
}
