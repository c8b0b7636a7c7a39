//! Last words, for which the process does not wait for ever.

use std::sync::mpsc;
use std::time::Duration;

/// A reader that is there takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// Does `work`, which says something to whoever reads standard error, and leaves it behind when that one takes too
/// long: a terminal after Ctrl-S, a log service that hangs. It ends with the process then.
pub(crate) fn wait_for(work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::sync_channel(1);
    let work = move || {
        work();
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("mpt-last-words".to_owned()).spawn(work).is_ok() {
        // Done, or not in time: it ends in either case.
        let _ = waiting.recv_timeout(PATIENCE);
    }
}
