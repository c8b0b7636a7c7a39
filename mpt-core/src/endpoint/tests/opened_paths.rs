//! Paths that only the peer configures.

use super::*;

#[test]
fn a_path_opened_by_the_peer_comes_back_after_it_was_forgotten() {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(3));
    world.up[1] = false;
    world.run(s(200));
    assert_eq!(world.ends[HUB].endpoint.status(world.now).peers[0].paths.len(), 1, "forgotten");
    world.up[1] = true;
    world.run(s(5));
    assert_eq!(world.path_status(CLIENT, 1).state, "up");
    assert_eq!(world.path_status(HUB, 1).state, "up");
}

#[test]
fn a_path_opened_by_the_peer_that_was_taken_out_of_use_stays_so() {
    for end in [CLIENT, HUB] {
        let mut world = World::new(&["a", "b"], &[]);
        world.run(s(3));
        world.ends[HUB].endpoint.set_weight(PEER, path(1), Weight::new(7).unwrap());
        world.ends[end].endpoint.set_enabled(world.now, PEER, path(1), false);
        for second in 0..700 {
            // By a hub it is remembered though nothing comes by it.
            world.up[1] = end == CLIENT || !(300..=600).contains(&second);
            world.run(s(1));
            for end in [CLIENT, HUB] {
                assert_eq!(world.path_status(end, 1).state, "disabled", "at {:?}", world.now);
            }
        }
        world.ends[end].endpoint.set_enabled(world.now, PEER, path(1), true);
        world.run(s(3));
        let status = world.path_status(HUB, 1);
        assert_eq!((status.state.as_str(), status.weight), ("up", 7));
    }
}
