//! The state machine, row by row.

use super::simulation::{at, ms};
use crate::config::ProbeIntervals;
use crate::path::{Change, PathHealth, State, TokenSource, Usability};
use crate::{DownReason, Time};

const RTT: u64 = 20;

fn new() -> PathHealth {
    PathHealth::new(at(0), ProbeIntervals::default(), TokenSource::new([3; 16]))
}

/// Lets every probe be answered after 20 ms for `millis`.
fn answered(health: &mut PathHealth, from: u64, millis: u64) {
    let mut echoes = Vec::new();
    for t in from..from + millis {
        echoes.retain(|&(due, token)| due > t || !health.on_echo(at(t), token));
        tick(health, t, &mut echoes);
    }
}

/// Lets every probe be lost for `millis`.
fn unanswered(health: &mut PathHealth, from: u64, millis: u64) {
    for t in from..from + millis {
        tick(health, t, &mut Vec::new());
    }
}

fn tick(health: &mut PathHealth, t: u64, echoes: &mut Vec<(u64, u64)>) {
    health.handle_timeout(at(t));
    if let Some(probe) = health.poll_probe(at(t)) {
        echoes.push((t + RTT, probe.token));
    }
}

fn changes(health: &mut PathHealth) -> Vec<Change> {
    std::iter::from_fn(|| health.poll_change()).collect()
}

/// Up for a second, all changes drained.
fn up() -> PathHealth {
    let mut health = new();
    answered(&mut health, 0, 1_000);
    assert_eq!(changes(&mut health), [Change::Up]);
    health
}

fn is(health: &PathHealth, now: Time, state: State, usability: Usability, why: &str) {
    assert_eq!((health.state(), health.usability(now)), (state, usability));
    assert!(health.why().contains(why), "{:?} does not say {why:?}", health.why());
}

#[test]
fn a_new_path_is_probed_and_of_no_use() {
    let mut health = new();
    is(&health, at(0), State::Probing, Usability::No, "no answer yet");
    assert_eq!(health.poll_timeout(at(0)), Some(at(0)), "a probe is due at once");
    assert!(health.poll_probe(at(0)).is_some() && health.poll_probe(at(0)).is_none());
    assert!(changes(&mut health).is_empty());
}

#[test]
fn a_handshake_over_it_is_proof() {
    let mut health = new();
    health.on_proven(at(5), Some(ms(12)));
    is(&health, at(5), State::Up, Usability::Preferred, "answers");
    assert_eq!((health.rtt().smoothed(), changes(&mut health)), (Some(ms(12)), vec![Change::Up]));
    health.on_proven(at(6), Some(ms(99)));
    assert_eq!(health.rtt().smoothed(), Some(ms(12)), "probes measure better");
}

#[test]
fn suspicion_is_lifted_by_progress_or_by_a_probe_sent_after_it_began() {
    for by_progress in [true, false] {
        let mut health = up();
        health.on_traffic(at(1_000));
        health.on_sent_data(at(1_000), crate::WorkerId::default(), 1, 1_000);
        let early = health.poll_probe(at(1_000)).unwrap();
        // 20 ms, a quarter of it, what is left of the variation, and two intervals of 10 ms.
        health.on_report(at(1_001), crate::WorkerId::default(), 0, ms(10));
        health.handle_timeout(at(1_079));
        assert_eq!(health.state(), State::Up);
        health.handle_timeout(at(1_095));
        is(&health, at(1_095), State::Suspected, Usability::LastResort, "does not arrive");
        assert_eq!(changes(&mut health), [Change::Other]);
        health.on_echo(at(1_096), early.token);
        assert_eq!(health.state(), State::Suspected, "that probe left before");
        if by_progress {
            health.on_report(at(1_097), crate::WorkerId::default(), 1, ms(10));
            is(&health, at(1_097), State::Up, Usability::Preferred, "data arrives again");
        } else {
            let probe = health.poll_probe(at(1_100)).expect("in a hurry");
            health.on_echo(at(1_120), probe.token);
            is(&health, at(1_120), State::Up, Usability::Preferred, "answers again");
            health.handle_timeout(at(1_400));
            assert_eq!(health.state(), State::Up, "what was lost before counts no more");
        }
        assert_eq!((changes(&mut health), health.downs()), (vec![Change::Other], 0));
    }
}

#[test]
fn a_missed_probe_is_suspicious_only_where_data_is_out() {
    for data in [true, false] {
        let mut health = up();
        health.on_traffic(at(1_000));
        // Lots of time for the data itself: its reports are rare.
        if data {
            health.on_sent_data(at(1_000), crate::WorkerId::default(), 1, 1_000);
        }
        let _ = health.poll_probe(at(1_000)).unwrap();
        health.handle_timeout(at(1_180));
        let expected = if data { State::Suspected } else { State::Up };
        assert_eq!(health.state(), expected);
    }
}

