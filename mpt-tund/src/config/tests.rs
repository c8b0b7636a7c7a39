//! Whole files: right ones read in full, wrong ones told with line and column.

mod examples;
mod files;
mod hosts;
mod keys;

use super::*;
use mpt_core::config::{
    CipherChoice, Dscp, MssClamp, PeerConfig, RepairConfig, SchedulerKind, WorkerCount,
};
use mpt_core::keys::PrivateKey;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// A directory with a key file in it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write("own.key", &(ours().to_base64() + "\n"), 0o600);
        place
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let file = self.dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        Config::parse(&self.dir.path().join("wan0.yaml"), text)
    }

    /// `LINE:COLUMN: MESSAGE` of everything wrong with `text`.
    fn complaints(&self, text: &str) -> Vec<String> {
        let error = self.parse(text).expect_err("should be wrong");
        let prefix = format!("{}:", self.dir.path().join("wan0.yaml").display());
        error
            .to_string()
            .lines()
            .map(|line| line.strip_prefix(&prefix).expect("names the file").trim().to_owned())
            .collect()
    }

    /// Puts `new` for `old` in [`SMALL`]: the one complaint starts with `place` and holds `words`.
    #[track_caller]
    fn wrong(&self, old: &str, new: &str, place: &str, words: &str) {
        assert!(SMALL.contains(old), "{old} is not in the text");
        let complaints = self.complaints(&SMALL.replacen(old, new, 1));
        assert_eq!(complaints.len(), 1, "{complaints:#?}");
        assert!(complaints[0].starts_with(&format!("{place}: ")), "{complaints:#?}");
        assert!(complaints[0].contains(words), "{complaints:#?}");
    }
}

fn ours() -> PrivateKey {
    PrivateKey::from_random([7; 32])
}

const SMALL: &str = r#"interface: {name: mpt0, address: 10.77.0.1/30}
private_key_file: own.key
scheduler: weighted
max_hold: 500ms
peers:
  - name: roof
    public_key: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    allowed_ips: [10.77.0.2/32, 192.168.12.0/24]
    paths:
      - {name: a, interface: wan1, remote: "10.1.0.2:4511", weight: 2}
      - {name: b, interface: wan2, remote: "10.2.0.2:4511"}
routes:
  - {to: 0.0.0.0/0, protocols: [udp, 6]}
"#;

const LARGE: &str = r#"
interface: {address: [10.77.0.1/30, "fd77::1/64"], mtu: 1400, mss_clamp: off}
private_key_file: own.key
listen: ["192.0.2.1:4511", "[2001:db8::1]:4511"]
cipher: none
scheduler: failover
max_hold: 250ms
hold_memory: 1MiB
repair: {memory: 4MiB, max_age: 2s, parity: off, copies: off}
workers: 2
coalesce: 100us
offloads: {uso: off, gro: off}
probe: {active: 50ms, idle: 1m}
peers:
  - name: roof
    public_key: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    preshared_key_file: roof.psk
    allowed_ips: [10.77.0.2, "fd77::/64"]
    paths:
      - name: dsl
        interface: wan2
        local: 10.2.0.1
        local_port: 4600
        remote: hub.example.net:4511
        gateway: 10.2.0.9
        priority: 3
        dscp: copy
        rate_limit: 2.5gbit
        enabled: off
        offloads: {gso: off, gro: auto}
      - {name: learned, dscp: 46}
  - name: yard
    public_key: "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
    allowed_ips: [0.0.0.0/0]
routes:
  - {to: "::/0", when_down: bypass}
policies: [{match: {dscp: ef}, send: duplicate}]
builtin_policies: off
"#;

