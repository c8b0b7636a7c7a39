//! Keys, from files that nobody else can read.

use mpt_core::keys::KeyError;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

/// No key file is longer; whatever is, was not meant.
const LONGEST: u64 = 4096;

/// Reads the key in `file`; `maker` is the command that makes such a file.
pub(super) fn read_key<K: FromStr<Err = KeyError>>(file: &Path, maker: &str) -> Result<K, String> {
    let shown = file.display();
    let remedy = format!("`umask 077; {maker} > {shown}` makes one");
    let opened = File::open(file).and_then(|f| Ok((f.metadata()?, f)));
    let (metadata, opened) = opened.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file {shown}; {remedy}"),
        _ => format!("{shown} {}", unreadable(&e)),
    })?;
    private(&metadata, file)?;
    let mut text = Zeroizing::new(String::new());
    opened
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|e| format!("{shown} {}", unreadable(&e)))?;
    text.parse().map_err(|e| format!("{shown} holds no key: {e}; {remedy}"))
}

/// Why a file cannot be read, and what to do, to stand behind its name.
pub(super) fn unreadable(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "cannot be read: permission denied; run as root, or as the file's owner".to_owned()
        }
        ErrorKind::IsADirectory => "is a directory; name a file in it".to_owned(),
        ErrorKind::InvalidData => "is no text in UTF-8; is it the right file?".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Only the owner may read (or write) a file with a secret. What is no regular file (a pipe) has
/// no such permissions.
pub(super) fn private(metadata: &Metadata, file: &Path) -> Result<(), String> {
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() || mode & 0o077 == 0 {
        return Ok(());
    }
    let who = if mode & 0o007 != 0 { "everybody" } else { "its group" };
    let shown = file.display();
    Err(format!(
        "{shown} holds a secret, but {who} can get at it (mode {mode:04o}); run `chmod 600 {shown}`"
    ))
}
