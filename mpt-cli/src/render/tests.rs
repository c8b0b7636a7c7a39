//! Fixed statuses, and exactly what is shown of them.

use super::*;
use mpt_core::control::{DropCount, RepairStatus, TunStatus};

/// Two bridges, one of them unplugged.
pub(crate) fn two_bridges() -> Status {
    let path = |id: u8, name: &str| PathStatus {
        id,
        name: name.to_owned(),
        state: "up".to_owned(),
        in_use: true,
        why: "answers".to_owned(),
        last_change: 8000.0,
        interface: Some(format!("wan{id}")),
        local: Some(format!("10.{id}.0.1:4511")),
        remote: Some(format!("10.{id}.0.2:4511")),
        weight: 2,
        rtt_p50: Some(0.0061),
        rtt_p99: Some(0.0093),
        loss_up: Some(0.0),
        loss_down: Some(0.004),
        rate_up: 2_262_500.0,
        rate_down: 15_000.0,
        share_up: 1.0,
        share_down: 1.0,
        mtu: 1500,
        ..PathStatus::default()
    };
    let down = PathStatus {
        state: "down".to_owned(),
        in_use: false,
        why: "no answer to 3 probes".to_owned(),
        last_change: 4.2,
        weight: 1,
        rtt_p50: None,
        loss_up: None,
        loss_down: None,
        rate_up: 0.0,
        rate_down: 0.0,
        share_up: 0.0,
        share_down: 0.0,
        ..path(2, "bridge-5700")
    };
    Status {
        interface: "mpt0".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 812,
        uptime: 8003.0,
        mtu: 1424,
        scheduler: "weighted".to_owned(),
        cipher: "auto".to_owned(),
        listen: Some(4511),
        warnings: vec![
            "interface wan2 drops what comes by another way (strict rp_filter)".to_owned(),
        ],
        tun: TunStatus::default(),
        drops: vec![DropCount { reason: "no-peer".to_owned(), count: 7 }],
        peers: vec![PeerStatus {
            name: "roof".to_owned(),
            state: "established".to_owned(),
            session_age: Some(42.0),
            cipher: Some("aes-256-gcm".to_owned()),
            tx_packets: 12_345_678,
            tx_bytes: 17 << 30,
            rx_packets: 1000,
            rx_bytes: 64_000,
            reordering: ReorderStatus {
                direct: 990,
                held: 10,
                held_bytes: 0,
                held_bytes_peak: 43_000,
                hold_p50: 0.0012,
                hold_p99: 0.0083,
                released_lost: 2,
                given_up: 2,
                ..ReorderStatus::default()
            },
            repair: RepairStatus { active: true, ..RepairStatus::default() },
            drops: vec![
                DropCount { reason: "replayed".to_owned(), count: 3 },
                DropCount { reason: "not-allowed".to_owned(), count: 1 },
            ],
            paths: vec![path(1, "bridge-5180"), down],
            ..PeerStatus::default()
        }],
        ..Status::default()
    }
}

#[track_caller]
fn shows(width: usize, expected: &str) {
    let text = to_plain(&render(&two_bridges(), width));
    assert_eq!(text, expected, "\n{text}");
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(widest <= width, "{widest} columns");
}

#[test]
fn wide() {
    let expected = "\
mpt0: up 2 h 13 min, MTU 1424, weighted, cipher auto, port 4511, pid 812
warning: interface wan2 drops what comes by another way (strict rp_filter)

peer roof: established, aes-256-gcm, keys 42 s old
PATH         STATE      INTERFACE  ADDRESSES                       WEIGHT  RTT p50/p99  LOSS up/down       UP/s     DOWN/s  SHARE up/down   MTU  LAST CHANGE
bridge-5180  up         wan1       10.1.0.1:4511 -> 10.1.0.2:4511       2   6.1/9.3 ms       0/0.4 %  18.1 Mbit   120 kbit      100/100 %  1500  2 h ago: answers
bridge-5700  down       wan2       10.2.0.1:4511 -> 10.2.0.2:4511       1            -             -      0 bit      0 bit              -  1500  4 s ago: no answer to 3 probes
inner packets: sent 12.3 M (17.0 GiB), received 1000 (62.5 KiB)
order: 990 at once, 10 held (p50/p99 1.2/8.3 ms); holding 0 B, at most 42.0 KiB; released after a loss 2, by deadline 0, for memory 0; given up 2, late 0
dropped: replayed 3, not-allowed 1

dropped, of no peer: no-peer 7
";
    shows(180, expected);
}

