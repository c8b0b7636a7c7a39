//! The signals that end the daemon.

use super::{Daemon, Message};
use tokio::signal::unix::{SignalKind, signal};

/// SIGHUP.
pub(super) const HANGUP: &str = "SIGHUP";

impl Daemon {
    /// SIGHUP and SIGINT stay ignored where whoever started us had them ignored: `nohup` means that the terminal may go,
    /// and a script's `&` that Ctrl-C is for others.
    pub(super) fn watch_signals(&self) -> std::io::Result<()> {
        let kinds = [
            (SignalKind::terminate(), "SIGTERM"),
            (SignalKind::interrupt(), "SIGINT"),
            (SignalKind::hangup(), HANGUP),
        ];
        for (kind, name) in kinds {
            if kind != SignalKind::terminate() && is_ignored(kind) {
                tracing::debug!("{name} is ignored, as it was at the start");
                continue;
            }
            let mut stream = signal(kind)?;
            let sender = self.sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(Message::Signal(name)).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(())
    }
}

/// Whether the process ignores a signal. To be asked before anybody watches it.
fn is_ignored(kind: SignalKind) -> bool {
    // SAFETY: all zeros is a valid `sigaction`: numbers, an empty set, no function.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let number = kind.as_raw_value();
    // SAFETY: without a new action the kernel changes nothing; it writes one `sigaction`, which `action` is.
    let rc = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) };
    rc == 0 && action.sa_sigaction == libc::SIG_IGN
}
