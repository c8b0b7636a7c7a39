//! The configurations in `conf` and in the README.

use super::*;

#[test]
fn the_examples_are_right() {
    let place = Place::new();
    place.write("mpt0.key", &ours().to_base64(), 0o600);
    let conf = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../conf");
    let read = |name: &str| {
        let text = std::fs::read_to_string(conf.join(name)).unwrap();
        let here = text.replace("/etc/mpt/", "");
        Config::parse(&place.dir.path().join(name), &here).unwrap_or_else(|e| panic!("{e}"))
    };
    let (client, hub) = (read("example.yaml"), read("hub.yaml"));
    assert_eq!((client.name(), hub.name()), ("mpt0", "mpt0"));
    assert_eq!(client.peers[0].paths.len(), 2);
    assert_eq!(hub.peers[1].paths[1].remote, None);

    // What stands there as a default is one.
    let small = place.parse(SMALL).unwrap();
    assert_eq!(client.probe, small.probe);
    assert_eq!((client.cipher, client.scheduler), (small.cipher, small.scheduler));
    assert_eq!((client.max_hold, client.interface.mtu), (small.max_hold, small.interface.mtu));
}

/// The two routers of the README are right, and each other's mirror image.
#[test]
fn the_readme_is_right() {
    let place = Place::new();
    place.write("mpt0.key", &ours().to_base64(), 0o600);
    place.write("roof.psk", &ours().to_base64(), 0o600);
    let readme = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let routers: Vec<Config> = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| {
            let yaml = rest.split("```").next().unwrap();
            let yaml =
                yaml.replace("…of router A…", "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=");
            let yaml =
                yaml.replace("…of router B…", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
            place.parse(&yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"))
        })
        .collect();
    let [a, b] = &routers[..] else { panic!("{} routers", routers.len()) };
    for (here, there) in [(a, b), (b, a)] {
        let address = there.interface.addresses[0].address;
        assert_eq!(here.peers[0].allowed_ips[0].address, address);
        assert_eq!(here.routes[0].to, here.peers[0].allowed_ips[1]);
        let ends = |config: &Config| -> Vec<_> {
            let paths = config.peers[0].paths.iter();
            paths.map(|p| (p.name.clone(), p.weight, p.remote.as_ref().unwrap().port)).collect()
        };
        assert_eq!(ends(here), ends(there));
    }
}

/// Each key that stands commented out in the example is a right one, too.
#[test]
fn what_the_example_leaves_out_is_right() {
    let place = Place::new();
    place.write("mpt0.key", &ours().to_base64(), 0o600);
    place.write("roof.psk", &ours().to_base64(), 0o600);
    let example = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../conf/example.yaml");
    let text: String = std::fs::read_to_string(example)
        .unwrap()
        .replace("/etc/mpt/", "")
        .lines()
        .map(|line| {
            let bare = line.trim_start();
            let key = bare.strip_prefix("# ").and_then(|rest| rest.split_once(": "));
            let is_key = key
                .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            if is_key { line.replacen("# ", "", 1) + "\n" } else { line.to_owned() + "\n" }
        })
        .collect();
    let config = place.parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let path = &config.peers[0].paths[1];
    assert_eq!(config.workers, Workers::Auto);
    assert_eq!((path.local_port, path.dscp), (Some(4600), Dscp::Fixed(46)));
    assert!(path.rate_limit.is_some());
    assert_eq!(path.offloads, PathOffloads::default());
}
