//! The endpoint's part of the status, and the names of its paths.

use super::Endpoint;
use crate::control::Status;
use crate::{PathId, PeerId, Time};

impl Endpoint {
    /// Everything the core knows; the daemon fills in the rest.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        let now = self.latest.or_later(now);
        Status {
            mtu: self.mtu,
            scheduler: self.schedulers(),
            scheduler_configured: self.config.scheduler.to_string(),
            cipher: self.config.cipher.to_string(),
            public_key: self.config.private_key.public_key().to_string(),
            drops: (&self.drops).into(),
            policies: self.policies.status(),
            peers: self.peers.iter().map(|p| p.status(now)).collect(),
            ..Status::default()
        }
    }

    /// Those in force, each once.
    fn schedulers(&self) -> String {
        let mut names = Vec::new();
        for peer in &self.peers {
            let name = peer.scheduler_kind().to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match names.is_empty() {
            true => self.config.scheduler.to_string(),
            false => names.join(" and "),
        }
    }

    /// All paths called `name`, of all peers or of the one called `peer`, each with its peer's name.
    #[must_use]
    pub fn paths_named(&self, name: &str, peer: Option<&str>) -> Vec<(&str, PeerId, PathId)> {
        self.peers
            .iter()
            .filter(|p| peer.is_none_or(|name| p.name == name))
            .flat_map(|p| p.path_names().map(move |(path, id)| (p, path, id)))
            .filter(|(_, path, _)| *path == name)
            .map(|(p, _, id)| (p.name.as_str(), p.id(), id))
            .collect()
    }

    /// The names of all paths; with several peers, `peer/path`.
    #[must_use]
    pub fn path_names(&self) -> Vec<String> {
        let several = self.peers.len() > 1;
        self.peers
            .iter()
            .flat_map(|p| {
                p.path_names().map(move |(path, _)| match several {
                    true => format!("{}/{path}", p.name),
                    false => path.to_owned(),
                })
            })
            .collect()
    }
}