#[test]
fn a_small_file_is_filled_with_defaults() {
    let config = Place::new().parse(SMALL).unwrap();
    assert_eq!(config.name(), "mpt0");
    assert_eq!(config.private_key, ours());
    assert_eq!((config.listen, config.repair), (None, RepairConfig::default()));
    assert_eq!((config.cipher, config.scheduler), (CipherChoice::Auto, SchedulerKind::Weighted));
    assert_eq!((config.interface.mtu, config.interface.mss_clamp), (Mtu::Auto, MssClamp::Auto));
    assert_eq!((config.workers, config.max_hold), (Workers::Auto, Duration::from_millis(500)));
    assert_eq!(config.coalesce, Duration::from_micros(250));
    let path = &config.peers[0].paths[1];
    assert_eq!((path.weight, path.priority, path.enabled), (None, 100, true));
    assert_eq!(config.routes[0].protocols, [Protocol(17), Protocol(6)]);
    assert_eq!(config.routes[0].when_down, WhenDown::Keep);
    let peer = PeerConfig::from(&config.peers[0]);
    assert_eq!(peer.paths[0].weight.unwrap().get(), 2);
    assert_eq!(peer.allowed_ips[1].to_string(), "192.168.12.0/24");
}

#[test]
fn every_key_is_read() {
    let place = Place::new();
    place.write("roof.psk", &ours().to_base64(), 0o400);
    let config = place.parse(LARGE).unwrap();
    assert_eq!(config.name(), "wan0", "called as the file is");
    let addresses: Vec<_> = config.interface.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.77.0.1/30", "fd77::1/64"]);
    assert_eq!(config.interface.mtu, Mtu::Fixed(1400));
    assert_eq!(config.interface.mss_clamp, MssClamp::Off);
    let listen = config.listen.as_ref().unwrap();
    assert_eq!(listen.to_string(), "192.0.2.1:4511, [2001:db8::1]:4511");
    assert_eq!((config.cipher, config.scheduler), (CipherChoice::None, SchedulerKind::Failover));
    let (memory, max_age) = (4 << 20, Duration::from_secs(2));
    assert_eq!(config.repair, RepairConfig { memory, max_age, parity: false, copies: false });
    assert_eq!(config.hold_memory, Some(1 << 20));
    assert_eq!(config.workers, Workers::Fixed(2));
    assert_eq!(config.coalesce, Duration::from_micros(100));
    assert_eq!(config.probe.idle, Duration::from_secs(60));
    let (roof, yard) = (&config.peers[0], &config.peers[1]);
    assert_eq!(roof.preshared_key.as_bytes(), ours().as_bytes());
    assert_eq!(roof.allowed_ips[0].to_string(), "10.77.0.2/32");
    let dsl = &roof.paths[0];
    assert_eq!(dsl.remote.as_ref().unwrap().to_string(), "hub.example.net:4511");
    assert_eq!((dsl.local_port, dsl.priority, dsl.enabled), (Some(4600), 3, false));
    assert_eq!((dsl.dscp, roof.paths[1].dscp), (Dscp::Copy, Dscp::Fixed(46)));
    assert_eq!(dsl.rate_limit.unwrap().to_string(), "2.5gbit");
    assert_eq!(dsl.offloads, PathOffloads { gso: Offload::Off, gro: Offload::Auto });
    let tunnel = PathOffloads { gso: Offload::Auto, gro: Offload::Off };
    assert_eq!((config.offloads.uso, roof.paths[1].offloads), (Offload::Off, tunnel));
    assert_eq!(roof.paths[1].remote, None);
    assert!(yard.paths.is_empty());
    assert_eq!(config.routes[0].when_down, WhenDown::Bypass);
    let endpoint = config.to_endpoint(&Machine {
        aes_in_hardware: true,
        workers: WorkerCount::ONE,
        memory: 1 << 30,
    });
    assert_eq!((endpoint.memory.held_per_peer, endpoint.repair), (1 << 20, config.repair));
    assert_eq!((endpoint.mtu, endpoint.max_hold), (Some(1400), Duration::from_millis(250)));
}

