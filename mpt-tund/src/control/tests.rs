//! Real sockets in a directory of their own.

use super::*;
use mpt_core::control::Status;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

const QUICK: Limits = Limits {
    first: Duration::from_millis(300),
    idle: Duration::from_millis(300),
    answer: Duration::from_millis(300),
};

/// A server whose daemon answers a status with `name`, does not answer `set-weight`, and ends on
/// `stop`.
fn start(dir: &Path, limits: Limits) -> tokio::task::JoinHandle<()> {
    let mut server = ControlServer::bind_in(dir, "t0").unwrap();
    server.limits = limits;
    let (calls, mut requests) = mpsc::channel::<Call>(4);
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        let daemon = async {
            while let Some((request, answer)) = requests.recv().await {
                let response = match request {
                    Request::Status => Response::Status(Box::new(Status {
                        interface: "t0".to_owned(),
                        warnings: vec!["w".repeat(4 << 20)],
                        ..Status::default()
                    })),
                    Request::SetWeight { .. } => {
                        unanswered.push(answer);
                        continue;
                    }
                    Request::SetEnabled { .. } | Request::SetRateLimit { .. } => {
                        Response::Error("no such path".to_owned())
                    }
                    Request::AddPolicy { .. }
                    | Request::RemovePolicy { .. }
                    | Request::ExplainPolicy { .. } => Response::Ok,
                    Request::Stop => {
                        answer.send(Response::Ok).unwrap();
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        return;
                    }
                };
                let _ = answer.send(response);
            }
        };
        tokio::select! { () = server.serve(calls) => {}, () = daemon => {} }
    })
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn new(dir: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket_file(dir, "t0")).await.unwrap()))
    }

    async fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line; `None` when the server hung up.
    async fn receive(&mut self) -> Option<Response> {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(5), self.0.read_line(&mut line));
        match read.await.expect("an answer, or the end") {
            Ok(1..) => Some(serde_json::from_str(&line).unwrap()),
            _ => None,
        }
    }

    async fn error(&mut self) -> String {
        match self.receive().await {
            Some(Response::Error(text)) => text,
            other => panic!("not an error: {other:?}"),
        }
    }
}

#[tokio::test]
async fn requests_are_answered_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let server = start(&run, Limits::default());
    let metadata = std::fs::metadata(socket_file(&run, "t0")).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let mut client = Client::new(&run).await;
    client.send("{\"command\":\"status\"}\n{\"command\":\"set-enabled\",").await;
    let Some(Response::Status(status)) = client.receive().await else { panic!("no status") };
    assert_eq!(status.interface, "t0");
    client.send("\"path\":\"x\",\"enabled\":false}\n").await;
    assert_eq!(client.error().await, "no such path");
    server.abort();
    let _ = server.await;
    assert!(!socket_file(&run, "t0").exists(), "the file goes with the server");
}

#[tokio::test]
async fn bad_requests_are_told_and_do_not_end_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), Limits::default());
    let mut client = Client::new(dir.path()).await;
    for (bad, words) in [
        ("\n", "not a request"),
        ("status\n", "for example {\"command\":\"status\"}"),
        ("{\"command\":\"dance\"}\n", "unknown variant `dance`"),
        ("{\"command\":\"set-weight\",\"path\":\"a\",\"weight\":0}\n", "1 to 10000"),
        ("{\"command\":\"set-rate-limit\",\"path\":\"a\",\"rate_limit\":\"20\"}\n", "20mbit"),
        ("\u{0}\u{1}\n", "not a request"),
    ] {
        client.send(bad).await;
        let error = client.error().await;
        assert!(error.contains(words), "{error}");
    }
    client.send("{\"command\":\"status\"}\n").await;
    assert!(matches!(client.receive().await, Some(Response::Status(_))));
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), Limits::default());
    let mut client = Client::new(dir.path()).await;
    client.send(&"x".repeat(LONGEST_LINE)).await;
    assert!(client.error().await.contains("at most 65536 bytes"));
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn silent_clients_and_silent_daemons_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), QUICK);
    let mut client = Client::new(dir.path()).await;
    client.send("{\"command\":\"set-weight\",\"path\":\"a\",\"weight\":1}\n").await;
    assert!(client.error().await.contains("does not answer"));
    assert_eq!(client.receive().await, None, "let go after the idle time");
}

