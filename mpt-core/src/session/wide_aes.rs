//! AES-256-GCM with vectors of 512 bits, four blocks at a time.
//!
//! AWS-LC has code for processors with VAES, VPCLMULQDQ and AVX-512 (servers since Ice Lake and
//! Zen 4); `ring` goes as far as AVX2. Its interface is `ring`'s.

use super::aead::{AEAD_TAG_LEN, NONCE_LEN, Protect};
use crate::DropReason;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// A key of AES-256-GCM.
pub(crate) struct WideAes(LessSafeKey);

impl WideAes {
    /// Whether this is faster on this processor than without.
    pub(crate) fn serves() -> bool {
        is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
    }

    /// It works on any processor.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("its keys are of 32 bytes");
        Self(LessSafeKey::new(key))
    }
}

impl Protect for WideAes {
    fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), DropReason> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let made = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(header), body)
            .map_err(|_| DropReason::TooLarge)?;
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), DropReason> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        // A part of a tag is none.
        let tag: &[u8; AEAD_TAG_LEN] = tag.try_into().map_err(|_| DropReason::BadTag)?;
        self.0
            .open_in_place_separate_tag(nonce, Aad::from(header), tag, body)
            .map(|_| ())
            .map_err(|_| DropReason::BadTag)
    }
}

#[cfg(test)]
mod tests {
    use super::super::aead::Aead;
    use super::*;

    /// What one library seals the other one opens, and both make the same bytes.
    #[test]
    fn both_libraries_agree() {
        let wide = WideAes::new(&[0x5a; 32]);
        let ring = Aead::aes_256_gcm(&[0x5a; 32]);
        for len in (0..600).chain([1_372, 1_400, 1_439, 8_952, 65_507]) {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
            let mut nonce = [0xa5; NONCE_LEN];
            nonce[4..].copy_from_slice(&(len as u64).to_be_bytes());
            let header = [len as u8; 20];
            let sealed = |key: &dyn Protect| {
                let (mut body, mut tag) = (plain.clone(), [0; AEAD_TAG_LEN]);
                key.seal(nonce, &header, &mut body, &mut tag).unwrap();
                (body, tag)
            };
            let (body, tag) = sealed(&wide);
            assert_eq!((&body, &tag), (&sealed(&ring).0, &sealed(&ring).1), "{len} bytes");

            for key in [&wide as &dyn Protect, &ring] {
                let mut opened = body.clone();
                key.open(nonce, &header, &mut opened, &tag).unwrap();
                assert_eq!(opened, plain);
                for wrong in 0..AEAD_TAG_LEN {
                    let mut tag = tag;
                    tag[wrong] ^= 0x10;
                    let refused = key.open(nonce, &header, &mut body.clone(), &tag);
                    assert_eq!(refused, Err(DropReason::BadTag));
                }
                let refused = key.open(nonce, &[!(len as u8); 20], &mut body.clone(), &tag);
                assert_eq!(refused, Err(DropReason::BadTag));
                let refused = key.open(nonce, &header, &mut body.clone(), &tag[..15]);
                assert_eq!(refused, Err(DropReason::BadTag), "a tag that is too short");
            }
        }
    }
}
