//! Peers, and addresses, that nobody can have.

use super::*;

#[test]
fn who_can_be_no_peer() {
    let p = Place::new();
    for (remote, what) in [
        ("0.0.0.0:4511", "0.0.0.0 is no host's address; write the peer's, or leave `remote` out"),
        ("[::]:4511", ":: is no host's address"),
        ("224.0.0.1:4511", "224.0.0.1 is a multicast address; write the peer's"),
        ("[ff02::1]:4511", "ff02::1 is a multicast address"),
        ("255.255.255.255:4511", "255.255.255.255 is the broadcast address"),
        ("10.1.0.2:0", "a port is 1 to 65535"),
    ] {
        p.wrong("10.1.0.2:4511", remote, "10:44", what);
    }
    p.wrong("weight: 2", "local: 0.0.0.0", "10:68", "leave `local` out");
    p.wrong("weight: 2", "gateway: 224.0.0.1", "10:70", "write the next hop's");
    p.wrong("10.77.0.1/30", "224.0.0.1/4", "1:34", "write this end's, such as 10.77.0.1/30");
    for (own, what) in [
        ("10.77.0.0/30", "10.77.0.0 is the network 10.77.0.0/30 itself; write this end's"),
        ("10.77.0.3/30", "10.77.0.3 is the broadcast address of 10.77.0.3/30; write this end's"),
        ("10.77.0.1/0", "10.77.0.1/0 is everything there is"),
        ("127.0.0.1/8", "127.0.0.1 never leaves a machine"),
        ("[10.77.0.1/30, 10.77.0.1/24]", "10.77.0.1 stands here a second time"),
    ] {
        let place = if own.starts_with('[') { "1:49" } else { "1:34" };
        p.wrong("10.77.0.1/30", own, place, what);
    }
    for own in ["10.77.0.0/31", "10.77.0.3/31", "10.77.0.3/32", "\"fd77::1/128\""] {
        let text = SMALL.replace("10.77.0.1/30", own);
        let found = p.parse(&text.replace("10.77.0.2/32", "10.99.0.2/32"));
        assert!(found.is_ok(), "{own}: {found:?}");
    }
    let bound = "interface: wan1, remote: \"10.1.0.2:4511\"";
    let unbound = "remote: \"10.77.0.2:4511\"";
    p.wrong(bound, unbound, "10:27", "10.77.0.2 lies within 10.77.0.0/30");
    assert!(p.parse(&SMALL.replace("10.1.0.2:4511", "10.77.0.2:4511")).is_ok(), "it is bound");
    p.wrong("wan1", "mpt0", "10:30", "mpt0 is the tunnel itself; name the interface");
    let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    let nobody = "A".repeat(43) + "=";
    p.wrong(key, &nobody, "7:17", "no private key belongs to this one; the peer's `mpt-cli pubkey");
    p.wrong(key, &("A".repeat(42) + "=="), "7:17", "base64 of 31 bytes; a key has 32");
}
