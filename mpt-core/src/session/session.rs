//! One session: seals what goes out, opens what comes in.

use super::aead::{AEAD_TAG_LEN, NONCE_LEN, Protect};
use super::keys::DirectionKeys;
use super::later::{Open, Opened, Seal};
use super::{CONTROL_WINDOW_WORDS, Cipher, ReplayWindow, Role, SessionSecret};
use crate::id::MAX_PATHS;
use crate::{DropReason, PacketNumber, PathId, Time, WorkerId};
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

// Wire format.

/// Bytes of our header before the inner packet.
pub const DATA_HEADER_LEN: usize = 20;
/// Bytes of our header before a control packet's ciphertext.
pub const CONTROL_HEADER_LEN: usize = 16;
/// Bytes of tag at the end of a control packet.
pub const CONTROL_TAG_LEN: usize = AEAD_TAG_LEN;

// Implementation.

/// Age at which the initiator begins to replace a session, as in WireGuard.
pub const REKEY_AFTER: Duration = Duration::from_secs(120);
/// How much longer the responder leaves that to the initiator.
pub const REKEY_RESPONDER_WAIT: Duration = Duration::from_secs(10);
/// Age at which a session is dead.
pub const REJECT_AFTER: Duration = Duration::from_secs(180);
/// Data packets sealed after which their sender begins to replace the session. At 1 500 bytes and
/// 2^28 packets an attacker's advantage over AES-GCM is below 2^-59.
pub const REKEY_AFTER_PACKETS: u64 = 1 << 28;
/// Data packets sealed after which the session is dead: below 2^-55.
pub const REJECT_AFTER_PACKETS: u64 = 1 << 30;

/// The keys of one agreement, both directions, with their replay windows and lifetime.
///
/// Path ids are in the numbering of the end that sends: `path` is ours when sealing, the peer's when
/// opening.
pub struct Session {
    role: Role,
    cipher: Cipher,
    created: Time,
    ours: DirectionKeys,
    theirs: DirectionKeys,
    /// Data packets sealed.
    sealed: Cell<u64>,
    /// By our path: the counter of the last control packet sealed.
    control_sent: [u64; MAX_PATHS],
    /// By the peer's path: control counters seen.
    control_seen: [ReplayWindow<CONTROL_WINDOW_WORDS>; MAX_PATHS],
}

impl Session {
    /// The session that a handshake agreed on, made at `created`.
    #[must_use]
    pub fn new(secret: &SessionSecret, role: Role, cipher: Cipher, created: Time) -> Self {
        let (ours, theirs) = secret.keys(role, cipher);
        Self {
            role,
            cipher,
            created,
            ours,
            theirs,
            sealed: Cell::new(0),
            control_sent: [0; MAX_PATHS],
            control_seen: std::array::from_fn(|_| ReplayWindow::new()),
        }
    }

    /// What the peer writes as receiver index when it sends on its path `path`.
    #[must_use]
    pub fn local_index(&self, path: PathId) -> u32 {
        self.theirs.indices[path.index()]
    }

    /// All of [`local_index`](Self::local_index), for the [`IndexTable`](super::IndexTable).
    #[must_use]
    pub fn local_indices(&self) -> &[u32; MAX_PATHS] {
        &self.theirs.indices
    }

    /// What we write as receiver index when we send on our path `path`.
    #[must_use]
    pub fn remote_index(&self, path: PathId) -> u32 {
        self.ours.indices[path.index()]
    }

    /// Protects a data packet in place.
    ///
    /// `datagram` is the finished header of 20 bytes, the inner packet, and
    /// [`data_tag_len`](Self::data_tag_len) bytes for the tag. `worker` and `copy` (at most 15) are
    /// those in the header, `number` is the packet number in full. The same four (with `path`) must
    /// never be given twice.
    ///
    /// # Errors
    /// The datagram must then not be sent: [`DropReason::NoSession`] when the session has sealed
    /// all it may, [`DropReason::Malformed`] when there is no room for header and tag,
    /// [`DropReason::TooLarge`] beyond 65 535 bytes with cipher none.
    pub fn seal_data(
        &self,
        path: PathId,
        worker: WorkerId,
        copy: u8,
        number: PacketNumber,
        datagram: &mut [u8],
    ) -> Result<(), DropReason> {
        let Parts { header, body, tag } =
            Parts::of(datagram, DATA_HEADER_LEN, self.cipher.tag_len())?;
        debug_assert_eq!(header[1], worker.get() << 4 | copy, "the header names worker and copy");
        let Seal { key, nonce, .. } = self.seal_later(path, worker, copy, number)?;
        key.seal(nonce, header, body, tag)
    }

