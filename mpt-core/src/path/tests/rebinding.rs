//! Remote addresses that change, and people who pretend that they do.

use super::simulation::{at, ms};
use crate::Time;
use crate::path::{Freshness, RemoteAddress, TokenSource};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use std::net::SocketAddr;
use std::time::Duration;

const PROBE: usize = 70;

fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// How somebody at an address deals with what comes there.
type Answers<'a> = &'a dyn Fn(Time, SocketAddr) -> Option<SocketAddr>;

/// Drives `remote` from `from` for `millis`: each `packet` of a millisecond comes from the source
/// that `sources` names; a challenge to an address is answered after `rtt` from where `answers`
/// says. Returns when and where the path moved.
fn drive(
    remote: &mut RemoteAddress,
    from: u64,
    millis: u64,
    rtt: u64,
    sources: &mut dyn FnMut(u64) -> Option<SocketAddr>,
    answers: Answers<'_>,
) -> Vec<(u64, SocketAddr)> {
    let (mut moved, mut echoes) = (Vec::new(), Vec::new());
    let patience = ms(rtt * 3 / 2);
    for t in from..from + millis {
        let now = at(t);
        echoes.retain(|&(due, token, source)| {
            due > t
                || !{
                    remote.on_authenticated(now, source, PROBE, Freshness::Older);
                    remote.on_challenge_answered(now, token, source, false);
                    true
                }
        });
        if let Some(source) = sources(t) {
            remote.on_authenticated(now, source, PROBE, Freshness::Newest);
        }
        while let Some((probe, to)) = remote.poll_challenge(now, patience) {
            if remote.may_send(to, PROBE)
                && let Some(source) = answers(now, to)
            {
                echoes.push((t + rtt, probe.token, source));
            }
        }
        assert!(remote.poll_timeout(patience).is_none_or(|due| due > now), "work left undone");
        if let Some(new) = remote.poll_change() {
            moved.push((t, new));
        }
    }
    moved
}

fn learned(seed: u8, address: SocketAddr) -> RemoteAddress {
    let mut remote = RemoteAddress::new(TokenSource::new([seed; 16]), None);
    assert_eq!(remote.current(), None);
    remote.on_authenticated(at(0), address, PROBE, Freshness::Newest);
    assert_eq!(remote.poll_change(), Some(address));
    remote.on_answer(at(0), address);
    remote
}

#[test]
fn a_new_nat_binding_is_followed_within_half_a_second() {
    let (old, new) = (addr(1, 1_000), addr(1, 2_000));
    for rtt in [1, 20, 99, 300] {
        for phase in (0..100).step_by(7) {
            let mut remote = learned(1, old);
            let mut client =
                |t: u64| (t % 100 == phase).then_some(if t < 1_050 { old } else { new });
            // The old binding leads nowhere.
            let answers = |_: Time, to: SocketAddr| (to == new).then_some(new);
            let moved = drive(&mut remote, 1_000, 2_000, rtt, &mut client, &answers);
            let [(when, to)] = moved[..] else { panic!("{moved:?}") };
            assert_eq!(to, new);
            let limit = 1_050 + 100 + 300 + rtt * 3 / 2;
            assert!(when <= limit, "{when}, round trip {rtt}, phase {phase}");
            assert!(remote.may_send(new, 1_000_000) && !remote.may_send(old, 1));
        }
    }
}

#[test]
fn a_new_address_counts_at_once_while_nobody_answers_at_the_old_one() {
    let (old, new) = (addr(1, 1_000), addr(1, 2_000));
    for (silent, expected) in [(true, Some(new)), (false, Some(old))] {
        let mut remote = learned(1, old);
        remote.on_authenticated(at(1_000), new, PROBE, Freshness::Newest);
        let (challenge, to) = remote.poll_challenge(at(1_000), ms(30)).unwrap();
        assert_eq!(to, new);
        assert!(remote.on_challenge_answered(at(1_020), challenge.token, new, silent));
        assert_eq!(remote.current(), expected, "silent: {silent}");
    }
}

#[test]
fn a_binding_that_both_ports_lead_to_is_followed_too() {
    // The NAT still forwards the old port; all answers leave by the new one.
    let (old, new) = (addr(1, 1_000), addr(1, 2_000));
    let mut remote = learned(1, old);
    let mut client = |t: u64| (t.is_multiple_of(100)).then_some(new);
    let moved = drive(&mut remote, 1_000, 2_000, 20, &mut client, &|_, _| Some(new));
    assert_eq!(moved.len(), 1);
    assert_eq!(remote.current(), Some(new));
}

#[test]
fn somebody_who_relays_does_not_take_over_while_the_true_address_answers() {
    let (client, thief) = (addr(1, 1_000), addr(66, 666));
    for rtt in [1, 20, 99, 300] {
        let mut remote = learned(2, client);
        // Every packet arrives by way of the thief first, who also passes challenges on.
        let mut source = |t: u64| (t.is_multiple_of(100)).then_some(thief);
        let moved = drive(&mut remote, 1_000, 60_000, rtt, &mut source, &|_, to| Some(to));
        assert_eq!((moved, remote.current()), (vec![], Some(client)), "round trip {rtt}");
    }
}

