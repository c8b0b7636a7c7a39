//! `path set`, `path enable`, `path disable`.

use crate::client::{Client, ClientError, may_look, run_dir, running};
use crate::command::PathArguments;
use anyhow::{anyhow, bail};
use mpt_core::control::{PathSelector, PathStatus, Request, Status};
use mpt_core::{Rate, RateLimit, Weight};
use std::io::Write;

/// What to do to a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Or none.
    Weight(Option<Weight>),
    RateLimit(RateLimit),
    Enabled(bool),
}

pub(crate) fn run(which: &PathArguments, change: Change) -> anyhow::Result<()> {
    let tunnels = match &which.tunnel {
        Some(name) => vec![(name.clone(), Client::connect(name)?.status()?)],
        None => statuses()?.despite_troubles(),
    };
    let found = select(which, &tunnels)?;
    let path = PathSelector { path: which.path.clone(), peer: Some(found.peer.to_owned()) };
    let (request, mut done) = match change {
        Change::Weight(weight) => {
            let shown = weight.map_or_else(|| "auto".to_owned(), |w| w.get().to_string());
            let done = format!("weight {} -> {shown}", found.weight);
            (Request::SetWeight { path, weight }, done)
        }
        Change::RateLimit(rate_limit) => {
            let done = format!("rate_limit {} -> {rate_limit}", found.rate_limit);
            (Request::SetRateLimit { path, rate_limit }, done)
        }
        Change::Enabled(enabled) => {
            let done = if enabled { "enabled" } else { "disabled" };
            (Request::SetEnabled { path, enabled }, done.to_owned())
        }
    };
    Client::connect(found.tunnel)?.ask(&request)?;
    if matches!(change, Change::Weight(_)) {
        done += &switched(&found, &Client::connect(found.tunnel)?.status()?);
    }
    writeln!(std::io::stdout(), "{} ({}, peer {}): {done}", which.path, found.tunnel, found.peer)?;
    Ok(())
}

/// Whether paths are used by another scheduler now that one has a weight, or none has.
fn switched(before: &Found<'_>, now: &Status) -> String {
    let peer = now.peers.iter().find(|peer| peer.name == before.peer);
    match peer.map(|peer| peer.scheduler.as_str()).filter(|&now| now != before.scheduler) {
        Some("weighted") => "; paths are used by their weights now, not by what is measured \
            (`weight auto` for each path that has one takes that back)"
            .to_owned(),
        Some(scheduler) => format!("; scheduler {} -> {scheduler}", before.scheduler),
        None => String::new(),
    }
}

/// What the tunnels that run here answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Those that told their status, by name.
    pub(crate) tunnels: Vec<(String, Status)>,
    /// Why others did not.
    troubles: Vec<String>,
}

impl Answers {
    /// That of the one tunnel that was asked.
    pub(crate) fn of(name: &str, status: Status) -> Self {
        Self { tunnels: vec![(name.to_owned(), status)], troubles: Vec::new() }
    }

    fn gather(names: Vec<String>, ask: impl Fn(&str) -> Result<Status, ClientError>) -> Self {
        let mut answers = Self::default();
        for name in names {
            match ask(&name) {
                Ok(status) => answers.tunnels.push((name, status)),
                // A dead daemon left its socket.
                Err(ClientError::NotRunning(_)) => {}
                Err(error) => answers.troubles.push(format!("tunnel {name}: {error}")),
            }
        }
        answers
    }

    /// Those that answered, for whoever has no need of the others; they are told of.
    pub(crate) fn despite_troubles(self) -> Vec<(String, Status)> {
        for trouble in self.troubles {
            // Where nobody reads it, what is done still counts.
            let _ = writeln!(std::io::stderr(), "warning: {trouble}");
        }
        self.tunnels
    }

    /// # Errors
    /// When some did not answer.
    pub(crate) fn complete(&self) -> anyhow::Result<()> {
        if self.troubles.is_empty() { Ok(()) } else { Err(anyhow!(self.troubles.join("; "))) }
    }
}

/// Asks all running tunnels.
///
/// # Errors
/// When none answers.
pub(crate) fn statuses() -> anyhow::Result<Answers> {
    let answers = Answers::gather(running(), |name| Client::connect(name)?.status());
    if answers.tunnels.is_empty() {
        answers.complete()?;
        may_look()?;
        bail!(
            "no tunnel is running here (nothing answers in {}); `mpt-tund up NAME` starts one",
            run_dir().display()
        );
    }
    Ok(answers)
}

/// The one path that is meant.
#[derive(Debug, PartialEq, Eq)]
struct Found<'a> {
    tunnel: &'a str,
    peer: &'a str,
    scheduler: &'a str,
    weight: u16,
    /// Set here or wished by the peer; not what is estimated.
    rate_limit: RateLimit,
}

