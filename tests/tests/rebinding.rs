//! A NAT that forgets its bindings midway interrupts nothing for long. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_lab::emulator::Direction;
use mpt_lab::testbed::TestbedBuilder;
use support::*;

mpt_lab::kernel_tests!();

/// Site a behind a NAT on every bridge, not listening; site b learns where it is.
fn behind_nat(bridges: usize) -> TestbedBuilder {
    testbed()
        .links(vec![bridge(); bridges])
        .configure(0, |yaml| {
            yaml.as_object_mut().unwrap().remove("listen");
        })
        .configure(1, |yaml| {
            for path in yaml["peers"][0]["paths"].as_array_mut().unwrap() {
                path.as_object_mut().unwrap().remove("remote");
            }
        })
}

/// Rebinds these links under traffic, and demands that it flows again both ways.
fn rebind(what: &str, bridges: usize, links: &[usize], builder: impl Fn() -> TestbedBuilder) {
    attempts(|| {
        let mut testbed = builder().build().unwrap();
        (1..=bridges).for_each(|link| testbed.link(link).rebind());
        testbed.start(UP_WITHIN).unwrap_or_else(|e| panic!("{e:#}"));
        let watch = Watch::start(testbed.site_mut(1));
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(700));
        links.iter().for_each(|&link| testbed.link(link).rebind());
        let event = mpt_lab::now();
        sleep(ms(2800));
        let end = mpt_lab::now();
        let streams = traffic.finish();
        let seen = watch.finish();
        for (way, stream) in Direction::BOTH.into_iter().zip(&streams) {
            let again = again_after(stream, event);
            println!(
                "{what}, {way:?}: traffic again after {again:?}; {} sent, {} lost, {} out of order, \
                 longest gap {:.0} ms",
                stream.sent,
                stream.lost,
                stream.out_of_order,
                stream.longest_gap * 1e3
            );
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
            expect(again <= AGAIN_WITHIN, format!("{way:?}: no traffic for {again:?}"))?;
            let late = lost_between(stream, event + AGAIN_WITHIN, end);
            expect(late == 0, format!("{way:?}: {late} lost long after"))?;
        }
        for link in links {
            let name = format!("bridge{link}");
            let remotes = seen.values(|s| path_of(s, &name).and_then(|p| p.remote.clone()));
            let in_use = seen.values(|s| path_of(s, &name).is_some_and(|p| p.in_use));
            println!("{what}: b sends to {remotes:?} over {name}, in use: {in_use:?}");
            expect(remotes.len() == 2, format!("{name} did not move once, but {remotes:?}"))?;
            expect(in_use.last() == Some(&true), format!("{name} is not in use"))?;
        }
        Ok(())
    });
}

#[test]
fn one_of_two_paths() {
    rebind("one of two", 2, &[1], || testbed().links([bridge(); 2]));
}

#[test]
fn both_paths_at_once() {
    rebind("both", 2, &[1, 2], || testbed().links([bridge(); 2]));
}

#[test]
fn the_only_path() {
    rebind("the only one", 1, &[1], || testbed().links([bridge(); 1]));
}

#[test]
fn both_paths_of_a_client_that_does_not_listen() {
    rebind("both, client", 2, &[1, 2], || behind_nat(2));
}

/// The peer is still asking at the first new address when the second one comes.
#[test]
fn twice_in_short_order() {
    attempts(|| {
        let mut testbed = testbed().link(bridge()).build().unwrap();
        testbed.link(1).rebind();
        testbed.start(UP_WITHIN).unwrap_or_else(|e| panic!("{e:#}"));
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(500));
        testbed.link(1).rebind();
        sleep(ms(150));
        testbed.link(1).rebind();
        let event = mpt_lab::now();
        sleep(ms(2800));
        for (way, stream) in Direction::BOTH.into_iter().zip(&traffic.finish()) {
            let again = again_after(stream, event);
            println!("twice, {way:?}: traffic again after {again:?}; {} lost", stream.lost);
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
            expect(again <= AGAIN_WITHIN, format!("{way:?}: no traffic for {again:?}"))?;
        }
        Ok(())
    });
}

/// Nothing but the hub's word keeps the NAT's binding alive then: the client's probes must find
/// the way back by themselves.
#[test]
fn an_idle_client() {
    attempts(|| {
        let mut testbed = behind_nat(2).build().unwrap();
        [1, 2].into_iter().for_each(|link| testbed.link(link).rebind());
        testbed.start(UP_WITHIN).unwrap_or_else(|e| panic!("{e:#}"));
        sleep(ms(500));
        [1, 2].into_iter().for_each(|link| testbed.link(link).rebind());
        sleep(ms(200));
        // The first word is the side's that cannot know where the other is now.
        let traffic = Traffic::at_rates(testbed.a(), testbed.b(), [8_000, 4_000_000]);
        let event = mpt_lab::now();
        sleep(ms(2800));
        let [_, back] = traffic.finish();
        let first = back.arrivals.first().map(|a| a.at.since(event));
        println!("idle client called: first packet after {first:?}; {} lost", back.lost);
        expect(first.is_some_and(|t| t <= AGAIN_WITHIN), format!("first after {first:?}"))
    });
}
