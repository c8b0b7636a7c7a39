//! Sessions that begin, are waited for, and get new keys.

use super::*;

#[test]
fn waiting_for_a_peer_that_is_away_is_quiet() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(3));
    world.up = vec![false; 2];
    world.run(s(300));
    for end in [CLIENT, HUB] {
        let wakes = world.wakes(end, s(60));
        assert!(wakes < 100, "end {end}: {wakes} in a minute");
    }
    world.up = vec![true; 2];
    world.run(s(6));
    assert_eq!(world.path_status(CLIENT, 1).state, "up");
    assert_eq!(world.path_status(HUB, 1).state, "up");
}

#[test]
fn a_packet_between_the_session_and_the_first_echo_is_not_lost() {
    let mut world = World::new(&["a"], &[]);
    while world.ends[CLIENT].endpoint.status(world.now).peers[0].state != "established" {
        world.run(ms(1));
    }
    assert_ne!(world.path_status(CLIENT, 0).state, "up");
    world.send(CLIENT);
    world.run(s(1));
    assert_eq!(world.ends[HUB].delivered, [0]);
}

#[test]
fn what_waited_too_long_for_a_peer_is_not_sent() {
    let mut world = World::new(&["a"], &[]);
    world.up[0] = false;
    world.run(s(1));
    world.send(CLIENT);
    world.run(s(60));
    world.send(CLIENT);
    world.up[0] = true;
    world.run(s(3));
    assert_eq!(world.ends[HUB].delivered, [1]);
}

#[test]
fn both_ends_begin_at_once_over_a_long_way() {
    for delay in [100, 300, 600, 900, 1_300] {
        let mut world = World::new(&["a"], &["a"]);
        world.delay = ms(delay);
        let now = world.now;
        world.ends[HUB].endpoint.set_remote(now, PEER, path(0), client_address(0));
        world.run(s(20));
        let before = world.ends[CLIENT].endpoint.status(world.now).peers[0].session_age.unwrap();
        for _ in 0..600 {
            world.send(CLIENT);
            world.send(HUB);
            world.run(ms(100));
        }
        world.run(s(10));
        for end in [CLIENT, HUB] {
            assert_eq!(world.ends[end].delivered.len(), 600, "{delay} ms");
            let age = world.ends[end].endpoint.status(world.now).peers[0].session_age.unwrap();
            assert!(age > before + 60.0, "{delay} ms: a session lasts, {age} s");
        }
    }
}

#[test]
fn keys_change_without_a_loss() {
    let mut world = World::new(&["a", "b"], &["a"]);
    world.run(s(3));
    for _ in 0..4_000 {
        world.send(CLIENT);
        world.send(HUB);
        world.run(ms(100));
    }
    world.run(s(1));
    let all: Vec<u32> = (0..4_000).collect();
    assert_eq!(world.ends[HUB].delivered, all.iter().map(|n| n * 2).collect::<Vec<_>>());
    assert_eq!(world.ends[CLIENT].delivered, all.iter().map(|n| n * 2 + 1).collect::<Vec<_>>());
    let age = world.ends[HUB].endpoint.status(world.now).peers[0].session_age.unwrap();
    assert!(age < 130.0, "{age}");
}

#[test]
fn a_restarted_peer_is_back_within_two_seconds() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(3));
    for _ in 0..20 {
        world.send(CLIENT);
        world.run(ms(20));
    }
    world.restart_hub(&[]);
    let (restarted, got) = (world.sent, world.ends[HUB].delivered.len());
    for _ in 0..150 {
        world.send(CLIENT);
        world.run(ms(20));
    }
    let new = &world.ends[HUB].delivered[got..];
    let first = new.first().copied().unwrap_or(u32::MAX);
    assert!(first < restarted + 100, "{} packets of 20 ms", first - restarted);
    assert!(new.windows(2).all(|w| w[0] < w[1]));
}

/// Whoever knows the client's public key can keep it under load.
#[test]
fn a_flood_does_not_keep_an_end_from_those_who_answer() {
    let mut world = World::new(&["a"], &[]);
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    let hello = crate::handshake::Hello {
        instance: 1,
        capabilities: 0,
        version: crate::handshake::PROTOCOL_VERSION,
        cipher: crate::handshake::CipherOffer { choice: CipherChoice::Auto, aes_in_hardware: true },
        workers: 1,
    };
    let (ours, theirs) = (keys(9), keys(1).public_key());
    let (_, stranger) = crate::handshake::Pending::begin(
        &ours,
        &theirs,
        &PresharedKey::default(),
        hello,
        7,
        &mut rng,
    )
    .unwrap();
    for i in 0..400u16 {
        let source = SocketAddr::from(([192, 0, 2, i as u8], 1_000 + i));
        let meta = DatagramMeta { socket: SocketId(0), source, destination: None, ecn: 0 };
        world.receive(CLIENT, &meta, &mut stranger.clone());
        if i > 200 {
            world.run(ms(5));
        }
    }
    assert_eq!(world.ends[CLIENT].endpoint.status(world.now).peers[0].state, "established");
}

/// Old initiations, sent again just when the hub has answered a new one, whose keys the client is about to use.
#[test]
fn old_initiations_do_not_push_out_the_answer_that_is_about_to_be_used() {
    let mut world = World::new(&["a"], &[]);
    let mut old: Vec<Flight> = Vec::new();
    let mut take = |world: &World| {
        let calls = world.wire.iter().filter(|f| f.to == HUB && f.bytes[0] & 15 == 1);
        let mut new = false;
        for call in calls {
            if old.iter().all(|o| o.bytes != call.bytes) {
                old.push(Flight { bytes: call.bytes.clone(), ..*call });
                new = true;
            }
        }
        (new, old.len())
    };
    while take(&world).1 < 8 {
        world.run(ms(9));
    }
    world.restart_hub(&[]);
    world.run(s(5));
    while !take(&world).0 {
        world.run(ms(9));
    }
    // It is answered, and the answer is on its way.
    world.run(world.delay + ms(1));
    for call in &old[..8] {
        world.receive(HUB, &call.meta, &mut call.bytes.clone());
    }
    world.turn(HUB);
    let got = world.ends[HUB].delivered.len();
    for _ in 0..300 {
        world.send(CLIENT);
        world.run(ms(10));
    }
    world.run(ms(100));
    assert_eq!(world.ends[HUB].delivered.len() - got, 300);
}
