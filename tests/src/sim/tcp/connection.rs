//! One connection, both of its ends: the handshake, and what the halves of it say as segments.

use super::receiver::{Answer, Receiver};
use super::round_trip::FIRST_TIMEOUT;
use super::segment::{ACK, HEADERS, SYN, Segment, widen};
use super::sender::{Ack, Counters, Sender};
use crate::sim::world::packet;
use mpt_core::Time;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// What hosts on an Ethernet offer; the tunnel lowers it.
const MSS: u16 = 1_460;

/// The options of each segment, which the MSS does not count.
const OPTIONS: u64 = HEADERS as u64 - 40;

#[derive(Debug)]
pub(super) struct Connection {
    /// Who connects and sends, and who receives.
    ends: [usize; 2],
    addresses: [SocketAddr; 2],
    bytes: u64,
    began: Time,
    /// When a SYN goes (again), until it was answered, and how many went.
    syn: Time,
    syns: u32,
    /// Bytes in a full segment.
    payload: u64,
    sender: Option<Sender>,
    receiver: Option<Receiver>,
    /// The receiver's clock as the sender heard it last.
    heard: u32,
    /// Of the handshake: which end sends it.
    answers: VecDeque<(usize, Segment)>,
    /// Something came since nothing was left to be sent.
    dirty: bool,
    finished: Option<Time>,
}

impl Connection {
    /// From end to end, by these ports.
    pub(super) fn new(now: Time, ends: (usize, usize), ports: [u16; 2], bytes: u64) -> Self {
        let ends = [ends.0, ends.1];
        let address = |i: usize| SocketAddr::from((packet::address(ends[i]), ports[i]));
        Self {
            ends,
            addresses: [address(0), address(1)],
            bytes,
            began: now,
            syn: now,
            syns: 0,
            payload: 0,
            sender: None,
            receiver: None,
            heard: 0,
            answers: VecDeque::new(),
            dirty: false,
            finished: None,
        }
    }

    pub(super) const fn began(&self) -> Time {
        self.began
    }

    /// When the last byte had come.
    pub(super) const fn finished(&self) -> Option<Time> {
        self.finished
    }

    /// Whether the sender knows that.
    pub(super) fn is_done(&self) -> bool {
        self.sender.as_ref().is_some_and(Sender::is_done)
    }

    /// Bytes that came without a gap.
    pub(super) fn read(&self) -> u64 {
        self.receiver.as_ref().map_or(0, Receiver::read)
    }

    pub(super) fn counters(&self) -> Counters {
        self.sender.as_ref().map(Sender::counters).unwrap_or_default()
    }

    pub(super) fn smoothed_rtt(&self) -> Duration {
        self.sender.as_ref().map(Sender::smoothed_rtt).unwrap_or_default()
    }

    /// Whether the segment that came out at `end` is one of this connection.
    pub(super) fn receive(&mut self, now: Time, end: usize, segment: &Segment) -> bool {
        let Some(i) = (0..2).find(|&i| self.ends[i] == end && self.addresses[i] == segment.to)
        else {
            return false;
        };
        if segment.from != self.addresses[1 - i] {
            return false;
        }
        self.dirty = true;
        if i == 1 {
            self.receive_at_receiver(now, segment);
        } else {
            self.receive_at_sender(now, segment);
        }
        true
    }

    fn receive_at_receiver(&mut self, now: Time, segment: &Segment) {
        if segment.flags & SYN != 0 {
            self.receiver.get_or_insert_with(|| Receiver::new(segment.stamp));
            let answer = Segment { mss: Some(MSS), ..self.segment(now, 1, SYN | ACK, 0, 1) };
            self.answers.push_back((1, Segment { echo: segment.stamp, ..answer }));
        }
        let Some(receiver) = self.receiver.as_mut().filter(|_| segment.payload > 0) else { return };
        let seq = widen(receiver.next(), segment.seq);
        receiver.on_segment(now, seq, segment.payload as u64, segment.stamp);
        if receiver.read() == self.bytes {
            self.finished.get_or_insert(now);
        }
    }

    fn receive_at_sender(&mut self, now: Time, segment: &Segment) {
        self.heard = segment.stamp;
        let echo = Time::from_micros(widen(now.as_micros(), segment.echo));
        if segment.flags & SYN != 0 {
            if self.sender.is_none() {
                self.payload = u64::from(segment.mss.unwrap_or(536).min(MSS)) - OPTIONS;
                let total = self.bytes.div_ceil(self.payload);
                self.sender = Some(Sender::new(total, Some(now.since(echo))));
            }
            self.answers.push_back((0, self.segment(now, 0, ACK, 1, 1)));
        } else if let Some(sender) = &mut self.sender {
            let payload = self.payload;
            let first = 1 + sender.una() * payload;
            let number = |seq: u32| widen(first, seq).saturating_sub(1).div_ceil(payload);
            let sacks = segment.sacks.iter().map(|(from, to)| number(*from)..number(*to));
            let ack = Ack { una: number(segment.ack), sacks: sacks.collect(), echo };
            sender.on_ack(now, &ack);
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        if self.dirty || !self.answers.is_empty() {
            return Some(Time::ZERO);
        }
        let syn = self.sender.is_none().then_some(self.syn);
        let sender = self.sender.as_ref().and_then(Sender::next_timeout);
        let receiver = self.receiver.as_ref().and_then(Receiver::next_timeout);
        syn.into_iter().chain(sender).chain(receiver).min()
    }

    /// Writes what is to be sent now; at which end.
    pub(super) fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> Option<usize> {
        let sent = self.poll_segment(now);
        self.dirty = sent.is_some();
        let (i, segment) = sent?;
        segment.write(out);
        Some(self.ends[i])
    }

    fn poll_segment(&mut self, now: Time) -> Option<(usize, Segment)> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        if self.sender.is_none() && self.syn <= now {
            self.syn = now + FIRST_TIMEOUT * 2u32.pow(self.syns.min(6));
            self.syns += 1;
            return Some((0, Segment { mss: Some(MSS), ..self.segment(now, 0, SYN, 0, 0) }));
        }
        if let Some(Answer { next, blocks, echo }) = self.receiver.as_mut()?.poll(now) {
            let sacks = blocks.iter().map(|b| (b.start as u32, b.end as u32)).collect();
            return Some((1, Segment { sacks, echo, ..self.segment(now, 1, ACK, 1, next) }));
        }
        let number = self.sender.as_mut()?.poll(now)?;
        let from = number * self.payload;
        let payload = self.payload.min(self.bytes - from) as usize;
        Some((0, Segment { payload, ..self.segment(now, 0, ACK, 1 + from, 1) }))
    }

    fn segment(&self, now: Time, i: usize, flags: u8, seq: u64, ack: u64) -> Segment {
        Segment {
            from: self.addresses[i],
            to: self.addresses[1 - i],
            flags,
            seq: seq as u32,
            ack: ack as u32,
            mss: None,
            stamp: now.as_micros() as u32,
            echo: if i == 0 { self.heard } else { 0 },
            sacks: Vec::new(),
            payload: 0,
        }
    }
}
