//! Files as a whole: what they are called, what is in them instead.

use super::*;

#[test]
fn files_that_are_no_configuration() {
    let p = Place::new();
    let told = |file: &FilePath| Config::read_file(file).unwrap_err().to_string();
    let long = p.write("long.yaml", &"# long\n".repeat(700_000), 0o600);
    assert!(told(&long).contains("long.yaml: has more than 4 MiB"), "{}", told(&long));
    assert!(told(FilePath::new("/dev/zero")).contains("more than 4 MiB"));
    assert!(told(p.dir.path()).contains("is a directory; name a file in it"));
    assert!(p.parse(&format!("\u{feff}{SMALL}")).is_ok(), "a byte order mark is no fault");
}

#[test]
fn a_file_called_as_no_interface_can_be() {
    let p = Place::new();
    let text = SMALL.replace("name: mpt0, ", "");
    let error = Config::parse(&p.dir.path().join("a much too long name.yaml"), &text).unwrap_err();
    assert!(
        error.to_string().contains(":1:12: ") && error.to_string().contains("add `name: mpt0`")
    );
}

#[test]
fn broken_yaml_has_its_place() {
    let complaints = Place::new().complaints("peers: [\n  {name: a\n");
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].contains("this is not YAML"), "{complaints:?}");
}
