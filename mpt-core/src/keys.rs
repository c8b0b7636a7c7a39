//! Static and pre-shared keys, in base64 as `wg` writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Text that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Wrong length.
    #[error("a key is 44 characters of base64 (32 bytes), this has {0}")]
    Length(usize),
    /// 44 characters of base64, but of fewer or more bytes.
    #[error("base64 of {0} bytes; a key has 32, in 44 characters that end in one `=`")]
    Bytes(usize),
    /// Right length, but not base64.
    #[error("not base64; a key looks like the output of `mpt-cli genkey`")]
    Encoding,
}

fn parse(text: &str) -> Result<[u8; 32], KeyError> {
    let text = text.trim();
    match text.chars().count() {
        44 => {}
        other => return Err(KeyError::Length(other)),
    }
    // 44 characters hold 31 bytes (`==` at the end), 32 or 33.
    let mut out = Zeroizing::new([0u8; 33]);
    match STANDARD.decode_slice(text, out.as_mut()) {
        Ok(32) => {
            let mut key = [0; 32];
            key.copy_from_slice(&out[..32]);
            Ok(key)
        }
        Ok(other) => Err(KeyError::Bytes(other)),
        Err(_) => Err(KeyError::Encoding),
    }
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The key of these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// In base64, for the file it is kept in.
            #[must_use]
            pub fn to_base64(&self) -> String {
                STANDARD.encode(self.0)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;
            fn from_str(text: &str) -> Result<Self, KeyError> {
                parse(text).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

secret! {
    /// A static X25519 private key.
    PrivateKey
}
secret! {
    /// A pre-shared key; all zero when there is none.
    #[derive(Default)]
    PresharedKey
}

impl PrivateKey {
    /// The private key made of 32 random bytes, clamped as `wg genkey` does.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 32]) -> Self {
        bytes[0] &= 248;
        bytes[31] = bytes[31] & 127 | 64;
        Self(bytes)
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

/// A static X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Whether it is a point of low order, such as the all-zero key: no private key belongs to it,
    /// and every secret shared with it is zero (RFC 7748, 6.1).
    #[must_use]
    pub fn is_low_order(&self) -> bool {
        let any = x25519_dalek::StaticSecret::from([1; 32]);
        !any.diffie_hellman(&x25519_dalek::PublicKey::from(self.0)).was_contributory()
    }

    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse(text).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_is_the_one_wg_computes() {
        // RFC 7748, 6.1: Alice's key pair.
        let secret = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = PrivateKey::from_bytes(secret).public_key();
        assert_eq!(public.to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
    }

    #[test]
    fn keys_that_nobody_has() {
        let key = |first: u8| {
            let mut bytes = [0; 32];
            bytes[0] = first;
            PublicKey::from_bytes(bytes)
        };
        assert!(key(0).is_low_order() && key(1).is_low_order());
        assert!(!key(9).is_low_order(), "the base point");
        assert!(!PrivateKey::from_random([7; 32]).public_key().is_low_order());
    }

    #[test]
    fn what_is_not_a_key_is_told_apart() {
        assert_eq!("abc".parse::<PublicKey>().unwrap_err(), KeyError::Length(3));
        assert_eq!("!".repeat(44).parse::<PublicKey>().unwrap_err(), KeyError::Encoding);
        for bytes in [31, 33] {
            let text = STANDARD.encode(vec![7; bytes]);
            assert_eq!(text.parse::<PublicKey>().unwrap_err(), KeyError::Bytes(bytes));
        }
        let accent = "A".repeat(43) + "é";
        assert_eq!(accent.parse::<PublicKey>().unwrap_err(), KeyError::Encoding);
        assert!(!format!("{:?}", PrivateKey::from_random([7; 32])).contains("Bw"));
    }
}
