//! All policies of an endpoint.

use super::builtin::REST;
use super::{BadPolicy, Class, Facts, Policy, Tried, builtins};
use crate::control::PolicyStatus;

/// The policies an endpoint starts with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// Those of the configuration, in order.
    pub own: Vec<Policy>,
    /// Those after them: [`builtins`], or none.
    pub built_in: Vec<Policy>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { own: Vec::new(), built_in: builtins() }
    }
}

impl PolicyConfig {
    /// No policy at all.
    pub const NONE: Self = Self { own: Vec::new(), built_in: Vec::new() };
}

/// A rule of a [`PolicyTable`], until that changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleId(usize);

/// Policies in the order in which they are asked, and what they took.
#[derive(Clone, Debug)]
pub struct PolicyTable {
    rules: Vec<Rule>,
    /// How many of them, at the front, can be removed.
    own: usize,
}

#[derive(Clone, Debug)]
struct Rule {
    policy: Policy,
    packets: u64,
    bytes: u64,
}

impl From<Policy> for Rule {
    fn from(policy: Policy) -> Self {
        Self { policy, packets: 0, bytes: 0 }
    }
}

/// As many of one's own as anybody reads.
const MOST: usize = 256;

impl PolicyTable {
    /// A table of these.
    #[must_use]
    pub fn new(config: &PolicyConfig) -> Self {
        let rest = Policy { name: Some(REST.to_owned()), ..Policy::default() };
        let all = config.own.iter().chain(&config.built_in).cloned().chain([rest]);
        Self { rules: all.map(Rule::from).collect(), own: config.own.len() }
    }

    /// The rule that takes a packet.
    #[must_use]
    #[inline]
    pub fn classify(&self, facts: &Facts) -> RuleId {
        let takes = |rule: &Rule| rule.policy.matcher.refusal(facts).is_none();
        // The last one takes everything.
        RuleId(self.rules.iter().position(takes).unwrap_or(self.rules.len() - 1))
    }

    /// What is done with the packets of a rule.
    #[must_use]
    pub fn class(&self, rule: RuleId) -> &Class {
        &self.rules[rule.0].policy.class
    }

    /// The rule took so many packets.
    pub fn count(&mut self, rule: RuleId, packets: u64, bytes: u64) {
        let rule = &mut self.rules[rule.0];
        rule.packets += packets;
        rule.bytes += bytes;
    }

    /// Adds a policy in front of the one called `before` (or with that number), else behind all of one's own.
    ///
    /// # Errors
    /// When its name is taken, there is none to go before, or there are too many.
    pub fn add(&mut self, policy: Policy, before: Option<&str>) -> Result<(), BadPolicy> {
        policy.check()?;
        if let Some(name) = &policy.name
            && self.own().any(|(_, p)| p.name.as_ref() == Some(name))
        {
            return Err(BadPolicy(format!(
                "a policy is called `{name}` already; remove it first, or choose another name"
            )));
        }
        if self.own == MOST {
            return Err(BadPolicy(format!("there are {MOST} policies already; remove some first")));
        }
        let at = before.map_or(Ok(self.own), |before| self.find(before))?;
        self.rules.insert(at, policy.into());
        self.own += 1;
        Ok(())
    }

    /// Removes the policy of this name or number, and gives it back.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&mut self, which: &str) -> Result<Policy, BadPolicy> {
        let at = self.find(which)?;
        self.own -= 1;
        Ok(self.rules.remove(at).policy)
    }

    /// All of them, in order, with what they took.
    #[must_use]
    pub fn status(&self) -> Vec<PolicyStatus> {
        let rules = self.rules.iter().enumerate();
        rules
            .map(|(i, rule)| PolicyStatus {
                number: (i < self.own).then_some(i + 1),
                name: rule.policy.name.clone(),
                policy: rule.policy.to_string(),
                built_in: i >= self.own,
                packets: rule.packets,
                bytes: rule.bytes,
            })
            .collect()
    }

    /// The policies that are asked about a packet, up to the one that takes it.
    #[must_use]
    pub fn tried(&self, facts: &Facts) -> Vec<Tried> {
        let RuleId(taker) = self.classify(facts);
        let asked = self.rules[..=taker].iter().enumerate();
        asked
            .map(|(i, Rule { policy, .. })| {
                let why = match policy.matcher.refusal(facts) {
                    Some(condition) => format!(
                        "{} is {}, not {}",
                        condition.key(),
                        condition.found(facts),
                        policy.matcher.wanted(condition)
                    ),
                    None if policy.matcher.is_everything() => "takes everything".to_owned(),
                    None => policy.matcher.to_string(),
                };
                Tried {
                    number: (i < self.own).then_some(i + 1),
                    name: policy.name.clone(),
                    policy: policy.to_string(),
                    built_in: i >= self.own,
                    takes: i == taker,
                    why,
                }
            })
            .collect()
    }

    fn own(&self) -> impl Iterator<Item = (usize, &Policy)> {
        self.rules[..self.own].iter().map(|r| &r.policy).enumerate()
    }

    /// One of one's own, by name or number.
    fn find(&self, which: &str) -> Result<usize, BadPolicy> {
        let number = which.parse().ok().and_then(|n: usize| n.checked_sub(1));
        let named = self.own().find(|(_, p)| p.name.as_deref() == Some(which)).map(|(i, _)| i);
        if let Some(at) = number.or(named).filter(|&i| i < self.own) {
            return Ok(at);
        }
        if self.rules[self.own..].iter().any(|r| r.policy.name.as_deref() == Some(which)) {
            return Err(BadPolicy(format!(
                "`{which}` is built in: those that are added stand before it anyway, and `builtin_policies: off` in the \
                 configuration does without"
            )));
        }
        let names: Vec<_> = self
            .own()
            .map(|(i, p)| p.name.clone().unwrap_or_else(|| (i + 1).to_string()))
            .collect();
        let near = super::nearest(which, &names.iter().map(String::as_str).collect::<Vec<_>>())
            .map(|near| format!("; did you mean `{near}`?"));
        Err(BadPolicy(match near {
            Some(near) => format!("no policy is called `{which}`{near}"),
            None if names.is_empty() => {
                format!("no policy is called `{which}`; there are only the built-in ones")
            }
            None => format!("no policy is called `{which}`; there are: {}", names.join(", ")),
        }))
    }
}
