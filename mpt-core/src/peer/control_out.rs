//! Control datagrams on their way to the peer: probes, echoes, reports, markers, close.

use super::Peer;
use crate::path::{ProbeToSend, Usability};
use crate::wire::{
    Abandon, Arrived, CONTROL_HEADER_LEN, CONTROL_TAG_LEN, Close, CloseReason, ControlHeader, Echo,
    Marker, MessageType, Open, Pause, Probe, Report,
};
use crate::{LaneKey, Outbox, PathId, Time, WorkerId};
use std::net::SocketAddr;

/// Largest control plaintext that is not a padded probe: a report of 16 paths with a gap or more each fits.
pub(super) const MAX_CONTROL: usize = 1_024;

impl Peer {
    /// Sends a probe over `path` to `to`, or to the path's remote. Padded to `udp_len` bytes of UDP
    /// payload when it asks for the MTU.
    pub(super) fn send_probe(
        &mut self,
        now: Time,
        path: PathId,
        probe: ProbeToSend,
        to: Option<SocketAddr>,
        udp_len: Option<usize>,
        out: &mut Outbox,
    ) {
        let Some(p) = self.paths[path.index()].as_mut() else { return };
        let Some(to) = to.or(p.remote.current()) else { return };
        let Some(lane) = p.lane(self.id, to) else { return };
        let working = p.health.usability(now) != Usability::No;
        // Who was called says whose path this is, and nothing before it knows.
        let caller = p.remote_id.filter(|_| p.remote.is_learned());
        let introduce =
            (caller.is_some() || !p.remote.is_learned()) && p.introduction.needed(now, working);
        let message = Probe {
            token: probe.token,
            disabled: p.health.is_disabled(),
            mtu_probe: udp_len.is_some(),
            open: introduce.then(|| Open {
                weight: p.weight.map_or(0, crate::Weight::get),
                priority: p.priority,
                rate_limit: p.wish_for_limit(),
                name: p.name.as_str(),
                caller,
            }),
        };
        let mut buf = [0; MAX_CONTROL];
        let Some(len) = message.encode(&mut buf) else { return };
        let padded = udp_len.map_or(0, |u| u.saturating_sub(CONTROL_HEADER_LEN + CONTROL_TAG_LEN));
        if !p.remote.may_send(to, len.max(padded) + CONTROL_HEADER_LEN + CONTROL_TAG_LEN) {
            return;
        }
        let head = head(MessageType::Probe);
        self.seal_control(now, path, head, &buf[..len], padded, lane, out);
    }

    /// Answers a probe where it came from.
    pub(super) fn send_echo(
        &mut self,
        now: Time,
        path: PathId,
        echo: Echo,
        lane: LaneKey,
        out: &mut Outbox,
    ) {
        let mut buf = [0; MAX_CONTROL];
        let Some(len) = echo.encode(&mut buf) else { return };
        self.seal_control(now, path, head(MessageType::Echo), &buf[..len], 0, lane, out);
    }

    /// Sends a marker over the path it speaks for.
    pub(super) fn send_marker(&mut self, now: Time, path: PathId, m: Marker, out: &mut Outbox) {
        let mut buf = [0; MAX_CONTROL];
        let Some(len) = m.encode(&mut buf) else { return };
        let head = ControlHeader::head(MessageType::Marker, m.worker);
        self.send_control(now, path, head, &buf[..len], out);
    }

    /// Tells that nothing follows on `path` just now. Gives the bytes of the message, 0 where it cannot be sent.
    pub(super) fn send_pause(
        &mut self,
        now: Time,
        path: PathId,
        p: Pause,
        out: &mut Outbox,
    ) -> usize {
        let mut buf = [0; MAX_CONTROL];
        let Some(len) = p.encode(&mut buf) else { return 0 };
        let head = ControlHeader::head(MessageType::Pause, p.worker);
        self.send_control(now, path, head, &buf[..len], out)
    }

    /// Sends `report` over `path`.
    pub(super) fn send_report(
        &mut self,
        now: Time,
        path: PathId,
        r: &Report,
        arrived: Option<&Arrived>,
        out: &mut Outbox,
    ) {
        let mut buf = [0; MAX_CONTROL];
        let Some(mut len) = r.encode(&mut buf) else { return };
        len += arrived.and_then(|a| a.encode(&mut buf[len..])).unwrap_or(0);
        let sent = self.send_control(now, path, head(MessageType::Report), &buf[..len], out);
        self.report_schedule.on_sent(now, sent);
    }

    /// Tells by the best path that packets are not sent again.
    pub(super) fn send_abandon(&mut self, now: Time, a: &Abandon, out: &mut Outbox) {
        let Some(path) = self.report_path(now, None) else { return };
        self.send_abandon_by(now, path, a, out);
    }

    /// The same by `path`, behind what went there.
    pub(super) fn send_abandon_by(
        &mut self,
        now: Time,
        path: PathId,
        a: &Abandon,
        out: &mut Outbox,
    ) {
        let mut buf = [0; MAX_CONTROL];
        let Some(len) = a.encode(&mut buf) else { return };
        let head = ControlHeader::head(MessageType::Abandon, a.worker);
        self.send_control(now, path, head, &buf[..len], out);
    }

    /// Says goodbye on every path.
    pub fn send_close(&mut self, now: Time, reason: CloseReason, out: &mut Outbox) {
        let mut buf = [0; MAX_CONTROL];
        let Some(len) = (Close { reason }).encode(&mut buf) else { return };
        for path in PathId::all() {
            self.send_control(now, path, head(MessageType::Close), &buf[..len], out);
        }
    }

    /// Sends a control message over `path` to its remote; returns the datagram's length, 0 when it
    /// could not be sent.
    fn send_control(
        &mut self,
        now: Time,
        path: PathId,
        head: [u8; 2],
        plaintext: &[u8],
        out: &mut Outbox,
    ) -> usize {
        let Some(p) = self.paths[path.index()].as_ref() else { return 0 };
        let Some(to) = p.remote.current() else { return 0 };
        let Some(lane) = p.lane(self.id, to) else { return 0 };
        self.seal_control(now, path, head, plaintext, 0, lane, out)
    }

    #[expect(clippy::too_many_arguments, reason = "one datagram's whole description, internal")]
    fn seal_control(
        &mut self,
        now: Time,
        path: PathId,
        head: [u8; 2],
        plaintext: &[u8],
        padded: usize,
        lane: LaneKey,
        out: &mut Outbox,
    ) -> usize {
        let Some(slot) = self.sessions.current_mut() else { return 0 };
        let len = CONTROL_HEADER_LEN + plaintext.len().max(padded) + CONTROL_TAG_LEN;
        let tos = self.paths[path.index()].as_ref().map_or(0, |p| p.tos(0));
        let datagram = out.push(lane, tos, len);
        datagram[..2].copy_from_slice(&head);
        let (text, padding) = datagram[CONTROL_HEADER_LEN..].split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        padding.fill(0);
        if let Err(reason) = slot.session.seal_control(path, datagram) {
            debug_assert!(false, "{reason}");
        }
        if let Some(p) = self.paths[path.index()].as_mut() {
            p.count_sent(now, len);
        }
        len
    }
}

/// Of messages that are about no worker's packets.
fn head(kind: MessageType) -> [u8; 2] {
    ControlHeader::head(kind, WorkerId::default())
}
