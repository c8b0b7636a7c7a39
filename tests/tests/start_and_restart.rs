//! The tunnel comes up whatever is missing, comes back after restarts, and leaves nothing behind.
//! Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_core::Time;
use mpt_lab::testbed::{Site, Testbed};
use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

/// A tunnel of which one path answers is to be up within this.
const START_WITHIN: Duration = Duration::from_millis(1500);

/// Starts both daemons, and tells how long it took until `so` was true of both statuses.
fn start_both(testbed: &mut Testbed, so: impl Fn(&mpt_core::control::Status) -> bool) -> Duration {
    let start = mpt_lab::now();
    for site in 0..2 {
        testbed.site_mut(site).start().unwrap();
    }
    for site in 0..2 {
        let daemon = testbed.site_mut(site).daemon().unwrap();
        daemon.wait_until("up", UP_WITHIN, &so).unwrap_or_else(|e| panic!("{e:#}"));
    }
    mpt_lab::now().since(start)
}

fn some_path(status: &mpt_core::control::Status) -> bool {
    status.peers[0].state == "established" && status.peers[0].paths.iter().any(|p| p.in_use)
}

#[test]
fn one_path_that_answers_is_enough() {
    for dead in [1, 2] {
        attempts(|| {
            let mut testbed = testbed().links([bridge(); 2]).build().unwrap();
            testbed.link(dead).blackhole(true);
            let took = start_both(&mut testbed, some_path);
            let traffic = Traffic::start(testbed.a(), testbed.b());
            sleep(ms(500));
            let streams = traffic.finish();
            let status = testbed.site_mut(0).daemon().unwrap().status().unwrap();
            println!(
                "link {dead} dead from the start: up after {took:?}; {}",
                paths_in_words(&status)
            );
            for stream in &streams {
                assert_eq!((stream.lost, stream.out_of_order), (0, 0));
            }
            expect(took <= START_WITHIN, format!("up only after {took:?}"))?;
            // The other one, when it comes.
            testbed.link(dead).blackhole(false);
            let start = mpt_lab::now();
            for site in 0..2 {
                let daemon = testbed.site_mut(site).daemon().unwrap();
                daemon.wait_up(Duration::from_secs(6)).unwrap_or_else(|e| panic!("{e:#}"));
            }
            println!("link {dead} comes to life: used after {:?}", mpt_lab::now().since(start));
            Ok(())
        });
    }
}

#[test]
fn a_path_without_interface_is_waited_for() {
    let mut testbed = testbed()
        .links([bridge(); 2])
        .configure(0, |yaml| yaml["peers"][0]["paths"][0]["interface"] = "wan9".into())
        .build()
        .unwrap();
    let took = start_both(&mut testbed, some_path);
    let status = testbed.site_mut(0).daemon().unwrap().status().unwrap();
    println!("without wan9: up after {took:?}; {}", paths_in_words(&status));
    let path = path_of(&status, "bridge1").unwrap();
    assert_eq!(path.why, "interface wan9 does not exist (waiting for it)");
    assert!(path_of(&status, "bridge2").unwrap().in_use);
    assert!(took <= START_WITHIN);
}

#[test]
fn both_ends_may_begin_at_the_same_moment() {
    let mut testbed = testbed().links([bridge(); 2]).build().unwrap();
    let mut slowest = Duration::ZERO;
    for round in 0..4 {
        let took =
            start_both(&mut testbed, |s| some_path(s) && s.peers[0].paths.iter().all(|p| p.in_use));
        slowest = slowest.max(took);
        println!("both at once, round {round}: all paths after {took:?}");
        for site in 0..2 {
            // What one end does on its own the next time, too.
            if round % 2 == 0 {
                testbed.site_mut(site).stop().unwrap();
            } else {
                testbed.site_mut(site).kill().unwrap();
            }
        }
    }
    assert!(slowest <= AGAIN_WITHIN, "{slowest:?}");
}

/// How the peer's daemon is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Sigterm,
    Kill,
}

#[test]
fn a_peer_that_is_restarted_is_found_again() {
    restart(End::Sigterm);
}

#[test]
fn a_peer_that_was_killed_and_started_is_found_again() {
    restart(End::Kill);
}

/// Ends and starts the daemon of each site in turn, under traffic.
fn restart(how: End) {
    for site in [1, 0] {
        attempts(|| {
            let mut testbed = running_pair(2);
            let traffic = Traffic::start(testbed.a(), testbed.b());
            sleep(ms(600));
            let ended = mpt_lab::now();
            match how {
                End::Sigterm => assert!(testbed.site_mut(site).stop().unwrap().success()),
                End::Kill => testbed.site_mut(site).kill().unwrap(),
            }
            let gone = mpt_lab::now();
            // As long as a supervisor takes.
            sleep(ms(300));
            testbed.site_mut(site).start().unwrap();
            let started = mpt_lab::now();
            sleep(ms(2500));
            let end = mpt_lab::now();
            let streams = traffic.finish();
            for (name, stream) in ["there", "back"].into_iter().zip(&streams) {
                let again = again_after(stream, started);
                println!(
                    "{how:?} of site {site} (took {:?}), {name}: traffic again {again:?} after the \
                     start; {} sent, {} lost, {} refused, {} out of order",
                    gone.since(ended),
                    stream.sent,
                    stream.lost,
                    stream.refused,
                    stream.out_of_order
                );
                assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
                expect(again <= AGAIN_WITHIN, format!("{name}: no traffic for {again:?}"))?;
                let late = lost_between(stream, started + AGAIN_WITHIN, end);
                expect(late == 0, format!("{name}: {late} lost long after the start"))?;
            }
            Ok(())
        });
    }
}