    /// What seals a data packet, whenever that is done. The four must never be given twice, as with
    /// [`seal_data`](Self::seal_data).
    ///
    /// # Errors
    /// [`DropReason::NoSession`] when the session has sealed all it may.
    #[inline]
    pub(crate) fn seal_later(
        &self,
        path: PathId,
        worker: WorkerId,
        copy: u8,
        number: PacketNumber,
    ) -> Result<Seal<'_>, DropReason> {
        let sealed = self.sealed.get();
        if sealed >= REJECT_AFTER_PACKETS {
            return Err(DropReason::NoSession);
        }
        self.sealed.set(sealed + 1);
        let nonce = data_nonce(path, worker, copy, number);
        Ok(Seal { key: &self.ours.data, nonce, cipher: self.cipher })
    }

    /// Takes the protection off a data packet in place and returns the inner packet. `path`,
    /// `worker`, `copy` and the low half of `number` come from the datagram's header; the whole
    /// number is one that passed the replay window of that worker's packet numbers.
    ///
    /// # Errors
    /// [`DropReason::Malformed`] when shorter than header and tag, [`DropReason::BadTag`] when not
    /// authentic; nothing may be concluded from such a datagram.
    pub fn open_data<'d>(
        &self,
        path: PathId,
        worker: WorkerId,
        copy: u8,
        number: PacketNumber,
        datagram: &'d mut [u8],
    ) -> Result<&'d mut [u8], DropReason> {
        let Parts { header, body, tag } =
            Parts::of(datagram, DATA_HEADER_LEN, self.cipher.tag_len())?;
        self.theirs.data.open(data_nonce(path, worker, copy, number), header, body, tag)?;
        Ok(body)
    }

    /// What opens a data packet, apart from the session; nothing where that is no work. The arguments are
    /// those of [`open_data`](Self::open_data).
    pub(crate) fn open_later(
        &self,
        path: PathId,
        worker: WorkerId,
        copy: u8,
        number: PacketNumber,
    ) -> Option<Open> {
        let nonce = data_nonce(path, worker, copy, number);
        let open = || Open { key: self.theirs.data.clone(), nonce, cipher: self.cipher, number };
        (self.cipher != Cipher::None).then(open)
    }

    /// The inner packet of a data packet that was opened.
    ///
    /// # Errors
    /// As [`open_data`](Self::open_data); [`DropReason::BadTag`] also when it was opened under another
    /// key or number, which makes noise of it.
    pub(crate) fn opened<'d>(
        &self,
        opened: Opened,
        number: PacketNumber,
        datagram: &'d mut [u8],
    ) -> Result<&'d mut [u8], DropReason> {
        opened.done?;
        if !Arc::ptr_eq(&opened.key, &self.theirs.data) || opened.number != number {
            return Err(DropReason::BadTag);
        }
        Parts::of(datagram, DATA_HEADER_LEN, self.cipher.tag_len()).map(|parts| parts.body)
    }

    /// Bytes of tag at the end of each data packet.
    #[must_use]
    pub fn data_tag_len(&self) -> usize {
        self.cipher.tag_len()
    }

    /// Encrypts a control packet in place.
    ///
    /// `datagram` is a header of 16 bytes of which the first two say type and worker, the plaintext, and
    /// [`CONTROL_TAG_LEN`] bytes for the tag. Receiver index and counter are written here.
    ///
    /// # Errors
    /// The datagram must then not be sent: [`DropReason::Malformed`] when there is no room for
    /// header and tag.
    pub fn seal_control(&mut self, path: PathId, datagram: &mut [u8]) -> Result<(), DropReason> {
        let Parts { header, body, tag } = Parts::of(datagram, CONTROL_HEADER_LEN, CONTROL_TAG_LEN)?;
        let counter = self.control_sent[path.index()] + 1;
        self.control_sent[path.index()] = counter;
        header[2..4].fill(0);
        header[4..8].copy_from_slice(&self.ours.indices[path.index()].to_be_bytes());
        header[8..].copy_from_slice(&counter.to_be_bytes());
        self.ours.control.seal(control_nonce(path, counter), header, body, tag)
    }

    /// Decrypts a control packet in place and returns the plaintext. Its counter is marked as seen
    /// only when it is authentic.
    ///
    /// # Errors
    /// [`DropReason::Malformed`], [`DropReason::Replayed`] or [`DropReason::BadTag`].
    pub fn open_control<'d>(
        &mut self,
        path: PathId,
        datagram: &'d mut [u8],
    ) -> Result<&'d mut [u8], DropReason> {
        let Parts { header, body, tag } = Parts::of(datagram, CONTROL_HEADER_LEN, CONTROL_TAG_LEN)?;
        let counter = u64::from_be_bytes(std::array::from_fn(|i| header[8 + i]));
        let seen = &mut self.control_seen[path.index()];
        seen.check(counter)?;
        self.theirs.control.open(control_nonce(path, counter), header, body, tag)?;
        seen.commit(counter);
        Ok(body)
    }

    /// The highest counter of a control packet on the peer's path `path`; 0 before the first.
    #[must_use]
    pub fn newest_control(&self, path: PathId) -> u64 {
        self.control_seen[path.index()].newest()
    }

    /// What protects inner packets.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Time {
        self.created
    }

    /// Whether this end began the handshake.
    #[must_use]
    pub fn is_initiator(&self) -> bool {
        self.role == Role::Initiator
    }

    /// Data packets sealed so far.
    #[must_use]
    pub fn sealed_packets(&self) -> u64 {
        self.sealed.get()
    }

    /// When this end begins to replace the session, if it is not due earlier for its packets.
    #[must_use]
    pub fn rekey_at(&self) -> Time {
        match self.role {
            Role::Initiator => self.created + REKEY_AFTER,
            Role::Responder => self.created + REKEY_AFTER + REKEY_RESPONDER_WAIT,
        }
    }

    /// Whether this end should begin to replace the session.
    #[must_use]
    pub fn rekey_due(&self, now: Time) -> bool {
        now >= self.rekey_at() || self.sealed.get() >= REKEY_AFTER_PACKETS
    }

    /// When it is dead, if not earlier for its packets.
    #[must_use]
    pub fn expires_at(&self) -> Time {
        self.created + REJECT_AFTER
    }

    /// Whether it is dead: to be asked before a packet is numbered, and before one is opened.
    #[must_use]
    pub fn expired(&self, now: Time) -> bool {
        now >= self.expires_at() || self.sealed.get() >= REJECT_AFTER_PACKETS
    }

    #[cfg(test)]
    pub(super) fn pretend_sealed(&self, packets: u64) {
        self.sealed.set(packets);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("cipher", &self.cipher)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// A datagram by what stands in it.
pub(super) struct Parts<'d> {
    pub(super) header: &'d mut [u8],
    pub(super) body: &'d mut [u8],
    pub(super) tag: &'d mut [u8],
}

impl<'d> Parts<'d> {
    /// Header and tag have these lengths, the body is what remains.
    #[inline]
    pub(super) fn of(
        datagram: &'d mut [u8],
        header: usize,
        tag: usize,
    ) -> Result<Self, DropReason> {
        let (header, rest) = datagram.split_at_mut_checked(header).ok_or(DropReason::Malformed)?;
        let body = rest.len().checked_sub(tag).ok_or(DropReason::Malformed)?;
        let (body, tag) = rest.split_at_mut(body);
        Ok(Self { header, body, tag })
    }
}

/// Worker, path, copy, zero, packet number.
#[inline]
fn data_nonce(path: PathId, worker: WorkerId, copy: u8, number: PacketNumber) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[..3].copy_from_slice(&[worker.get(), path.get(), copy]);
    nonce[4..].copy_from_slice(&number.0.to_be_bytes());
    nonce
}

/// Path, three zeros, counter.
fn control_nonce(path: PathId, counter: u64) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[0] = path.get();
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}
