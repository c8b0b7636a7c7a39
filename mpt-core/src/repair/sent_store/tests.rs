use super::*;
use crate::inner::{Checksum, InnerPacket, Offload, Segments};
use proptest::prelude::*;

const PATH: PathId = PathId::new(0).unwrap();

/// Bytes of a buffer for super-packets.
const BUFFER: usize = 4_000;

const KEPT: Kept =
    Kept { distance: 1, open_paths: 1, flags: HeaderFlags::NONE, handling: Handling::NONE };

fn push(s: &mut SentStore, now: Time, pn: u64, packet: &[u8]) {
    s.push(now, PacketNumber(pn), PATH, KEPT, false, Content::Packet(packet));
}

/// What is said of packet `pn`, with changes now and then.
fn said(pn: u64) -> (PathId, Kept, bool) {
    let part = |every: u64| (pn / every) % 2;
    let kept = Kept {
        distance: 1 + part(11) as u16,
        open_paths: 1 + part(13) as u16,
        flags: if part(17) == 0 { HeaderFlags::NONE } else { HeaderFlags::PARTIAL_CHECKSUM },
        handling: if part(19) == 0 { Handling::NONE } else { Handling::NONE.twice() },
    };
    (PathId::new(part(7) as u8).unwrap(), kept, part(23) == 1)
}

fn packet(pn: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (pn as usize * 31 + i) as u8).collect()
}

/// A UDP super-packet of `payload` bytes, all `fill`.
fn super_packet(payload: usize, size: u16, fill: u8) -> (Vec<u8>, Split) {
    let total = (28 + payload) as u16;
    let mut p = vec![fill; usize::from(total)];
    p[..28].fill(0);
    p[0] = 0x45;
    p[2..4].copy_from_slice(&total.to_be_bytes());
    (p[8], p[9]) = (64, 17);
    p[24..26].copy_from_slice(&(total - 20).to_be_bytes());
    let offload =
        Offload { segments: Segments::Udp { size }, checksum: Checksum::Partial, transport: 20 };
    let inner = InnerPacket::parse(&p).unwrap();
    let split = Split::new(&p, &offload, &inner).unwrap();
    (p, split)
}

/// Sends the segments of a super-packet, numbers from `pn` on, as the endpoint does. Gives what each was.
fn push_whole(s: &mut SentStore, now: Time, pn: u64, payload: usize, size: u16) -> Vec<Vec<u8>> {
    let (packet, split) = super_packet(payload, size, pn as u8);
    let mut buffer = vec![0xee; BUFFER].into_boxed_slice();
    buffer[10..10 + packet.len()].copy_from_slice(&packet);
    let wanted = s.wants(now, packet.len(), BUFFER);
    let mut segments = Vec::new();
    for (index, at) in (0..payload).step_by(usize::from(size)).enumerate() {
        // One that finds no path has no number.
        if size.is_multiple_of(4) && index == 2 {
            continue;
        }
        let range = at..payload.min(at + usize::from(size));
        let mut segment = vec![0; split.header_len() + range.len()];
        split.write(&packet, index as u16, range, &mut segment);
        let content = match wanted {
            true => Content::Segment { at: at as u16, len: segment.len() as u16 },
            false => Content::Packet(&segment),
        };
        let pn = pn + segments.len() as u64;
        let (path, kept, unrepaired) = said(pn);
        s.push(now, PacketNumber(pn), path, kept, unrepaired, content);
        segments.push(segment);
    }
    if wanted {
        s.adopt(&mut buffer, (10, packet.len()), split, usize::from(size));
        // Whoever gets the other buffer fills it at once.
        assert_eq!(buffer.len(), BUFFER);
        buffer.fill(0xdd);
    }
    segments
}

/// What is remembered is what was sent, or gone, the oldest first. Gives how many have their bytes.
fn assert_whole(s: &SentStore, sent: &[Vec<u8>]) -> usize {
    let mut kept = 0;
    for pn in s.first()..=sent.len() as u64 {
        let packet = s.get(pn).expect("numbers are consecutive");
        match s.content(pn) {
            Some(content) => {
                let mut bytes = vec![0; content.len()];
                content.write(&mut bytes);
                assert_eq!(bytes, sent[pn as usize - 1], "packet {pn}");
                assert!(!packet.is_gone());
                kept += 1;
            }
            None => assert!(packet.is_gone() && kept == 0, "packet {pn}"),
        }
    }
    kept
}