#[test]
fn three_missed_probes_are_down_and_three_answers_bring_it_back() {
    let mut health = up();
    unanswered(&mut health, 1_000, 6_000);
    is(&health, at(7_000), State::Down, Usability::No, "probes unanswered");
    assert_eq!(changes(&mut health), [Change::Down(DownReason::ProbesMissed)]);
    assert!(!health.is_unusable_here() && health.is_unanswered());
    let mut answers = 0;
    for t in 7_000..9_000 {
        if let Some(probe) = health.poll_probe(at(t)) {
            assert_eq!(health.state(), State::Down, "after {answers}");
            health.on_echo(at(t), probe.token);
            answers += 1;
            if health.state() == State::Up {
                break;
            }
        }
    }
    assert_eq!((answers, health.downs()), (3, 1));
    assert_eq!(changes(&mut health), [Change::Up]);
    assert!(!health.is_unusable_here());
}

#[test]
fn answers_to_probes_sent_before_it_went_down_bring_nothing_back() {
    let mut health = up();
    let mut tokens = Vec::new();
    for t in 1_000..8_000 {
        if health.state() == State::Up {
            tick(&mut health, t, &mut tokens);
        }
    }
    assert_eq!(health.state(), State::Down);
    assert!(tokens.len() >= 3);
    for (_, token) in tokens {
        assert!(health.on_echo(at(8_000), token), "it is still a measurement");
    }
    assert_eq!(health.state(), State::Down);
}

#[test]
fn a_local_end_that_goes_takes_the_path_down_at_once() {
    let mut health = up();
    health.set_local_gone(at(1_000), "interface wan1 is down".to_owned());
    is(&health, at(1_000), State::Down, Usability::No, "interface wan1 is down");
    let why = DownReason::Local("interface wan1 is down".to_owned());
    assert_eq!(changes(&mut health), [Change::Down(why)]);
    assert_eq!((health.poll_probe(at(9_000)), health.poll_timeout(at(9_000))), (None, None));
    health.set_local_ready(at(9_000));
    assert_eq!(health.poll_timeout(at(9_000)), Some(at(9_000)));
    answered(&mut health, 9_000, 400);
    is(&health, at(9_400), State::Up, Usability::Preferred, "answers again");
    assert_eq!(health.downs(), 1);
}

#[test]
fn a_local_end_that_never_was_waits_without_counting_as_a_failure() {
    let mut health = new();
    health.set_local_gone(at(0), "interface wan1 does not exist".to_owned());
    is(&health, at(0), State::Down, Usability::No, "does not exist");
    assert_eq!((changes(&mut health), health.downs()), (vec![Change::Other], 0));
    health.set_local_ready(at(500));
    assert_eq!(health.state(), State::Probing);
    answered(&mut health, 500, RTT + 1);
    assert_eq!(health.state(), State::Up, "the first answer is enough");
}

#[test]
fn the_peers_word_takes_it_down_once_and_does_not_keep_it_down() {
    let mut health = up();
    health.set_unusable_for_peer(at(1_000), true);
    is(&health, at(1_000), State::Down, Usability::No, "peer");
    assert_eq!(changes(&mut health), [Change::Down(DownReason::Remote)]);
    assert!(!health.is_unusable_here(), "the peer's word is not passed back to it");
    assert!(health.is_down_for_peer() && !health.is_unanswered());
    health.set_unusable_for_peer(at(1_001), true);
    answered(&mut health, 1_001, 600);
    assert_eq!((health.state(), changes(&mut health)), (State::Up, vec![Change::Up]));
    health.set_unusable_for_peer(at(1_700), true);
    assert_eq!(health.state(), State::Up, "said before");
    // The peer has it back; a report that was overtaken still says otherwise.
    health.set_unusable_for_peer(at(1_800), false);
    health.set_unusable_for_peer(at(1_830), true);
    assert_eq!(health.state(), State::Up);
    health.set_unusable_for_peer(at(1_900), false);
    health.set_unusable_for_peer(at(4_000), true);
    assert_eq!(health.state(), State::Down);
}

