//! From the tree to a [`Config`]: the tunnel as a whole, then (in [`peers`]) its peers and paths.

mod peers;
mod policies;

use super::find::valid_interface_name;
use super::model::{
    Config, Interface, InterfaceAddress, Listen, Mtu, Offload, Offloads, PathOffloads, Route,
    WhenDown, Workers,
};
use super::problem::ConfigError;
use super::reader::{Map, Node, Problems, nearest};
use super::yaml::{self, Yaml};
use super::{rules, secrets, units};
use mpt_core::config::{
    CipherChoice, MssClamp, Prefix, ProbeIntervals, RepairConfig, SchedulerKind,
};
use mpt_core::keys::PrivateKey;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

/// A packet each 125 µs and more, and each waits 125 µs in the mean.
const COALESCE: Duration = Duration::from_micros(250);

const KEYS: &[&str] = &[
    "interface",
    "private_key_file",
    "private_key",
    "listen",
    "cipher",
    "scheduler",
    "max_hold",
    "hold_memory",
    "repair",
    "workers",
    "coalesce",
    "offloads",
    "probe",
    "peers",
    "routes",
    "policies",
    "builtin_policies",
];

/// Reads `text` as the contents of `file`.
pub(super) fn config(file: &FilePath, text: &str) -> Result<Config, ConfigError> {
    let tree = yaml::parse(text).map_err(|(place, message)| ConfigError {
        problems: vec![super::Problem { place, message }],
        ..ConfigError::whole(file, String::new())
    })?;
    let problems = Problems::default();
    let config = whole(file, &Node::root(&tree, &problems));
    let found = problems.located(text);
    match config {
        Some(config) if found.is_empty() => Ok(config),
        _ if found.is_empty() => {
            Err(ConfigError::whole(file, "something required is missing".to_owned()))
        }
        _ => Err(ConfigError { file: file.to_owned(), problems: found }),
    }
}

/// Everything; `None` only when a problem was noted. Each part is read before any is missed, so
/// that all problems come out at once.
fn whole(file: &FilePath, root: &Node<'_>) -> Option<Config> {
    let map = root.map(KEYS)?;
    let interface = interface(file, &map);
    let private_key = private_key(file, &map);
    let listen = map.get("listen").map(|node| listen(&node));
    let cipher = map.read("cipher", units::word(&CIPHERS)).unwrap_or_default();
    let scheduler = map.read("scheduler", scheduler).unwrap_or(SchedulerKind::Auto);
    let max_hold = map
        .read("max_hold", units::duration(Duration::from_millis(1)..=Duration::from_secs(10)))
        .unwrap_or(Duration::from_millis(500));
    let hold_memory = map.read("hold_memory", hold_memory).unwrap_or_default();
    let repair = map.get("repair").and_then(|node| repair(&node)).unwrap_or_default();
    let workers = map.read("workers", workers).unwrap_or_default();
    let coalesce = map.read("coalesce", coalesce).unwrap_or(COALESCE);
    let offloads = map.get("offloads").and_then(|node| offloads(&node)).unwrap_or_default();
    let probe = map.get("probe").and_then(|node| probe(&node)).unwrap_or_default();
    let peers = map
        .require("peers", "peers: [{name: roof, public_key: …}]")
        .and_then(|node| peers::peers(file, &node, listen.is_some(), offloads.paths));
    let routes = match map.get("routes") {
        Some(node) => node.list("routes")?.iter().filter_map(route).collect(),
        None => Vec::new(),
    };
    let policies = policies::policies(&map, peers.as_deref());
    rules::judge(private_key.as_ref(), interface.as_ref(), peers.as_deref().unwrap_or_default());
    Some(Config {
        file: file.to_owned(),
        interface: interface?,
        private_key: private_key?,
        listen: match listen {
            Some(read) => Some(read?),
            None => None,
        },
        cipher,
        scheduler,
        max_hold,
        hold_memory,
        repair,
        workers,
        coalesce,
        offloads,
        probe,
        peers: peers?.into_iter().map(|seen| seen.peer).collect(),
        routes,
        policies: policies?,
    })
}

