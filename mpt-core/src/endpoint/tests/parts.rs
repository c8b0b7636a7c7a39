//! Packets that are too long for every path.

use super::*;

/// Bytes of IPv4 and UDP headers.
const OUTER: usize = 28;

impl World {
    /// Sends the next number from `end`, in a packet of `len` bytes.
    fn send_long(&mut self, end: usize, len: usize) {
        let mut packet = packet(end, self.sent, len);
        self.sent += 1;
        let End { endpoint, out, .. } = &mut self.ends[end];
        endpoint.handle_packet(self.now, &mut packet, &Offload::default(), out);
        self.turn(end);
    }

    /// Sends what is no packet of an honest peer.
    fn send_raw(&mut self, end: usize, inner: &[u8]) {
        let End { endpoint, out, .. } = &mut self.ends[end];
        let (like, class) = (packet(end, 0, 200), Default::default());
        let outgoing = crate::peer::Outgoing {
            packet: inner,
            offload: Offload::default(),
            inner: InnerPacket::parse(&like).unwrap(),
            flow: 1,
            class: &class,
            buffer: None,
        };
        let sent = endpoint.peers[0].send_packet(self.now, endpoint.share.worker, &outgoing, out);
        assert!(sent.is_ok());
        self.turn(end);
    }

    fn long_ones_under_way(&self) -> usize {
        self.wire.iter().filter(|f| f.bytes.len() > 500).count()
    }
}

/// Whatever is sent fits, arrives whole, and in its place among the small ones of its flow.
#[test]
fn they_come_out_whole_and_in_order() {
    for paths in [&["a"][..], &["a", "b"]] {
        let mut world = World::new(paths, &[]);
        world.mtus.fill(1_300);
        world.run(s(5));
        for i in 0..300 {
            for end in [CLIENT, HUB] {
                world.send_long(end, if i % 3 == 0 { 200 } else { 1_237 + i % 44 });
            }
            world.run(ms(3));
        }
        world.run(s(1));
        for end in [CLIENT, HUB] {
            let End { delivered, endpoint, .. } = &world.ends[end];
            assert_eq!(delivered.len(), 300, "{paths:?}");
            assert!(delivered.is_sorted());
            let (theirs, status) = (&world.ends[1 - end].endpoint, endpoint.status(world.now));
            let sent = theirs.status(world.now).peers[0].tx_packets;
            assert!(sent > 450, "each long one in two: {sent}");
            assert_eq!(status.peers[0].rx_packets, 300);
            assert_eq!(
                status.peers[0].rx_bytes,
                (0..300).map(|i| if i % 3 == 0 { 200 } else { 1_237 + i % 44 }).sum::<u64>()
            );
            assert_eq!(status.peers[0].drops, []);
        }
    }
}

#[test]
fn a_lost_part_is_sent_again() {
    let mut world = World::new(&["a"], &[]);
    world.mtus.fill(1_300);
    world.run(s(5));
    for i in 0..1_000 {
        world.send_long(CLIENT, 1_280);
        assert!(world.long_ones_under_way() >= 2);
        if i % 10 == 3 {
            // The first part, the second, or both.
            let mut part = 0;
            world.wire.retain(|f| {
                let new = f.at == world.now + world.delay && f.bytes.len() > 500;
                part += usize::from(new);
                !new || i % 30 == 3 * (1 + part) && i % 30 != 23
            });
        }
        world.run(ms(2));
    }
    world.run(s(1));
    assert_eq!(world.ends[HUB].delivered.len(), 1_000);
    assert!(world.ends[HUB].delivered.is_sorted());
}

/// Of a super-packet that fits nowhere the last segment may fit.
#[test]
fn the_short_end_of_a_super_packet_needs_no_parts() {
    use crate::inner::{Checksum, Segments};
    for paths in [&["a"][..], &["a", "b"]] {
        let mut world = World::new(paths, &[]);
        world.mtus.fill(1_280);
        world.run(s(5));
        // Three datagrams of 1 200 bytes, as QUIC sends them, and one of 100; each begins with its number.
        let (size, payload) = (1_200, 3_700);
        let mut packet = packet(CLIENT, 0, 28 + payload);
        for (i, datagram) in packet[28..].chunks_mut(size).enumerate() {
            datagram[..4].copy_from_slice(&(i as u32).to_be_bytes());
        }
        let offload = Offload {
            checksum: Checksum::Partial,
            segments: Segments::Udp { size: size as u16 },
            transport: 20,
        };
        packet[9] = 17;
        let End { endpoint, out, .. } = &mut world.ends[CLIENT];
        endpoint.handle_packet(world.now, &mut packet, &offload, out);
        world.turn(CLIENT);
        world.run(s(1));
        assert_eq!(world.ends[HUB].delivered, [0, 1, 2, 3]);
        assert!(world.ends[HUB].endpoint.status(world.now).peers[0].drops.is_empty());
    }
}

/// A path that does not answer is not better because the packet would fit it.
#[test]
fn rather_in_parts_than_into_a_dead_path() {
    let mut world = World::new(&["a", "b"], &[]);
    world.mtus[1] = 1_300;
    world.run(s(5));
    world.up[0] = false;
    world.run(s(1));
    for _ in 0..100 {
        world.send_long(CLIENT, 1_280);
        world.run(ms(5));
    }
    world.run(s(1));
    assert_eq!(world.ends[HUB].delivered.len(), 100);
    assert!(world.ends[HUB].delivered.is_sorted(), "what was lost with the path, too");
}

/// New connections send what fits in one piece, though the tunnel's MTU is not that small.
#[test]
fn connections_are_told_what_fits() {
    let mut world = World::new(&["a"], &[]);
    world.mtus.fill(1_300);
    world.run(s(5));
    assert_eq!(world.ends[CLIENT].endpoint.mtu(), 1_280);
    let inner = 1_300 - OUTER - 36;
    assert_eq!(world.ends[CLIENT].endpoint.peers[0].segment_mtu(1_280), inner as u16);
    // Too small to be followed while there is another path.
    let mut world = World::new(&["a", "b"], &[]);
    world.mtus[1] = 800;
    world.run(s(5));
    assert_eq!(world.ends[CLIENT].endpoint.mtu(), 1_500 - 64);
    assert_eq!(world.ends[CLIENT].endpoint.peers[0].segment_mtu(1_436), 1_436);
}

/// A hostile peer's parts are no packets.
#[test]
fn parts_that_make_no_packet_are_dropped() {
    use crate::parts::{PART_HEADER_LEN, Part};
    let mut world = World::new(&["a"], &[]);
    world.run(s(1));
    let bad = packet(HUB, 7, 300);
    for (offset, bytes) in [(0, &bad[..150]), (150, &bad[150..])] {
        let part = Part { tos: 0, id: 9, offset, total: 300, bytes };
        let mut inner = vec![0; PART_HEADER_LEN + bytes.len()];
        part.encode(&mut inner);
        world.send_raw(CLIENT, &inner);
    }
    world.send_raw(CLIENT, &[0x10; 9]);
    world.run(s(1));
    assert!(world.ends[HUB].delivered.is_empty());
    let status = world.ends[HUB].endpoint.status(world.now);
    let drops: Vec<_> = status.peers[0].drops.iter().map(|d| (&*d.reason, d.count)).collect();
    assert_eq!(drops, [("not-allowed", 1), ("bad-inner", 1)]);
}