#[test]
fn middling() {
    let expected = "\
mpt0: up 2 h 13 min, MTU 1424, weighted, cipher auto, port 4511, pid 812
warning: interface wan2 drops what comes by another way (strict rp_filter)

peer roof: established, aes-256-gcm, keys 42 s old
PATH         STATE      INTERFACE  WEIGHT  RTT p50/p99  LOSS up/down       UP/s     DOWN/s  SHARE up/down   MTU
bridge-5180  up         wan1            2   6.1/9.3 ms       0/0.4 %  18.1 Mbit   120 kbit      100/100 %  1500
    10.1.0.1:4511 -> 10.1.0.2:4511, 2 h ago: answers
bridge-5700  down       wan2            1            -             -      0 bit      0 bit              -  1500
    10.2.0.1:4511 -> 10.2.0.2:4511, 4 s ago: no answer to 3 probes
inner packets: sent 12.3 M (17.0 GiB), received 1000 (62.5 KiB)
order: 990 at once, 10 held (p50/p99 1.2/8.3 ms); holding 0 B, at most 42.0 KiB;
  released after a loss 2, by deadline 0, for memory 0; given up 2, late 0
dropped: replayed 3, not-allowed 1

dropped, of no peer: no-peer 7
";
    shows(120, expected);
}

#[test]
fn narrow() {
    let expected = "\
mpt0: up 2 h 13 min, MTU 1424, weighted, cipher auto, port 4511, pid 812
warning: interface wan2 drops what comes by another way (strict rp_filter)

peer roof: established, aes-256-gcm, keys 42 s old
PATH        STATE     WEIGHT RTT p50/p99 LOSS u/d      UP/s    DOWN/s SHARE u/d
bridge-5180 up             2  6.1/9.3 ms  0/0.4 % 18.1 Mbit  120 kbit 100/100 %
    wan1, 10.1.0.1:4511 -> 10.1.0.2:4511, MTU 1500, 2 h ago: answers
bridge-5700 down           1           -        -     0 bit     0 bit         -
    wan2, 10.2.0.1:4511 -> 10.2.0.2:4511, MTU 1500,
    4 s ago: no answer to 3 probes
inner packets: sent 12.3 M (17.0 GiB), received 1000 (62.5 KiB)
order: 990 at once, 10 held (p50/p99 1.2/8.3 ms); holding 0 B, at most 42.0 KiB;
  released after a loss 2, by deadline 0, for memory 0; given up 2, late 0
dropped: replayed 3, not-allowed 1

dropped, of no peer: no-peer 7
";
    shows(80, expected);
}

#[test]
fn a_daemon_cannot_steer_the_terminal() {
    let mut status = two_bridges();
    status.peers[0].paths[0].why = "\x1b]0;title\x07\nx".to_owned();
    let text = to_plain(&render(&status, 180));
    assert!(!text.contains('\x1b') && text.contains("]0;titlex"));
}

#[test]
fn nothing_known_yet() {
    let mut status = two_bridges();
    status.peers[0].paths = vec![PathStatus {
        name: "a".to_owned(),
        state: "probing".to_owned(),
        ..PathStatus::default()
    }];
    let text = to_plain(&render(&status, 100));
    assert!(text.contains("? -> ?"), "{text}");
    status.peers[0].paths.clear();
    assert!(to_plain(&render(&status, 100)).contains("no paths yet"));
}

#[test]
fn who_does_not_answer_or_refuses_is_told_with_a_hint() {
    let mut status = two_bridges();
    status.public_key = "OURKEY".to_owned();
    let peer = &mut status.peers[0];
    (peer.state, peer.why) = ("connecting".to_owned(), Some("no answer yet".to_owned()));
    let shown = |status: &Status| to_plain(&render(status, 120));
    let text = shown(&status);
    assert!(
        text.contains("\n  no answer yet\n  is it running, does it know our public key OURKEY")
    );
    status.uptime = 3.0;
    assert!(!shown(&status).contains("OURKEY"), "it may answer any moment");
    let peer = &mut status.peers[0];
    (peer.state, peer.why) = ("refused".to_owned(), Some("ciphers differ".to_owned()));
    peer.paths[1].why = "ciphers differ".to_owned();
    let text = shown(&status);
    assert_eq!(text.matches("ciphers differ").count(), 1, "{text}");
    assert!(text.contains("4 s ago: see above"), "{text}");
}

#[test]
fn a_session_without_a_path_that_answers_is_told() {
    let mut status = two_bridges();
    let shown = |status: &Status| to_plain(&render(status, 120));
    assert!(!shown(&status).contains("get through"), "one bridge is up");
    let paths = &mut status.peers[0].paths;
    (paths[0].state, paths[0].in_use, paths[0].last_change) = ("down".to_owned(), false, 90.0);
    let text = shown(&status);
    let line =
        "keys 42 s old\n  no path has answered for 4 s: nothing is known to get through\nPATH";
    assert!(text.contains(line), "{text}");
    let head = |status: &Status| peer_lines(status, &status.peers[0], 120)[0][3].clone();
    assert_eq!(head(&status), Span::new(Tone::Bad, "established"));

    status.peers[0].session_age = Some(1.0);
    assert!(!shown(&status).contains("get through"), "it answered just now");
    status.peers[0].session_age = None;
    status.peers[0].paths[1].state = "suspected".to_owned();
    assert!(!shown(&status).contains("get through"), "used where there is no other");
    for path in &mut status.peers[0].paths {
        path.state = "disabled".to_owned();
    }
    assert!(shown(&status).contains("\n  all its paths are disabled: nothing gets through\n"));
}

