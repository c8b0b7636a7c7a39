//! The control socket's file.

use anyhow::{Context as _, bail};
use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Environment variable that moves the directory of control sockets.
pub const RUN_DIR_VARIABLE: &str = "MPT_RUN_DIR";

/// Where control sockets are: `/run/mpt`, or what `MPT_RUN_DIR` says.
#[must_use]
pub fn run_dir() -> PathBuf {
    std::env::var_os(RUN_DIR_VARIABLE)
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| PathBuf::from("/run/mpt"), PathBuf::from)
}

/// The control socket of tunnel `name`.
#[must_use]
pub fn socket_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.sock"))
}

/// The file, removed on drop.
#[derive(Debug)]
pub(super) struct Socket {
    file: PathBuf,
}

impl Socket {
    /// Makes the directory and the socket of tunnel `name`, owned by root and `group`, in place of
    /// one that a dead daemon left.
    pub(super) fn bind(dir: &Path, name: &str, group: u32) -> anyhow::Result<(Self, UnixListener)> {
        // The last ancestor of a relative path is empty, and stands for where we are.
        let is_new = |d: &&Path| !d.as_os_str().is_empty() && !d.exists();
        let new: Vec<_> = dir.ancestors().take_while(is_new).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(|e| refused(e, &format!("cannot make the directory {}", dir.display())))?;
        // A shell where keys were just made has `umask 077`; the group is to reach the sockets.
        for dir in new {
            std::fs::set_permissions(dir, Permissions::from_mode(0o755))
                .with_context(|| format!("cannot set the mode of {}", dir.display()))?;
        }
        let file = socket_file(dir, name);
        make_room(&file, name)?;
        let listener = UnixListener::bind(&file)
            .map_err(|e| refused(e, &format!("cannot make the socket {}", file.display())))?;
        let socket = Self { file };
        // Who asks is judged by credentials; the mode keeps others from even connecting. In a
        // user namespace the group may not be ours to give.
        if let Err(error) = chown(&socket.file, None, Some(group)) {
            tracing::debug!(%error, group, "the control socket keeps our own group");
        }
        std::fs::set_permissions(&socket.file, Permissions::from_mode(0o660))
            .with_context(|| format!("cannot set the mode of {}", socket.file.display()))?;
        Ok((socket, listener))
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// What a human does about an error here: whoever may not write to `/run` may not run a tunnel.
fn refused(error: std::io::Error, what: &str) -> anyhow::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => anyhow::anyhow!("{what}: permission denied; run as root"),
        _ => anyhow::Error::from(error).context(what.to_owned()),
    }
}

/// Removes what a dead daemon left; complains of a live one, and of what is no socket.
fn make_room(file: &Path, name: &str) -> anyhow::Result<()> {
    match std::fs::symlink_metadata(file) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(refused(e, &format!("cannot look at {}", file.display()))),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            bail!("{} is in the way: it is no socket; remove it", file.display())
        }
        Ok(_) => {}
    }
    match connect(file) {
        Ok(stream) => {
            let pid = match stream.peer_cred().ok().and_then(|c| c.pid()) {
                Some(pid) => format!(" (pid {pid})"),
                None => String::new(),
            };
            bail!("mpt-tund {name} is already running{pid}; `mpt-tund down {name}` ends it")
        }
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Err(refused(e, &format!("cannot use {}", file.display())))
        }
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(file)
            .map_err(|e| refused(e, &format!("cannot remove the stale socket {}", file.display()))),
        Err(e) => {
            Err(e).with_context(|| format!("cannot tell whether {} is in use", file.display()))
        }
    }
}

/// A connection to `file`, without waiting: a full queue of a live daemon is an error, too.
pub(super) fn connect(file: &Path) -> std::io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::connect(file)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
