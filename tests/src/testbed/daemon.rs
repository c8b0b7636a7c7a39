//! A running `mpt-tund`.

use crate::sys::process;
use anyhow::{Context as _, Result, bail};
use mpt_core::control::{Request, Response, Status};
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often what is waited for is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    pub(super) fn start(
        name: &str,
        mut command: Command,
        socket: PathBuf,
        log: PathBuf,
    ) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = process::spawn(command)
            .with_context(|| format!("cannot start the daemon of {name}"))?;
        Ok(Self { name: name.to_owned(), child, socket, log })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib: Option<u64> = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        Ok(kib.context("the kernel tells no VmRSS")? * 1024)
    }

    /// All it has written to stdout and stderr, over restarts.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it something over its control socket.
    ///
    /// # Errors
    /// When it does not answer within two seconds, or with an error.
    pub fn request(&self, request: &Request) -> Result<Response> {
        ask(&self.socket, request).with_context(|| format!("the daemon of {}", self.name))
    }

    /// Its status.
    ///
    /// # Errors
    /// As with [`Daemon::request`].
    pub fn status(&self) -> Result<Status> {
        status_at(&self.socket).with_context(|| format!("the daemon of {}", self.name))
    }

    /// Something that asks for its status from another thread, also when it was started again.
    pub fn status_source(&self) -> impl Fn() -> Result<Status> + Send + 'static {
        let socket = self.socket.clone();
        move || status_at(&socket)
    }

    /// Waits until every peer is established and every path in use.
    ///
    /// # Errors
    /// When it ends before, or `timeout` passes: with the end of its log.
    pub fn wait_up(&mut self, timeout: Duration) -> Result<Status> {
        self.wait_until("every path in use", timeout, |status| {
            !status.peers.is_empty()
                && status.peers.iter().all(|peer| {
                    peer.state == "established"
                        && !peer.paths.is_empty()
                        && peer.paths.iter().all(|path| path.in_use)
                })
        })
    }

    /// Waits until `condition`, which `what` describes, is true of its status.
    ///
    /// # Errors
    /// When it ends before, or `timeout` passes: with its last status and the end of its log.
    pub fn wait_until(
        &mut self,
        what: &str,
        timeout: Duration,
        mut condition: impl FnMut(&Status) -> bool,
    ) -> Result<Status> {
        let until = crate::now() + timeout;
        loop {
            let status = self.status();
            if let Ok(status) = &status
                && condition(status)
            {
                return Ok(status.clone());
            }
            if let Some(ended) = self.child.try_wait()? {
                bail!("the daemon of {} ended, {ended}; its log:\n{}", self.name, self.log_end());
            }
            if crate::now() >= until {
                let seen = match status {
                    Ok(status) => serde_json::to_string_pretty(&status)?,
                    Err(error) => format!("{error:#}"),
                };
                bail!(
                    "{}: not {what} within {timeout:?}; status: {seen}\nlog:\n{}",
                    self.name,
                    self.log_end()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(super) fn stop(mut self) -> Result<ExitStatus> {
        process::signal(self.pid(), libc::SIGTERM)?;
        for _ in 0..250 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        bail!("the daemon of {} ignored SIGTERM for 5 s; its log:\n{}", self.name, self.log_end());
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What a failed test has to show first, if it is so: the daemon panicked.
        if std::thread::panicking() {
            let log = self.log();
            if let Some(at) = log.find("panicked at") {
                let told: Vec<&str> = log[at..].lines().take(40).collect();
                eprintln!("the daemon of {} {}", self.name, told.join("\n"));
            }
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the daemon with this control socket says of itself.
pub(crate) fn status_at(socket: &std::path::Path) -> Result<Status> {
    match ask(socket, &Request::Status)? {
        Response::Status(status) => Ok(*status),
        other => bail!("no status, but {other:?}"),
    }
}

fn ask(socket: &std::path::Path, request: &Request) -> Result<Response> {
    let mut stream = UnixStream::connect(socket)
        .with_context(|| format!("no answer at {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let response =
        serde_json::from_str(&answer).with_context(|| format!("cannot understand {answer:?}"))?;
    if let Response::Error(text) = response {
        bail!("{text}");
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::control::{PathStatus, PeerStatus};
    use std::os::unix::net::UnixListener;

    /// A daemon that does nothing, in a directory of its own.
    fn idle(directory: &std::path::Path) -> Daemon {
        let mut command = Command::new("sh");
        command.args(["-c", "echo here; exec sleep 60"]);
        let file = |name| directory.join(name);
        Daemon::start("a", command, file("socket"), file("log")).unwrap()
    }

    #[test]
    fn it_is_up_when_its_status_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        std::thread::spawn(move || {
            // The first answer says no, later ones yes.
            for (i, stream) in listener.incoming().flatten().enumerate() {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                assert_eq!(line, "{\"command\":\"status\"}\n");
                let path = PathStatus { in_use: i > 0, ..PathStatus::default() };
                let peer = PeerStatus {
                    state: "established".into(),
                    paths: vec![path],
                    ..PeerStatus::default()
                };
                let status = Status { peers: vec![peer], ..Status::default() };
                let answer = serde_json::to_string(&Response::Status(Box::new(status))).unwrap();
                writeln!(&stream, "{answer}").unwrap();
            }
        });
        let mut daemon = idle(directory.path());
        assert!(daemon.wait_up(Duration::from_secs(2)).unwrap().peers[0].paths[0].in_use);
        assert!(daemon.resident_bytes().unwrap() > 0);
        let pid = daemon.pid();
        assert!(!daemon.stop().unwrap().success(), "sleep dies of SIGTERM");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn one_that_never_answers_or_ends_is_told_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut daemon = idle(directory.path());
        let error = daemon.wait_up(Duration::from_millis(300)).unwrap_err().to_string();
        assert!(error.contains("not every path in use within 300ms"), "{error}");
        assert!(error.contains("no answer at") && error.contains("here"), "{error}");
        process::signal(daemon.pid(), libc::SIGKILL).unwrap();
        let error = daemon.wait_up(Duration::from_secs(2)).unwrap_err().to_string();
        assert!(error.contains("ended") && error.contains("here"), "{error}");
    }
}
