//! The bench runs, and what it writes has the shape it promises; how fast anything was is not looked
//! at. Needs root or user namespaces, and Debian's `iperf3`.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use serde_json::Value;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");

#[test]
fn a_quick_run_measures_and_compares() {
    let directory = tempfile::tempdir().unwrap();
    let (json, markdown) = (directory.path().join("b.json"), directory.path().join("b.md"));
    let output = Command::new(PROGRAM)
        .args(["bench", "--quick", "--seconds", "0.2", "--offloads", "off"])
        .args(["--only", "vxlan|veth|mpt-plain", "--workloads", "ping|tcp1|gso|udp200|cpu-udp"])
        .arg("--json")
        .arg(&json)
        .arg("--markdown")
        .arg(&markdown)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert!(report["machine"]["cores"].as_u64() > Some(0));
    let [pass] = report["passes"].as_array().unwrap().as_slice() else {
        panic!("one pass was asked for: {report}");
    };
    assert_eq!(pass["pass"], "plain-nic");
    let tunnels = pass["tunnels"].as_object().unwrap();
    assert_eq!(tunnels.len(), 3);
    for name in ["veth", "mpt-plain"] {
        let figures = &tunnels[name]["figures"];
        for figure in ["tcp1", "gso", "ping_p50", "ping_p99"] {
            let rounds = figures[figure]["rounds"].as_array();
            assert_eq!(rounds.map(Vec::len), Some(1), "{name} {figure}: {figures}\n{errors}");
            assert!(figures[figure]["median"].as_f64() > Some(0.0), "{name} {figure}: {figures}");
        }
    }
    let figures = &tunnels["mpt-plain"]["figures"];
    assert!(tunnels["mpt-plain"]["mtu"].as_u64() > Some(1280));
    assert!(figures["cpu_tcp"]["median"].as_f64() > Some(0.0), "{figures}");
    assert!(figures["resident"]["median"].as_f64() > Some(1e6), "{figures}");
    assert_eq!(figures["out_of_order"]["median"].as_f64(), Some(0.0), "{figures}");
    assert!(figures["udp64"].is_null(), "a workload that was not asked for: {figures}");
    // Whether this kernel has VXLAN or not: it is measured, or the reason stands there.
    let vxlan = &tunnels["vxlan"];
    assert!(vxlan["failed"].is_string() != vxlan["figures"]["tcp1"].is_object(), "{vxlan}");

    let text = std::fs::read_to_string(markdown).unwrap();
    assert!(text.lines().any(|line| line.starts_with("| mpt-plain")), "{text}");
    assert_eq!(text, String::from_utf8_lossy(&output.stdout), "the file has what was printed");
    let goals = report["goals"].as_array().unwrap();
    assert_eq!(goals.is_empty(), vxlan["failed"].is_string(), "{goals:?}");
}

#[test]
fn a_pattern_that_matches_nothing_says_what_there_is() {
    let output = Command::new(PROGRAM).args(["bench", "--only", "nonsense"]).output().unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("mpt-*") && errors.contains("wireguard-go"), "{errors}");
}
