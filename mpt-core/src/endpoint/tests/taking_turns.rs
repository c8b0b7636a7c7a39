//! A key that several processes use one after the other: a standby that takes over and gives back.

use super::*;

/// The end `of` is another process for a while, then the first one again; both go on counting. What the other end sends
/// arrives within seconds, whichever it is.
fn takes_turns(of: usize) {
    let mut world = World::new(&["a", "b"], &[]);
    world.run(s(3));
    let mut spare = endpoint(of, if of == CLIENT { &["a", "b"] } else { &[] }, 33);
    if of == CLIENT {
        for n in 0..2 {
            spare.set_remote(world.now, PEER, path(n), hub_address());
            spare.set_local(world.now, PEER, path(n), ready(n as u16, client_address(n)));
        }
    }
    for turn in 0..5 {
        let got = world.ends[of].delivered.len();
        // As long as a standby waits that finds no answer any more.
        for i in 0..400 {
            world.send(1 - of);
            if i % 4 == 0 {
                world.send(of);
            }
            world.run(ms(20));
        }
        let new = &world.ends[of].delivered[got..];
        assert!(new.len() > 200, "turn {turn}: {} of 400 packets of 20 ms", new.len());
        assert!(new.is_sorted(), "turn {turn}");
        std::mem::swap(&mut world.ends[of].endpoint, &mut spare);
        world.wire.retain(|f| f.to != of);
    }
}

#[test]
fn hubs_that_take_turns_hear_their_client() {
    takes_turns(HUB);
}

#[test]
fn clients_that_take_turns_hear_their_hub() {
    takes_turns(CLIENT);
}
