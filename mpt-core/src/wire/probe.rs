//! Probes and their echoes: a path's pulse, its introduction, its MTU, and the challenge to a new
//! address.

use super::{Reader, Writer};
use crate::PathId;

/// Longest path name, bytes.
pub const MAX_NAME: usize = 64;

const OPEN: u8 = 1;
const DISABLED: u8 = 2;
const MTU: u8 = 4;
const CALLED: u8 = 8;

/// Asks for an echo. Padded with zeros where it asks about the MTU.
///
/// `token u64 | flags u8 | [open]`; flags: 1 open follows, 2 the sender has disabled this path, 4 asks
/// about the MTU, 8 the open part ends with the receiver's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe<'a> {
    /// Unpredictable; the echo brings it back.
    pub token: u64,
    /// The operator of the sending end has taken this path out of use.
    pub disabled: bool,
    /// It is padded to find out what fits.
    pub mtu_probe: bool,
    /// The path's introduction, until an echo says that it is known.
    pub open: Option<Open<'a>>,
}

/// Introduces a path: how the sender calls it, and what it wishes for the way back.
///
/// `weight u16 | priority u16 | rate limit u64 | length u8 | name | [caller u8]`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open<'a> {
    /// Weight wished for; 0: none.
    pub weight: u16,
    /// Rank with `failover`.
    pub priority: u16,
    /// Bytes a second that the peer may send; 0: no limit.
    pub rate_limit: u64,
    /// The sender's name for the path, at most [`MAX_NAME`] bytes.
    pub name: &'a str,
    /// The receiver's number for the path, where it was the receiver who introduced it: the sender only answers.
    pub caller: Option<PathId>,
}

impl<'a> Probe<'a> {
    /// Writes it; the length, or `None` when there is no room or the name is too long.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut w = Writer::new(out);
        w.u64(self.token)?;
        w.u8(flag(self.open.is_some(), OPEN)
            | flag(self.disabled, DISABLED)
            | flag(self.mtu_probe, MTU)
            | flag(self.open.is_some_and(|open| open.caller.is_some()), CALLED))?;
        if let Some(open) = &self.open {
            if open.name.len() > MAX_NAME {
                return None;
            }
            w.u16(open.weight)?;
            w.u16(open.priority)?;
            w.u64(open.rate_limit)?;
            w.u8(open.name.len() as u8)?;
            w.bytes(open.name.as_bytes())?;
            if let Some(caller) = open.caller {
                w.u8(caller.get())?;
            }
        }
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        let token = r.u64()?;
        let flags = r.u8()?;
        let mut open = if flags & OPEN != 0 { Some(Open::read(&mut r)?) } else { None };
        if let Some(open) = open.as_mut().filter(|_| flags & CALLED != 0) {
            open.caller = Some(PathId::new(r.u8()?)?);
        }
        Some(Self { token, disabled: flags & DISABLED != 0, mtu_probe: flags & MTU != 0, open })
    }
}

impl<'a> Open<'a> {
    fn read(r: &mut Reader<'a>) -> Option<Self> {
        let weight = r.u16()?;
        let priority = r.u16()?;
        let rate_limit = r.u64()?;
        let len = r.u8()? as usize;
        let name = r.bytes(len)?;
        if len > MAX_NAME {
            return None;
        }
        // A name goes to logs and terminals: no control characters.
        let name = std::str::from_utf8(name).ok().filter(|n| !n.chars().any(char::is_control))?;
        Some(Self { weight, priority, rate_limit, name, caller: None })
    }
}

const INTRODUCED: u8 = 1;

/// No path id.
const NO_PATH: u8 = 0xff;

/// Answers a probe, where it came from.
///
/// `token u64 | flags u8 | path u8 | size u16`; flags: 1 the path's introduction is known, 2 the
/// answering end has disabled it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// The probe's.
    pub token: u64,
    /// The introduction is known and need not be sent again.
    pub introduced: bool,
    /// The operator of the answering end has taken this path out of use.
    pub disabled: bool,
    /// The answering end's own number for this path.
    pub path: Option<PathId>,
    /// UDP payload of the probe as it arrived, bytes.
    pub size: u16,
}

impl Echo {
    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut w = Writer::new(out);
        w.u64(self.token)?;
        w.u8(flag(self.introduced, INTRODUCED) | flag(self.disabled, DISABLED))?;
        w.u8(self.path.map_or(NO_PATH, PathId::get))?;
        w.u16(self.size)?;
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        let token = r.u64()?;
        let flags = r.u8()?;
        let path = match r.u8()? {
            NO_PATH => None,
            id => Some(PathId::new(id)?),
        };
        Some(Self {
            token,
            introduced: flags & INTRODUCED != 0,
            disabled: flags & DISABLED != 0,
            path,
            size: r.u16()?,
        })
    }
}