#[test]
fn listening_everywhere_on_a_port() {
    let place = Place::new();
    for port in ["4511", "\"4511\""] {
        let listen = place.parse(&format!("listen: {port}\n{SMALL}")).unwrap().listen.unwrap();
        assert_eq!((listen.port, listen.addresses.len()), (4511, 0));
    }
    place.wrong("max_hold: 500ms", "listen: 65536", "4:9", "1 to 65535");
    place.wrong("max_hold: 500ms", "listen: [\"10.0.0.1:1\", 2]", "4:24", "on one port");
    place.wrong("max_hold: 500ms", "listen: []", "4:9", "4511");
    place.wrong("max_hold: 500ms", "listen: [1, 1]", "4:13", "a second time");
    let listen = |list: &str| format!("listen: [{list}]");
    let twice = listen("\"10.0.0.1:1\", \"10.0.0.1:1\"");
    place.wrong("max_hold: 500ms", &twice, "4:24", "10.0.0.1 stands here a second time");
    place.wrong("max_hold: 500ms", &listen("\"10.0.0.1:1\", 1"), "4:24", "leave it out here");
    place.wrong("max_hold: 500ms", &listen("1, \"10.0.0.1:1\""), "4:13", "means every address");
    place.wrong("max_hold: 500ms", &listen("\"224.0.0.1:1\""), "4:10", "or the port alone");
    assert!(place.parse(&SMALL.replace("max_hold: 500ms", &listen("\"0.0.0.0:1\""))).is_ok());
}

#[test]
fn unknown_keys_and_words_name_the_nearest() {
    let p = Place::new();
    p.wrong("weight: 2", "wieght: 2", "10:61", "unknown key `wieght`; did you mean `weight`?");
    p.wrong("scheduler:", "shceduler:", "3:1", "did you mean `scheduler`?");
    p.wrong("name: mpt0", "colour: red, name: mpt0", "1:13", "known here: name, address");
    p.wrong("weighted", "wieghted", "3:12", "did you mean `weighted`?");
    p.wrong("[udp, 6]", "[upd, 6]", "13:33", "expected a protocol");
    p.wrong("weight: 2", "weight: 2, weight: 3", "10:72", "a second time");
}

#[test]
fn wrong_types_say_what_was_expected() {
    let p = Place::new();
    p.wrong("weight: 2", "weight: heavy", "10:69", "a whole number from 1 to 10000");
    p.wrong("weight: 2", "weight: 1.5", "10:69", "found the number 1.5");
    p.wrong("name: roof", "name: 7", "6:11", "put it in quotes");
    p.wrong(
        "[10.77.0.2/32, 192.168.12.0/24]",
        "10.77.0.2/32",
        "8:18",
        "expected a list of prefixes",
    );
    p.wrong("{name: mpt0, address: 10.77.0.1/30}", "mpt0", "1:12", "expected a map");
    p.wrong("weight: 2", "enabled: \"true\"", "10:70", "write it without quotes");
    p.wrong("500ms", "500", "4:11", "without a unit");
    p.wrong("500ms", "", "4:10", "found nothing");
    assert_eq!(p.complaints("").len(), 1);
    assert_eq!(p.complaints("- 1\n").len(), 1);
}

