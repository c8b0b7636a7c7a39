//! Changes of links, addresses and routes, as they happen.

use super::interface::{Interface, Interfaces, link, usable_address};
use super::message::OURS;
use super::netlink::{NetError, Netlink};
use futures_util::StreamExt;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::{MulticastGroup, new_multicast_connection};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Route changes within this time are told once: a routing daemon may change thousands at once.
const ROUTES_SETTLE: Duration = Duration::from_millis(50);

/// Where somebody removes what is ours again and again, it is told at the latest after so long.
const REMOVED_SETTLE: Duration = Duration::from_secs(5);

/// Pause before the kernel is asked again after an error.
const RETRY: Duration = Duration::from_secs(1);

/// Events that may wait for the reader.
const QUEUE: usize = 256;

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetEvent {
    /// An interface is new, or its name, MTU or state changed.
    Link(LinkState),
    /// An interface was deleted. Its addresses are gone without further events.
    LinkGone {
        /// Its index.
        index: u32,
        /// Its last name.
        name: String,
    },
    /// An address can be used.
    AddressAdded {
        /// The interface's index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// An address can no longer be used.
    AddressRemoved {
        /// The interface's index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// A route changed, or a policy rule was removed.
    RoutesChanged,
}

/// An interface without its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkState {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// MTU, bytes.
    pub mtu: u32,
    /// Whether it can carry packets: switched on and with a carrier.
    pub up: bool,
}

/// Watches the kernel. The first events tell what is there at the start.
#[derive(Debug)]
pub struct Monitor {
    events: mpsc::Receiver<NetEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Monitor {
    /// Starts watching, on the current tokio runtime and in this thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn start(netlink: Netlink) -> Result<Self, NetError> {
        let stream = subscribe()?;
        let (sender, events) = mpsc::channel(QUEUE);
        let mirror = Mirror { known: Interfaces::default(), events: sender };
        let task = tokio::spawn(mirror.run(netlink, stream));
        Ok(Self { events, task })
    }

    /// The next change; `None` only when the runtime is shutting down. May be dropped and called again
    /// without loss.
    pub async fn next(&mut self) -> Option<NetEvent> {
        self.events.recv().await
    }

    /// The same for a hand-written `poll`.
    pub fn poll_next(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<NetEvent>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Messages = futures_util::stream::BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>;

fn subscribe() -> Result<Messages, NetError> {
    use MulticastGroup::{Ipv4Ifaddr, Ipv4Route, Ipv4Rule, Ipv6Ifaddr, Ipv6Route, Ipv6Rule, Link};
    let groups = [Link, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route, Ipv4Rule, Ipv6Rule];
    let (connection, handle, messages) =
        new_multicast_connection(&groups).map_err(NetError::Open)?;
    let task = tokio::spawn(connection);
    // The connection lives as long as its handle and the stream.
    Ok(messages
        .map(move |(message, _)| {
            let _ = (&handle, &task);
            message
        })
        .boxed())
}

/// What the reader has been told.
struct Mirror {
    known: Interfaces,
    events: mpsc::Sender<NetEvent>,
}

/// The reader is gone.
struct Closed;

impl Mirror {
    async fn run(mut self, netlink: Netlink, mut messages: Messages) {
        while self.watch(&netlink, &mut messages).await.is_ok() {
            // The stream ended or lost messages.
            tokio::time::sleep(RETRY).await;
            if let Ok(fresh) = subscribe() {
                messages = fresh;
            }
        }
    }

    /// Tells the differences to what is there now, then each change until something goes wrong.
    async fn watch(&mut self, netlink: &Netlink, messages: &mut Messages) -> Result<(), Closed> {
        let mut routes_changed: Option<Instant> = None;
        // How long one of ours stays away that was removed, and until when another one that is removed stays away for twice as long.
        let mut away = (ROUTES_SETTLE, Instant::now());
        let mut resync = true;
        loop {
            if resync {
                let Ok(now) = netlink.links_and_addresses().await else { return Ok(()) };
                self.catch_up(now).await?;
                routes_changed = Some(Instant::now());
                resync = false;
            }
            let settled = tokio::time::sleep_until(routes_changed.unwrap_or_else(Instant::now));
            let message = tokio::select! {
                message = messages.next() => message,
                () = settled, if routes_changed.is_some() => {
                    routes_changed = None;
                    self.tell(NetEvent::RoutesChanged).await?;
                    continue;
                }
            };
            use RouteNetlinkMessage as M;
            match message.map(|m| m.payload) {
                None => return Ok(()),
                Some(NetlinkPayload::Overrun(_)) => resync = true,
                Some(NetlinkPayload::InnerMessage(inner)) => match inner {
                    M::NewLink(m) => {
                        if let Some(interface) = link(&m) {
                            self.link_changed(interface).await?;
                        }
                    }
                    M::DelLink(m) if link(&m).is_some() => {
                        self.link_gone(m.header.index).await?;
                    }
                    M::NewAddress(m) => {
                        if let Some(ip) = usable_address(&m) {
                            self.address_added(m.header.index, ip).await?;
                        }
                    }
                    M::DelAddress(m) => {
                        if let Some(ip) = usable_address(&m) {
                            self.address_removed(m.header.index, ip).await?;
                        }
                    }
                    M::NewRoute(m) if is_ours(&m) => {}
                    M::NewRoute(_) => routes_changed = sooner(routes_changed),
                    M::DelRoute(m) if !is_ours(&m) => routes_changed = sooner(routes_changed),
                    // One of ours may have been removed by somebody else, who may do so each time.
                    M::DelRoute(_) | M::DelRule(_) if routes_changed.is_none() => {
                        let now = Instant::now();
                        let (settle, until) = away;
                        let settle = match now < until {
                            true => (settle * 2).min(REMOVED_SETTLE),
                            false => ROUTES_SETTLE,
                        };
                        away = (settle, now + settle * 2 + RETRY);
                        routes_changed = Some(now + settle);
                    }
                    _ => {}
                },
                Some(_) => {}
            }
        }
    }

    async fn catch_up(&mut self, now: Interfaces) -> Result<(), Closed> {
        let gone: Vec<u32> =
            self.known.by_index.keys().copied().filter(|i| !now.by_index.contains_key(i)).collect();
        for index in gone {
            self.link_gone(index).await?;
        }
        for mut interface in now.by_index.into_values() {
            let addresses = std::mem::take(&mut interface.addresses);
            let index = interface.index;
            self.link_changed(interface).await?;
            let old = self.known.by_index.get(&index).map(|i| i.addresses.clone());
            for ip in old.unwrap_or_default().into_iter().filter(|ip| !addresses.contains(ip)) {
                self.address_removed(index, ip).await?;
            }
            for ip in addresses {
                self.address_added(index, ip).await?;
            }
        }
        Ok(())
    }

    async fn link_changed(&mut self, mut new: Interface) -> Result<(), Closed> {
        let old = self.known.by_index.get_mut(&new.index);
        let state = |i: &Interface| LinkState {
            index: i.index,
            name: i.name.clone(),
            mtu: i.mtu,
            up: i.up,
        };
        let told = state(&new);
        if old.as_deref().map(state).as_ref() == Some(&told) {
            return Ok(());
        }
        new.addresses = old.map(|o| std::mem::take(&mut o.addresses)).unwrap_or_default();
        self.known.by_index.insert(new.index, new);
        self.tell(NetEvent::Link(told)).await
    }

    async fn link_gone(&mut self, index: u32) -> Result<(), Closed> {
        match self.known.by_index.remove(&index) {
            Some(old) => self.tell(NetEvent::LinkGone { index, name: old.name }).await,
            None => Ok(()),
        }
    }

    async fn address_added(&mut self, index: u32, address: IpAddr) -> Result<(), Closed> {
        let Some(interface) = self.known.by_index.get_mut(&index) else { return Ok(()) };
        if interface.addresses.contains(&address) {
            return Ok(());
        }
        interface.addresses.push(address);
        self.tell(NetEvent::AddressAdded { index, address }).await
    }

    async fn address_removed(&mut self, index: u32, address: IpAddr) -> Result<(), Closed> {
        let Some(interface) = self.known.by_index.get_mut(&index) else { return Ok(()) };
        let before = interface.addresses.len();
        interface.addresses.retain(|&a| a != address);
        if interface.addresses.len() == before {
            return Ok(());
        }
        self.tell(NetEvent::AddressRemoved { index, address }).await
    }

    async fn tell(&self, event: NetEvent) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }
}

/// When somebody else's changes are told, of which there may be thousands at once.
fn sooner(told: Option<Instant>) -> Option<Instant> {
    let settled = Instant::now() + ROUTES_SETTLE;
    Some(told.map_or(settled, |told| told.min(settled)))
}

/// That we add one is no news.
fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == OURS
}
