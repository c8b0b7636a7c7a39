//! Two handshakes that cross leave each end sealing under another session than the other's newest.
//! That may not hurt, now or later: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::DropReason;
use mpt_lab::link::LinkProfile;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Datagrams that each end could not make out whose they are.
fn unknown(w: &World) -> [u64; 2] {
    let label = DropReason::UnknownIndex.label();
    [0, 1].map(|end| {
        let drops = w.ends[end].endpoint.status(w.now).drops;
        drops.iter().find(|d| d.reason == label).map_or(0, |d| d.count)
    })
}

#[test]
fn ends_that_begin_together_go_on_when_old_keys_are_forgotten() {
    sweep("crossed sessions", 60, |seed| {
        // While the first has been calling for a while and the other one starts, what both say crosses.
        let delay = LinkProfile { delay: MS * 120, ..Default::default() };
        let mut w = World::pair(seed, &[delay; 2], Far::Configured);
        let apart = w.any(S * 5);
        w.kill(1);
        w.run(apart);
        w.start(1);
        w.run(S * 2);
        let before = unknown(&w);
        let streams = [w.stream(Traffic::new(0, 1, 2e5)), w.stream(Traffic::new(1, 0, 2e5))];
        // Old keys are forgotten after 30 s.
        w.run(S * 40);
        w.stop_streams();
        w.run(S);
        for stream in streams {
            let missing = w.streams[stream].missing();
            assert_eq!((missing, w.streams[stream].out_of_order), (0, 0));
        }
        assert_eq!(unknown(&w), before, "datagrams of a session the other end has forgotten");
        let begun = [0, 1].map(|end| w.ends[end].peer(w.now).session_age.unwrap());
        assert!(begun.iter().all(|age| *age > 40.0), "new keys were needed: {begun:?}");
    });
}