#[test]
fn values_out_of_range() {
    let p = Place::new();
    p.wrong("weight: 2", "weight: 0", "10:69", "enabled: false");
    p.wrong("weight: 2", "weight: 10001", "10:69", "1 to 10000, not 10001");
    p.wrong("weight: 2", "weight: -1", "10:69", "not -1");
    p.wrong("weight: 2", "dscp: 64", "10:67", "0 to 63");
    p.wrong("weight: 2", "local_port: 0", "10:73", "1 to 65535");
    p.wrong("weight: 2", "rate_limit: 20", "10:73", "without a unit");
    p.wrong("500ms", "11s", "4:11", "outside 1ms to 10s");
    p.wrong("10.77.0.1/30", "10.77.0.1/33", "1:34", "0 to 32");
    p.wrong("10.77.0.1/30", "[]", "1:34", "at least one address");
    p.wrong("192.168.12.0/24", "192.168.12.1/24", "8:33", "write 192.168.12.0/24");
    p.wrong("mpt0", "mpt0-and-much-more", "1:19", "1 to 15");
    p.wrong("name: mpt0", "mtu: 1279, name: mpt0", "1:18", "1280 to 65535");
    p.wrong("max_hold: 500ms", "table: 254", "4:1", "unknown key `table`");
    p.wrong("name: roof", &format!("name: {}", "x".repeat(65)), "6:11", "at most 64");
    p.wrong("name: roof", "name: \"a\\eb\"", "6:11", "cannot hold '\\u{1b}'");
    assert!(p.parse(&SMALL.replace("name: roof", &format!("name: {}", "x".repeat(64)))).is_ok());
    p.wrong("max_hold: 500ms", "hold_memory: 1kB", "4:14", "256KiB to 1GiB");
    p.wrong("max_hold: 500ms", "hold_memory: much", "4:14", "auto or a size such as 4MiB");
    p.wrong("max_hold: 500ms", "repair: {memory: 1kB}", "4:18", "`repair: off` switches it off");
    p.wrong("max_hold: 500ms", "coalesce: 5ms", "4:11", "`coalesce: off` switches it off");
    p.wrong(
        "max_hold: 500ms",
        "repair: never",
        "4:9",
        "a map with the keys memory, max_age, parity, copies",
    );
    p.wrong("max_hold: 500ms", "probe: {active: 3s, idle: 2s}", "4:8", "less often");
}

#[test]
fn policies_are_read() {
    let p = Place::new();
    let text = r#"policies:
  - {name: calls, match: {dscp: [ef, 40], size: ..400}, send: duplicate, order: free, patience: 80ms}
  - match: {protocol: [udp, 50], ports: [53, 5000-5100], from: 10.0.0.0/8, to: ["fd77::/64", 10.1.0.9]}
    send: pin b
  - match: {source_ports: 22, destination_ports: 1-1023, dscp: af41, size: 100..500}
    order: free
  - {send: protect}
builtin_policies: off
"#;
    let policies = p.parse(&format!("{text}{SMALL}")).unwrap().policies;
    let read: Vec<_> = policies.own.iter().map(ToString::to_string).collect();
    assert_eq!(
        read,
        [
            "name calls dscp ef,cs5 size ..400 send duplicate order free patience 80ms",
            "protocol udp,esp ports 53,5000-5100 from 10.0.0.0/8 to fd77::/64,10.1.0.9/32 send pin b",
            "dscp af41 source_ports 22 destination_ports 1-1023 size 100..500 send spread order free",
            "send protect",
        ]
    );
    assert!(policies.built_in.is_empty());
    assert_eq!(p.parse(SMALL).unwrap().policies.built_in.len(), 3);
    let duplicate = p.parse(&SMALL.replace("weighted", "duplicate")).unwrap();
    assert_eq!(duplicate.scheduler, SchedulerKind::Duplicate);
}

