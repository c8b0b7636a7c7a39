//! Whatever arrives must be harmless.

use super::*;
use proptest::prelude::*;
use std::sync::{LazyLock, Mutex, MutexGuard};

/// Both ends in the middle of a handshake, to be fed rubbish.
struct Target {
    b: End,
    pending: Pending,
    messages: [Vec<u8>; 2],
    jar: CookieJar,
    checker: CookieChecker,
}

impl Target {
    /// Made once: a rejected message must not change it, else the cases after it would fail.
    fn get() -> MutexGuard<'static, Self> {
        static TARGET: LazyLock<Mutex<Target>> = LazyLock::new(|| {
            let (mut a, mut b) = auto_ends();
            let (pending, mut initiation) = a.begin(&b.public);
            let response = b.answer(&initiation).message;
            let mut jar = CookieJar::new(&b.public);
            jar.stamp(Time::ZERO, &mut initiation);
            let checker = CookieChecker::new(&b.public);
            Mutex::new(Target { b, pending, messages: [initiation, response], jar, checker })
        });
        TARGET.lock().unwrap()
    }

    /// Whatever arrives: at the gate, and past it as if it had let it through.
    fn accepts(&mut self, bytes: &[u8]) -> bool {
        let Self { b, pending, jar, checker, .. } = self;
        checker.reply(Time::ZERO, source(), bytes, &mut b.rng);
        jar.stamp(Time::ZERO, &mut bytes.to_vec());
        let _ = (MessageKind::of(bytes), sender_index(bytes), receiver_index(bytes));
        let read = Incoming::read(&b.private, bytes, &mut b.rng).is_ok();
        let finished = pending.finish(bytes).is_ok();
        checker.check_mac1(bytes).is_ok() && (read || finished)
            || checker.check_mac2(Time::ZERO, source(), bytes)
            || jar.accept(Time::ZERO, bytes).is_ok()
    }
}

proptest! {
    #[test]
    fn random_bytes_are_never_accepted_and_never_panic(
        kind in 0u8..5,
        mut bytes in prop::collection::vec(any::<u8>(), 0..1_100),
    ) {
        if let [first, version, zeros @ ..] = &mut bytes[..] {
            // Make the first fields right, so that more than these is tried.
            (*first, *version) = (kind, if kind == 3 { 0 } else { 1 });
            zeros.iter_mut().take(2).for_each(|z| *z = 0);
        }
        prop_assert!(!Target::get().accepts(&bytes));
    }

    #[test]
    fn mutated_messages_are_never_accepted_and_never_panic(
        response in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        cut in 0usize..4,
    ) {
        let mut target = Target::get();
        let mut message = target.messages[usize::from(response)].clone();
        let covered = message.len() - 16;
        for (at, change) in changes {
            message[at.index(covered)] ^= change;
        }
        message.truncate(message.len() - cut);
        prop_assume!(message != target.messages[usize::from(response)]);
        prop_assert!(!target.accepts(&message));
    }
}