#[test]
fn operators_at_both_ends_disable_and_enable() {
    let mut health = up();
    health.set_disabled(at(1_000), true);
    is(&health, at(1_000), State::Disabled, Usability::No, "disabled here");
    assert!(health.is_disabled());
    assert_eq!(changes(&mut health), [Change::Down(DownReason::Disabled)]);
    assert!(health.poll_probe(at(1_000)).is_some(), "the peer is told at once");
    assert_eq!(health.poll_probe(at(2_900)), None, "then slowly");
    health.set_disabled_by_peer(at(3_000), true);
    health.set_disabled(at(3_100), false);
    is(&health, at(3_100), State::Disabled, Usability::No, "by the peer");
    answered(&mut health, 3_100, 5_000);
    assert_eq!(health.state(), State::Disabled, "answers do not enable it");
    unanswered(&mut health, 8_100, 20_000);
    assert_eq!(health.state(), State::Disabled, "nor does silence take it down");
    health.set_disabled_by_peer(at(28_100), false);
    is(&health, at(28_100), State::Probing, Usability::No, "enabled");
    answered(&mut health, 28_100, RTT + 1);
    assert_eq!((health.state(), health.downs()), (State::Up, 0));
}

#[test]
fn disabled_and_gone_come_back_in_any_order() {
    let mut health = up();
    health.set_disabled(at(1_000), true);
    health.set_local_gone(at(1_001), "gone".to_owned());
    assert_eq!(health.state(), State::Disabled);
    health.set_disabled(at(1_002), false);
    is(&health, at(1_002), State::Down, Usability::No, "gone");
    health.set_local_ready(at(1_003));
    answered(&mut health, 1_003, 400);
    assert_eq!(health.state(), State::Up);
}

#[test]
fn a_refusal_is_down_with_its_text() {
    let mut health = up();
    health.on_failed(at(1_000), DownReason::Refused("the peer wants cipher none".to_owned()));
    is(&health, at(1_000), State::Down, Usability::No, "cipher none");
}

#[test]
fn a_session_that_ends_starts_everything_afresh() {
    let mut health = up();
    for seq in 0..100 {
        health.on_sent_data(at(1_000), crate::WorkerId::default(), seq, 1_000);
    }
    health.on_session_ended(at(1_001));
    is(&health, at(1_001), State::Probing, Usability::No, "session ended");
    assert_eq!(changes(&mut health), [Change::Down(DownReason::SessionEnded)]);
    health.handle_timeout(at(60_000));
    assert_eq!(health.state(), State::Probing, "nothing of the old session counts");
    health.on_sent_data(at(60_000), crate::WorkerId::default(), 1, 1_000);
    health.on_proven(at(60_000), None);
    health.on_report(at(60_050), crate::WorkerId::default(), 1, ms(10));
    health.handle_timeout(at(61_000));
    assert_eq!((health.state(), health.downs()), (State::Up, 0));
}

#[test]
fn a_change_between_two_looks_is_not_lost() {
    let mut health = up();
    health.on_failed(at(1_000), DownReason::NoProgress);
    answered(&mut health, 1_000, 600);
    assert_eq!(health.state(), State::Up);
    assert_eq!(changes(&mut health), [Change::Down(DownReason::NoProgress), Change::Up]);
}

#[test]
fn probe_intervals_of_a_user_are_kept() {
    let intervals = ProbeIntervals { active: ms(5_000), idle: ms(60_000) };
    let mut health = PathHealth::new(at(0), intervals, TokenSource::new([3; 16]));
    let mut sent = 0;
    for t in (0..600_000).step_by(10) {
        health.handle_timeout(at(t));
        if let Some(probe) = health.poll_probe(at(t)) {
            health.on_echo(at(t), probe.token);
            sent += 1;
        }
    }
    assert_eq!((sent, health.state()), (10, State::Up));
}

#[test]
fn a_peer_that_is_heard_has_not_failed_because_a_few_echoes_are_lost() {
    let (mut silent, mut heard) = (up(), up());
    let mut down_after = [None, None];
    for t in (1_000..4_000).step_by(10) {
        heard.on_heard(at(t));
        for (health, down) in [&mut silent, &mut heard].into_iter().zip(&mut down_after) {
            health.on_traffic(at(t));
            health.handle_timeout(at(t));
            let _ = health.poll_probe(at(t));
            if health.state() == State::Down {
                down.get_or_insert(t - 1_000);
            }
        }
    }
    let [silent, heard] = down_after.map(Option::unwrap);
    assert!(silent < 450, "{silent} ms");
    assert!(heard > silent + 150, "{heard} ms, {silent} ms");
}

#[test]
fn calm_is_told_once_after_probes_were_missed() {
    let mut health = up();
    answered(&mut health, 1_000, 30_000);
    assert!(!health.poll_calm(), "nothing was missed");
    health.on_traffic(at(31_000));
    unanswered(&mut health, 31_000, 2_000);
    answered(&mut health, 33_000, 100);
    assert!(!health.poll_calm(), "a few answers are not enough");
    answered(&mut health, 33_100, 30_000);
    assert!(health.poll_calm() && !health.poll_calm());
}