#[test]
fn policies_that_make_no_sense() {
    let p = Place::new();
    let wrong = |policy: &str, column: usize, words: &str| {
        let place = format!("4:{column}");
        p.wrong("max_hold: 500ms", &format!("policies: [{policy}]"), &place, words);
    };
    wrong("{mach: {dscp: ef}, send: spread}", 13, "unknown key `mach`; did you mean `match`?");
    wrong("{match: {dcsp: ef}, send: spread}", 21, "unknown key `dcsp`; did you mean `dscp`?");
    wrong("{match: {dscp: eff}, send: spread}", 27, "did you mean `ef`?");
    wrong("{match: {dscp: [ef, 64]}, send: spread}", 32, "or 0 to 63; found `64`");
    wrong("{match: {protocol: upd}, send: spread}", 31, "did you mean `udp`?");
    wrong("{match: {ports: 70000}, send: spread}", 28, "a port is 0 to 65535");
    wrong("{match: {ports: 9-8}, send: spread}", 28, "write 8-9");
    wrong("{match: {ports: []}, send: spread}", 28, "leave the key out");
    wrong("{match: {from: 10.0.0.1/8}, send: spread}", 27, "write 10.0.0.0/8");
    wrong("{match: {size: 5..2}, send: spread}", 27, "write 2..5");
    wrong("{match: {protocol: icmp, ports: 5}, send: spread}", 20, "icmp has no ports");
    wrong("{send: fastset}", 19, "did you mean `fastest`?");
    wrong("{send: pin}", 19, "pin PATH");
    wrong("{send: pin c}", 19, "no path is called `c`; there are: a, b");
    wrong("{send: pin a b}", 19, "expected spread, fastest, duplicate, pin PATH or protect");
    wrong("{order: fre}", 20, "expected keep or free");
    wrong("{patience: 80}", 23, "80` without a unit");
    wrong("{patience: 1m}", 23, "expected a duration");
    wrong("{name: voice, send: spread}", 19, "the name of a built-in policy");
    wrong("{name: \"a b\", send: spread}", 19, "cannot hold ' '");
    wrong("{match: {dscp: ef}}", 12, "a policy says what is done");
    wrong(
        "{send: spread}, {send: fastest}",
        28,
        "never asked: policy 1 before it takes everything",
    );
    let twice = "{name: x, match: {dscp: 1}, send: spread}, {name: x, send: spread}";
    wrong(twice, 55, "another policy is called `x`");
    wrong("voice", 12, "expected a map");
    p.wrong("max_hold: 500ms", "policies: voice", "4:11", "expected a list of policies");
    p.wrong("max_hold: 500ms", "builtin_policies: perhaps", "4:19", "true or false");
    let hub = "    allowed_ips: [10.9.0.0/16]\n  - name: yard\n    public_key: \"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\"\n    allowed_ips: [10.8.0.0/16]\nlisten: 4511\n";
    let open = SMALL.split("    allowed_ips").next().unwrap().to_owned() + hub;
    assert!(p.parse(&(open + "policies: [{send: pin anything}]\n")).is_ok(), "a peer may open it");
}

#[test]
fn what_collides() {
    let p = Place::new();
    p.wrong("name: b", "name: a", "11:16", "another path of peer `roof` is called `a`");
    p.wrong("192.168.12.0/24", "10.77.0.2", "8:33", "a second time");
    let key = ours().public_key().to_string();
    p.wrong("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", &key, "7:17", "our own public key");

    let second = "  - name: roof\n    public_key: \"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\"\n    allowed_ips: [10.77.0.2/32]\nlisten: 4511\nroutes:";
    let complaints = p.complaints(&SMALL.replace("routes:", second));
    assert_eq!(complaints.len(), 3, "{complaints:#?}");
    assert!(complaints[0].starts_with("12:11: `name`: another peer"), "{complaints:#?}");
    assert!(complaints[1].starts_with("13:17: `public_key`: peer `roof` has the same"));
    assert!(complaints[2].starts_with("14:19: `allowed_ips`: peer `roof` has 10.77.0.2/32, too"));

    let mut many = SMALL.split("routes:").next().unwrap().to_owned();
    for n in 3..=17 {
        many += &format!("      - {{name: p{n}, remote: \"10.1.0.2:4511\"}}\n");
    }
    let complaints = p.complaints(&many);
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].contains("path 17 of peer `roof`; a peer has at most 16"));
}

#[test]
fn an_interface_has_one_gateway() {
    let p = Place::new();
    let two = |other: &str| {
        SMALL.replace("weight: 2", "gateway: 10.1.0.9").replace(
            "interface: wan2, remote",
            &format!("interface: wan1, gateway: {other}, remote"),
        )
    };
    assert!(two("10.1.0.9").contains("interface: wan1, gateway: 10.1.0.9, remote: \"10.2.0.2"));
    assert!(p.parse(&two("10.1.0.9")).is_ok());
    let complaints = p.complaints(&two("10.1.0.8"));
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert!(complaints[0].contains("path `a` has the gateway 10.1.0.9 on the same interface wan1"));
    let other_interface = two("10.1.0.8").replacen("wan1", "wan2", 1);
    assert!(p.parse(&other_interface).is_ok());
}

