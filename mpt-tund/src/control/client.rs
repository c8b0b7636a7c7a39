//! One client of the control socket.

use super::seats::Seat;
use super::{Call, LONGEST_LINE, Limits};
use mpt_core::control::{Request, Response};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Answers the client's requests one after the other, until it leaves, falls silent, does not
/// take its answer, or has to give way.
pub(super) async fn serve(
    stream: UnixStream,
    calls: mpsc::Sender<Call>,
    limits: Limits,
    seat: Arc<Seat>,
) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    let mut patience = limits.first;
    loop {
        line.clear();
        let mut bounded = (&mut read).take(LONGEST_LINE as u64);
        let asked = timeout(patience, bounded.read_until(b'\n', &mut line));
        tokio::select! {
            // A request that is there is answered before anybody else gets the place.
            biased;
            asked = asked => match asked {
                Ok(Ok(1..)) => {}
                // Gone, broken, or silent for too long.
                _ => return,
            },
            () = seat.claimed() => {
                let why = "others needed the place of this silent connection; connect again";
                // Whoever does not read is not waited for.
                let _ = write.try_write(&encode(&Response::Error(why.to_owned())));
                return;
            }
        }
        seat.asked();
        patience = limits.idle;
        let whole = line.ends_with(b"\n");
        let response = if !whole && line.len() == LONGEST_LINE {
            Response::Error(format!("a request has at most {LONGEST_LINE} bytes"))
        } else {
            answer(&line, &calls, limits).await
        };
        let taken = timeout(limits.answer, write.write_all(&encode(&response))).await;
        if !whole || !matches!(taken, Ok(Ok(()))) {
            return;
        }
        if seat.is_gone() {
            return;
        }
        seat.answered();
    }
}

/// The daemon's answer to one line.
async fn answer(line: &[u8], calls: &mpsc::Sender<Call>, limits: Limits) -> Response {
    let request = match serde_json::from_slice::<Request>(line) {
        Ok(request) => request,
        Err(error) => {
            return Response::Error(format!(
                "not a request: {error}; for example {{\"command\":\"status\"}}"
            ));
        }
    };
    let (sender, receiver) = oneshot::channel();
    let asked = async {
        calls.send((request, sender)).await.ok()?;
        receiver.await.ok()
    };
    match timeout(limits.answer, asked).await {
        Ok(Some(response)) => response,
        Ok(None) => Response::Error("the daemon is ending".to_owned()),
        Err(_) => Response::Error("the daemon does not answer; see its log".to_owned()),
    }
}

/// Says why, and hangs up, without waiting: a new connection's buffer has room for a line.
pub(super) fn refuse(stream: UnixStream, why: String) {
    use std::io::Write as _;
    // Straight to the kernel: tokio does not know yet that it can be written to.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&encode(&Response::Error(why)));
    }
}

fn encode(response: &Response) -> Vec<u8> {
    let mut line = serde_json::to_vec(response)
        .unwrap_or_else(|_| br#"{"error":"the answer cannot be written as JSON"}"#.to_vec());
    line.push(b'\n');
    line
}