#[tokio::test]
async fn who_does_not_read_is_let_go_and_hinders_nobody() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), QUICK);
    let mut lazy = Client::new(dir.path()).await;
    lazy.send("{\"command\":\"status\"}\n").await;
    let mut other = Client::new(dir.path()).await;
    other.send("{\"command\":\"set-enabled\",\"path\":\"a\",\"enabled\":true}\n").await;
    assert_eq!(other.error().await, "no such path");
    tokio::time::sleep(QUICK.answer * 3).await;
    let mut got = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut lazy.0, &mut got).await.unwrap();
    assert!(!got.is_empty() && got.len() < 4 << 20, "cut off after {} bytes", got.len());
}

/// Whether the server is there for a request of the client.
async fn is_served(client: &mut Client) -> bool {
    client.send("x\n").await;
    client.error().await.contains("not a request")
}

#[tokio::test]
async fn idle_clients_keep_nobody_out_and_the_longest_idle_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), Limits::default());
    let mut seated = Vec::new();
    for _ in 0..MOST_CLIENTS {
        let mut client = Client::new(dir.path()).await;
        assert!(is_served(&mut client).await);
        seated.push(client);
    }
    // It asks again, so the second one is the longest idle.
    assert!(is_served(&mut seated[0]).await);
    for evicted in 1..4 {
        let mut next = Client::new(dir.path()).await;
        assert!(is_served(&mut next).await);
        assert!(seated[evicted].error().await.contains("connect again"));
        assert_eq!(seated[evicted].receive().await, None);
        seated.push(next);
    }
    assert!(is_served(&mut seated[0]).await && is_served(&mut seated[4]).await);
}

#[tokio::test]
async fn connections_that_never_asked_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), Limits::default());
    let mut idle = Vec::new();
    for _ in 0..3 * MOST_CLIENTS {
        idle.push(Client::new(dir.path()).await);
    }
    let mut client = Client::new(dir.path()).await;
    client.send("{\"command\":\"status\"}\n").await;
    assert!(matches!(client.receive().await, Some(Response::Status(_))));
}

#[tokio::test]
async fn who_does_not_ask_is_let_go_sooner_than_who_did() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), Limits { first: Duration::from_millis(200), ..Limits::default() });
    let mut idle = Client::new(dir.path()).await;
    let mut client = Client::new(dir.path()).await;
    assert!(is_served(&mut client).await);
    assert_eq!(idle.receive().await, None);
    assert!(is_served(&mut client).await);
}

#[tokio::test]
async fn clients_that_are_being_answered_do_not_give_way() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), Limits::default());
    let mut busy = Vec::new();
    for _ in 0..MOST_CLIENTS {
        let mut client = Client::new(dir.path()).await;
        client.send("{\"command\":\"set-weight\",\"path\":\"a\",\"weight\":1}\n").await;
        busy.push(client);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(Client::new(dir.path()).await.error().await.contains("16 clients"));
    busy.pop();
    assert!(busy[0].error().await.contains("does not answer"));
    assert!(is_served(&mut Client::new(dir.path()).await).await, "a place is free again");
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = socket_file(dir.path(), "t0");
    drop(std::os::unix::net::UnixListener::bind(&file).unwrap());
    assert!(file.exists(), "what kill -9 leaves");
    start(dir.path(), Limits::default());
    let error = ControlServer::bind_in(dir.path(), "t0").unwrap_err().to_string();
    let pid = std::process::id();
    assert_eq!(
        error,
        format!("mpt-tund t0 is already running (pid {pid}); `mpt-tund down t0` ends it")
    );
    assert!(file.exists(), "and the live one keeps its socket");
    std::fs::write(socket_file(dir.path(), "t1"), "").unwrap();
    let error = ControlServer::bind_in(dir.path(), "t1").unwrap_err().to_string();
    assert!(error.contains("no socket"), "{error}");
}

#[tokio::test]
async fn down_says_when_there_is_nothing_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let error = down::down_in(dir.path(), "t0").await.unwrap_err().to_string();
    assert!(error.contains("mpt-tund t0 is not running"), "{error}");
}

/// The daemon of this test is the test itself, which cannot be waited for to end.
#[tokio::test]
async fn down_waits_for_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), Limits::default());
    let down = down::down_in(dir.path(), "t0");
    tokio::select! {
        result = down => panic!("this process still runs: {result:?}"),
        () = tokio::time::sleep(Duration::from_millis(400)) => {}
    }
    assert!(server.is_finished(), "it was asked to stop, and did");
}
