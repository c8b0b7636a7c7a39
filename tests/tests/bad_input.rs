//! Mistakes in files and arguments, made on purpose: each is answered by a line or two that say what and what to do, and
//! by the right exit status. What a daemon can only find out while it runs: `misfits.rs`. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::netlink::{Offloads, VethEnd, add_veth};
use mpt_lab::netns::Namespace;
use mpt_lab::testbed::{LinkSpec, Testbed};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");

/// What the daemon is given to come up, or to say what is wrong.
const SOON: Duration = Duration::from_secs(8);

/// A directory with a right configuration, `wan0.yaml`, to be spoiled.
struct Place {
    directory: tempfile::TempDir,
}

const RIGHT: &str = r#"interface: {name: mpt0, address: 10.77.0.1/30}
private_key_file: own.key
listen: 4511
peers:
  - name: roof
    public_key: "p7UMOzRN1IJ74V/nbSQgw7LWHMsm3AEKGYUKjIlhWh8="
    allowed_ips: [10.77.0.2/32, 192.168.12.0/24]
    paths:
      - {name: bridge1, interface: wan1, remote: "10.1.0.2:4511", weight: 2}
      - {name: bridge2, interface: wan2, remote: "10.2.0.2:4511", weight: 1}
routes:
  - {to: 192.168.12.0/24, protocols: [udp]}
"#;

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        let key = Command::new(PROGRAM).args(["internal-cli", "genkey"]).output().unwrap();
        assert!(key.status.success());
        place.write("own.key", &String::from_utf8(key.stdout).unwrap(), 0o600);
        place.write("wan0.yaml", RIGHT, 0o644);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// What `mpt-tund` with these arguments says, with this directory for all it looks for.
    fn tund(&self, arguments: &[&str]) -> Output {
        self.set(Command::new(PROGRAM)).arg("internal-tund").args(arguments).output().unwrap()
    }

    /// As [`Place::tund`], for `mpt-cli`.
    fn cli(&self, arguments: &[&str]) -> Output {
        self.set(Command::new(PROGRAM)).arg("internal-cli").args(arguments).output().unwrap()
    }

    fn set(&self, mut command: Command) -> Command {
        command
            .env("MPT_CONF_DIR", self.directory.path())
            .env("MPT_RUN_DIR", self.path("run"))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Puts `new` for `old` in the configuration: `up` and `check` both say the same, a line that
    /// begins with `place` in the file and holds all of `words`.
    #[track_caller]
    fn spoilt(&self, old: &str, new: &str, place: &str, words: &[&str]) {
        assert!(RIGHT.contains(old), "{old}");
        self.write("bad.yaml", &RIGHT.replacen(old, new, 1), 0o644);
        for command in ["up", "check"] {
            let output = self.tund(&[command, "bad"]);
            let text = complaint(&output, 1, words);
            let start = format!("{}:{place}: ", self.path("bad.yaml").display());
            assert!(text.starts_with(&start), "{text}");
        }
    }
}

/// The complaint of a program that ended with `status`: one line or two, with all of `words`, and
/// nothing that only a programmer understands.
#[track_caller]
fn complaint(output: &Output, status: i32, words: &[&str]) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!((1..=2).contains(&text.lines().count()), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    for word in ["panicked", "os error", "Err(", "None", "unwrap"] {
        assert!(!text.contains(word), "{text}");
    }
    text
}

