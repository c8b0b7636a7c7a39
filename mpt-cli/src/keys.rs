//! Keys, as `wg genkey`, `wg pubkey` and `wg genpsk` make them.

use anyhow::{Context as _, bail};
use mpt_core::keys::{PresharedKey, PrivateKey};
use std::fs::Metadata;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use zeroize::Zeroizing;

/// Prints a new private key.
pub(crate) fn genkey() -> anyhow::Result<()> {
    print_secret(&PrivateKey::from_random(*random()?).to_base64())
}

/// Prints a new pre-shared key.
pub(crate) fn genpsk() -> anyhow::Result<()> {
    print_secret(&PresharedKey::from_bytes(*random()?).to_base64())
}

/// Reads a private key on stdin and prints its public key.
pub(crate) fn pubkey() -> anyhow::Result<()> {
    /// More than a key and white space around it was not meant.
    const LONGEST: u64 = 4096;
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(LONGEST).read_to_string(&mut text).context("cannot read stdin")?;
    let key: PrivateKey = match text.parse() {
        Ok(key) => key,
        Err(e) => bail!("stdin holds no private key: {e}"),
    };
    writeln!(std::io::stdout(), "{}", key.public_key())?;
    Ok(())
}

fn random() -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut())
        .map_err(|e| anyhow::anyhow!("the kernel gives no random bytes: {e}"))?;
    Ok(bytes)
}

fn print_secret(secret: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let target = stdout.as_fd().try_clone_to_owned().map(std::fs::File::from);
    if let Ok(metadata) = target.and_then(|file| file.metadata())
        && open_to_all(&metadata)
    {
        let text = "warning: everybody can read the file this key goes to; `umask 077` first";
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    writeln!(stdout, "{secret}")?;
    Ok(())
}

fn open_to_all(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & 0o007 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_clamped() {
        let (a, b) = (random().unwrap(), random().unwrap());
        assert_ne!(a, b);
        let key = PrivateKey::from_random(*a);
        assert_eq!((key.as_bytes()[0] & 7, key.as_bytes()[31] & 0xc0), (0, 0x40));
    }

    #[test]
    fn files_open_to_all_are_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(open_to_all(&file.path().metadata().unwrap()), open, "{mode:o}");
        }
    }
}