fn select<'a>(
    which: &'a PathArguments,
    tunnels: &'a [(String, Status)],
) -> anyhow::Result<Found<'a>> {
    let wanted = |peer: &str| which.peer.as_deref().is_none_or(|wanted| wanted == peer);
    let found: Vec<_> = tunnels
        .iter()
        .flat_map(|(tunnel, status)| {
            status.paths_named(&which.path).map(move |(peer, path)| Found {
                tunnel,
                peer: &peer.name,
                scheduler: &peer.scheduler,
                weight: path.weight,
                rate_limit: set_limit(path).map_or(RateLimit::Off, |bytes| {
                    RateLimit::At(Rate::nearest_to_bytes(bytes as u64))
                }),
            })
        })
        .filter(|found| wanted(found.peer))
        .collect();
    match <[Found<'_>; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => Err(unknown(which, tunnels)),
        Err(several) => {
            let candidates: Vec<_> = several
                .iter()
                .map(|f| format!("--tunnel {} --peer {}", f.tunnel, f.peer))
                .collect();
            Err(anyhow!(
                "several paths are called `{}`; add one of: {}",
                which.path,
                candidates.join(", ")
            ))
        }
    }
}

fn set_limit(path: &PathStatus) -> Option<f64> {
    path.rate_limit.filter(|_| path.rate_limit_source.as_deref() != Some("estimate"))
}

fn unknown(which: &PathArguments, tunnels: &[(String, Status)]) -> anyhow::Error {
    let peers = || tunnels.iter().flat_map(|(_, status)| &status.peers);
    if let Some(wanted) = &which.peer
        && !peers().any(|peer| peer.name == *wanted)
    {
        let names: Vec<_> = peers().map(|peer| peer.name.as_str()).collect();
        return anyhow!("no peer is called `{wanted}`; there are: {}", names.join(", "));
    }
    let mut names: Vec<_> =
        peers().flat_map(|peer| peer.paths.iter().map(|path| path.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let near = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, &which.path), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    match near {
        Some((_, near)) => anyhow!("no path is called `{}`; did you mean `{near}`?", which.path),
        None if names.is_empty() => anyhow!("no path is called `{}`; there are none", which.path),
        None => anyhow!("no path is called `{}`; there are: {}", which.path, names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::control::PeerStatus;

    fn tunnel(name: &str, peers: &[(&str, &[&str])]) -> (String, Status) {
        let peers = peers.iter().map(|(peer, paths)| PeerStatus {
            name: (*peer).to_owned(),
            paths: paths
                .iter()
                .map(|path| PathStatus {
                    name: (*path).to_owned(),
                    weight: 2,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        (name.to_owned(), Status { peers: peers.collect(), ..Default::default() })
    }

    fn arguments(path: &str, peer: Option<&str>) -> PathArguments {
        PathArguments { path: path.to_owned(), tunnel: None, peer: peer.map(str::to_owned) }
    }

    #[test]
    fn a_tunnel_that_hangs_does_not_hide_the_others() {
        let names = ["wan0", "wan1", "wan2"].map(str::to_owned).to_vec();
        let answers = Answers::gather(names, |name| match name {
            "wan0" => Err(ClientError::NoAnswer("wan0".to_owned(), "nothing came".to_owned())),
            "wan1" => Err(ClientError::NotRunning("wan1".to_owned())),
            _ => Ok(Status::default()),
        });
        let error = answers.complete().unwrap_err().to_string();
        assert_eq!(
            error,
            "tunnel wan0: mpt-tund wan0 gave no answer that can be read: nothing came"
        );
        let names: Vec<_> = answers.despite_troubles().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["wan2"]);
    }

    #[test]
    fn an_estimate_is_no_limit_that_somebody_set_and_another_scheduler_is_told() {
        let mut tunnels = [tunnel("wan0", &[("roof", &["lte"])])];
        let path = &mut tunnels[0].1.peers[0].paths[0];
        (path.rate_limit, path.rate_limit_source) = (Some(2e6), Some("estimate".to_owned()));
        tunnels[0].1.peers[0].scheduler = "adaptive".to_owned();
        let arguments = arguments("lte", None);
        let found = select(&arguments, &tunnels).unwrap();
        assert_eq!(found.rate_limit, RateLimit::Off);
        let mut now = tunnels[0].1.clone();
        assert_eq!(switched(&found, &now), "");
        now.peers[0].scheduler = "weighted".to_owned();
        assert!(switched(&found, &now).contains("`weight auto`"));
    }

    #[test]
    fn a_path_is_found_or_the_choice_is_told() {
        let tunnels = [
            tunnel("wan0", &[("roof", &["bridge-1", "dsl"]), ("yard", &["bridge-1"])]),
            tunnel("wan1", &[("hub", &["lte"])]),
        ];
        let select = |path, peer| {
            let arguments = arguments(path, peer);
            select(&arguments, &tunnels)
                .map(|f| format!("{} {} {}", f.tunnel, f.peer, f.weight))
                .unwrap_or_else(|e| e.to_string())
        };
        assert_eq!(select("lte", None), "wan1 hub 2");
        assert_eq!(select("bridge-1", Some("yard")), "wan0 yard 2");
        assert_eq!(
            select("bridge-1", None),
            "several paths are called `bridge-1`; add one of: --tunnel wan0 --peer roof, --tunnel wan0 --peer yard"
        );
        assert_eq!(
            select("birdge-1", None),
            "no path is called `birdge-1`; did you mean `bridge-1`?"
        );
        assert_eq!(select("x", None), "no path is called `x`; there are: bridge-1, dsl, lte");
        assert_eq!(select("dsl", Some("x")), "no peer is called `x`; there are: roof, yard, hub");
    }
}