#[test]
fn our_own_address_is_not_the_peers() {
    let p = Place::new();
    p.wrong("10.77.0.2/32", "10.77.0.1/32", "8:19", "10.77.0.1 is our own address");
    assert!(
        p.parse(&SMALL.replace("10.77.0.2/32", "10.77.0.0/30")).is_ok(),
        "a network may hold it"
    );
}

#[test]
fn ends_of_a_path_must_fit_together() {
    let p = Place::new();
    p.wrong("weight: 2", "gateway: \"fd00::1\"", "10:70", "different families");
    p.wrong("weight: 2", "local: \"fd00::1\"", "10:68", "different families");
    p.wrong(
        "interface: wan1, remote: \"10.1.0.2:4511\"",
        "remote: \"[fe80::1]:1\"",
        "10:27",
        "link-local",
    );
    p.wrong(", remote: \"10.2.0.2:4511\"", "", "11:9", "no `listen`");
    p.wrong("10.1.0.2:4511", "10.1.0.2", "10:44", "the port is missing");
}

#[test]
fn what_is_missing_is_told_with_an_example() {
    let p = Place::new();
    p.wrong("private_key_file: own.key\n", "", "1:1", "`private_key_file` is missing");
    p.wrong(", address: 10.77.0.1/30", "", "1:12", "`address` is missing");
    p.wrong("    allowed_ips: [10.77.0.2/32, 192.168.12.0/24]\n", "", "6:5", "`allowed_ips`");
    p.wrong("to: 0.0.0.0/0, ", "", "13:5", "`to` is missing");
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = SMALL
        .replace("weight: 2", "wieght: 2")
        .replace("500ms", "soon")
        .replace("0.0.0.0/0", "everywhere")
        .replace("own.key", "gone.key")
        .replace("name: b", "name: a");
    let lines: Vec<_> = Place::new()
        .complaints(&text)
        .iter()
        .map(|c| c.split(':').next().unwrap().parse::<u32>().unwrap())
        .collect();
    assert_eq!(lines, [2, 4, 10, 11, 13]);
}

/// To find the places of all would take hours.
#[test]
fn of_very_many_problems_the_first_are_told() {
    let text = SMALL.to_owned() + &"nonsense: 1\n".repeat(20_000);
    let complaints = Place::new().complaints(&text);
    assert_eq!(complaints.len(), 51);
    assert!(complaints[0].starts_with("14:1: unknown key `nonsense`"), "{}", complaints[0]);
    assert_eq!(complaints[50], "and 19950 more problems");
}

/// Whatever a slip of the hand makes of a file: it is read, or every problem has its place.
mod slips {
    use super::*;
    use proptest::prelude::*;

    const SCRAPS: [&str; 24] = [
        "", " ", "\n", "\n  ", ":", ": ", "- ", "[", "]", "{", "}", ",", "\"", "'", "#", "&a ",
        "*a", "!t ", "|\n", "? ", "~", "<<: ", "\n---\n", "\u{e9}",
    ];

    proptest! {
        #[test]
        fn never_panic(
            large in any::<bool>(),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..9_usize, 0..24_usize), 1..4),
        ) {
            let mut text: Vec<char> = if large { LARGE } else { SMALL }.chars().collect();
            for (at, cut, scrap) in edits {
                let at = at.index(text.len());
                let end = (at + cut).min(text.len());
                text.splice(at..end, SCRAPS[scrap].chars());
            }
            let text: String = text.into_iter().collect();
            let lines = text.lines().count();
            if let Err(error) = Config::parse(FilePath::new("/nowhere/wan0.yaml"), &text) {
                prop_assert!(!error.problems.is_empty());
                for problem in &error.problems {
                    let (line, column) = problem.place.unwrap_or((1, 1));
                    prop_assert!((1..=lines + 1).contains(&line) && column >= 1, "{problem:?}");
                }
            }
        }
    }
}
