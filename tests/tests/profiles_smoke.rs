//! `mpt-lab bench profiles` measures every kind of traffic, and what it says is plausible; how good it is
//! is not looked at. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use serde_json::Value;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");

#[test]
fn a_short_run_has_plausible_figures() {
    let directory = tempfile::tempdir().unwrap();
    let (json, markdown) = (directory.path().join("p.json"), directory.path().join("p.md"));
    let output = Command::new(PROGRAM)
        .args(["bench", "profiles", "--only", "baseline", "--seconds", "2.5"])
        .args(["--schedulers", "weighted", "--carriers", "weighted|mptcp"])
        .args(["--traffic", "quic-bbr,tcp-cubic,udp80,call"])
        .arg("--json")
        .arg(&json)
        .arg("--markdown")
        .arg(&markdown)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 5, "{errors}");
    let cell = |traffic: &str, carrier: &str| {
        let is = |cell: &&Value| cell["traffic"] == traffic && cell["carrier"] == carrier;
        cells.iter().find(is).unwrap()
    };
    let within = |cell: &Value, figure: &str, low: f64, high: f64| {
        let value = cell["figures"][figure]["median"].as_f64();
        let fits = value.is_some_and(|value| (low..=high).contains(&value));
        assert!(fits, "{figure} not within {low} and {high}: {cell}\n{errors}");
    };
    // The links carry 100 Mbit/s with headers, 20 ms away, behind queues of 100 ms.
    for traffic in ["quic-bbr", "tcp-cubic", "call"] {
        within(cell(traffic, "weighted"), "goodput", 2e6, 100e6);
    }
    let steady = cell("udp80", "weighted");
    within(steady, "loss", 0.0, 0.2);
    within(steady, "out_of_order", 0.0, 0.2);
    within(steady, "delay_p50", 0.02, 0.07);
    within(steady, "delay_p99", 0.02, 0.5);
    let call = cell("call", "weighted");
    within(call, "loss", 0.0, 0.3);
    within(call, "delay_p99", 0.02, 0.5);
    // Whether this kernel has MPTCP or not: it is measured, or the reason stands there.
    let mptcp = cell("tcp-cubic", "mptcp");
    if mptcp["failed"].is_null() {
        within(mptcp, "goodput", 2e6, 100e6);
    }

    let text = std::fs::read_to_string(markdown).unwrap();
    assert!(text.lines().any(|line| line.starts_with("| baseline")), "{text}");
    assert_eq!(text, String::from_utf8_lossy(&output.stdout), "the file has what was printed");
}

#[test]
fn mistakes_say_what_there_is() {
    let errors = |arguments: &[&str]| {
        let arguments = [&["bench", "profiles"], arguments].concat();
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = errors(&["--only", "bassline"]);
    assert!(text.contains("bassline") && text.contains("lte_starlink"), "{text}");
    let text = errors(&["--schedulers", "wieghted"]);
    assert!(text.contains("the daemon refuses scheduler `wieghted`"), "{text}");
}
