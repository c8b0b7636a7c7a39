//! The client's end of the control socket.

use mpt_core::control::{Request, Response, Status};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Environment variable that moves the directory of control sockets.
pub const RUN_DIR_VARIABLE: &str = "MPT_RUN_DIR";

/// Longer than the daemon takes to say that it does not answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// Most bytes of an answer; hundreds of peers fit.
const LONGEST_ANSWER: u64 = 16 << 20;

/// What can go wrong between us and a daemon.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket, or nobody behind it.
    #[error("mpt-tund {0} is not running; `mpt-tund up {0}` starts it{others}", others = others())]
    NotRunning(String),
    /// The socket's permissions keep us out.
    #[error("no access to {}; be root, or in the group `mpt` (`groupadd -r mpt`, `usermod -aG mpt USER`, then start the tunnel and log in again)", .0.display())]
    NoAccess(PathBuf),
    /// The daemon is there but refused, with its reason.
    #[error("{0}")]
    Refused(String),
    /// It ended before it answered.
    #[error("mpt-tund {0} hung up before it answered, as when it ends; try again")]
    HungUp(String),
    /// It fell silent, or is of another version.
    #[error("mpt-tund {0} gave no answer that can be read: {1}")]
    NoAnswer(String, String),
}

/// Where control sockets are: `/run/mpt`, or what `MPT_RUN_DIR` says.
#[must_use]
pub fn run_dir() -> PathBuf {
    std::env::var_os(RUN_DIR_VARIABLE)
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| PathBuf::from("/run/mpt"), PathBuf::from)
}

/// Names of the tunnels with a control socket, sorted. A dead daemon may have left one.
#[must_use]
pub fn running() -> Vec<String> {
    sockets_in(&run_dir())
}

/// Whether we may look for them.
///
/// # Errors
/// When we may not.
pub fn may_look() -> Result<(), ClientError> {
    let dir = run_dir();
    match std::fs::read_dir(&dir) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(ClientError::NoAccess(dir)),
        _ => Ok(()),
    }
}

/// What to ask for instead, behind an error.
fn others() -> String {
    match running() {
        names if names.is_empty() => String::new(),
        names => format!("; there are: {} (called as their interfaces)", names.join(", ")),
    }
}

fn sockets_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".sock").map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

/// A connection to one daemon.
#[derive(Debug)]
pub struct Client {
    name: String,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the daemon of tunnel `name`.
    ///
    /// # Errors
    /// When it is not running, or we have no access.
    pub fn connect(name: &str) -> Result<Self, ClientError> {
        Self::connect_in(&run_dir(), name)
    }

    fn connect_in(dir: &Path, name: &str) -> Result<Self, ClientError> {
        let file = dir.join(format!("{name}.sock"));
        let no_answer = |e: std::io::Error| ClientError::NoAnswer(name.to_owned(), e.to_string());
        let stream = UnixStream::connect(&file).map_err(|e| match e.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(name.to_owned())
            }
            ErrorKind::PermissionDenied => ClientError::NoAccess(file.clone()),
            _ => no_answer(e),
        })?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(no_answer)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(no_answer)?;
        Ok(Self { name: name.to_owned(), stream: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer; its refusal is an error here.
    ///
    /// # Errors
    /// When the daemon refuses, or gives no answer.
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        let no_answer = |why: String| ClientError::NoAnswer(self.name.clone(), why);
        let mut line = serde_json::to_vec(request).map_err(|e| no_answer(e.to_string()))?;
        line.push(b'\n');
        // A daemon that refuses us has answered and hung up already: the answer says more.
        let sent = self.stream.get_mut().write_all(&line);
        let mut answer = String::new();
        let read = (&mut self.stream).take(LONGEST_ANSWER).read_line(&mut answer);
        match (read, sent) {
            (Ok(1..), _) => {}
            (Err(e), _) if e.kind() == ErrorKind::WouldBlock => {
                return Err(no_answer(format!("nothing came for {} s", PATIENCE.as_secs())));
            }
            (Ok(0), Ok(())) => return Err(ClientError::HungUp(self.name.clone())),
            (Err(e), _) | (_, Err(e)) => {
                return Err(match e.kind() {
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                        ClientError::HungUp(self.name.clone())
                    }
                    _ => no_answer(e.to_string()),
                });
            }
        }
        match serde_json::from_str(&answer) {
            Ok(Response::Error(why)) => Err(ClientError::Refused(why)),
            Ok(response) => Ok(response),
            Err(e) => Err(no_answer(e.to_string())),
        }
    }

    /// Everything about the tunnel.
    ///
    /// # Errors
    /// When the daemon refuses, or gives no answer.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Response::Status(status) => Ok(*status),
            other => {
                Err(ClientError::NoAnswer(self.name.clone(), format!("a status is no {other:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// What a client makes of a daemon that answers with `answer`, then hangs up.
    fn answered(answer: &'static str) -> Result<Status, ClientError> {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("t0.sock")).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(answer.as_bytes()).unwrap();
            line
        });
        let result = Client::connect_in(dir.path(), "t0").unwrap().status();
        assert_eq!(server.join().unwrap(), "{\"command\":\"status\"}\n");
        assert_eq!(sockets_in(dir.path()), ["t0"]);
        result
    }

    #[test]
    fn answers_and_refusals() {
        let status = Status { interface: "t0".to_owned(), ..Status::default() };
        let line = serde_json::to_string(&Response::Status(Box::new(status))).unwrap() + "\n";
        assert_eq!(answered(line.leak()).unwrap().interface, "t0");
        let refused = answered("{\"error\":\"go away\"}\n").unwrap_err();
        assert_eq!(refused.to_string(), "go away");
        assert!(matches!(answered("").unwrap_err(), ClientError::HungUp(_)));
        for nonsense in ["{}\n", "\"ok\"\n", "{\"status\":"] {
            let error = answered(nonsense).unwrap_err().to_string();
            assert!(error.starts_with("mpt-tund t0 gave no answer"), "{error}");
        }
    }

    #[test]
    fn nobody_there() {
        let dir = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(dir.path().join("dead.sock")).unwrap());
        for name in ["none", "dead"] {
            let error = Client::connect_in(dir.path(), name).unwrap_err();
            assert!(matches!(&error, ClientError::NotRunning(n) if n == name), "{error}");
        }
    }
}