#[test]
fn one_answer_in_three_keeps_the_present_address() {
    let (client, thief) = (addr(1, 1_000), addr(66, 666));
    let mut remote = learned(2, client);
    let count = std::cell::Cell::new(0);
    let answers = |_: Time, to: SocketAddr| {
        if to != client {
            return Some(to);
        }
        count.set(count.get() + 1);
        (count.get() % 3 == 0).then_some(client)
    };
    let mut source = |t: u64| (t.is_multiple_of(100)).then_some(thief);
    let moved = drive(&mut remote, 1_000, 60_000, 20, &mut source, &answers);
    assert_eq!(moved, []);
}

#[test]
fn a_flood_of_false_sources_delays_a_true_move_but_does_not_stop_it() {
    let (old, new) = (addr(1, 1_000), addr(1, 2_000));
    let mut slowest = 0;
    for seed in 0..40 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut remote = learned(3, old);
        // Three of four packets are made to come from anywhere, before the client's copy.
        let mut source = |_: u64| {
            let r = random.next_u32();
            Some(if r.is_multiple_of(4) { new } else { addr((r >> 8) as u8, (r >> 16) as u16) })
        };
        let answers = |_: Time, to: SocketAddr| (to == new).then_some(new);
        let moved = drive(&mut remote, 1_000, 20_000, 20, &mut source, &answers);
        assert_eq!(moved.last().map(|m| m.1), Some(new), "seed {seed}");
        slowest = slowest.max(moved[0].0 - 1_000);
    }
    assert!((500..15_000).contains(&slowest), "{slowest}");
}

#[test]
fn older_packets_and_wrong_answers_move_nothing() {
    let (old, new) = (addr(1, 1_000), addr(1, 2_000));
    let mut remote = learned(4, old);
    remote.on_authenticated(at(1_000), new, PROBE, Freshness::Older);
    assert_eq!(remote.poll_challenge(at(1_000), ms(30)), None);
    remote.on_authenticated(at(1_000), new, PROBE, Freshness::Newest);
    let (challenge, to) = remote.poll_challenge(at(1_000), ms(30)).unwrap();
    assert_eq!(to, new);
    assert!(!remote.on_challenge_answered(at(1_010), challenge.token ^ 1, new, true));
    assert!(
        remote.on_challenge_answered(at(1_010), challenge.token, addr(9, 9), true),
        "ours, but…"
    );
    let moved = drive(&mut remote, 1_000, 2_000, 20, &mut |_| None, &|_, _| None);
    assert_eq!((moved, remote.current()), (vec![], Some(old)));
}

#[test]
fn three_times_what_came_until_somebody_answers() {
    let victim = addr(7, 7);
    let mut remote = RemoteAddress::new(TokenSource::new([5; 16]), None);
    assert!(!remote.may_send(victim, 1));
    remote.on_authenticated(at(0), victim, 100, Freshness::Newest);
    assert_eq!(remote.current(), Some(victim));
    let sent =
        |remote: &mut RemoteAddress| (0..100).filter(|_| remote.may_send(victim, 50)).count();
    assert_eq!(sent(&mut remote), 6);
    remote.on_authenticated(at(1), victim, 100, Freshness::Older);
    assert_eq!(sent(&mut remote), 6);
    remote.on_answer(at(0), addr(8, 8));
    assert_eq!(sent(&mut remote), 0);
    remote.on_answer(at(0), victim);
    assert_eq!(sent(&mut remote), 100);
    // A candidate has a budget of its own.
    let candidate = addr(9, 9);
    remote.on_authenticated(at(2), candidate, 100, Freshness::Newest);
    assert!(remote.may_send(candidate, 300) && !remote.may_send(candidate, 1));
    assert!(!remote.may_send(addr(10, 10), 1), "strangers get nothing");
}

#[test]
fn a_first_address_that_was_false_gives_way_to_one_that_answers() {
    let (victim, client) = (addr(7, 7), addr(1, 1_000));
    let mut remote = RemoteAddress::new(TokenSource::new([6; 16]), None);
    remote.on_authenticated(at(0), victim, 200, Freshness::Newest);
    assert_eq!(remote.poll_change(), Some(victim));
    let mut source = |t: u64| (t.is_multiple_of(100)).then_some(client);
    let answers = |_: Time, to: SocketAddr| (to == client).then_some(client);
    let moved = drive(&mut remote, 1, 1_000, 20, &mut source, &answers);
    assert_eq!(moved.last().map(|m| m.1), Some(client));
}

#[test]
fn the_operators_word_counts_at_once() {
    let (first, second) = (addr(1, 1), addr(2, 2));
    let mut remote = RemoteAddress::new(TokenSource::new([7; 16]), Some(first));
    assert!(remote.poll_change().is_none() && remote.may_send(first, 1_000_000));
    remote.on_authenticated(at(0), addr(3, 3), PROBE, Freshness::Newest);
    remote.set_configured(first);
    assert!(remote.poll_timeout(Duration::ZERO).is_some(), "nothing new, the challenge goes on");
    remote.set_configured(second);
    assert_eq!((remote.poll_change(), remote.current()), (Some(second), Some(second)));
    assert_eq!(remote.poll_timeout(Duration::ZERO), None);
}
