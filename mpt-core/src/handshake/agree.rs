//! What two ends agree on, from what both said of themselves.

use super::{CipherOffer, Hello};
use crate::config::CipherChoice;
use crate::session::Cipher;

/// Why two ends that know each other cannot talk. Its text is a clause for the status, to be read
/// after the peer's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The ciphers configured exclude each other.
    #[error(
        "peer is configured for cipher {theirs}, this end for {ours}: set the same at both ends"
    )]
    Cipher {
        /// Configured here.
        ours: CipherChoice,
        /// Configured there.
        theirs: CipherChoice,
    },
    /// The ends speak different versions of the protocol.
    #[error(
        "peer speaks protocol version {theirs}, this end {ours}: install the same release at both ends"
    )]
    Version {
        /// Spoken here.
        ours: u8,
        /// Spoken there.
        theirs: u8,
    },
    /// The peer refused for a reason that this version does not know.
    #[error(
        "peer refuses for a reason this release does not know (code {0}): see the peer's status"
    )]
    Other(u8),
}

impl Refusal {
    /// What stands between two ends of different versions.
    pub(super) fn version(ours: &Hello, theirs: &Hello) -> Self {
        Self::Version { ours: ours.version, theirs: theirs.version }
    }

    /// What stands between two ends of different ciphers.
    pub(super) fn cipher(ours: &Hello, theirs: &Hello) -> Self {
        Self::Cipher { ours: ours.cipher.choice, theirs: theirs.cipher.choice }
    }
}

/// The cipher for two ends; `None` when there is none that both accept. Which end is which makes no
/// difference.
#[must_use]
pub fn agree(a: CipherOffer, b: CipherOffer) -> Option<Cipher> {
    use CipherChoice::{Aes256Gcm, Auto, ChaCha20Poly1305, None as Plain};
    Some(match (a.choice, b.choice) {
        (Auto, Auto) if a.aes_in_hardware && b.aes_in_hardware => Cipher::Aes256Gcm,
        (Auto, Auto) => Cipher::ChaCha20Poly1305,
        (Aes256Gcm, Aes256Gcm | Auto) | (Auto, Aes256Gcm) => Cipher::Aes256Gcm,
        (ChaCha20Poly1305, ChaCha20Poly1305 | Auto) | (Auto, ChaCha20Poly1305) => {
            Cipher::ChaCha20Poly1305
        }
        (Plain, Plain) => Cipher::None,
        (Plain, _) | (_, Plain) => return None,
        (Aes256Gcm, ChaCha20Poly1305) | (ChaCha20Poly1305, Aes256Gcm) => return None,
    })
}

/// The verdict over two introductions.
pub(super) fn judge(ours: &Hello, theirs: &Hello) -> Result<Cipher, Refusal> {
    if ours.version != theirs.version {
        return Err(Refusal::version(ours, theirs));
    }
    agree(ours.cipher, theirs.cipher).ok_or_else(|| Refusal::cipher(ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use CipherChoice::{Aes256Gcm as Aes, Auto, ChaCha20Poly1305 as ChaCha, None as Plain};

    #[test]
    fn the_table() {
        let table = [
            (Auto, Aes, Some(Cipher::Aes256Gcm)),
            (Auto, ChaCha, Some(Cipher::ChaCha20Poly1305)),
            (Auto, Plain, None),
            (Aes, Aes, Some(Cipher::Aes256Gcm)),
            (Aes, ChaCha, None),
            (Aes, Plain, None),
            (ChaCha, ChaCha, Some(Cipher::ChaCha20Poly1305)),
            (ChaCha, Plain, None),
            (Plain, Plain, Some(Cipher::None)),
        ];
        let offer = |choice, aes_in_hardware| CipherOffer { choice, aes_in_hardware };
        for hardware in [(false, false), (false, true), (true, false), (true, true)] {
            for (a, b, expected) in table {
                let (a, b) = (offer(a, hardware.0), offer(b, hardware.1));
                assert_eq!((agree(a, b), agree(b, a)), (expected, expected), "{a:?} {b:?}");
            }
            let auto = agree(offer(Auto, hardware.0), offer(Auto, hardware.1));
            let best =
                if hardware == (true, true) { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
            assert_eq!(auto, Some(best));
        }
    }
}
