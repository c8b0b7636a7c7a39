//! Files as a whole: what they are called, what is in them instead.

use super::*;

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
