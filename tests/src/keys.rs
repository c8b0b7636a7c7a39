//! Fresh keys for the routers of a testbed.

use anyhow::{Context as _, Result};
use mpt_core::keys::PrivateKey;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A new random key.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn generate() -> Result<PrivateKey> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(PrivateKey::from_random(bytes))
}

/// Writes a key where only its owner can read it.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, key: &PrivateKey) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut f| writeln!(f, "{}", key.to_base64()))
        .with_context(|| format!("cannot write {}", path.display()))
}
