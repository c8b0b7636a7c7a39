//! The daemon as a process.

use crate::lab::{address as lab_address, in_namespace};
use mpt_core::control::{Response, Status};
use mpt_core::keys::PrivateKey;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// For what takes no time.
const SOON: Duration = Duration::from_secs(4);

/// A daemon of tunnel `mpt0` in this namespace, killed when dropped.
struct Daemon {
    child: Child,
    dir: TempDir,
}

impl Daemon {
    /// Starts one with these keys of `path` to a peer, and further keys at the top. `program` begins the command,
    /// `set` changes it.
    fn start(top: &str, path: &str, program: &[&str], set: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = |n| PrivateKey::from_random([n; 32]);
        let yaml = format!(
            "interface: {{name: mpt0, address: 10.77.0.1/30}}\nprivate_key: \"{}\"\n{top}\npeers:\n  \
             - {{name: roof, public_key: \"{}\", allowed_ips: [10.77.0.2/32], paths: [{{name: a, {path}}}]}}\n",
            key(1).to_base64(),
            key(2).public_key(),
        );
        let file = dir.path().join("mpt0.yaml");
        let mut options = std::fs::OpenOptions::new();
        let mut written = options.write(true).create_new(true).mode(0o600).open(&file).unwrap();
        written.write_all(yaml.as_bytes()).unwrap();
        let words = [program, &[env!("CARGO_BIN_EXE_mpt-tund"), "up"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&file).stdin(Stdio::null());
        command.env("MPT_RUN_DIR", dir.path()).env("RUST_LOG", "info");
        set(&mut command);
        Self { child: command.spawn().unwrap(), dir }
    }

    fn status(&self) -> Option<Status> {
        let mut stream = UnixStream::connect(self.dir.path().join("mpt0.sock")).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(b"{\"command\":\"status\"}\n").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        match serde_json::from_str(&line).ok()? {
            Response::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// Waits until its status is `so`.
    async fn wait_until(&mut self, so: impl Fn(&Status) -> bool, limit: Duration) {
        let start = Instant::now();
        loop {
            let status = self.status();
            if status.as_ref().is_some_and(&so) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(start.elapsed() < limit && ended.is_none(), "{ended:?} {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    async fn wait_for_end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < SOON, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const REMOTE: &str = "remote: \"192.0.2.1:4511\"";

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    in_namespace(|| async {
        let (reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        while (&writer).write(&[b'.'; 512]).is_ok() {}
        writer.set_nonblocking(false).unwrap();
        let log = OwnedFd::from(writer);
        let mut daemon = Daemon::start("", REMOTE, &[], |command| {
            command.stdout(log.try_clone().unwrap()).stderr(log);
        });
        daemon.wait_until(|status| status.interface == "mpt0", SOON).await;
        daemon.signal("-TERM");
        assert!(daemon.wait_for_end().await.success());
        drop(reader);
    });
}

#[test]
fn the_last_words_are_written() {
    in_namespace(|| async {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut daemon = Daemon::start("", REMOTE, &[], |command| {
            command.stderr(writer);
        });
        daemon.wait_until(|status| status.interface == "mpt0", SOON).await;
        daemon.signal("-HUP");
        assert_eq!(daemon.wait_for_end().await.code(), Some(1));
        let mut log = String::new();
        std::io::Read::read_to_string(&mut reader, &mut log).unwrap();
        let log: Vec<_> = log.lines().collect();
        assert!(log.iter().any(|line| line.contains("mpt-tund is up")), "{log:?}");
        let [.., signal, down, error] = &log[..] else { panic!("{log:?}") };
        assert!(signal.contains("SIGHUP: shutting down"), "{log:?}");
        assert!(down.contains("mpt-tund is down"), "{log:?}");
        assert!(error.starts_with("error: ended by SIGHUP"), "{log:?}");
    });
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    in_namespace(|| async {
        let nohup = ["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh"];
        let mut daemon = Daemon::start("", REMOTE, &nohup, |_| {});
        daemon.wait_until(|status| status.interface == "mpt0", SOON).await;
        daemon.signal("-HUP");
        daemon.signal("-INT");
        tokio::time::sleep(Duration::from_millis(500)).await;
        daemon.wait_until(|status| status.interface == "mpt0", SOON).await;
        daemon.signal("-TERM");
        assert!(daemon.wait_for_end().await.success());
    });
}

#[test]
fn a_port_that_comes_free_is_taken() {
    in_namespace(|| async {
        let holder = std::net::UdpSocket::bind("0.0.0.0:4600").unwrap();
        let path = format!("{REMOTE}, local_port: 4600");
        let mut daemon = Daemon::start("", &path, &[], |_| {});
        let busy =
            |status: &Status| status.peers[0].paths[0].why.contains("4600 is already in use");
        daemon.wait_until(busy, SOON).await;
        // What happens beside its start has it look again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        daemon.wait_until(busy, SOON).await;
        drop(holder);
        daemon.wait_until(|status| !busy(status), Duration::from_secs(8)).await;
    });
}

#[test]
fn an_address_to_listen_on_may_come_later() {
    in_namespace(|| async {
        let listen = "listen: [\"10.9.9.9:4511\", \"[fd09::9]:4511\"]";
        let mut daemon = Daemon::start(listen, REMOTE, &[], |_| {});
        let waits = |status: &Status| {
            let about = |w: &&String| w.starts_with("listen: no interface of this machine has");
            status.warnings.iter().filter(about).count()
        };
        daemon.wait_until(|status| waits(status) == 2, SOON).await;
        for (address, ip) in [("10.9.9.9/24", "10.9.9.9"), ("fd09::9/64", "fd09::9")] {
            lab_address("lo", address).await;
            // Closed, it would be refused.
            let socket = std::net::UdpSocket::bind((ip, 0)).unwrap();
            socket.connect((ip, 4511)).unwrap();
            for _ in 0..3 {
                socket.send(b"who is there?").unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        daemon.wait_until(|status| waits(status) == 0, SOON).await;
    });
}

#[test]
fn the_directory_of_control_sockets_may_be_relative_and_new() {
    in_namespace(|| async {
        let above = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start("", REMOTE, &[], |command| {
            command.current_dir(above.path()).env("MPT_RUN_DIR", "run/mpt");
        });
        let socket = above.path().join("run/mpt/mpt0.sock");
        let start = Instant::now();
        while !socket.exists() {
            assert_eq!(daemon.child.try_wait().unwrap(), None);
            assert!(start.elapsed() < SOON);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        daemon.signal("-TERM");
        assert!(daemon.wait_for_end().await.success());
    });
}
