use super::*;
use mpt_core::config::Prefix;

const TEXT: &str = r#"
interface: {name: mpt0, address: 10.77.0.1/30}
private_key_file: own.key
listen: 4511
peers:
  - name: roof
    public_key: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    allowed_ips: [10.77.0.2/32]
    paths:
      - {name: a, interface: wan1, remote: "10.1.0.2:4511", weight: 2}
      - {name: b, interface: wan1, remote: "10.1.0.2:4511", weight: 1, rate_limit: 20mbit}
      - {name: c, interface: wan2, remote: "hub.example.net:4511", gateway: 10.2.0.9}
      - {name: d, local_port: 4600, remote: "10.1.0.2:4511", enabled: false}
routes:
  - {to: 0.0.0.0/0, protocols: [udp], when_down: bypass}
"#;

/// A machine whose files all lie in `dir`.
fn machine(dir: &FilePath) -> Machine<'_> {
    Machine {
        interfaces: dir,
        routes: dir,
        ipv4_settings: dir,
        ipv6_settings: dir,
        resolver: FilePath::new("/nowhere"),
    }
}

fn private_file(file: &FilePath, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_report_tells_what_is_there_and_what_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let key = mpt_core::keys::PrivateKey::from_random([7; 32]);
    private_file(&dir.path().join("own.key"), &key.to_base64());
    for (interface, value) in [("all", "0"), ("wan1", "1")] {
        std::fs::create_dir(dir.path().join(interface)).unwrap();
        std::fs::write(dir.path().join(interface).join("forwarding"), "0\n").unwrap();
        std::fs::write(dir.path().join(interface).join("rp_filter"), value).unwrap();
    }
    let config = Config::parse(&dir.path().join("wan0.yaml"), TEXT).unwrap();
    let machine = machine(dir.path());
    let report = Report::new(&config, &machine, |hosts| {
        assert_eq!(hosts, ["hub.example.net"]);
        vec![false]
    });
    assert_eq!(
        report.summary[1..],
        [
            "interface mpt0: 10.77.0.1/30, MTU as the paths allow",
            &format!("public key {}", key.public_key()),
            "listens on port 4511 of every address",
            "scheduler weighted, cipher auto",
            "peer roof: 10.77.0.2/32",
            "  path a: wan1 -> 10.1.0.2:4511, weight 2",
            "  path b: wan1 -> 10.1.0.2:4511, weight 1, at most 20mbit",
            "  path c: wan2 -> hub.example.net:4511 via 10.2.0.9",
            "  path d: port 4600 -> 10.1.0.2:4511, disabled",
            "route 0.0.0.0/0: udp, bypassed while no path is up",
        ]
    );
    let expected = [
        "rp_filter=2",
        "interface wan2 does not exist; path c waits",
        "hub.example.net does not resolve",
        "paths a and b have the same ends",
        "no peer's allowed_ips holds all of the route 0.0.0.0/0",
        "path d has no `interface`",
    ];
    assert_eq!(report.warnings.len(), expected.len(), "{:#?}", report.warnings);
    for (warning, words) in report.warnings.iter().zip(expected) {
        assert!(warning.contains(words), "{warning} / {words}");
    }
    assert_eq!(report.notes.len(), 1, "{:#?}", report.notes);
    assert!(report.notes[0].contains("forwards no IPv4"), "{:#?}", report.notes);
}

