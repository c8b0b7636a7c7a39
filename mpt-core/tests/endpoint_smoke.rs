//! A live session against damaged datagrams of its own: nothing may panic, and what it knows stays. How many, and how to begin
//! elsewhere: `parsers_smoke.rs`.

#[path = "two_ends/config.rs"]
mod config;
mod smoke;

use mpt_core::config::{CipherChoice, LocalEnd, WorkerCount};
use mpt_core::control::Status;
use mpt_core::inner::Offload;
use mpt_core::keys::PrivateKey;
use mpt_core::{DatagramMeta, Endpoint, Outbox, PathId, PeerId, SocketId, Time};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use smoke::{below, inputs_per_target, smoke};
use std::net::SocketAddr;
use std::time::Duration;

/// Two endpoints that talk over one path, without a network between.
struct Pair {
    now: Time,
    ends: [Endpoint; 2],
    delivered: [u64; 2],
}

impl Pair {
    fn new(seed: u8) -> Self {
        let key = |i| PrivateKey::from_random([i; 32]);
        let now = Time::from_millis(1);
        let ends = [1u8, 2].map(|i| {
            let config = config::endpoint(key(i), CipherChoice::Auto, WorkerCount::ONE);
            let peer = config::peer(key(3 - i).public_key(), [10, 0, 0, 3 - i], &["path"]);
            let mut end = Endpoint::new(config, [i ^ seed; 32]);
            let peer = end.add_peer(now, peer).expect("one peer, one path");
            let path = PathId::new(0).expect("0 is one");
            let local = LocalEnd::Ready {
                socket: SocketId(0),
                interface: None,
                address: Some(address(i)),
                mtu: 1_500,
            };
            end.set_local(now, peer, path, local);
            if i == 1 {
                end.set_remote(now, peer, path, address(2));
            }
            end
        });
        Self { now, ends, delivered: [0, 0] }
    }

    /// A millisecond passes: what is due is sent and received, save what the second end would get while
    /// `kept` collects it.
    fn step(&mut self, mut kept: Option<&mut Vec<Vec<u8>>>) {
        self.now += Duration::from_millis(1);
        let mut out = Outbox::new();
        for from in 0..2 {
            let count = &mut self.delivered[from];
            let mut sink = |_: PeerId, _: &[u8]| *count += 1;
            self.ends[from].handle_batch_end(self.now, &mut out, &mut sink);
            let sent: Vec<_> =
                out.lanes().iter().flat_map(|l| l.datagrams().map(<[u8]>::to_vec)).collect();
            out.clear();
            for datagram in sent {
                match &mut kept {
                    Some(kept) if from == 0 => kept.push(datagram),
                    _ => self.receive(1 - from, &datagram, &mut out),
                }
            }
        }
        // Answers to what was received leave with the next step's.
        let answers: Vec<_> =
            out.lanes().iter().flat_map(|l| l.datagrams().map(|d| (l.key, d.to_vec()))).collect();
        out.clear();
        for (key, datagram) in answers {
            match (usize::from(key.destination == address(2)), &mut kept) {
                (1, Some(kept)) => kept.push(datagram),
                (to, _) => self.receive(to, &datagram, &mut out),
            }
        }
    }

    fn receive(&mut self, to: usize, datagram: &[u8], out: &mut Outbox) {
        let count = &mut self.delivered[to];
        let meta = DatagramMeta {
            socket: SocketId(0),
            source: address(2 - to as u8),
            destination: None,
            ecn: 0,
        };
        let mut sink = |_: PeerId, _: &[u8]| *count += 1;
        self.ends[to].handle_datagram(self.now, &meta, &mut datagram.to_vec(), out, &mut sink);
    }

    /// A packet from one end's network to the other's.
    fn send(&mut self, from: u8, out: &mut Outbox) {
        let ip = [0x45, 2, 0, 29, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1 + from, 10, 0, 0, 2 - from];
        let mut packet = [&ip[..], &[1, 2, 3, 4, 0, 9, 0, 0, 7]].concat();
        self.ends[usize::from(from)].handle_packet(self.now, &mut packet, &Offload::default(), out);
    }

