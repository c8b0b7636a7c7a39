//! `mpt-tund down`: asks a running daemon to end, and waits until it has.

use super::socket::{connect, run_dir, socket_file};
use anyhow::{Context as _, bail};
use mpt_core::control::{Request, Response};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a daemon may take to undo what it did.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the daemon of tunnel `name`; returns when its process is gone. Makes a runtime of its own.
///
/// # Errors
/// When there is none, we may not, or it does not end within ten seconds.
pub fn down(name: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(down_in(&run_dir(), name))
}

pub(super) async fn down_in(dir: &Path, name: &str) -> anyhow::Result<()> {
    let file = socket_file(dir, name);
    let mut stream = connect(&file).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            anyhow::anyhow!(
                "mpt-tund {name} is not running (nothing answers at {})",
                file.display()
            )
        }
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("no access to {}; be root, or in the group `mpt`", file.display())
        }
        _ => anyhow::Error::from(e).context(format!("cannot connect to {}", file.display())),
    })?;
    let pid = stream.peer_cred()?.pid();
    let deadline = Instant::now() + PATIENCE;
    let ended = timeout_at(deadline, async {
        stop(&mut stream).await?;
        while pid.is_some_and(runs) {
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    });
    match ended.await {
        Ok(result) => result,
        Err(_) => {
            let kill = pid.map_or(String::new(), |pid| {
                format!("; `kill -9 {pid}` forces it, and the next `mpt-tund up {name}` cleans up")
            });
            bail!("mpt-tund {name} did not end within {} s{kill}", PATIENCE.as_secs())
        }
    }
}

/// Asks it to stop, and waits until it hangs up. One that ends without an answer did as asked.
async fn stop(stream: &mut tokio::net::UnixStream) -> anyhow::Result<()> {
    let mut request = serde_json::to_vec(&Request::Stop)?;
    request.push(b'\n');
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    let mut answer = String::new();
    // A refusal stands ready before anything is asked, and the write may fail then.
    let written = write.write_all(&request).await;
    if read.read_line(&mut answer).await.unwrap_or(0) == 0 {
        return written.or_else(|e| match e.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
            _ => Err(e).context("cannot ask it to stop"),
        });
    }
    if let Response::Error(why) = serde_json::from_str(&answer).context("odd answer")? {
        bail!("{why}");
    }
    // Hanging up ends the wait, however it is done.
    let _ = read.read_to_end(&mut Vec::new()).await;
    Ok(())
}

/// Whether process `pid` still does anything; a zombie only waits for its parent.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name stands in parentheses and may hold anything, more of them included.
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !stat.is_empty() && !matches!(state, Some('Z' | 'X'))
}
