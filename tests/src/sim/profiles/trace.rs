//! What the sending end believes of its paths in each tenth of a second of a run, beside what the traffic achieves.

use super::run::{add_bulk, add_call, add_steady, world};
use super::web_run::add_web;
use super::{LENGTH, Profile, STEADY_SHARE, Traffic, Tunnel};
use crate::sim::quic::Achieved;
use crate::sim::steady::Arrived;
use crate::sim::tcp::Fetched;
use crate::sim::world::World;
use mpt_core::MAX_PATHS;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A traffic, and how far it was when it was printed last.
enum Carried {
    Bulk { achieved: Rc<RefCell<Achieved>>, bytes: u64 },
    Steady { name: &'static str, arrived: Rc<RefCell<Arrived>>, packets: usize },
    Web { fetched: Rc<RefCell<Vec<Fetched>>>, done: usize },
}

impl Carried {
    /// Prints what it achieved in this tenth of a second.
    fn print(&mut self) {
        match self {
            Self::Bulk { achieved, bytes } => {
                let a = achieved.borrow();
                let rate = mbit(a.bytes - *bytes);
                print!(" {rate:6.1} rtt {:5.0} lost {:6}", a.rtt.as_secs_f64() * 1e3, a.lost);
                *bytes = a.bytes;
            }
            Self::Steady { name, arrived, packets } => {
                let a = arrived.borrow();
                let came = &a.delays[*packets..];
                let longest = came.iter().max().copied().unwrap_or_default();
                print!(
                    " {name} {:4} within {:5.1} ms, under way or lost {:5}",
                    came.len(),
                    longest.as_secs_f64() * 1e3,
                    a.sent - a.delivered
                );
                *packets = a.delays.len();
            }
            Self::Web { fetched, done } => {
                let fetched = fetched.borrow();
                let all = fetched.iter().filter(|f| f.took.is_some()).count();
                print!(" web {:2} done, {:2} open", all - *done, fetched.len() - all);
                *done = all;
            }
        }
    }
}

/// Megabits a second, of the bytes of a tenth of it.
fn mbit(bytes: u64) -> f64 {
    bytes as f64 * 8e-5
}

/// Prints a line for each tenth of a second.
pub fn trace(profile: &Profile, tunnel: Tunnel, traffic: Traffic, seed: u64) {
    trace_in(world(profile, tunnel, seed), profile.rate(), traffic, seed);
}

/// The same in a world whose links have this rate together.
pub(super) fn trace_in(mut world: World, rate: f64, traffic: Traffic, seed: u64) {
    let began = world.now;
    let mut carried = Vec::new();
    match traffic.flow() {
        Some(flow) => {
            let achieved = add_bulk(&mut world, flow, seed);
            carried.push(Carried::Bulk { achieved, bytes: 0 });
        }
        None => {
            let arrived = add_steady(&mut world, rate * STEADY_SHARE, began);
            carried.push(Carried::Steady { name: "stream", arrived, packets: 0 });
        }
    }
    if traffic.is_call() {
        let arrived = add_call(&mut world, began);
        carried.push(Carried::Steady { name: "call", arrived, packets: 0 });
    }
    if traffic == Traffic::Web {
        carried.push(Carried::Web { fetched: add_web(&mut world), done: 0 });
    }
    let mut before = [0; MAX_PATHS];
    for tick in 1..=LENGTH.as_millis() / 100 {
        world.run(Duration::from_millis(100));
        print!("{:5.1}", tick as f64 / 10.0);
        carried.iter_mut().for_each(Carried::print);
        for (i, path) in world.ends[0].peer(world.now).paths.iter().enumerate() {
            let sent = mbit(path.tx_data_bytes - before[i]);
            before[i] = path.tx_data_bytes;
            let e = path.estimate.clone().unwrap_or_default();
            let limit = if e.rate_is_limit { '!' } else { ' ' };
            let backlog = world.lines[i].backlog(world.now).as_secs_f64() * 1e3;
            print!(
                " | {sent:6.1} of {:6.1}{limit} +{:3.0} q {:4.0}/{backlog:3.0} j {:4.1} loss {:.2}+{:.2}%",
                e.rate * 8e-6,
                e.extra_delay * 1e3,
                e.queue * 1e3,
                e.jitter * 1e3,
                e.loss_random * 1e2,
                e.loss_congestive * 1e2
            );
        }
        for path in world.ends[1].peer(world.now).paths {
            print!(" | extent {:3.0}", path.extent * 1e3);
        }
        let r = world.ends[1].reordering(world.now);
        let repair = world.ends[0].peer(world.now).repair;
        println!(
            " | held {} p99 {:.0}ms late {} gone {} dl {} full {} | again {} abandoned {} repaired {} late {}",
            r.held_now,
            r.hold_p99 * 1e3,
            r.late,
            r.given_up,
            r.released_deadline,
            r.released_full,
            repair.sent_again,
            repair.abandoned,
            r.repaired,
            r.repaired_late
        );
    }
}
