//! What the lab makes ends with it. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::netlink::{Offloads, VethEnd, add_veth};
use mpt_lab::netns::Namespace;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

mpt_lab::kernel_tests!();

/// Waits until `condition` is true, five seconds at most; tells whether it is.
fn soon(condition: impl Fn() -> bool) -> bool {
    (0..250).any(|_| {
        condition() || {
            std::thread::sleep(Duration::from_millis(20));
            false
        }
    })
}

/// The network namespaces that the threads of processes under `/proc/{process}` are in.
fn namespaces_of(process: &str) -> BTreeSet<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_link(task.path().join("ns/net")).ok()).collect()
}

#[test]
fn a_namespace_ends_with_its_last_handle() {
    let (stays, goes) = (Namespace::new("stays").unwrap(), Namespace::new("goes").unwrap());
    let [a, b] = [&stays, &goes].map(|namespace| VethEnd { namespace, interface: "eth0" });
    add_veth(a, b, 1500, Offloads::On).unwrap();
    let clone = goes.clone();
    drop(goes);
    assert!(stays.has_interface("eth0"), "it has a handle still");
    assert!(clone.has_interface("eth0"));
    drop(clone);
    assert!(soon(|| !stays.has_interface("eth0")), "its veth is still there");
}

#[test]
fn a_namespace_ends_with_a_panic() {
    let stays = Namespace::new("stays").unwrap();
    let inner = stays.clone();
    let thread = std::thread::spawn(move || {
        let goes = Namespace::new("goes").unwrap();
        let [a, b] = [&inner, &goes].map(|namespace| VethEnd { namespace, interface: "eth0" });
        add_veth(a, b, 1500, Offloads::On).unwrap();
        goes.run(|| panic!("on purpose"))
    });
    thread.join().unwrap_err();
    assert!(soon(|| !stays.has_interface("eth0")), "its veth is still there");
}

#[test]
fn nothing_is_left_of_a_demo_that_was_killed() {
    let devices = || fs::read_to_string("/proc/self/net/dev").unwrap().lines().count();
    let before = devices();
    // Files cannot go with a process that is killed; these go with this.
    let directory = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_mpt-lab"))
        .args(["demo", "--without-tunnel", "--seconds", "30"])
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = demo.id().to_string();
    // Main thread, emulator, sender and receiver are in at least three namespaces.
    let streaming = soon(|| namespaces_of(&pid).len() >= 3);
    let used = namespaces_of(&pid);
    assert_eq!(devices(), before, "interfaces appeared outside");
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(streaming, "the demo did not start: {used:?}");
    let outside = fs::read_link("/proc/self/ns/net").unwrap();
    let left = || -> BTreeSet<PathBuf> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let all = processes.flat_map(|p| namespaces_of(&p.file_name().to_string_lossy()));
        all.filter(|ns| *ns != outside && used.contains(ns)).collect()
    };
    assert!(soon(|| left().is_empty()), "somebody is still in {:?}", left());
    assert_eq!(devices(), before);
}

#[test]
fn an_interrupted_demo_cleans_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_mpt-lab"))
        .args(["demo", "--without-tunnel", "--seconds", "30"])
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let files = || fs::read_dir(directory.path()).unwrap().count();
    let pid = demo.id().to_string();
    assert!(soon(|| files() == 1 && namespaces_of(&pid).len() >= 3), "the demo did not start");
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let status = demo.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(files(), 0, "its directory is still there");
}
