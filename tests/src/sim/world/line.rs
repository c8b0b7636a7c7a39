//! A line: what connects one socket of one end with the network. Both directions, with a NAT's view.

use crate::link::{Link, LinkProfile};
use mpt_core::{SocketId, Time};
use std::net::SocketAddr;
use std::time::Duration;

/// A direction of a line, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From the end whose line it is.
    Up,
    /// To it.
    Down,
    /// Both.
    Both,
}

impl Way {
    pub(super) const fn covers(self, direction: usize) -> bool {
        match self {
            Self::Up => direction == UP,
            Self::Down => direction == DOWN,
            Self::Both => true,
        }
    }
}

pub(super) const UP: usize = 0;
pub(super) const DOWN: usize = 1;

/// Says whether a datagram is let through.
pub type Filter = Box<dyn FnMut(Time, &[u8]) -> bool>;

/// One socket's connection.
pub struct Line {
    /// Whose.
    pub end: usize,
    /// Which socket of it.
    pub socket: SocketId,
    /// Where others see it: changes when a NAT forgets, or with a new address.
    pub public: SocketAddr,
    /// Largest outer IP packet that passes.
    pub mtu: u16,
    /// Marks "congestion experienced" on every datagram that takes part in ECN.
    pub marks: bool,
    /// By direction.
    pub(super) links: [Link; 2],
    pub(super) filters: [Option<Filter>; 2],
    /// When data packets were handed to the line, by direction.
    data: [Vec<Time>; 2],
}

impl Line {
    pub(super) fn new(end: usize, socket: SocketId, public: SocketAddr, links: [Link; 2]) -> Self {
        Self {
            end,
            socket,
            public,
            mtu: 1_500,
            marks: false,
            links,
            filters: [None, None],
            data: [Vec::new(), Vec::new()],
        }
    }

    /// Swallows everything from now on, that way.
    pub fn cut(&mut self, way: Way) {
        self.change(way, |p| p.blackhole = true);
    }

    /// Lets pass again, both ways.
    pub fn mend(&mut self) {
        self.change(Way::Both, |p| p.blackhole = false);
    }

    /// Changes the profile.
    pub fn change(&mut self, way: Way, change: impl Fn(&mut LinkProfile)) {
        for direction in [UP, DOWN] {
            if way.covers(direction) {
                let mut profile = *self.links[direction].profile();
                change(&mut profile);
                self.links[direction].set_profile(profile);
            }
        }
    }

    /// Lets through only what `filter` says, that way.
    pub fn filter(&mut self, way: Way, filter: Option<Filter>) {
        let direction = if way == Way::Down { DOWN } else { UP };
        self.filters[direction] = filter;
    }

    /// The rate of the way from the end whose line it is, bits a second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.links[UP].profile().rate_bps
    }

    /// What waits in the queue of the way from the end whose line it is.
    #[must_use]
    pub fn backlog(&self, now: Time) -> Duration {
        self.links[UP].backlog(now)
    }

    /// When data packets were handed in, that way.
    #[must_use]
    pub fn data(&self, way: Way) -> &[Time] {
        &self.data[if way == Way::Down { DOWN } else { UP }]
    }

    /// The first data packet handed in at or after `from`.
    #[must_use]
    pub fn first_data(&self, way: Way, from: Time) -> Option<Time> {
        let data = self.data(way);
        data.get(data.partition_point(|&t| t < from)).copied()
    }

    /// The last data packet handed in before `to`.
    #[must_use]
    pub fn last_data(&self, way: Way, to: Time) -> Option<Time> {
        let data = self.data(way);
        data[..data.partition_point(|&t| t < to)].last().copied()
    }

    /// The longest time within these bounds in which no data packet was handed in.
    #[must_use]
    pub fn longest_pause(&self, way: Way, from: Time, to: Time) -> Duration {
        let within = self.data(way).iter().copied().filter(|t| (from..to).contains(t));
        let mut last = from;
        let mut longest = Duration::ZERO;
        for at in within.chain([to]) {
            longest = longest.max(at.since(last));
            last = at;
        }
        longest
    }

    pub(super) fn note_data(&mut self, now: Time, direction: usize) {
        self.data[direction].push(now);
    }
}