/// Single packets only take this many bytes of a whole.
#[derive(Clone, Debug)]
enum Step {
    One(usize),
    Whole(usize, u16),
    /// All but so many have arrived.
    Arrived(u64),
    /// Of all but so many, so many more went wrong, each by itself.
    Lost(u64, u64),
    /// And so many became known to have arrived, all at once.
    Known(u64, u32),
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0usize..3_000).prop_map(Step::One),
        2 => Just(Step::One(100)),
        3 => (1_500usize..3_900, 100u16..1_400).prop_map(|(n, size)| Step::Whole(n, size)),
        2 => (0u64..60).prop_map(Step::Arrived),
        2 => (0u64..60, 1u64..5).prop_map(|(but, n)| Step::Lost(but, n)),
        2 => (0u64..60, 0u32..60).prop_map(|(but, n)| Step::Known(but, n)),
        1 => (0u64..1_500).prop_map(Step::Pause),
    ]
}

proptest! {
    #[test]
    fn what_is_kept_is_whole(
        steps in prop::collection::vec(step(), 1..200),
        limit in 4_000usize..200_000,
    ) {
        let mut s = SentStore::new(limit, Duration::from_secs(1));
        let (mut sent, mut now) = (Vec::new(), Time::from_millis(1));
        // Of each packet the copies, whether it is done with, and when it was sent.
        let mut model: Vec<(u8, bool, Time)> = Vec::new();
        for step in steps {
            let next = sent.len() as u64 + 1;
            let from = |but| next.saturating_sub(1 + but).max(1);
            match step {
                Step::One(len) => {
                    let ((path, kept, unrepaired), packet) = (said(next), packet(next, len));
                    let content = Content::Packet(&packet);
                    s.push(now, PacketNumber(next), path, kept, unrepaired, content);
                    sent.push(packet);
                }
                Step::Whole(len, size) => sent.extend(push_whole(&mut s, now, next, len, size)),
                Step::Arrived(but) => s.forget_through((next - 1).saturating_sub(but)),
                Step::Lost(but, n) => for pn in from(but)..(from(but) + n).min(next) {
                    model[pn as usize - 1].0 += 1;
                    if let Some(one) = s.get_mut(pn) {
                        one.copy += 1;
                    }
                },
                Step::Known(but, n) => {
                    s.change(from(but), n, |_, some| some.done = true);
                    let last = (from(but) + u64::from(n)).min(next);
                    (from(but)..last).for_each(|pn| model[pn as usize - 1].1 = true);
                }
                Step::Pause(ms) => now += Duration::from_millis(ms),
            }
            model.resize(sent.len(), (0, false, now));
            assert_whole(&s, &sent);
            for pn in s.first()..=sent.len() as u64 {
                let one = s.get(pn).unwrap();
                prop_assert_eq!((one.copy, one.done, one.at), model[pn as usize - 1], "{}", pn);
                let Sent { distance, open_paths, flags, handling, .. } = *one;
                let kept = Kept { distance, open_paths, flags, handling };
                prop_assert_eq!((one.path, kept, one.unrepaired), said(pn), "{}", pn);
            }
            prop_assert!(s.get(s.first() - 1).is_none() && s.get(sent.len() as u64 + 1).is_none());
            prop_assert!(s.memory() <= limit, "{} of {limit}", s.memory());
        }
        s.trim(now + Duration::from_secs(5));
        prop_assert!(s.memory() <= CHUNK);
    }
}

#[test]
fn grows_only_for_what_may_be_asked_for() {
    let run = |age: u64, gap: u64| {
        let mut s = SentStore::new(8 << 20, Duration::from_millis(age));
        let mut sent = Vec::new();
        for pn in 1..=5_000 {
            push(&mut s, Time::from_millis(pn * gap), pn, &[1; 1_000]);
            sent.push(vec![1; 1_000]);
        }
        (s.memory(), assert_whole(&s, &sent))
    };
    let (memory, packets) = run(1_000, 1);
    assert!((1_000_000..=2 << 20).contains(&memory) && packets >= 1_000, "{memory} {packets}");
    let (memory, packets) = run(1_000, 100);
    assert!(memory == 2 * CHUNK && packets >= 10, "{memory} {packets}");
}

#[test]
fn what_became_free_is_used_again() {
    let mut s = SentStore::new(8 << 20, Duration::from_secs(1));
    for pn in 1..=50_000 {
        push(&mut s, Time::ZERO, pn, &[1; 1_400]);
        s.forget_through(pn.saturating_sub(20));
    }
    assert_eq!(s.memory(), 2 * CHUNK);
    assert!(s.get(49_980).is_none() && s.get(49_981).is_some() && s.get(50_001).is_none());
}