#[test]
fn what_this_machine_has_itself_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let key = mpt_core::keys::PrivateKey::from_random([7; 32]);
    private_file(&dir.path().join("own.key"), &key.to_base64());
    let text = TEXT.replace("0.0.0.0/0", "192.168.12.0/24");
    let config = Config::parse(&dir.path().join("wan0.yaml"), &text).unwrap();
    let network = |text: &str, length, interface: &str| Network {
        prefix: Prefix::new(text.parse().unwrap(), length).unwrap(),
        interface: interface.to_owned(),
    };
    let told = |networks: &[Network]| clashes(&config, networks);
    assert!(told(&[network("10.77.0.0", 30, "mpt0")]).is_empty(), "the tunnel itself");
    assert!(told(&[network("192.168.0.0", 16, "lan0")]).is_empty(), "the route is narrower");
    let told = told(&[network("192.168.12.0", 24, "lan0"), network("10.77.0.0", 24, "lan1")]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("10.77.0.1 lies within 10.77.0.0/24"), "{}", told[0]);
    assert!(told[1].contains("the network of interface lan0 here"), "{}", told[1]);
}

/// What is told of nameserver `server` with this route, on a machine in `10.9.0.0/16`.
fn told_of_nameserver(server: &str, route: &str, remote: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let key = mpt_core::keys::PrivateKey::from_random([7; 32]);
    private_file(&dir.path().join("own.key"), &key.to_base64());
    let (head, _) = TEXT.split_once("routes:").unwrap();
    let text = head.replace("hub.example.net", remote) + "routes:\n  - " + route + "\n";
    let config = Config::parse(&dir.path().join("wan0.yaml"), &text).unwrap();
    let network = |text: &str, length, interface: &str| Network {
        prefix: Prefix::new(text.parse().unwrap(), length).unwrap(),
        interface: interface.to_owned(),
    };
    let networks = [network("10.9.0.0", 16, "lan0"), network("9.9.9.0", 24, "mpt0")];
    nameservers::behind_the_tunnel(&config, &[server.parse().unwrap()], &networks)
}

#[test]
fn a_name_that_only_the_tunnel_could_ask_for_is_told() {
    let all = "{to: 0.0.0.0/0}";
    let told = told_of_nameserver("9.9.9.9", all, "hub.example.net");
    let words = "hub.example.net is asked for at 9.9.9.9, which lies within the route 0.0.0.0/0";
    assert!(told.len() == 1 && told[0].starts_with(words), "{told:#?}");
    for (server, route, remote) in [
        ("9.9.9.9", all, "192.0.2.1"),
        ("9.9.9.9", "{to: 0.0.0.0/0, when_down: bypass}", "hub.example.net"),
        ("9.9.9.9", "{to: 0.0.0.0/0, protocols: [tcp]}", "hub.example.net"),
        ("9.9.9.9", "{to: 10.0.0.0/8}", "hub.example.net"),
        ("10.9.0.1", all, "hub.example.net"),
        ("127.0.0.53", all, "hub.example.net"),
        ("fe80::1", all, "hub.example.net"),
    ] {
        let told = told_of_nameserver(server, route, remote);
        assert!(told.is_empty(), "{server} {route} {remote}: {told:#?}");
    }
    let own = told_of_nameserver("10.77.0.2", "{to: 192.168.0.0/16}", "hub.example");
    assert!(own.len() == 1 && own[0].contains("within the tunnel's own network"), "{own:#?}");
    let udp = told_of_nameserver("10.9.0.1", "{to: 10.9.0.0/16, protocols: [udp]}", "hub.example");
    assert_eq!(udp.len(), 1, "the main table knows it no better: {udp:#?}");
}

#[test]
fn loose_filters_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    for (all, own, strict) in
        [("0", "0", false), ("1", "0", true), ("1", "2", false), ("2", "1", false)]
    {
        for (interface, value) in [("all", all), ("wan1", own)] {
            std::fs::create_dir_all(dir.path().join(interface)).unwrap();
            std::fs::write(dir.path().join(interface).join("rp_filter"), value).unwrap();
        }
        assert_eq!(machine.strict_rp_filter("wan1").is_some(), strict, "{all} {own}");
    }
}

#[test]
fn localhost_resolves_and_nonsense_does_not() {
    let hosts = ["localhost".to_owned(), "nothing.invalid".to_owned()];
    assert_eq!(resolves(&hosts), [true, false]);
}
