//! The kernel's rules and routes, kept as the plan says.

use super::message::{OURS, route_from, route_table, rule_from, rule_tag};
use super::netlink::{NetError, Netlink};
use super::plan::{Plan, Route, RouteSpec, Rule, TunnelNumbers, Uplink};
use crate::udp::Family;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::rule::{RuleFlags, RuleMessage};

/// Everything a tunnel has in the kernel's routing, besides the TUN device itself.
///
/// Every change compares the whole with the kernel's dump; a call that changes nothing is harmless and
/// repairs what others removed. End with [`undo`](Self::undo).
#[derive(Debug)]
pub struct NetState {
    netlink: Netlink,
    numbers: TunnelNumbers,
    tun: u32,
    routes: Vec<RouteSpec>,
    uplinks: Vec<Uplink>,
    carrying: bool,
    /// What of the plan the kernel took.
    applied: Plan,
}

impl NetState {
    /// The state of tunnel `name`, with nothing in it: what a killed daemon of that name left is removed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn open(netlink: Netlink, name: &str) -> Result<Self, NetError> {
        let numbers = TunnelNumbers::of(name);
        let mut state = Self {
            netlink,
            numbers,
            tun: 0,
            routes: Vec::new(),
            uplinks: Vec::new(),
            carrying: false,
            applied: Plan::default(),
        };
        state.apply(Plan::default()).await?;
        Ok(state)
    }

    /// The mark and the tables.
    #[must_use]
    pub const fn numbers(&self) -> TunnelNumbers {
        self.numbers
    }

    /// What is to go into the TUN device of index `tun`.
    ///
    /// # Errors
    /// The first thing the kernel refused; all else was tried.
    pub async fn set_routes(&mut self, tun: u32, routes: Vec<RouteSpec>) -> Result<(), NetError> {
        self.tun = tun;
        self.routes = routes;
        self.refresh().await
    }

    /// The uplinks of all paths that are bound to an interface which is up. Of several with the same
    /// interface and family the first one counts.
    ///
    /// # Errors
    /// The first thing the kernel refused; all else was tried.
    pub async fn set_uplinks(&mut self, uplinks: Vec<Uplink>) -> Result<(), NetError> {
        self.uplinks = uplinks;
        self.refresh().await
    }

    /// Whether any path is up; routes that are to be bypassed otherwise come and go with it. At the start
    /// none is.
    ///
    /// # Errors
    /// The first thing the kernel refused; all else was tried.
    pub async fn set_carrying(&mut self, carrying: bool) -> Result<(), NetError> {
        self.carrying = carrying;
        self.refresh().await
    }

    /// Brings the kernel's state to what it should be, after interfaces or routes changed.
    ///
    /// # Errors
    /// The first thing the kernel refused; all else was tried.
    pub async fn refresh(&mut self) -> Result<(), NetError> {
        let plan = Plan::new(self.numbers, self.tun, &self.routes, &self.uplinks, self.carrying);
        self.apply(plan).await
    }

    /// Removes everything.
    ///
    /// # Errors
    /// The first thing the kernel refused; all else was tried.
    pub async fn undo(mut self) -> Result<(), NetError> {
        self.apply(Plan::default()).await
    }

    /// New routes come before the rules that lead to them; old rules go before their routes.
    async fn apply(&mut self, mut plan: Plan) -> Result<(), NetError> {
        let (rules, routes) = self.present().await?;
        let mut first_error = None;
        // Whether it was done, and not so already.
        let mut note = |result: Result<Done, NetError>| match result {
            Ok(done) => done == Done::Now,
            Err(error) => {
                tracing::debug!(%error, "routing");
                first_error.get_or_insert(error);
                false
            }
        };
        for rule in &rules {
            if !rule_from(rule).is_some_and(|r| plan.rules.contains(&r)) {
                note(self.delete_rule(rule).await);
            }
        }
        for route in &routes {
            if !route_from(route).is_some_and(|r| plan.routes.contains(&r)) {
                note(self.delete_route(route).await);
            }
        }
        let present: Vec<Route> = routes.iter().filter_map(route_from).collect();
        let missing: Vec<Route>;
        (plan.routes, missing) = plan.routes.into_iter().partition(|r| present.contains(r));
        for route in missing {
            if self.applied.routes.contains(&route) {
                tracing::warn!(table = route.table, to = %route.to, "a route of ours was removed; adding it again");
            }
            if note(self.add_route(&route).await) {
                plan.routes.push(route);
            }
        }
        let present: Vec<Rule> = rules.iter().filter_map(rule_from).collect();
        let missing: Vec<Rule>;
        (plan.rules, missing) = plan.rules.into_iter().partition(|r| present.contains(r));
        for rule in missing {
            if self.applied.rules.contains(&rule) {
                let (preference, table) = (rule.preference, rule.table);
                tracing::warn!(
                    preference,
                    table,
                    "a policy rule of ours was removed; adding it again"
                );
            }
            if note(self.add_rule(&rule).await) {
                plan.rules.push(rule);
            }
        }
        self.applied = plan;
        first_error.map_or(Ok(()), Err)
    }

    /// This tunnel's rules and routes in the kernel.
    async fn present(&self) -> Result<(Vec<RuleMessage>, Vec<RouteMessage>), NetError> {
        let (mut rules, mut routes) = (Vec::new(), Vec::new());
        for family in [Family::V4, Family::V6] {
            rules.extend(self.netlink.rules(family).await?.into_iter().filter(|r| {
                let (protocol, mark) = rule_tag(r);
                protocol == Some(OURS) && mark.is_some_and(|m| self.numbers.owns_mark(m))
            }));
            let ours = self.netlink.our_routes(family).await?.into_iter();
            routes.extend(ours.filter(|r| self.numbers.owns_table(route_table(r))));
        }
        Ok((rules, routes))
    }

    async fn add_rule(&self, rule: &Rule) -> Result<Done, NetError> {
        let mut request = self.netlink.handle.rule().add();
        *request.message_mut() = RuleMessage::from(rule);
        done(request.execute().await, libc::EEXIST)
            .map_err(|e| NetError::new("add a policy rule", &e))
    }

    async fn delete_rule(&self, rule: &RuleMessage) -> Result<Done, NetError> {
        let mut rule = rule.clone();
        // What the kernel tells about a rule, not what a rule is.
        rule.header.flags = RuleFlags::empty();
        done(self.netlink.handle.rule().del(rule).execute().await, libc::ENOENT)
            .map_err(|e| NetError::new("remove a policy rule", &e))
    }

    async fn add_route(&self, route: &Route) -> Result<Done, NetError> {
        let result = self.netlink.handle.route().add(RouteMessage::from(route)).execute().await;
        done(result, libc::EEXIST).map_err(|e| NetError::new(self.describe(route), &e))
    }

    async fn delete_route(&self, route: &RouteMessage) -> Result<Done, NetError> {
        let message = route_from(route).map_or_else(|| route.clone(), |r| RouteMessage::from(&r));
        done(self.netlink.handle.route().del(message).execute().await, libc::ESRCH)
            .map_err(|e| NetError::new("remove a route", &e))
    }

    fn describe(&self, route: &Route) -> String {
        let uplink = self.uplinks.iter().find(|u| u.index == route.interface);
        match (uplink, route.hop.gateway) {
            (Some(u), Some(gateway)) => format!(
                "route by gateway {gateway} on interface {} (a gateway must be in a network of its \
                 interface)",
                u.interface
            ),
            (Some(u), None) => format!("route by interface {}", u.interface),
            (None, _) => format!("add the route of table {} into the tunnel", route.table),
        }
    }
}

/// Whether something was to be done. What stands there already without our mark is somebody else's, who may take it away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Done {
    Now,
    Already,
}

/// An error that says "it is so already" is none.
fn done(result: Result<(), rtnetlink::Error>, already: i32) -> Result<Done, rtnetlink::Error> {
    match result {
        Err(rtnetlink::Error::NetlinkError(e)) if e.raw_code() == -already => Ok(Done::Already),
        result => result.map(|()| Done::Now),
    }
}
