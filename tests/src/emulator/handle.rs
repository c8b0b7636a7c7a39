//! The handle by which a running link is changed and looked at.

use super::direction::DirectionState;
use super::records::{FrameRecord, Timeline, WireCounters};
use super::{Direction, Shared};
use crate::link::LinkProfile;
use crate::netns::Namespace;
use crate::sys::time::now;
use anyhow::Result;
use std::sync::Arc;

/// A running emulated link. Clones name the same one.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    shared: Arc<Shared>,
    index: usize,
    wire: Namespace,
    far_ends: [String; 2],
}

impl LinkHandle {
    pub(super) fn new(
        shared: Arc<Shared>,
        index: usize,
        wire: Namespace,
        far_ends: [String; 2],
    ) -> Self {
        Self { shared, index, wire, far_ends }
    }

    /// What one direction does to packets.
    #[must_use]
    pub fn profile(&self, direction: Direction) -> LinkProfile {
        self.with(direction, |d| d.profile())
    }

    /// Changes one direction; what is on the way arrives as decided before.
    pub fn set(&self, direction: Direction, profile: LinkProfile) {
        self.with(direction, |d| d.set_profile(profile));
    }

    /// Changes both directions by `change`, from what they are now.
    pub fn update(&self, change: impl Fn(&mut LinkProfile)) {
        for direction in Direction::BOTH {
            self.with(direction, |d| {
                let mut profile = d.profile();
                change(&mut profile);
                d.set_profile(profile);
            });
        }
    }

    /// Both directions swallow, silently, whatever comes from now on, or cease to.
    pub fn blackhole(&self, on: bool) {
        self.update(|profile| profile.blackhole = on);
    }

    /// As if somebody pulled the bridge's plug: what is on the way is lost too. Neither end is
    /// told; for that see [`LinkHandle::set_carrier`].
    pub fn unplug(&self) {
        Direction::BOTH.iter().for_each(|&d| self.with(d, DirectionState::unplug));
    }

    /// Undoes [`LinkHandle::unplug`].
    pub fn plug(&self) {
        Direction::BOTH.iter().for_each(|&d| self.with(d, |d| d.plugged = true));
    }

    /// Puts a NAT in front of the first end, or makes the one that is there forget its bindings: UDP
    /// flows from there are seen with another source port from now on, and nothing gets in but
    /// answers to what was sent since.
    pub fn rebind(&self) {
        self.shared.lock().wires[self.index].nat.get_or_insert_default().rebind();
    }

    /// Takes the carrier from the interfaces at both ends, or gives it back.
    ///
    /// # Errors
    /// When the interfaces are gone.
    pub fn set_carrier(&self, present: bool) -> Result<()> {
        self.far_ends.iter().try_for_each(|end| {
            if present { self.wire.set_up(end) } else { self.wire.set_down(end) }
        })
    }

    /// What one direction has done so far.
    #[must_use]
    pub fn counters(&self, direction: Direction) -> WireCounters {
        self.with(direction, |d| {
            let missed = d.counters.missed + u64::from(d.overflow);
            WireCounters { missed, ..d.counters }
        })
    }

    /// IP bytes that left the link, in buckets of 50 ms.
    #[must_use]
    pub fn delivered(&self, direction: Direction) -> Timeline {
        self.with(direction, |d| d.delivered.clone())
    }

    /// IP bytes that came to the link, dropped ones too, in buckets of 50 ms.
    #[must_use]
    pub fn offered(&self, direction: Direction) -> Timeline {
        self.with(direction, |d| d.offered.clone())
    }

    /// Keeps a record of every packet from now on, 40 bytes each.
    pub fn record(&self) {
        for direction in Direction::BOTH {
            self.with(direction, |d| {
                d.records.get_or_insert_default();
            });
        }
    }

    /// The records so far, oldest first.
    #[must_use]
    pub fn records(&self, direction: Direction) -> Vec<FrameRecord> {
        self.with(direction, |d| d.records.clone().unwrap_or_default())
    }

    /// Keeps copies of the next `count` whole frames that come to the link, dropped ones too;
    /// those kept before are forgotten.
    pub fn capture(&self, direction: Direction, count: usize) {
        self.with(direction, |d| {
            d.captured.clear();
            d.capture = count;
        });
    }

    /// The frames kept by [`LinkHandle::capture`], with their Ethernet headers.
    #[must_use]
    pub fn captured(&self, direction: Direction) -> Vec<Vec<u8>> {
        self.with(direction, |d| d.captured.clone())
    }

    /// Puts a frame out at the end of the link, now and uncounted.
    pub fn inject(&self, direction: Direction, frame: &[u8]) {
        self.with(direction, |d| d.enqueue(frame, now(), None, false));
        self.shared.wake();
    }

    fn with<R>(&self, direction: Direction, f: impl FnOnce(&mut DirectionState) -> R) -> R {
        f(&mut self.shared.lock().wires[self.index].directions[direction as usize])
    }
}
