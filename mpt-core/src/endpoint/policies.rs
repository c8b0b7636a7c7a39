//! Policies at run time.

use super::Endpoint;
use crate::Time;
use crate::policy::{BadPolicy, Explanation, PacketText, Policy, nearest};

impl Endpoint {
    /// Adds a policy in front of the one called `before`, else behind all that are not built in. It counts from
    /// the next packet on.
    ///
    /// # Errors
    /// When it makes no sense here: a path that nobody has, a name that is taken.
    pub fn add_policy(&mut self, policy: Policy, before: Option<&str>) -> Result<(), BadPolicy> {
        if let Some(path) = policy.pinned() {
            self.check_path(path)?;
        }
        self.policies.add(policy, before)
    }

    /// Removes the policy of this name or number, and gives it back.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_policy(&mut self, which: &str) -> Result<Policy, BadPolicy> {
        self.policies.remove(which)
    }

    /// What happens to a packet that is sent now, and why.
    #[must_use]
    pub fn explain(&self, now: Time, packet: &PacketText) -> Explanation {
        let now = self.latest.or_later(now);
        let facts = packet.0;
        let tried = self.policies.tried(&facts);
        let class = self.policies.class(self.policies.classify(&facts));
        let peer = self.allowed.lookup(facts.destination);
        let peer = peer.and_then(|id| self.peers.get(id.0 as usize));
        let happens = match peer {
            Some(peer) => peer.explain(now, class, usize::from(facts.size), peer.scheduler_kind()),
            None => {
                vec![format!("dropped: no peer's allowed_ips hold {} (no-peer)", facts.destination)]
            }
        };
        let peer = peer.map(|p| p.name.clone());
        Explanation { packet: packet.to_string(), peer, tried, happens }
    }

    /// Whether some peer has a path of this name.
    fn check_path(&self, path: &str) -> Result<(), BadPolicy> {
        if !self.paths_named(path, None).is_empty() {
            return Ok(());
        }
        let mut names: Vec<_> =
            self.peers.iter().flat_map(|p| p.path_names().map(|(name, _)| name)).collect();
        names.sort_unstable();
        names.dedup();
        let near = nearest(path, &names).map(|near| format!("; did you mean `{near}`?"));
        Err(BadPolicy(format!(
            "no path is called `{path}`{}",
            near.unwrap_or_else(|| match names.is_empty() {
                true => "; there are none yet".to_owned(),
                false => format!("; there are: {}", names.join(", ")),
            })
        )))
    }
}
