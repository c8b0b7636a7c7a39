//! `policy list`, `policy add`, `policy remove`, `policy explain`.

use crate::client::Client;
use crate::command::PolicyCommand;
use crate::path::statuses;
use crate::render;
use anyhow::{anyhow, bail};
use mpt_core::control::{Explanation, PolicyStatus, Request, Response, Tried};
use mpt_core::policy::{BadPolicy, PacketText, Policy};
use std::io::Write;

pub(crate) fn run(command: &PolicyCommand, tunnel: Option<&str>) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    match command {
        PolicyCommand::List => {
            let (name, mut client) = connect(tunnel)?;
            let policies = client.status()?.policies;
            if policies.is_empty() {
                bail!("mpt-tund {name} has no policies; it is of an older version");
            }
            stdout.write_all(list(&policies).as_bytes())?;
        }
        PolicyCommand::Add { words, before } => {
            // What is wrong by itself needs no daemon to tell.
            let policy: Policy = words.join(" ").parse().map_err(|BadPolicy(why)| anyhow!(why))?;
            let (name, mut client) = connect(tunnel)?;
            let text = policy.to_string();
            client.ask(&Request::AddPolicy { policy: text.clone(), before: before.clone() })?;
            writeln!(stdout, "{name}: added {text}")?;
        }
        PolicyCommand::Remove { policy } => {
            let (name, mut client) = connect(tunnel)?;
            client.ask(&Request::RemovePolicy { policy: policy.clone() })?;
            writeln!(stdout, "{name}: removed {policy}")?;
        }
        PolicyCommand::Explain { words } => {
            let packet: PacketText =
                words.join(" ").parse().map_err(|BadPolicy(why)| anyhow!(why))?;
            let (_, mut client) = connect(tunnel)?;
            match client.ask(&Request::ExplainPolicy { packet: packet.to_string() })? {
                Response::Explanation(explanation) => {
                    stdout.write_all(explained(&explanation).as_bytes())?;
                }
                other => bail!("an explanation is no {other:?}"),
            }
        }
    }
    Ok(())
}

/// The tunnel meant: the one that runs here, or that of this name.
fn connect(tunnel: Option<&str>) -> anyhow::Result<(String, Client)> {
    let name = match tunnel {
        Some(name) => name.to_owned(),
        None => {
            let running = statuses()?.despite_troubles();
            let mut names: Vec<_> = running.into_iter().map(|(name, _)| name).collect();
            if names.len() > 1 {
                bail!("several tunnels run here; add --tunnel with one of: {}", names.join(", "));
            }
            names.remove(0)
        }
    };
    let client = Client::connect(&name)?;
    Ok((name, client))
}

/// A line each, in columns: number, what it took, the policy.
fn list(policies: &[PolicyStatus]) -> String {
    let row = |p: &PolicyStatus| {
        let number = p.number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let took = format!("{} ({})", render::count(p.packets), render::bytes(p.bytes));
        (number, took, plain(&p.policy))
    };
    let rows: Vec<_> = policies.iter().map(row).collect();
    let width = rows.iter().map(|r| r.1.len()).max().unwrap_or(0).max("PACKETS".len());
    let mut text = format!("  #  {:>width$}  POLICY\n", "PACKETS");
    for ((number, took, policy), status) in rows.iter().zip(policies) {
        let built_in = if status.built_in { " (built in)" } else { "" };
        text += &format!("{number:>3}  {took:>width$}  {policy}{built_in}\n");
    }
    text
}

fn explained(e: &Explanation) -> String {
    let mut text = plain(&e.packet);
    if let Some(peer) = &e.peer {
        text += &format!(", to peer {}", plain(peer));
    }
    text.push('\n');
    for tried in &e.tried {
        let verdict = if tried.takes { "takes it" } else { "no" };
        text += &format!("  {}: {verdict}: {}\n", called(tried), plain(&tried.why));
    }
    for line in &e.happens {
        text += &format!("{}\n", plain(line));
    }
    text
}

fn called(tried: &Tried) -> String {
    let number = tried.number.map(|n| format!("policy {n}"));
    match (number, &tried.name) {
        (Some(number), Some(name)) => format!("{number} {}", plain(name)),
        (Some(number), None) => number,
        (None, Some(name)) => format!("built-in {}", plain(name)),
        (None, None) => "a policy".to_owned(),
    }
}

/// What a daemon says is shown, not obeyed.
fn plain(text: &str) -> String {
    text.chars().filter(|&c| mpt_core::is_shown(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::policy::{PolicyConfig, PolicyTable, RuleId};

    fn table() -> PolicyTable {
        let own = vec!["name calls ports 5000-5100 send pin dsl".parse().unwrap()];
        PolicyTable::new(&PolicyConfig { own, ..PolicyConfig::default() })
    }

    #[test]
    fn a_list_says_what_was_taken() {
        let mut table = table();
        let packet: PacketText = "udp 10.0.0.1:5004 -> 10.1.0.9:1".parse().unwrap();
        let rule: RuleId = table.classify(&packet.0);
        table.count(rule, 1_200, 240_000);
        let expected = "  #         PACKETS  POLICY
  1  1200 (234 KiB)  name calls ports 5000-5100 send pin dsl
  -         0 (0 B)  name voice dscp ef,cs5 size ..400 send duplicate (built in)
  -         0 (0 B)  name dns protocol udp,tcp ports 53 send fastest (built in)
  -         0 (0 B)  name icmp protocol icmp,icmpv6 send fastest (built in)
  -         0 (0 B)  name rest send spread (built in)
";
        let text = list(&table.status());
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn an_explanation_says_who_was_asked() {
        let packet: PacketText = "udp 10.0.0.1:1 -> 10.1.0.9:2 dscp ef size 200".parse().unwrap();
        let text = explained(&Explanation {
            packet: packet.to_string(),
            peer: Some("roof".to_owned()),
            tried: table().tried(&packet.0),
            happens: vec!["duplicated: on a and on b".to_owned()],
        });
        let expected = "udp 10.0.0.1:1 -> 10.1.0.9:2 dscp ef size 200, to peer roof
  policy 1 calls: no: ports is 1 and 2, not 5000-5100
  built-in voice: takes it: dscp ef,cs5 size ..400
duplicated: on a and on b
";
        assert_eq!(text, expected, "\n{text}");
    }
}
