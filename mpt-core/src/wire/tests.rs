//! Vectors (those of `docs/protocol.md`), round trips, and arbitrary bytes.

use super::*;
use crate::{PacketNumber, PathId, WorkerId};
use proptest::prelude::*;
use std::time::Duration;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
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
    assert_eq!(hex(&bytes), "041203040506070809 0a0b0c0d0e0f1011121314".replace(' ', ""));
    assert_eq!(DataHeader::decode(&bytes), Some(header));

    let probe = Probe {
        token: 0x0102_0304_0506_0708,
        disabled: false,
        mtu_probe: false,
        open: Some(Open { weight: 2, priority: 1, rate_limit: 2_500_000, name: "dsl" }),
    };
    let bytes = encoded(|b| probe.encode(b));
    assert_eq!(
        hex(&bytes),
        "01020304050607080100020001 00000000002625a0 03 64736c".replace(' ', "")
    );
    assert_eq!(Probe::decode(&bytes), Some(probe));

    let echo = Echo { token: 1, introduced: true, disabled: true, path: Some(path(3)), size: 1472 };
    let bytes = encoded(|b| echo.encode(b));
    assert_eq!(hex(&bytes), "000000000000000103 03 05c0".replace(' ', ""));
    assert_eq!(Echo::decode(&bytes), Some(echo));

    let marker = Marker {
        worker: WorkerId::default(),
        epoch: 7,
        last_pn: PacketNumber(0x1_0000_0001),
        seq: 9,
    };
    let bytes = encoded(|b| marker.encode(b));
    assert_eq!(hex(&bytes), "00 0007 0000000100000001 00000009".replace(' ', ""));
    assert_eq!(Marker::decode(&bytes), Some(marker));

    let close = Close { reason: CloseReason::Shutdown };
    assert_eq!(hex(&encoded(|b| close.encode(b))), "01");
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
    });
    let bytes = encoded(|b| report.encode(b));
    let expected = "00 0002 0064 00000000000003e8 01 22 \
                    01 01 0005 00000258 00000000000003e7 0000000000000256 00000000000aae60 000c";
    assert_eq!(hex(&bytes), expected.replace([' ', '\n'], ""));
    assert_eq!(Report::decode(&bytes), Some(report));
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
    });
    let mut bytes = encoded(|b| report.encode(b));
    bytes[14] += 2;
    bytes.extend([0xaa, 0xbb]);
    assert_eq!(Report::decode(&bytes), Some(report));
}

#[test]
fn a_name_with_control_characters_is_refused() {
    let open = Open { weight: 0, priority: 0, rate_limit: 0, name: "a\u{1b}[2J" };
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

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = DataHeader::decode(&bytes);
        let _ = ControlHeader::decode(&bytes);
        let _ = Probe::decode(&bytes);
        let _ = Echo::decode(&bytes);
        let _ = Marker::decode(&bytes);
        let _ = Close::decode(&bytes);
        if let Some(report) = Report::decode(&bytes) {
            let mut buf = [0; 1024];
            let len = report.encode(&mut buf).unwrap();
            prop_assert_eq!(Report::decode(&buf[..len]), Some(report));
        }
    }
}
