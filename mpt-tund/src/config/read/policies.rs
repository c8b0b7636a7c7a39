//! Policies.

use super::super::reader::{Map, Node};
use super::super::rules::SeenPeer;
use super::super::units;
use mpt_core::policy::{
    BadPolicy, Class, Matcher, Policy, PolicyConfig, Sending, builtins, nearest,
};
use std::str::FromStr;

const POLICY_KEYS: &[&str] = &["name", "match", "send", "order", "patience"];

/// The policies, and whether the built-in ones come after them. `None` only when a problem was noted.
pub(super) fn policies(map: &Map<'_>, peers: Option<&[SeenPeer<'_>]>) -> Option<PolicyConfig> {
    let mut own: Vec<Policy> = Vec::new();
    if let Some(node) = map.get("policies") {
        for item in node.list("policies")? {
            let Some(policy) = policy(&item, peers) else { continue };
            if let Some(before) = own.iter().position(|p| p.matcher.is_everything()) {
                let name = own[before].name.clone();
                item.fail(format!(
                    "this policy is never asked: policy {} before it takes everything; give that one a `match`, or put it last",
                    name.unwrap_or_else(|| (before + 1).to_string())
                ));
            }
            if policy.name.is_some() && own.iter().any(|p| p.name == policy.name) {
                let name = policy.name.as_deref().unwrap_or_default();
                item.fail(format!("another policy is called `{name}`; names are unique"));
            }
            own.push(policy);
        }
    }
    let on = map.read("builtin_policies", units::truth).unwrap_or(true);
    Some(PolicyConfig { own, built_in: if on { builtins() } else { Vec::new() } })
}

fn policy(node: &Node<'_>, peers: Option<&[SeenPeer<'_>]>) -> Option<Policy> {
    let map = node.map(POLICY_KEYS)?;
    let name = map.read("name", |value| {
        let name = units::text(value)?;
        Policy::check_name(name).map(|()| name.to_owned()).map_err(|BadPolicy(why)| why)
    });
    let matcher = match map.get("match") {
        Some(node) => matcher(&node)?,
        None => Matcher::default(),
    };
    let sending = map.get("send");
    let class = Class {
        sending: match &sending {
            Some(node) => node.read(units::parsed)?,
            None => Sending::default(),
        },
        order: map.read("order", units::parsed).unwrap_or_default(),
        patience: map.read("patience", units::parsed),
    };
    if ["send", "order", "patience"].iter().all(|key| map.get(key).is_none()) {
        node.fail("a policy says what is done: `send`, `order` or `patience`; for example `send: fastest`");
    }
    if let (Some(node), Sending::Pin(path), Some(peers)) = (&sending, &class.sending, peers) {
        path_is_known(node, path, peers);
    }
    Some(Policy { name, matcher, class })
}

fn matcher(node: &Node<'_>) -> Option<Matcher> {
    let map = node.map(&Matcher::KEYS)?;
    let matcher = Matcher {
        dscp: list(&map, "dscp"),
        protocol: list(&map, "protocol"),
        ports: list(&map, "ports"),
        source_ports: list(&map, "source_ports"),
        destination_ports: list(&map, "destination_ports"),
        from: list(&map, "from"),
        to: list(&map, "to"),
        size: map.read("size", units::parsed),
    };
    if let Some(why) = matcher.contradiction() {
        node.fail(format!("no packet is ever meant: {why}"));
    }
    Some(matcher)
}

fn list<T: FromStr<Err = BadPolicy>>(map: &Map<'_>, key: &str) -> Vec<T> {
    let Some(node) = map.get(key) else { return Vec::new() };
    let items = node.list_or_one();
    if items.is_empty() {
        node.fail("an empty list takes no packet; name one, or leave the key out");
    }
    items.iter().filter_map(|item| item.read(units::parsed)).collect()
}

/// The paths of a peer that only calls us are known when it does.
fn path_is_known(node: &Node<'_>, path: &str, peers: &[SeenPeer<'_>]) {
    let peers = || peers.iter().map(|seen| &seen.peer);
    let mut names: Vec<_> = peers().flat_map(|p| &p.paths).map(|p| p.name.as_str()).collect();
    if names.contains(&path) || peers().any(|p| p.paths.is_empty()) {
        return;
    }
    names.sort_unstable();
    names.dedup();
    let near = nearest(path, &names).map(|near| format!("; did you mean `{near}`?"));
    node.fail(format!(
        "no path is called `{path}`{}",
        near.unwrap_or_else(|| format!("; there are: {}", names.join(", ")))
    ));
}