#[test]
fn lines_are_wrapped_between_words() {
    assert_eq!(wrap(&["a bc", "d"], "  ", 6), ["a bc d"]);
    assert_eq!(wrap(&["a bc", "d"], "  ", 5), ["a bc", "  d"]);
    assert_eq!(wrap(&["abcdefgh ij"], "  ", 5), ["abcdefgh", "  ij"]);
    assert_eq!(wrap(&[""; 0], "  ", 5), [""]);
}

#[test]
fn what_moves_packets_is_told_in_a_line() {
    let socket = SocketStatus {
        gso: true,
        gro: true,
        receive_buffer: 16 << 20,
        send_buffer: 8 << 20,
        ..SocketStatus::default()
    };
    let mut status =
        Status { workers: 2, sockets: vec![socket.clone(), socket], ..Status::default() };
    status.offloads.tso = true;
    status.sockets[1].gro = false;
    status.sockets[1].kernel_drops = 1_200;
    let text = machinery(&status).join(" ");
    assert_eq!(
        text,
        "2 workers; super-packets: TUN TSO, UDP GSO; buffers: receive 16.0 MiB, send 8.0 MiB; full 1200 times"
    );
    status.offloads.tso = false;
    assert!(machinery(&status)[0].ends_with("TUN none,"));
    assert!(machinery(&Status::default()).is_empty(), "an older daemon tells nothing");
}

#[test]
fn limits_and_what_waits_for_them() {
    let mut status = two_bridges();
    let peer = &mut status.peers[0];
    peer.paths[0].rate_limit = Some(2_500_000.0);
    peer.paths[1].rate_limit = Some(1_000_000.0);
    peer.paths[1].rate_limit_source = Some("peer".to_owned());
    peer.queue = mpt_core::control::QueueStatus {
        packets: 40,
        bytes: 58_000,
        capacity: 350_000,
        dropped_delay: 12,
        dropped_full: 0,
        marked: 3,
    };
    let text = to_plain(&render(&status, 180));
    let line = "limits: bridge-5180 20.0 Mbit, bridge-5700 8.0 Mbit (the peer's wish); 40 waiting (56.6 KiB of 342 KiB); dropped for delay 12, for room 0; marked 3\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_was_sent_again_is_a_line() {
    let mut status = two_bridges();
    let line = |status: &Status| {
        let text = to_plain(&render(status, 180));
        text.lines().find_map(|l| l.strip_prefix("repair: ").map(str::to_owned))
    };
    status.peers[0].state = "established".to_owned();
    status.peers[0].repair = RepairStatus::default();
    assert_eq!(line(&status).as_deref(), Some("off, here or at the peer"));
    status.peers[0].repair.active = true;
    (status.peers[0].reordering.repaired, status.peers[0].reordering.repaired_late) = (0, 0);
    assert_eq!(line(&status), None, "nothing was lost");
    status.peers[0].reordering.repaired = 9;
    assert_eq!(line(&status).as_deref(), Some("came in time 9"));
    let all = RepairStatus {
        sent_again: 12,
        rescued: 3,
        abandoned: 1,
        pauses: 40,
        ..status.peers[0].repair
    };
    status.peers[0].repair = all;
    status.peers[0].reordering.repaired_late = 2;
    let expected =
        "sent again 12, rescued 3, abandoned 1, pauses told 40; came in time 9, came late 2";
    assert_eq!(line(&status).as_deref(), Some(expected));
    status.peers[0].state = "connecting".to_owned();
    status.peers[0].repair.active = false;
    assert_eq!(line(&status).as_deref(), Some(expected), "it tells of what was");
}

#[test]
fn policies_and_copies_are_a_line_each() {
    let mut status = two_bridges();
    let policy = |name: Option<&str>, number, packets| PolicyStatus {
        name: name.map(str::to_owned),
        number,
        built_in: number.is_none(),
        packets,
        bytes: packets * 100,
        ..PolicyStatus::default()
    };
    status.policies = vec![
        policy(Some("calls"), Some(1), 1_200),
        policy(None, Some(2), 3),
        policy(Some("voice"), None, 0),
        policy(Some("rest"), None, 20),
    ];
    status.peers[0].copies =
        CopyStatus { sent: 1_200, removed: 7, parity: 0, recovered: 3, early: 2 };
    let text = to_plain(&render(&status, 180));
    let line = "policies: calls 1200 (117 KiB), policy 2 3 (300 B), rest 20 (2.0 KiB)\n";
    assert!(text.contains(line), "{text}");
    let line = "copies: sent twice 1200, duplicates removed 7, recovered 1, made early 2\n";
    assert!(text.contains(line), "{text}");
    status.policies.drain(..3);
    assert!(!to_plain(&render(&status, 180)).contains("policies"));
}
