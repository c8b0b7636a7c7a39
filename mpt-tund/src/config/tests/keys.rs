//! Keys, in files and in the YAML.

use super::*;

#[test]
fn keys_are_kept_private() {
    let p = Place::new();
    p.wrong("own.key", "gone.key", "2:19", "umask 077; mpt-cli genkey >");
    p.write("open.key", &ours().to_base64(), 0o644);
    p.wrong("own.key", "open.key", "2:19", "everybody can get at it (mode 0644); run `chmod 600 ");
    p.write("group.key", &ours().to_base64(), 0o640);
    p.wrong("own.key", "group.key", "2:19", "its group can get at it");
    p.write("bad.key", "not a key", 0o600);
    p.wrong("own.key", "bad.key", "2:19", "holds no key: a key is 44 characters");
    p.wrong("own.key", "/", "2:19", "is a directory; name the file that holds the key");
    for device in ["/dev/zero", "/dev/null"] {
        p.wrong("own.key", device, "2:19", &format!("{device} is a device; name the file"));
    }
    let _socket = std::os::unix::net::UnixListener::bind(p.dir.path().join("socket")).unwrap();
    p.wrong("own.key", "socket", "2:19", "socket is a socket; name the file");
    p.write("long.key", &"é".repeat(1024), 0o644);
    p.wrong("own.key", "long.key", "2:19", "more than 1024 bytes");
    let (out, mut pipe) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut pipe, b"hello").unwrap();
    drop(pipe);
    let name = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&out));
    p.wrong("own.key", &name, "2:19", "is no key: a key is 44 characters");

    let inline = SMALL
        .replace("private_key_file: own.key", &format!("private_key: \"{}\"", ours().to_base64()));
    let file = p.write("mpt9.yaml", &inline, 0o644);
    let error = Config::read_file(&file).unwrap_err().to_string();
    assert!(error.contains(":2:14: ") && error.contains("run `chmod 600 "), "{error}");
    p.write("mpt9.yaml", &inline, 0o600);
    assert_eq!(Config::read_file(&file).unwrap().private_key, ours());
    p.wrong("own.key", "own.key\nprivate_key: x", "3:1", "leave one out");
    p.wrong("own.key", "~/own.key", "2:19", "only a shell knows what `~` is");
    p.write("zero.key", &format!("{}=", "A".repeat(43)), 0o600);
    p.wrong("own.key", "zero.key", "2:19", "the key is all zeros");
    p.write("bom.key", &format!("\u{feff}{}\r\n", ours().to_base64()), 0o600);
    assert!(p.parse(&SMALL.replace("own.key", "bom.key")).is_ok());
    let secret = ours().to_base64();
    let pasted = SMALL.replace("own.key", &secret);
    let ours_as_theirs = SMALL.replace("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", &secret);
    for (text, words) in
        [(pasted, "this is a key itself"), (ours_as_theirs, "this is our own private key")]
    {
        let complaints = p.complaints(&text);
        assert!(complaints[0].contains(words), "{complaints:?}");
        assert!(!complaints[0].contains(&secret), "a secret is not repeated: {complaints:?}");
    }

    let bad = SMALL.replace("private_key_file: own.key", "private_key: c2VjcmV0");
    let complaints = p.complaints(&bad);
    assert!(!complaints[0].contains("c2Vj"), "a secret is not repeated: {complaints:?}");
}
