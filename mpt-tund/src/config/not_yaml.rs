//! Text that is no YAML: what the parser says, and what to do about it.

/// What is wrong with `text`, of which the parser says `error` at `place` (line and column, from 1).
pub(super) fn not_yaml(text: &str, place: Option<(usize, usize)>, error: &str) -> String {
    // The place is told before the message already.
    let error = match place {
        Some((line, column)) => error.replacen(&format!(" at line {line} column {column}"), "", 1),
        None => error.to_owned(),
    };
    if text.lines().any(|line| ["[Interface]", "[Peer]"].contains(&line.trim())) {
        return "this is a configuration of WireGuard; ours is YAML, as in conf/example.yaml"
            .to_owned();
    }
    let remedy =
        remedy(text, place, &error).map_or_else(String::new, |remedy| format!("; {remedy}"));
    format!("this is not YAML: {error}{remedy}")
}

fn remedy(text: &str, place: Option<(usize, usize)>, error: &str) -> Option<String> {
    let (line, _) = place?;
    // The parser notices a missing quote or blank in the line behind it only.
    let lines = text.lines().enumerate().take(line).skip(line.saturating_sub(2));
    let lines = lines.map(|(_, line)| line).collect::<Vec<_>>();
    if lines.iter().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
        return Some("indent with spaces, not with tabs".to_owned());
    }
    if let Some(value) = lines.iter().rev().find_map(|line| bracketed_address(line)) {
        return Some(format!("what begins with a bracket needs quotes: \"{value}\""));
    }
    if error.contains("quoted scalar") {
        return Some("a quote is missing: what begins with one ends with one".to_owned());
    }
    if error.contains("cannot start any token") || error.contains("anchor") {
        return Some("what begins with such a character needs quotes".to_owned());
    }
    if let Some(key) = lines.iter().rev().find_map(|line| without_blank(line)) {
        return Some(format!("a blank is missing behind the `:` of `{key}:`"));
    }
    if error.contains("mapping values") {
        return Some("what belongs together begins in the same column; a value with a colon in it needs quotes".to_owned());
    }
    if ["block mapping", "block sequence", "'-'"].iter().any(|words| error.contains(words)) {
        return Some("what belongs together begins in the same column".to_owned());
    }
    None
}

/// The address in `listen: [::]:4511`, which YAML takes for a list.
fn bracketed_address(line: &str) -> Option<&str> {
    let line = without_comment(line);
    let value = line.find("[").map(|at| line[at..].trim_end())?;
    let (address, rest) = value[1..].split_once(']')?;
    let port = rest.strip_prefix(':')?;
    let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
    let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    (is_address && is_port).then_some(value)
}

/// The key in `name:wan`, of which YAML makes one word. What follows it may be a secret.
fn without_blank(line: &str) -> Option<&str> {
    let entry = without_comment(line).trim().trim_start_matches("- ");
    let (key, value) = entry.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let follows = !value.is_empty() && !value.starts_with([' ', ':', '/']);
    (is_key && follows).then_some(key)
}

fn without_comment(line: &str) -> &str {
    line.split_once(" #").map_or(line, |(line, _)| line)
}

#[cfg(test)]
mod tests {
    use crate::config::yaml::parse;

    fn complaint(text: &str) -> String {
        parse(text).unwrap_err().1
    }

    #[test]
    fn what_is_no_yaml_has_a_remedy() {
        let remedies = [
            ("listen: [::]:4511\npeers: []\n", "needs quotes: \"[::]:4511\""),
            ("paths:\n  - remote: [2001:db8::1]:4511 # bridge\n", "quotes: \"[2001:db8::1]:4511\""),
            ("listen: 1\ninterface:\n\tname: a\n", "with spaces, not with tabs"),
            ("interface:\n  name:mpt0\n  mtu: 1400\n", "behind the `:` of `name:`"),
            (
                "interface:\n  name: mpt0\n   mtu: 1400\n",
                "begins in the same column; a value with a colon",
            ),
            ("peers:\n  - name: a\n   public_key: b\n", "begins in the same column"),
            ("interface: {name: \"mpt0}\nlisten: 1\n", "a quote is missing"),
            ("psk: @roof\n", "needs quotes"),
            ("psk: *roof\n", "needs quotes"),
        ];
        for (text, remedy) in remedies {
            let complaint = complaint(text);
            assert!(complaint.starts_with("this is not YAML: "), "{text}: {complaint}");
            assert!(complaint.contains(remedy), "{text}: {complaint}");
        }
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let complaint = complaint("private_key:c2VjcmV0\npeers: []\n");
        assert!(complaint.contains("`private_key:`") && !complaint.contains("c2Vj"), "{complaint}");
    }

    #[test]
    fn what_is_meant_for_wireguard_is_known() {
        let complaint = complaint("[Interface]\nPrivateKey = x\n\n[Peer]\nPublicKey = y\n");
        assert!(complaint.contains("configuration of WireGuard"), "{complaint}");
    }

    #[test]
    fn the_place_is_not_told_twice() {
        let (place, complaint) = parse("listen: [::]:4511\n").unwrap_err();
        let (line, column) = place.unwrap();
        assert!(!complaint.contains(&format!("line {line} column {column}")), "{complaint}");
    }
}