#[test]
fn memory_that_was_needed_once_is_given_back() {
    for left in [0, 20] {
        let mut s = SentStore::new(8 << 20, Duration::from_secs(1));
        let mut memory = Vec::new();
        for pn in 1..=20_000u64 {
            push(&mut s, Time::from_millis(pn), pn, &[1; 1_400]);
            // Half a second's, once.
            s.forget_through(pn.saturating_sub(if pn < 500 { 500 } else { left }));
            memory.push(s.memory());
        }
        assert!(memory[499] >= 700_000, "{}", memory[499]);
        assert!(memory[3_000..].iter().all(|&m| m <= 2 * CHUNK), "{left}: {memory:?}");
    }
}

#[test]
fn buffers_go_round() {
    let mut s = SentStore::new(1 << 20, Duration::from_secs(1));
    let (mut pn, mut most) = (1, 0);
    for t in 0..10_000 {
        pn += push_whole(&mut s, Time::from_micros(t * 100), pn, 3_505, 701).len() as u64;
        s.forget_through(pn.saturating_sub(50));
        most = most.max(s.memory());
    }
    // 50 packets of five each, and the one that is exchanged.
    assert!((10 * BUFFER..=13 * BUFFER).contains(&most), "{most}");
}

#[test]
fn super_packets_leave_memory_to_single_packets() {
    let mut s = SentStore::new(200_000, Duration::from_secs(1));
    let (mut sent, now) = (Vec::new(), Time::from_millis(1));
    for i in 0..2_000 {
        let pn = sent.len() as u64 + 1;
        sent.extend(push_whole(&mut s, now, pn, 3_505, 701));
        if i % 5 == 0 {
            let pn = sent.len() as u64 + 1;
            push(&mut s, now, pn, &packet(pn, 100));
            sent.push(packet(pn, 100));
        }
        assert!(s.memory() <= 200_000);
    }
    let kept = assert_whole(&s, &sent);
    assert!(kept > 150, "{kept}");
}

#[test]
fn single_packets_that_need_the_memory_keep_it() {
    // Too little for a buffer, and chunks that are in use.
    for (limit, before) in [(5_000, 1), (64 << 10, 44)] {
        let mut s = SentStore::new(limit, Duration::from_secs(1));
        let now = Time::from_millis(1);
        let mut sent: Vec<_> = (1..=before).map(|pn| packet(pn, 1_200)).collect();
        (1..).zip(&sent).for_each(|(pn, p)| push(&mut s, now, pn, p));
        assert_eq!(assert_whole(&s, &sent), before as usize);
        sent.extend(push_whole(&mut s, now, before + 1, 3_505, 701));
        // The segments were copied, and took what room they needed.
        let kept = assert_whole(&s, &sent);
        assert!(kept >= before as usize + 5 - 1 && s.memory() <= limit, "{kept}");
    }
}

#[test]
fn what_was_sent_alike_has_one_entry() {
    let mut s = SentStore::new(1 << 20, Duration::from_secs(1));
    // Five of one length and a shorter one.
    push_whole(&mut s, Time::ZERO, 1, 3_600, 701);
    assert_eq!(s.packets.len(), 2);
    // And those that are copied.
    (7..=20).for_each(|pn| push(&mut s, Time::ZERO, pn, &packet(pn, 100)));
    assert_eq!(s.packets.len(), 3);
    push(&mut s, Time::from_millis(1), 21, &packet(21, 100));
    assert_eq!(s.packets.len(), 4, "at another time");
    s.get_mut(3).unwrap().copy += 1;
    assert_eq!(s.packets.len(), 6, "one was lost");
    let mut named = Vec::new();
    s.change(1, 20, |pn, some| {
        named.push((pn, some.count()));
        some.done = true;
    });
    assert_eq!(named, [(1, 2), (3, 1), (4, 2), (6, 1), (7, 14)]);
    assert_eq!(s.packets.len(), 6, "what has one fate needs no more entries");
    s.forget_through(10);
    assert_eq!((s.packets.len(), s.first()), (2, 11));
}

#[test]
fn of_what_made_room_the_header_is_remembered() {
    let mut s = SentStore::new(1_000, Duration::from_secs(1));
    push(&mut s, Time::ZERO, 1, &[1; 900]);
    push(&mut s, Time::ZERO, 2, &[1; 1_200]);
    assert!([1, 2].into_iter().all(|pn| s.get(pn).unwrap().is_gone()));
    push(&mut s, Time::ZERO, 3, &[1; 300]);
    assert!(!s.get(3).unwrap().is_gone());
}