#[test]
fn slips_in_the_file_are_told_with_line_and_column() {
    let p = Place::new();
    p.spoilt("weight: 2", "wieght: 2", "9:67", &["unknown key `wieght`", "did you mean `weight`"]);
    p.spoilt("weight: 2", "weight: heavy", "9:75", &["whole number from 1 to 10000", "`heavy`"]);
    p.spoilt("weight: 2", "weight: 0", "9:75", &["1 to 10000, not 0", "`enabled: false`"]);
    p.spoilt("weight: 2", "weight: 10001", "9:75", &["not 10001", "only proportions count"]);
    p.spoilt("bridge2", "bridge1", "10:16", &["another path of peer `roof` is called `bridge1`"]);
    p.spoilt("listen: 4511", "fwmark: 7\nlisten: 4511", "3:1", &["unknown key `fwmark`"]);
    p.spoilt("10.77.0.2/32", "10.77.0.1/32", "7:19", &["our own address", "the peer's is wanted"]);
    let gateways = RIGHT.replace("interface: wan1,", "interface: wan1, gateway: 10.1.0.9,");
    p.write("bad.yaml", &gateways.replace("wan2,", "wan1, gateway: 10.1.0.8,"), 0o644);
    let words = ["bad.yaml:10:", "path `bridge1` has the gateway 10.1.0.9", "interface wan1"];
    complaint(&p.tund(&["check", "bad"]), 1, &words);
    let unbound = "remote: \"10.77.0.2:4511\"";
    let bound = "interface: wan1, remote: \"10.1.0.2:4511\"";
    p.spoilt(bound, unbound, "9:33", &["10.77.0.2 lies within 10.77.0.0/30", "`interface`"]);
    let wrong = "local_port: 7, gateway: 10.1.0.9";
    p.spoilt("interface: wan1", wrong, "9:49", &["gateway means nothing without", "`interface`"]);
    p.spoilt("10.77.0.1/30", "10.77.0.1", "1:34", &["length of its network is missing", "/24"]);
    p.spoilt("weight: 2", "weight: \"2\"", "9:75", &["whole number", "leave the quotes out"]);
    p.spoilt("mpt0", "default", "1:19", &["an interface cannot be called `default`"]);
    let long = "x".repeat(65);
    p.spoilt("roof", &long, "5:11", &["has 65 bytes, a name at most 64"]);
    p.spoilt("bridge1", "\"a\\tb\"", "9:16", &["a name cannot hold '\\t'"]);
}

#[test]
fn keys_that_are_none_or_open_or_gone() {
    let p = Place::new();
    let key = fs::read_to_string(p.path("own.key")).unwrap();
    p.write("open.key", &key, 0o644);
    p.spoilt("own.key", "open.key", "2:19", &["everybody can get at it", "run `chmod 600 "]);
    p.write("bad.key", "hello\n", 0o600);
    p.spoilt("own.key", "bad.key", "2:19", &["holds no key", "as `mpt-cli genkey` prints it"]);
    p.write("empty.key", "\n", 0o600);
    p.spoilt("own.key", "empty.key", "2:19", &["holds no key", "mpt-cli genkey > "]);
    p.spoilt("own.key", "gone.key", "2:19", &["there is no file", "mpt-cli genkey > "]);
    p.spoilt("own.key", "run/..", "2:19", &["there is no file"]);
    fs::write(p.path("noise.key"), [0xff; 40]).unwrap();
    fs::set_permissions(p.path("noise.key"), Permissions::from_mode(0o600)).unwrap();
    p.spoilt("own.key", "noise.key", "2:19", &["no text"]);
}