fn interface(file: &FilePath, map: &Map<'_>) -> Option<Interface> {
    let node = map.require("interface", "interface: {address: 10.77.0.1/30}")?;
    let map = node.map(&["name", "address", "mtu", "mss_clamp"])?;
    let name = match map.get("name") {
        Some(name) => name.read(interface_name),
        None => {
            let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
            match valid_interface_name(stem) {
                Ok(()) => Some(stem.to_owned()),
                Err(why) => {
                    node.fail(format!(
                        "without a `name` the interface is called as the file is, but {why}; add `name: mpt0`"
                    ));
                    None
                }
            }
        }
    };
    let addresses = map.require("address", "address: [10.77.0.1/30, \"fd77::1/64\"]").map(|node| {
        let mut addresses: Vec<InterfaceAddress> = Vec::new();
        for item in node.list_or_one() {
            let Some(own) = item.read(interface_address) else { continue };
            if addresses.iter().any(|a| a.address == own.address) {
                item.fail(format!("{} stands here a second time; leave one out", own.address));
            }
            addresses.push(own);
        }
        node.read(|value| match value {
            Yaml::List(items) if items.is_empty() => {
                Err("expected at least one address, such as 10.77.0.1/30".to_owned())
            }
            _ => Ok(()),
        });
        addresses
    });
    let mtu = map.read("mtu", auto_or("an MTU", 1280..=65_535)).flatten();
    let mss = map.read("mss_clamp", |value| match value {
        Yaml::Text(t) if t == "off" => Ok(MssClamp::Off),
        Yaml::Bool(false) => Ok(MssClamp::Off),
        _ => auto_or("off, or an MSS in bytes", 88..=65_495)(value)
            .map(|fixed| fixed.map_or(MssClamp::Auto, MssClamp::Fixed)),
    });
    Some(Interface {
        name: name?,
        addresses: addresses?,
        mtu: mtu.map_or(Mtu::Auto, Mtu::Fixed),
        mss_clamp: mss.unwrap_or_default(),
    })
}

fn interface_address(value: &Yaml) -> Result<InterfaceAddress, String> {
    let (address, length) = units::address_and_length(value)?;
    let own = InterfaceAddress { address, length };
    let refuse = |what: String| Err(format!("{what}; write this end's, such as 10.77.0.1/30"));
    if let Err(what) = units::of_one_host(address) {
        return refuse(what);
    }
    let bits = own.bits();
    if units::text(value).is_ok_and(|text| !text.contains('/')) {
        return Err(format!(
            "the length of its network is missing: the peers must be in it, as in {address}/{}; \
             {address}/{bits} is a network of this one address",
            if address.is_ipv4() { 24 } else { 64 }
        ));
    }
    if length == 0 {
        return refuse(format!(
            "{own} is everything there is; what goes into the tunnel is said in `routes`"
        ));
    }
    if address.is_loopback() {
        return refuse(format!("{address} never leaves a machine"));
    }
    // In a network of one or two addresses each of them is a host's.
    if length + 1 < bits {
        let network = Prefix::new(address, length);
        if network.is_some_and(|n| n.address == address) {
            return refuse(format!("{address} is the network {own} itself"));
        }
        if let IpAddr::V4(v4) = address
            && v4.to_bits() | u32::MAX >> length == v4.to_bits()
        {
            return refuse(format!("{address} is the broadcast address of {own}"));
        }
    }
    Ok(own)
}