/// What a daemon may change: the router's network, and the files beside its configuration.
fn surroundings(site: &Site) -> BTreeSet<String> {
    let mut all = site.router().network_state().unwrap();
    for entry in std::fs::read_dir(site.run_directory()).unwrap() {
        all.insert(format!("file {:?}", entry.unwrap().file_name()));
    }
    // The lab writes it.
    all.remove("file \"log\"");
    all
}

fn assert_same(what: &str, before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let left: Vec<_> = after.difference(before).collect();
    let lost: Vec<_> = before.difference(after).collect();
    assert!(left.is_empty() && lost.is_empty(), "{what}: left {left:#?}, lost {lost:#?}");
}

#[test]
fn nothing_is_left_behind() {
    let mut testbed = testbed().links([bridge(); 2]).build().unwrap();
    // With what takes rules and routes of every kind.
    testbed.a().router().add_default_route([10, 1, 0, 2].into()).unwrap();
    let before = surroundings(testbed.a());
    testbed.start(UP_WITHIN).unwrap();
    let running = surroundings(testbed.a());
    println!("a running daemon adds {} things", running.difference(&before).count());
    assert!(running.difference(&before).count() >= 10);
    testbed.site_mut(0).stop().unwrap();
    assert_same("after SIGTERM", &before, &surroundings(testbed.a()));

    testbed.site_mut(0).start().unwrap();
    testbed.site_mut(0).daemon().unwrap().wait_up(UP_WITHIN).unwrap();
    testbed.site_mut(0).kill().unwrap();
    let after_kill = surroundings(testbed.a());
    let left = after_kill.difference(&before).count();
    println!("kill -9 leaves {left} things, which the next start takes over");
    assert!(left > 0, "a killed daemon cannot clean up; this test would show nothing");
    testbed.site_mut(0).start().unwrap();
    testbed.site_mut(0).daemon().unwrap().wait_up(UP_WITHIN).unwrap();
    // The same, but for the index of the new device.
    assert_eq!(surroundings(testbed.a()).len(), running.len());
    testbed.site_mut(0).stop().unwrap();
    assert_same("after kill -9, start and SIGTERM", &before, &surroundings(testbed.a()));

    // Nothing is read anew: a supervisor is to start it again.
    let site = testbed.a();
    // Who runs this under nohup has it ignored, which the daemon would respect.
    // SAFETY: no handler is installed; nothing else here has to do with SIGHUP.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    let mut command = site.tund(&["up"]);
    let mut daemon = command.arg(site.configuration_file()).spawn().unwrap();
    let socket = site.run_directory().join("mpt0.sock");
    while !socket.exists() {
        sleep(ms(20));
    }
    let hup = site.router().command("kill").args(["-HUP", &daemon.id().to_string()]).status();
    assert!(hup.unwrap().success());
    assert_eq!(daemon.wait().unwrap().code(), Some(1));
    assert_same("after SIGHUP", &before, &surroundings(testbed.a()));

    // With another configuration than the one that was killed.
    testbed.site_mut(0).start().unwrap();
    testbed.site_mut(0).daemon().unwrap().wait_up(UP_WITHIN).unwrap();
    testbed.site_mut(0).kill().unwrap();
    let mut yaml = testbed.a().configuration().unwrap();
    yaml["routes"] = serde_json::json!([]);
    testbed.a().write_configuration(&yaml).unwrap();
    testbed.site_mut(0).start().unwrap();
    testbed.site_mut(0).daemon().unwrap().wait_up(UP_WITHIN).unwrap();
    let extra: Vec<String> = surroundings(testbed.a())
        .difference(&before)
        .filter(|l| l.contains("Rule"))
        .cloned()
        .collect();
    println!("without routes, rules left while it runs: {}", extra.len());
    testbed.site_mut(0).stop().unwrap();
    assert_same("after a start with other routes", &before, &surroundings(testbed.a()));
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn down_ends_a_tunnel_and_a_second_up_is_refused() {
    let mut testbed = running_pair(1);
    let before: Time = mpt_lab::now();
    let file = testbed.a().configuration_file();
    let second = testbed.a().tund(&["up", file.to_str().unwrap()]).output().unwrap();
    println!("second up: {}; {}", second.status, text(&second).trim());
    assert_eq!(second.status.code(), Some(1));
    let pid = testbed.site_mut(0).daemon().unwrap().pid();
    assert!(text(&second).contains(&format!("mpt-tund mpt0 is already running (pid {pid})")));
    assert!(text(&second).contains("mpt-tund down mpt0"));
    // It did not harm the first.
    let traffic = Traffic::start(testbed.a(), testbed.b());
    sleep(ms(300));
    for stream in traffic.finish() {
        assert_eq!((stream.lost, stream.out_of_order), (0, 0));
    }
    let down = testbed.a().tund(&["down", "mpt0"]).output().unwrap();
    println!("down: {}; {:?}", down.status, text(&down));
    assert!(down.status.success(), "{}", text(&down));
    let ended = testbed.site_mut(0).daemon().unwrap().ended().unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    let again = testbed.a().tund(&["down", "mpt0"]).output().unwrap();
    println!("down again: {}; {}", again.status, text(&again).trim());
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("mpt-tund mpt0 is not running"));
    // The other end was told, and did not have to find out.
    let status = testbed
        .site_mut(1)
        .daemon()
        .unwrap()
        .wait_until("told", ms(300), |s| s.peers[0].state == "connecting")
        .unwrap_or_else(|e| panic!("{e:#}"));
    println!(
        "the peer says: {:?} ({:?} in all)",
        status.peers[0].why,
        mpt_lab::now().since(before)
    );
}