#[test]
fn files_that_are_none_or_broken() {
    let p = Place::new();
    complaint(
        &p.tund(&["up", "wan7"]),
        1,
        &["wan7.yaml: there is no such file", "there are: wan0"],
    );
    complaint(
        &p.tund(&["up", "./wan7.yaml"]),
        1,
        &["./wan7.yaml: there is no such file", "looked up"],
    );
    complaint(&p.tund(&["check", "./"]), 1, &["is a directory"]);
    p.write("broken.yaml", "peers: [1, 2\nlisten: 4511\n", 0o644);
    complaint(&p.tund(&["check", "broken"]), 1, &["broken.yaml:2:", "this is not YAML"]);
    p.write("empty.yaml", "", 0o644);
    complaint(&p.tund(&["check", "empty"]), 1, &["empty.yaml"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    let p = Place::new();
    for arguments in [&["up"][..], &["dance"], &["up", "a", "b"], &["check"], &[]] {
        let output = p.tund(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: mpt-tund"));
    }
    for arguments in [
        &["statsu"][..],
        &["status", "--watch", "--json"],
        &["path", "set", "a", "weight", "0"],
        &["path", "set", "a", "weight", "10001"],
        &["path", "set", "a", "colour", "3"],
        &["path", "enable"],
    ] {
        assert_eq!(p.cli(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = p.cli(&["path", "set", "a", "weight", "0"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("from 1 to 10000, not 0"));
}

#[test]
fn nobody_is_asked_who_is_not_there() {
    let p = Place::new();
    complaint(&p.cli(&["status"]), 1, &["no tunnel is running here", "`mpt-tund up NAME`"]);
    complaint(&p.cli(&["status", "wan0"]), 1, &["wan0 is not running", "`mpt-tund up wan0`"]);
    complaint(&p.cli(&["path", "set", "a", "weight", "3"]), 1, &["no tunnel is running here"]);
    complaint(&p.tund(&["down", "wan0"]), 1, &["is not running"]);
    complaint(&p.cli(&["status", "--watch"]), 1, &["--watch needs a terminal", "--json"]);
}

/// A command as some user without rights, where this process may become one.
fn as_nobody(p: &Place, arguments: &[&str]) -> Option<Output> {
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let possible = Command::new("setpriv").args(nobody).arg("true").output().ok()?;
    if !possible.status.success() {
        eprintln!("cannot become another user here (no setpriv, or a user namespace)");
        return None;
    }
    // The program has to be where everybody may go. Copied by another process: what other tests start meanwhile would inherit a
    // descriptor that is open for writing here, and the program be busy.
    let program = p.path("program");
    assert!(Command::new("cp").arg(PROGRAM).arg(&program).status().unwrap().success());
    fs::set_permissions(p.directory.path(), Permissions::from_mode(0o755)).unwrap();
    let command =
        p.set(Command::new("setpriv")).args(nobody).arg(&program).args(arguments).output();
    Some(command.unwrap())
}

#[test]
fn who_is_not_root_is_told_so() {
    let p = Place::new();
    let up = &["internal-tund", "up", "wan0"];
    let Some(output) = as_nobody(&p, up) else { return };
    let words = ["own.key", "permission denied", "run as root"];
    complaint(&output, 1, &words);
    // A key of one's own does not help: first there is no directory for the socket, then no TUN.
    std::os::unix::fs::chown(p.path("own.key"), Some(65_534), None).unwrap();
    let output = as_nobody(&p, up).unwrap();
    complaint(&output, 1, &["cannot make the directory", "run as root"]);
    fs::create_dir(p.path("run")).unwrap();
    fs::set_permissions(p.path("run"), Permissions::from_mode(0o777)).unwrap();
    let output = as_nobody(&p, up).unwrap();
    complaint(
        &output,
        1,
        &["not allowed to create interface mpt0", "run as root", "CAP_NET_ADMIN"],
    );
    p.write("secret.yaml", RIGHT, 0o600);
    let output = as_nobody(&p, &["internal-tund", "check", "secret"]).unwrap();
    complaint(&output, 1, &["secret.yaml: cannot be read: permission denied", "run as root"]);
}

#[test]
fn without_ipv6_the_address_is_named_and_not_the_rights() {
    let p = Place::new();
    p.write("six.yaml", &RIGHT.replace("10.77.0.1/30", "[10.77.0.1/30, \"fd77::1/64\"]"), 0o644);
    let ns = Namespace::new("no-ipv6").unwrap();
    for which in ["all", "default"] {
        let file = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
        ns.run(|| fs::write(file, "1").unwrap());
    }
    let mut command = p.set(ns.command(PROGRAM));
    let output = command.args(["internal-tund", "up", "six"]).output().unwrap();
    let told = complaint(&output, 1, &["the address fd77::1: IPv6 is switched off here", "leave"]);
    assert!(!told.contains("run as root"), "{told}");
    let output = p.set(ns.command(PROGRAM)).args(["internal-tund", "check", "six"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(text.contains("warning: IPv6 is switched off here"), "{text}");
}

#[test]
fn without_the_tun_driver_it_says_how_to_get_it() {
    let p = Place::new();
    let ns = Namespace::new("no-tun").unwrap();
    fs::create_dir(p.path("empty")).unwrap();
    // The real /dev/net stays as it is: what is mounted is seen by this process only.
    let script = "mount --bind empty /dev/net && exec \"$0\" internal-tund up wan0";
    let mut command = p.set(ns.command("unshare"));
    let output = command.args(["--mount", "sh", "-c", script, PROGRAM]).output().unwrap();
    complaint(&output, 1, &["there is no /dev/net/tun", "modprobe tun", "mknod /dev/net/tun"]);
    assert!(Path::new("/dev/net/tun").exists());
}

#[test]
fn what_another_program_has_is_told_with_its_holder() {
    let p = Place::new();
    let ns = Namespace::new("busy").unwrap();
    let up = |p: &Place| {
        let mut command = p.set(ns.command(PROGRAM));
        command.args(["internal-tund", "up", "wan0"]).output().unwrap()
    };
    let port = ns.run(|| std::net::UdpSocket::bind("0.0.0.0:4511").unwrap());
    complaint(&up(&p), 1, &["port 4511 is already in use", "ss -lunp"]);
    drop(port);
    let [a, b] = ["mpt0", "other"].map(|interface| VethEnd { namespace: &ns, interface });
    add_veth(a, b, 1500, Offloads::On).unwrap();
    let told = complaint(&up(&p), 1, &["interface mpt0 exists already and is no TUN device"]);
    assert!(!told.contains("ip link del"), "it may be somebody's bridge: {told}");
    assert!(ns.has_interface("mpt0"), "it is not ours to remove");
    assert_eq!(fs::read_dir(p.path("run")).unwrap().count(), 0, "a control socket is left");
    ns.delete_interface("mpt0").unwrap();
    let made = ns.command("ip").args(["tuntap", "add", "mpt0", "mode", "tun"]).status().unwrap();
    assert!(made.success());
    complaint(&up(&p), 1, &["interface mpt0 exists already; remove it (`ip link del mpt0`)"]);
}

#[test]
fn a_second_daemon_and_wrong_orders_to_a_running_one() {
    let mut testbed = Testbed::builder(PROGRAM).links([LinkSpec::plain(); 2]).build().unwrap();
    testbed.start(SOON).unwrap();
    let pid = testbed.site_mut(0).daemon().unwrap().pid();
    let a = testbed.a();
    let file = a.configuration_file();
    let up = |run_directory: &Path| {
        let mut command = a.tund(&["up"]);
        command.arg(&file).env("MPT_RUN_DIR", run_directory).output().unwrap()
    };
    let running = format!("mpt0 is already running (pid {pid})");
    complaint(&up(&a.run_directory()), 1, &[&running, "`mpt-tund down mpt0`"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let holder = format!("belongs to mpt-lab (pid {pid})");
    complaint(&up(elsewhere.path()), 1, &["interface mpt0 exists already", &holder]);

    let cli = |arguments: &[&str]| a.cli(arguments).output().unwrap();
    let words = ["no path is called `birdge1`", "did you mean `bridge1`?"];
    complaint(&cli(&["path", "set", "birdge1", "weight", "3"]), 1, &words);
    complaint(&cli(&["path", "disable", "lte"]), 1, &["there are: bridge1, bridge2"]);
    let done = cli(&["path", "set", "bridge1", "weight", "10000"]);
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "bridge1 (mpt0, peer b): weight 1 -> 10000\n"
    );
    assert!(testbed.site_mut(0).daemon().unwrap().ended().unwrap().is_none());
}