    /// Everything the second end says of itself, and its drops in all.
    fn second(&self) -> (Status, u64) {
        let mut status = self.ends[1].status(self.now);
        let mut drops = std::mem::take(&mut status.drops);
        drops.extend(status.peers.iter_mut().flat_map(|p| std::mem::take(&mut p.drops)));
        (status, drops.iter().map(|d| d.count).sum())
    }
}

fn address(end: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, end], 4_500))
}

/// Valid are datagrams of a live session that were sent and did not arrive, of every type but cookie and
/// response. Whatever is made of them, the session's state stays, and it works on.
#[test]
fn datagrams_into_endpoint() {
    let mut pair = Pair::new(0);
    let mut out = Outbox::new();
    for _ in 0..500 {
        pair.step(None);
    }
    let mut valid: Vec<Vec<u8>> = Vec::new();
    for _ in 0..300 {
        pair.send(1, &mut out);
        for datagram in out.lanes()[0].datagrams() {
            pair.receive(0, datagram, &mut Outbox::new());
        }
        out.clear();
        pair.send(0, &mut out);
        valid.extend(out.lanes()[0].datagrams().map(<[u8]>::to_vec));
        out.clear();
        pair.step(Some(&mut valid));
    }
    let mut of_type = [0; 16];
    valid.retain(|d| {
        of_type[usize::from(d[0] & 0x0f)] += 1;
        of_type[usize::from(d[0] & 0x0f)] <= 12
    });
    pair.ends[0].close(pair.now, &mut out, &mut |_: PeerId, _: &[u8]| ());
    let close: Vec<_> = out.lanes()[0].datagrams().map(<[u8]>::to_vec).collect();
    out.clear();
    // Of the same peer, and never answered.
    let mut restarted = Vec::new();
    Pair::new(0x80).step(Some(&mut restarted));
    let initiation = restarted.swap_remove(0);
    let types = |of: &[Vec<u8>]| of.iter().fold(0u16, |bits, d| bits | 1 << (d[0] & 0x0f));
    assert_eq!(types(&valid) & 0b1011_0000, 0b1011_0000, "data, probes and reports");

    // First the true ones, as `smoke` wants; the state counts from there. The goodbye only ever comes
    // damaged, and the handshake is as good as new.
    let mut seeds = valid.clone();
    seeds.extend(vec![initiation; 6]);
    let count = seeds.len();
    let mut before = None;
    let mut seen = 0;
    let delivered = pair.delivered[1];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    smoke("datagrams into Endpoint", &seeds, |bytes| {
        seen += 1;
        if seen > count && before.is_none() {
            before = Some(pair.second());
        }
        let mut bytes = bytes.to_vec();
        if seen > count && seen % 16 == 0 {
            bytes = close[0].clone();
            let bit = below(&mut rng, bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let meta =
            DatagramMeta { socket: SocketId(0), source: address(1), destination: None, ecn: 0 };
        let mut came = 0;
        let mut sink = |_: PeerId, _: &[u8]| came += 1;
        pair.ends[1].handle_datagram(pair.now, &meta, &mut bytes, &mut out, &mut sink);
        pair.delivered[1] += came;
        let answered = !std::mem::take(&mut out).is_empty();
        seen <= count || answered || came > 0
    });
    let (before, dropped) = before.expect("smoke went beyond the valid ones");
    let (after, dropped_after) = pair.second();
    assert_eq!(after, before);
    assert!(dropped_after - dropped > inputs_per_target() * 9 / 10);
    let data = valid.iter().filter(|d| d[0] == 4).count() as u64;
    assert_eq!(pair.delivered[1] - delivered, data, "the true ones, once");

    // And it goes on.
    for _ in 0..20 {
        pair.step(None);
        pair.send(0, &mut out);
        let sent: Vec<_> = out.lanes()[0].datagrams().map(<[u8]>::to_vec).collect();
        out.clear();
        for d in sent {
            pair.receive(1, &d, &mut Outbox::new());
        }
    }
    // What did not arrive is sent again meanwhile, each packet once at most.
    let came = pair.delivered[1] - delivered;
    assert!((data + 20..=300 + 20).contains(&came), "{came}");
}
