//! The gate under load.

use super::*;

/// An end under load, a message to it, and the jar of the path the message came by.
struct Flooded {
    a: End,
    b: End,
    message: Vec<u8>,
    jar: CookieJar,
}

impl Flooded {
    fn new() -> Self {
        let (mut a, mut b) = auto_ends();
        let (_, mut message) = a.begin(&b.public);
        let mut jar = CookieJar::new(&b.public);
        jar.stamp(Time::ZERO, &mut message);
        for _ in 0..200 {
            b.gate.admit(Time::ZERO, source(), &message, &mut b.rng);
        }
        Self { a, b, message, jar }
    }

    fn admit(&mut self, millis: u64, source: SocketAddr) -> Admission {
        let now = Time::from_millis(millis);
        // Keep the load up.
        let junk = self.message.clone();
        for _ in 0..200 {
            self.b.gate.admit(now, "203.0.113.1:1".parse().unwrap(), &junk, &mut self.b.rng);
        }
        self.b.gate.admit(now, source, &self.message, &mut self.b.rng)
    }

    fn cookie(&mut self, millis: u64, source: SocketAddr) -> [u8; COOKIE_LEN] {
        match self.admit(millis, source) {
            Admission::Answer(cookie) => cookie,
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, millis: u64, cookie: &[u8]) {
        self.jar.accept(Time::from_millis(millis), cookie).unwrap();
        self.jar.stamp(Time::from_millis(millis), &mut self.message);
    }
}

#[test]
fn under_load_a_cookie_opens_the_gate() {
    let mut f = Flooded::new();
    let cookie = f.cookie(10, source());
    assert_eq!(MessageKind::of(&cookie), Ok(MessageKind::Cookie));
    assert_eq!(receiver_index(&cookie), sender_index(&f.message));
    f.take(20, &cookie);
    assert_eq!(f.admit(30, source()), Admission::Read);
    assert!(Incoming::read(&f.b.private, &f.message, &mut f.b.rng).is_ok());
    let at = f.message.len() - 1;
    f.message[at] ^= 1;
    assert!(matches!(f.admit(40, source()), Admission::Answer(_)));
}

#[test]
fn a_cookie_is_good_for_one_address_and_port() {
    let mut f = Flooded::new();
    let cookie = f.cookie(10, source());
    f.take(20, &cookie);
    for other in ["192.0.2.7:4512", "192.0.2.8:4511", "[2001:db8::7]:4511"] {
        assert!(matches!(f.admit(30, other.parse().unwrap()), Admission::Answer(_)), "{other}");
    }
    let mapped = "[::ffff:192.0.2.7]:4511".parse().unwrap();
    assert_eq!(f.admit(40, mapped), Admission::Read, "the same address on a dual-stack socket");
}

#[test]
fn a_source_with_a_cookie_is_held_to_its_rate() {
    let mut f = Flooded::new();
    let cookie = f.cookie(10, source());
    f.take(20, &cookie);
    let read = (0..100).filter(|_| f.admit(30, source()) == Admission::Read).count();
    assert_eq!(read, 20);
    assert_eq!(f.admit(30, source()), Admission::Drop(DropReason::HandshakeRate));
}

#[test]
fn cookies_age_at_both_ends() {
    let mut f = Flooded::new();
    let cookie = f.cookie(10, source());
    f.take(20, &cookie);
    assert_eq!(f.admit(119_000, source()), Admission::Read);
    // The secret, which was made when the first cookie was, is replaced.
    let next = f.cookie(121_000, source());
    // The jar forgets too: mac2 is zero again.
    f.jar.stamp(Time::from_millis(121_000), &mut f.message);
    assert_eq!(f.message[INITIATION_LEN - 16..], [0; 16]);
    f.take(121_010, &next);
    assert_eq!(f.admit(121_020, source()), Admission::Read);
}

#[test]
fn only_the_cookie_that_was_asked_for_is_taken() {
    let mut f = Flooded::new();
    let cookie = f.cookie(10, source());
    for at in 0..COOKIE_LEN {
        let mut bad = cookie;
        bad[at] ^= 1;
        // The receiver index only says which jar is meant.
        if !(4..8).contains(&at) {
            assert!(f.jar.accept(Time::ZERO, &bad).is_err(), "byte {at}");
        }
    }
    let now = Time::ZERO;
    let mut other = CookieJar::new(&f.b.public);
    assert_eq!(other.accept(now, &cookie), Err(HandshakeError::Unasked));
    let (_, mut another) = f.a.begin(&f.b.public);
    other.stamp(now, &mut another);
    assert_eq!(other.accept(now, &cookie), Err(HandshakeError::NotAuthentic));
    f.jar.accept(now, &cookie).unwrap();
    assert_eq!(f.jar.accept(now, &cookie), Err(HandshakeError::Unasked), "one for each message");
}

#[test]
fn strangers_get_nothing_even_under_load() {
    let mut f = Flooded::new();
    f.message[INITIATION_LEN - 32] ^= 1;
    assert_eq!(f.admit(10, source()), Admission::Drop(DropReason::BadHandshake));
    let cookie = [&[3, 0, 0, 0][..], &[0; 60]].concat();
    let verdict = f.b.gate.admit(Time::ZERO, source(), &cookie, &mut f.b.rng);
    assert_eq!(verdict, Admission::Drop(DropReason::Malformed));
}

#[test]
fn a_cookie_dies_with_its_secret_though_nobody_asks_for_another() {
    let mut f = Flooded::new();
    let mut checker = CookieChecker::new(&f.b.public);
    let made = Time::ZERO;
    let cookie = checker.reply(made, source(), &f.message, &mut f.b.rng).unwrap();
    f.take(0, &cookie);
    assert!(checker.check_mac2(Time::from_millis(119_999), source(), &f.message));
    assert!(!checker.check_mac2(Time::from_millis(120_000), source(), &f.message));
}
