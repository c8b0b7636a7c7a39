//! Keys, from files that nobody else can read.

use mpt_core::keys::KeyError;
use std::fs::{File, FileType, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

/// No key file is longer, in bytes; whatever is, was not meant.
const LONGEST: usize = 1024;

/// What is wrong with the name of a key file; of a key, which would be told to everybody who reads the log, nothing is repeated.
pub(super) fn check_name<K: FromStr<Err = KeyError>>(
    name: &str,
    inline: &str,
) -> Result<(), String> {
    if name.parse::<K>().is_ok() {
        return Err(format!(
            "this is a key itself; name the file that holds it, or write it under `{inline}`"
        ));
    }
    if name.starts_with("~/") {
        return Err("only a shell knows what `~` is; write the whole name of the file".to_owned());
    }
    Ok(())
}

/// Reads the key in `file`; `maker` is the command that makes such a file.
pub(super) fn read_key<K: FromStr<Err = KeyError>>(file: &Path, maker: &str) -> Result<K, String> {
    let shown = file.display();
    let remedy = format!("`umask 077; {maker} > {shown}` makes one");
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file {shown}; {remedy}"),
        _ => format!("{shown} {}", unreadable(&e)),
    };
    // Asked before it is opened: to open a device may do something.
    let kind = file.metadata().map_err(failed)?.file_type();
    if let Some(what) = holds_no_text(kind) {
        return Err(format!("{shown} is {what}; name the file that holds the key"));
    }
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    let long = || {
        format!(
            "{shown} has more than {LONGEST} bytes, a key file one line of 44 characters; is it the right file?"
        )
    };
    // Before its mode: who follows that advice on a program or a database breaks it.
    if metadata.len() > LONGEST as u64 {
        return Err(long());
    }
    private(&metadata, file)?;
    let text = text(opened, LONGEST).map_err(failed)?.ok_or_else(long)?;
    let text = text.trim_start_matches('\u{feff}');
    text.parse().map_err(|e| match kind.is_file() {
        true if text.trim().is_empty() => format!("{shown} holds no key: {e}; {remedy}"),
        // Who follows that advice here may lose what stands in it.
        true => format!("{shown} holds no key: {e}; is it the right file? It holds the key alone, as `{maker}` prints it"),
        false => format!("what comes from {shown} is no key: {e}; `{maker}` makes one"),
    })
}

/// The text in `file`, or that comes from it; `None` when it has more than `most` bytes.
pub(super) fn text(file: File, most: usize) -> std::io::Result<Option<Zeroizing<String>>> {
    // Never grown, so that no copy of a secret stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Ok(None);
    }
    std::str::from_utf8(&bytes).map_err(|_| std::io::ErrorKind::InvalidData)?;
    Ok(String::from_utf8(std::mem::take(&mut bytes)).ok().map(Zeroizing::new))
}

/// What a file is that cannot hold a key. A pipe can: `/dev/stdin`, `<(pass mpt0)`.
fn holds_no_text(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_dir() => Some("a directory"),
        kind if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        kind if kind.is_socket() => Some("a socket"),
        _ => None,
    }
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
