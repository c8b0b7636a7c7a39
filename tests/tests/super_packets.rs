//! TCP through the tunnel with each mixture of offloads, byte by byte; and that super-packets are really used.
//! Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_lab::testbed::{LinkSpec, Testbed};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use support::{running, testbed};

mpt_lab::kernel_tests!();

const BYTES: usize = 24 << 20;
const CHUNK: usize = 60_000;

/// Sends pseudo-random bytes from host to host and compares them.
fn transfer(testbed: &Testbed, to: IpAddr) {
    let address = SocketAddr::new(to, 6000);
    let (a, b) = (testbed.a(), testbed.b());
    let listener = b.host().run(|| TcpListener::bind(address)).unwrap();
    let sender = a.host().run(|| TcpStream::connect(address)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut sender, mut rng) = (sender, ChaCha8Rng::seed_from_u64(7));
            let mut chunk = vec![0; CHUNK];
            for _ in 0..BYTES / CHUNK {
                rng.fill_bytes(&mut chunk);
                sender.write_all(&chunk).unwrap();
            }
        });
        let (mut receiver, _) = listener.accept().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut expected, mut got) = (vec![0; CHUNK], vec![0; CHUNK]);
        for i in 0..BYTES / CHUNK {
            rng.fill_bytes(&mut expected);
            receiver.read_exact(&mut got).unwrap();
            assert!(expected == got, "chunk {i} to {to}");
        }
        assert_eq!(receiver.read(&mut got).unwrap(), 0);
    });
}

fn pair(links: Vec<LinkSpec>, offloads: [Value; 2], cipher: &'static str) -> Testbed {
    let set = |offloads: Value| {
        move |yaml: &mut Value| {
            yaml["offloads"] = offloads;
            yaml["cipher"] = json!(cipher);
        }
    };
    let [a, b] = offloads;
    running(testbed().links(links).configure(0, set(a)).configure(1, set(b)))
}

#[test]
fn every_mixture_of_offloads_gives_the_same_bytes() {
    let all = || json!({});
    let off = |keys: &[&str]| Value::from_iter(keys.iter().map(|k| (k.to_string(), json!("off"))));
    let mixtures = [
        (all(), all(), "none"),
        (off(&["tso", "uso"]), all(), "none"),
        (all(), off(&["tso", "uso"]), "auto"),
        (off(&["gso"]), off(&["gro"]), "auto"),
        (off(&["tso", "uso", "gso", "gro"]), off(&["tso", "uso", "gso", "gro"]), "none"),
    ];
    for (a, b, cipher) in mixtures {
        println!("{a} {b} {cipher}");
        let links = vec![LinkSpec::plain(), LinkSpec::plain()];
        let testbed = pair(links, [a, b], cipher);
        transfer(&testbed, testbed.b().host_v4());
        transfer(&testbed, testbed.b().host_v6());
    }
}

/// Between routers, where TCP hands whole super-packets to TUN.
#[test]
fn super_packets_are_used_and_can_be_switched_off() {
    let mut testbed = pair(vec![LinkSpec::plain()], [json!({}), json!({})], "none");
    let address = SocketAddr::new(testbed.b().tunnel_v4(), 6001);
    let listener = testbed.b().router().run(|| TcpListener::bind(address)).unwrap();
    let mut sender = testbed.a().router().run(|| TcpStream::connect(address)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut receiver, _) = listener.accept().unwrap();
            let mut sink = vec![0; CHUNK];
            while receiver.read(&mut sink).unwrap() > 0 {}
        });
        for _ in 0..400 {
            sender.write_all(&[7; CHUNK]).unwrap();
        }
        drop(sender);
    });
    for site in [0, 1] {
        let daemon = testbed.site_mut(site).daemon().unwrap();
        let status = daemon.status().unwrap();
        assert!(status.offloads.tso && status.offloads.uso && status.offloads.vnet_header);
        assert!(status.sockets.iter().all(|s| s.gso && s.gro && s.receive_buffer >= 8 << 20));
    }
    // The interface counts what was read or written at once, the daemon the packets in it.
    // Of each line the third figure is packets received, the eleventh packets sent.
    let count = |site: &mpt_lab::testbed::Site, column: usize| -> u64 {
        let read = site.router().command("cat").arg("/proc/net/dev").output().unwrap();
        let text = String::from_utf8(read.stdout).unwrap();
        let name = format!("{}:", mpt_lab::testbed::Site::TUNNEL);
        let line = text.lines().find_map(|l| l.trim().strip_prefix(&name)).unwrap();
        line.split_whitespace().nth(column).unwrap().parse().unwrap()
    };
    let (read, written) = (count(testbed.a(), 9), count(testbed.b(), 1));
    let status =
        |site: usize, t: &mut Testbed| t.site_mut(site).daemon().unwrap().status().unwrap();
    let packets = status(0, &mut testbed).tun.read_packets;
    println!("{packets} packets, read in {read} calls, written in {written}");
    assert!(packets > 5 * read && packets > 5 * written);
    drop(testbed);

    let off = || json!({"tso": "off", "uso": "off", "gso": "off", "gro": "off"});
    let mut testbed = pair(vec![LinkSpec::plain()], [off(), off()], "none");
    let status = testbed.site_mut(0).daemon().unwrap().status().unwrap();
    assert!(!status.offloads.tso && !status.offloads.uso && status.offloads.vnet_header);
    assert!(status.sockets.iter().all(|s| !s.gso && !s.gro));
}