/// `auto` (`None`), or a number in `range`.
fn auto_or(
    what: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> impl Fn(&Yaml) -> Result<Option<u16>, String> {
    move |value| match value {
        Yaml::Text(t) if t == "auto" => Ok(None),
        _ => units::number(&format!("auto or {what}"), range.clone())(value)
            .map(|n| u16::try_from(n).ok()),
    }
}

fn interface_name(value: &Yaml) -> Result<String, String> {
    let name = units::text(value)?;
    valid_interface_name(name).map(|()| name.to_owned())
}

/// The key from its file, or from this one, which then must be as private.
fn private_key(file: &FilePath, map: &Map<'_>) -> Option<PrivateKey> {
    match (map.get("private_key_file"), map.get("private_key")) {
        (Some(_), Some(inline)) => {
            inline.fail_key("the key stands here and in `private_key_file`; leave one out");
            None
        }
        (Some(node), None) => node.read(|value| {
            let name = units::text(value)?;
            secrets::check_name::<PrivateKey>(name, "private_key")?;
            secrets::read_key(&beside(file, name), "mpt-cli genkey").and_then(not_zero)
        }),
        (None, Some(node)) => {
            let key = inline_key(file, &node)?;
            not_zero(key).map_err(|why| node.fail(why)).ok()
        }
        (None, None) => {
            map.require("private_key_file", "private_key_file: /etc/mpt/mpt0.key");
            None
        }
    }
}

/// Whoever has a key of zeros has everybody's.
fn not_zero(key: PrivateKey) -> Result<PrivateKey, String> {
    match key.as_bytes().iter().all(|byte| *byte == 0) {
        true => Err("the key is all zeros; `mpt-cli genkey` makes one".to_owned()),
        false => Ok(key),
    }
}

/// A key that stands in the YAML file itself.
fn inline_key<K: std::str::FromStr<Err = mpt_core::keys::KeyError>>(
    file: &FilePath,
    node: &Node<'_>,
) -> Option<K> {
    if let Ok(metadata) = std::fs::metadata(file)
        && let Err(why) = secrets::private(&metadata, file)
    {
        node.fail(why);
    }
    // The text is a secret: the complaint must not repeat it.
    node.read(|value| match value {
        Yaml::Text(text) => text.parse().map_err(|e: mpt_core::keys::KeyError| e.to_string()),
        _ => Err("expected a key in base64, in quotes".to_owned()),
    })
}

/// A path in the YAML is relative to the YAML.
fn beside(file: &FilePath, path: &str) -> PathBuf {
    file.parent().unwrap_or_else(|| FilePath::new("")).join(path)
}

fn listen(node: &Node<'_>) -> Option<Listen> {
    let mut listen: Option<Listen> = None;
    for (i, item) in node.list_or_one().iter().enumerate() {
        let (address, port) = item.read(listen_address)?;
        let known = listen.get_or_insert(Listen { port, addresses: Vec::new() });
        if known.port != port {
            item.fail(format!(
                "port {port} here, {} before; a tunnel listens on one port",
                known.port
            ));
            return None;
        }
        // Without addresses, what came before was the port alone.
        let everywhere = i > 0 && known.addresses.is_empty();
        match address {
            Some(address) if known.addresses.contains(&address) => {
                item.fail(format!("{address} stands here a second time; leave one out"));
            }
            None if everywhere => item.fail("the port stands here a second time; leave one out"),
            Some(_) if everywhere => {
                item.fail("the port alone, before, means every address; leave one of them out");
            }
            None if i > 0 => item.fail("the port alone means every address; leave it out here"),
            _ => known.addresses.extend(address),
        }
    }
    if listen.is_none() {
        node.fail("expected a port such as 4511");
    }
    listen
}

fn listen_address(value: &Yaml) -> Result<(Option<IpAddr>, u16), String> {
    if let Yaml::Text(text) = value {
        if let Ok(address) = text.parse::<SocketAddr>()
            && address.port() != 0
        {
            let host = match address.ip() {
                any if any.is_unspecified() => any,
                one => units::of_one_host(one).map_err(|what| {
                    format!("{what}; write one of this machine, or the port alone")
                })?,
            };
            return Ok((Some(host), address.port()));
        }
        if let Ok(port @ 1..) = text.parse::<u16>() {
            return Ok((None, port));
        }
    }
    match value {
        Yaml::Int(n) => match u16::try_from(*n) {
            Ok(port @ 1..) => Ok((None, port)),
            _ => Err(format!("expected a port from 1 to 65535, found {n}")),
        },
        _ => Err(format!(
            "expected a port such as 4511, or \"192.0.2.1:4511\" or \"[2001:db8::1]:4511\"; found {}",
            value.kind()
        )),
    }
}

const CIPHERS: [(&str, CipherChoice); 4] = [
    ("auto", CipherChoice::Auto),
    ("aes-256-gcm", CipherChoice::Aes256Gcm),
    ("chacha20-poly1305", CipherChoice::ChaCha20Poly1305),
    ("none", CipherChoice::None),
];

fn scheduler(value: &Yaml) -> Result<SchedulerKind, String> {
    const BUILT: [(&str, SchedulerKind); 5] = [
        ("weighted", SchedulerKind::Weighted),
        ("adaptive", SchedulerKind::Adaptive),
        ("failover", SchedulerKind::Failover),
        ("flow", SchedulerKind::Flow),
        ("duplicate", SchedulerKind::Duplicate),
    ];
    units::word(&BUILT)(value).map_err(|complaint| {
        let near = units::text(value).ok().and_then(|t| nearest(t, &BUILT.map(|(w, _)| w)));
        match near {
            Some(near) => format!("{complaint}; did you mean `{near}`?"),
            None => complaint,
        }
    })
}

/// Less holds back no fast path for long enough; more than this nobody has in a router.
const HOLD_MEMORY: RangeInclusive<usize> = 256 << 10..=1 << 30;

fn hold_memory(value: &Yaml) -> Result<Option<usize>, String> {
    match value {
        Yaml::Text(t) if t == "auto" => Ok(None),
        _ => match units::size(value) {
            Ok(bytes) if HOLD_MEMORY.contains(&bytes) => Ok(Some(bytes)),
            Ok(_) => Err("expected 256KiB to 1GiB".to_owned()),
            Err(_) => Err(format!("expected auto or a size such as 4MiB, found {}", value.kind())),
        },
    }
}

/// Less is not worth the trouble: two packets; more than this nobody has in a router.
const REPAIR_MEMORY: RangeInclusive<usize> = 64 << 10..=1 << 30;

fn repair(node: &Node<'_>) -> Option<RepairConfig> {
    if units::truth(node.value()) == Ok(false) {
        return Some(RepairConfig::OFF);
    }
    if units::truth(node.value()) == Ok(true) {
        return Some(RepairConfig::default());
    }
    if !matches!(node.value(), Yaml::Map(_)) {
        node.fail(format!(
            "expected on, off or a map with the keys memory, max_age, parity, copies; found {}",
            node.value().kind()
        ));
        return None;
    }
    let map = node.map(&["memory", "max_age", "parity", "copies"])?;
    let default = RepairConfig::default();
    let age = units::duration(Duration::from_millis(10)..=Duration::from_secs(60));
    let auto = |value: &Yaml| offload(value).map(|wanted| wanted == Offload::Auto);
    let memory = |value: &Yaml| match units::size(value)? {
        bytes if !REPAIR_MEMORY.contains(&bytes) => {
            Err("expected 64KiB to 1GiB; `repair: off` switches it off".to_owned())
        }
        bytes => Ok(bytes),
    };
    Some(RepairConfig {
        memory: map.read("memory", memory).unwrap_or(default.memory),
        max_age: map.read("max_age", age).unwrap_or(default.max_age),
        parity: map.read("parity", auto).unwrap_or(default.parity),
        copies: map.read("copies", auto).unwrap_or(default.copies),
    })
}

fn offloads(node: &Node<'_>) -> Option<Offloads> {
    let map = node.map(&["tso", "uso", "gso", "gro"])?;
    let read = |key| map.read(key, offload).unwrap_or_default();
    let paths = PathOffloads { gso: read("gso"), gro: read("gro") };
    Some(Offloads { tso: read("tso"), uso: read("uso"), paths })
}

fn offload(value: &Yaml) -> Result<Offload, String> {
    match value {
        Yaml::Text(t) if t == "auto" => Ok(Offload::Auto),
        _ => units::truth(value)
            .map(|on| if on { Offload::Auto } else { Offload::Off })
            .map_err(|_| format!("expected auto, on or off; found {}", value.kind())),
    }
}

fn workers(value: &Yaml) -> Result<Workers, String> {
    let fixed = auto_or("a number of workers", 1..=16)(value)?;
    Ok(fixed.and_then(|n| u8::try_from(n).ok()).map_or(Workers::Auto, Workers::Fixed))
}

fn coalesce(value: &Yaml) -> Result<Duration, String> {
    match value {
        Yaml::Bool(false) => Ok(Duration::ZERO),
        Yaml::Text(t) if t == "off" => Ok(Duration::ZERO),
        _ => units::duration(Duration::from_micros(20)..=Duration::from_millis(2))(value)
            .map_err(|problem| format!("{problem}; `coalesce: off` switches it off")),
    }
}

fn probe(node: &Node<'_>) -> Option<ProbeIntervals> {
    let map = node.map(&["active", "idle"])?;
    let default = ProbeIntervals::default();
    let range = Duration::from_millis(10)..=Duration::from_secs(60);
    let active = map.read("active", units::duration(range.clone())).unwrap_or(default.active);
    let idle = map.read("idle", units::duration(range)).unwrap_or(default.idle.max(active));
    if idle < active {
        node.fail(format!(
            "idle paths are probed less often than active ones, but {idle:?} is less than {active:?}"
        ));
    }
    Some(ProbeIntervals { active, idle })
}

fn route(node: &Node<'_>) -> Option<Route> {
    let map = node.map(&["to", "protocols", "when_down"])?;
    let to = map.require("to", "to: 0.0.0.0/0").and_then(|node| node.read(units::prefix));
    let protocols = map.get("protocols").map_or_else(Vec::new, |node| {
        node.list_or_one().iter().filter_map(|item| item.read(units::protocol)).collect()
    });
    let when = [("keep", WhenDown::Keep), ("bypass", WhenDown::Bypass)];
    let when_down = map.read("when_down", units::word(&when)).unwrap_or_default();
    Some(Route { to: to?, protocols, when_down })
}
