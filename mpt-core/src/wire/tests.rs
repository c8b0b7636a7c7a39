//! Vectors (those of `docs/protocol.md`), round trips, and arbitrary bytes.

use super::*;
use crate::{PacketNumber, PathId, WorkerId};
use proptest::prelude::*;
use std::time::Duration;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `bytes` are what `expected` says, blanks apart, and `docs/protocol.md` says the same.
#[track_caller]
fn assert_vector(bytes: &[u8], expected: &str) {
    const PAGE: &str = include_str!("../../../docs/protocol.md");
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(hex(bytes), dense(expected));
    let examples = PAGE.split("```text").skip(1).filter_map(|rest| rest.split("```").next());
    let shown = examples.map(dense).any(|example| example == dense(expected));
    assert!(shown, "docs/protocol.md does not show {expected}");
}

fn path(id: u8) -> PathId {
    PathId::new(id).unwrap()
}

fn encoded(encode: impl Fn(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buf = [0; 1024];
    let len = encode(&mut buf).unwrap();
    assert_eq!(encode(&mut buf[..len - 1]), None, "one byte short");
    buf[..len].to_vec()
}

#[test]
fn vectors() {
    let header = DataHeader {
        flags: HeaderFlags::NONE,
        worker: WorkerId::new(1).unwrap(),
        copy: 2,
        send_time: 0x0304,
        index: 0x0506_0708,
        pn: 0x090a_0b0c,
        distance: 0x0d0e,
        open_paths: 0x0f10,
        sequence: 0x1112_1314,
    };
    let mut bytes = [0; DATA_HEADER_LEN];
    header.encode(&mut bytes);
    assert_vector(&bytes, "041203040506070809 0a0b0c0d0e0f1011121314");
    assert_eq!(DataHeader::decode(&bytes), Some(header));

    let probe = Probe {
        token: 0x0102_0304_0506_0708,
        disabled: false,
        mtu_probe: false,
        open: Some(Open {
            weight: 2,
            priority: 1,
            rate_limit: 2_500_000,
            name: "dsl",
            caller: None,
        }),
    };
    let bytes = encoded(|b| probe.encode(b));
    assert_vector(&bytes, "01020304050607080100020001 00000000002625a0 03 64736c");
    assert_eq!(Probe::decode(&bytes), Some(probe));
    let answer = probe.open.map(|open| Open { caller: Some(path(3)), ..open });
    let answer = Probe { open: answer, ..probe };
    let bytes = encoded(|b| answer.encode(b));
    assert_vector(&bytes, "01020304050607080900020001 00000000002625a0 03 64736c 03");
    assert_eq!(Probe::decode(&bytes), Some(answer));

    let echo = Echo { token: 1, introduced: true, disabled: true, path: Some(path(3)), size: 1472 };
    let bytes = encoded(|b| echo.encode(b));
    assert_vector(&bytes, "000000000000000103 03 05c0");
    assert_eq!(Echo::decode(&bytes), Some(echo));

    let marker = Marker {
        worker: WorkerId::default(),
        epoch: 7,
        last_pn: PacketNumber(0x1_0000_0001),
        seq: 9,
    };
    let bytes = encoded(|b| marker.encode(b));
    assert_vector(&bytes, "00 0007 0000000100000001 00000009");
    assert_eq!(Marker::decode(&bytes), Some(marker));

    let close = Close { reason: CloseReason::Shutdown };
    assert_vector(&encoded(|b| close.encode(b)), "01");
    assert_eq!(Close::decode(&[77]), Some(Close { reason: CloseReason::Other }));

    let mut report =
        Report::new(WorkerId::default(), 0b10, Duration::from_millis(10), PacketNumber(1000));
    report.add(PathReport {
        path: path(1),
        marker_epoch: Some(5),
        highest_seq: 600,
        highest_pn: PacketNumber(999),
        packets: 598,
        bytes: 700_000,
        since_highest: 12,
        delays: Some(DelayReport {
            least: 0x1112_1314,
            jitter: 3,
            mean: 4,
            packets: 7,
            at: 0x2122_2324,
        }),
    });
    let bytes = encoded(|b| report.encode(b));
    let expected = "00 0002 0064 00000000000003e8 01 30 \
                    01 03 0005 00000258 00000000000003e7 0000000000000256 00000000000aae60 000c \
                    11121314 0003 0007 21222324 0004";
    assert_vector(&bytes, expected);
    assert_eq!(Report::decode(&bytes), Some(report));
}

#[test]
fn repair_vectors() {
    let mut arrived = Arrived::new(Duration::from_millis(90), PacketNumber(990));
    let mut gaps = PathGaps::new(path(1), 600, 512);
    assert!(gaps.add(597, 598) && gaps.add(580, 580));
    arrived.add(gaps);
    let bytes = encoded_whole(|b| arrived.encode(b));
    let expected = "0384 00000000000003de 01 01 02 00000258 00000200 0002 0002 0011 0001";
    assert_vector(&bytes, expected);
    assert_eq!(Arrived::decode(&bytes), Some(arrived));

    let mut abandon = Abandon::new(WorkerId::new(2).unwrap());
    assert!(abandon.add(PacketNumber(0x1_0000_0001), 3));
    assert!(abandon.add(PacketNumber(0x1_0000_0005), 0));
    assert!(!abandon.add(PacketNumber(0x1_0000_0004), 0), "numbers grow");
    let bytes = encoded(|b| abandon.encode(b));
    assert_vector(&bytes, "02 0000000100000001 0002 0000 0003 0004 0000");
    assert_eq!(Abandon::decode(&bytes), Some(abandon));

    let pause = Pause { worker: WorkerId::new(2).unwrap(), seq: 10 };
    let bytes = encoded(|b| pause.encode(b));
    assert_vector(&bytes, "02 0000000a");
    assert_eq!(Pause::decode(&bytes), Some(pause));

    let mut covered = Covered::default();
    assert!(covered.add(0x1_0000_0001) && covered.add(0x1_0000_0003));
    assert!(!covered.add(0x1_0000_0003), "numbers grow");
    let beside = Beside { len: 1, distance: 3, flags: 0x20 };
    let bytes = [0x0b, 0x09, 0x0c];
    let worker = WorkerId::new(1).unwrap();
    let parity = Parity { worker, piece: Piece::Whole, covered, beside, bytes: &bytes };
    let bytes = encoded(|b| parity.encode(b));
    assert_vector(&bytes, "01 02 0000000100000001 0002 0001 0003 20 0003 0b090c");
    assert_eq!(Parity::decode(&bytes), Some(parity));
    for (piece, count) in [(Piece::Head, 0x82), (Piece::Tail, 0x42)] {
        let parity = Parity { piece, ..parity };
        let bytes = encoded(|b| parity.encode(b));
        assert_eq!(bytes[1], count);
        assert_eq!(Parity::decode(&bytes), Some(parity));
    }
    assert_eq!(Parity::decode(&[&[bytes[0], 0xc2], &bytes[2..]].concat()), None, "both pieces");
}

/// Like [`encoded`], of what is shortened rather than refused.
fn encoded_whole(encode: impl Fn(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buf = [0; 1024];
    let len = encode(&mut buf).unwrap();
    buf[..len].to_vec()
}

#[test]
fn gaps_beyond_the_room_are_said_to_be_left_out() {
    let mut arrived = Arrived::new(Duration::ZERO, PacketNumber(1));
    let mut gaps = PathGaps::new(path(0), 1_000, 1);
    let mut all = (0..50u32).map(|i| 990 - 3 * i);
    assert_eq!(all.position(|seq| !gaps.add(seq, seq)), Some(MAX_GAPS));
    assert_eq!(gaps.floor, 990 - 3 * MAX_GAPS as u32 + 1);
    arrived.add(gaps);
    let mut buf = [0; 11 + 10 + 3 * 4 + 2];
    let len = arrived.encode(&mut buf).unwrap();
    let got = Arrived::decode(&buf[..len]).unwrap();
    let gaps = got.paths().next().unwrap();
    assert_eq!(gaps.gaps(), [(990, 990), (987, 987), (984, 984)]);
    assert_eq!(gaps.floor, 982);
    assert_eq!(arrived.encode(&mut buf[..20]), None);

    let mut gaps = PathGaps::new(path(0), 200_000, 1);
    assert!(!gaps.add(1, 100_000), "longer than 16 bits tell");
    assert_eq!(gaps.floor, 100_001);
}

#[test]
fn control_header_vector() {
    let bytes = [5, 0, 0, 0, 0xe7, 0x7b, 0x85, 0xc6, 0, 0, 0, 0, 0, 0, 0, 42];
    assert_vector(&bytes, "05 000000 e77b85c6 000000000000002a");
    let worker = WorkerId::default();
    let header =
        ControlHeader { kind: MessageType::Probe, worker, index: 0xe77b_85c6, counter: 42 };
    assert_eq!(ControlHeader::decode(&bytes), Some(header));
    assert_eq!(ControlHeader::decode(&bytes[..15]), None);
    for first in 0..=255 {
        let kind = ControlHeader::decode(&[&[first], &bytes[1..]].concat()).map(|h| h.kind.byte());
        assert_eq!(kind, (5..=12).contains(&first).then_some(first));
    }
    for reserved in 1..4 {
        let mut bytes = bytes;
        bytes[reserved] = 1;
        assert_eq!(ControlHeader::decode(&bytes), None);
    }
}

#[test]
fn what_is_about_order_names_its_worker_where_data_does() {
    let bytes = [9, 0x20, 0, 0, 0xe7, 0x7b, 0x85, 0xc6, 0, 0, 0, 0, 0, 0, 0, 43];
    assert_vector(&bytes, "09 200000 e77b85c6 000000000000002b");
    let worker = WorkerId::new(2).unwrap();
    for first in 0..=255 {
        let bytes = [&[first], &bytes[1..]].concat();
        let header = ControlHeader::decode(&bytes);
        assert_eq!(header.map(|h| h.worker), matches!(first, 9..=12).then_some(worker), "{first}");
        let ordered = first & 0x0f == 4 || matches!(first, 9..=12);
        assert_eq!(ordered_worker(&bytes), ordered.then_some(worker), "{first}");
        if let Some(header) = header {
            assert_eq!(ControlHeader::head(header.kind, worker), bytes[..2]);
        }
    }
    for (at, byte) in [(1, 0x21), (2, 1), (3, 1)] {
        let mut bytes = bytes;
        bytes[at] = byte;
        assert_eq!(ControlHeader::decode(&bytes), None);
    }
}

/// A message that lacks something is refused; one with something behind it reads as without.
#[track_caller]
fn whole_and_nothing_but<'a, T: PartialEq + std::fmt::Debug>(
    longer: &'a mut Vec<u8>,
    encode: impl Fn(&mut [u8]) -> Option<usize>,
    decode: impl Fn(&'a [u8]) -> Option<T>,
    expected: T,
) {
    *longer = encoded(encode);
    let len = longer.len();
    longer.extend([0xff; 9]);
    for part in 0..len {
        assert_eq!(decode(&longer[..part]), None, "{part} of {len} bytes");
    }
    for more in 0..=9 {
        assert_eq!(decode(&longer[..len + more]).as_ref(), Some(&expected), "{more} bytes more");
    }
}

#[test]
fn a_message_lacks_nothing_and_what_follows_is_ignored() {
    let mut buf = Vec::new();
    let caller = PathId::new(9);
    let open = Open { weight: 2, priority: 1, rate_limit: 3, name: "zu Hause", caller };
    let probe = Probe { token: 7, disabled: true, mtu_probe: true, open: Some(open) };
    whole_and_nothing_but(&mut buf, |b| probe.encode(b), Probe::decode, probe);
    let mut buf = Vec::new();
    let plain = Probe { open: None, ..probe };
    whole_and_nothing_but(&mut buf, |b| plain.encode(b), Probe::decode, plain);
    let mut buf = Vec::new();
    let echo = Echo { token: 7, introduced: false, disabled: true, path: None, size: 1 };
    whole_and_nothing_but(&mut buf, |b| echo.encode(b), Echo::decode, echo);
    let mut buf = Vec::new();
    let marker = Marker { worker: WorkerId::default(), epoch: 7, last_pn: PacketNumber(8), seq: 9 };
    whole_and_nothing_but(&mut buf, |b| marker.encode(b), Marker::decode, marker);
    let mut buf = Vec::new();
    let close = Close { reason: CloseReason::Shutdown };
    whole_and_nothing_but(&mut buf, |b| close.encode(b), Close::decode, close);
    let mut buf = Vec::new();
    let mut report = Report::new(WorkerId::default(), 3, Duration::ZERO, PacketNumber(5));
    for id in [0, 15] {
        report.add(PathReport {
            path: path(id),
            marker_epoch: None,
            highest_seq: 1,
            highest_pn: PacketNumber(5),
            packets: 1,
            bytes: 2,
            since_highest: 3,
            delays: Some(DelayReport { least: 9, jitter: 10, mean: 12, packets: 1, at: 11 }),
        });
    }
    whole_and_nothing_but(&mut buf, |b| report.encode(b), Report::decode, report);
}

#[test]
fn what_cannot_be_is_refused() {
    let echo = Echo { token: 7, introduced: true, disabled: false, path: None, size: 1 };
    let mut bytes = encoded(|b| echo.encode(b));
    bytes[9] = 16;
    assert_eq!(Echo::decode(&bytes), None, "path 16");
    assert_eq!(Marker::decode(&[16; 15]), None, "worker 16");
    let mut report = vec![0; 13];
    report.extend([17, 34]);
    report.extend([0; 17 * 34]);
    assert_eq!(Report::decode(&report), None, "17 paths");
    report[13] = 16;
    assert!(Report::decode(&report).is_some());
    report[14] = 33;
    assert_eq!(Report::decode(&report), None, "entries shorter than in the first version");
    let mut probe = vec![0; 9 + 13];
    (probe[8], probe[21]) = (1, 65);
    probe.extend([b'x'; 65]);
    assert_eq!(Probe::decode(&probe), None, "a name of 65 bytes");
    probe[21] = 64;
    assert!(Probe::decode(&probe).is_some());
    probe[30] = 0xff;
    assert_eq!(Probe::decode(&probe), None, "not UTF-8");
}

#[test]
fn later_fields_are_ignored() {
    let mut report =
        Report::new(WorkerId::default(), 0, Duration::from_millis(20), PacketNumber(5));
    report.add(PathReport {
        path: path(0),
        marker_epoch: None,
        highest_seq: 1,
        highest_pn: PacketNumber(5),
        packets: 1,
        bytes: 2,
        since_highest: 3,
        delays: None,
    });
    let mut bytes = encoded(|b| report.encode(b));
    bytes[14] += 2;
    bytes.extend([0xaa, 0xbb]);
    assert_eq!(Report::decode(&bytes), Some(report));
}

#[test]
fn a_name_with_control_characters_is_refused() {
    let open = Open { weight: 0, priority: 0, rate_limit: 0, name: "a\u{1b}[2J", caller: None };
    let probe = Probe { token: 1, disabled: false, mtu_probe: false, open: Some(open) };
    assert_eq!(Probe::decode(&encoded(|b| probe.encode(b))), None);
    let long = "x".repeat(MAX_NAME + 1);
    let open = Open { name: &long, ..open };
    assert_eq!(Probe { open: Some(open), ..probe }.encode(&mut [0; 200]), None);
}

#[test]
fn types() {
    for byte in 0..=255u8 {
        match MessageType::of(&[byte]) {
            Some(MessageType::Data) => assert_eq!(byte & 0x0f, 4),
            Some(kind) => assert_eq!(kind.byte(), byte),
            None => assert!(byte == 0 || byte > 9),
        }
    }
    assert_eq!(MessageType::of(&[]), None);
}

fn path_reports() -> impl Strategy<Value = PathReport> {
    let delays = any::<Option<([u32; 2], [u16; 3])>>();
    let counts = (any::<[u64; 3]>(), any::<u16>(), delays);
    (0u8..16, any::<Option<u16>>(), any::<u32>(), counts).prop_map(
        |(id, marker_epoch, highest_seq, ([pn, packets, bytes], since_highest, d))| PathReport {
            path: path(id),
            marker_epoch,
            highest_seq,
            highest_pn: PacketNumber(pn),
            packets,
            bytes,
            since_highest,
            delays: d.map(|([least, at], [jitter, mean, packets])| DelayReport {
                least,
                jitter,
                mean,
                packets,
                at,
            }),
        },
    )
}

proptest! {
    #[test]
    fn every_data_header_comes_back(mut bytes: [u8; DATA_HEADER_LEN]) {
        bytes[0] = bytes[0] & 0xf0 | 4;
        let header = DataHeader::decode(&bytes).unwrap();
        let mut again = [0; DATA_HEADER_LEN];
        header.encode(&mut again);
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn every_probe_comes_back_with_any_padding(
        token: u64,
        disabled: bool,
        mtu_probe: bool,
        open in proptest::option::of((any::<[u16; 2]>(), any::<u64>(), "[a-zä€ 0-9.-]{0,20}")),
        caller in proptest::option::of(0u8..16),
        padding in 0usize..1500,
    ) {
        let caller = caller.and_then(PathId::new);
        let open = open.as_ref().map(|&([weight, priority], rate_limit, ref name)| Open {
            weight, priority, rate_limit, name, caller,
        });
        let probe = Probe { token, disabled, mtu_probe, open };
        let mut buf = vec![0; 100 + padding];
        prop_assert!(probe.encode(&mut buf).is_some());
        prop_assert_eq!(Probe::decode(&buf), Some(probe));
    }

    #[test]
    fn every_echo_comes_back(token: u64, introduced: bool, disabled: bool, id in 0u8..17, size: u16) {
        let echo = Echo { token, introduced, disabled, path: PathId::new(id), size };
        prop_assert_eq!(Echo::decode(&encoded(|b| echo.encode(b))), Some(echo));
    }

    #[test]
    fn every_marker_comes_back(worker in 0u8..16, epoch: u16, last: u64, seq: u32) {
        let worker = WorkerId::new(worker).unwrap();
        let marker = Marker { worker, epoch, last_pn: PacketNumber(last), seq };
        prop_assert_eq!(Marker::decode(&encoded(|b| marker.encode(b))), Some(marker));
    }

    #[test]
    fn every_report_comes_back(
        worker in 0u8..16,
        unusable: u16,
        interval: u16,
        highest: u64,
        entries in proptest::collection::vec(path_reports(), 0..20),
    ) {
        let interval = Duration::from_micros(u64::from(interval) * 100);
        let worker = WorkerId::new(worker).unwrap();
        let mut report = Report::new(worker, unusable, interval, PacketNumber(highest));
        entries.into_iter().for_each(|e| report.add(e));
        prop_assert_eq!(Report::decode(&encoded(|b| report.encode(b))), Some(report));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = DataHeader::decode(&bytes);
        let _ = ControlHeader::decode(&bytes);
        let _ = Parity::decode(&bytes);
        let _ = Probe::decode(&bytes);
        let _ = Echo::decode(&bytes);
        let _ = Marker::decode(&bytes);
        let _ = Pause::decode(&bytes);
        let _ = Close::decode(&bytes);
        if let Some(report) = Report::decode(&bytes) {
            let mut buf = [0; 1024];
            let len = report.encode(&mut buf).unwrap();
            prop_assert_eq!(Report::decode(&buf[..len]), Some(report));
        }
    }
}
