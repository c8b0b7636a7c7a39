//! Interfaces, addresses and routes, over netlink.
//!
//! # Routing
//! Two tables per tunnel, numbered by its name ([`TunnelNumbers`]), and policy rules that lead to them.
//! Nothing is ever put into the main table, so no route of the system is replaced, and all that is ours
//! can be told apart: by the protocol number [`RTPROT_MPT`], and by the tunnel's number, which every
//! rule carries in its mark.
//!
//! ```text
//!   109  fwmark M  oif wan1                    lookup main suppress_prefixlength 0
//!   110  fwmark M  oif wan1                    lookup UPLINKS
//! 28016+ fwmark N/guard  [to P] [ipproto p]    lookup main suppress_prefixlength LENGTH-OF-P
//!        fwmark N/guard  [to P] [ipproto p]    lookup TUNNEL
//! ```
//!
//! The *uplink rules* are for the tunnel's own outer packets. Path sockets carry the mark `M` and are
//! bound to their interface. Among the routes of that interface, those more specific than a default
//! route count first, then the path's `gateway` or the interface's own default route, which the system
//! may rank behind another uplink's. So two uplinks work beside one default route.
//!
//! The *tunnel rules* send inner packets into the TUN device, one pair for each configured route and
//! protocol: what the main table knows more specifically than that route (the LAN above all) stays
//! there; longer prefixes come first. They ask for the *guard* bit of the mark to be clear, and it is
//! set in the marks of all tunnels: outer packets never enter a tunnel, whatever the routes say. The
//! other bits of the mark in these rules (`N`) are ignored by the kernel and tell whose rule it is. (The
//! kernel's `not` would be the plain way, but it inverts the whole rule, protocol included.)
//!
//! [`NetState`] compares what should be there with the kernel's own dump and changes the difference.
//! That brings back routes which the kernel dropped with an interface, and removes what a killed daemon
//! of the same name left behind, but nothing of any other tunnel. The routes into the TUN device, its
//! addresses and the device itself vanish with its descriptor.
//!
//! # Events
//! [`Monitor`] mirrors the links and addresses and tells each change once; when the kernel's queue
//! overflows it reads everything anew and tells the differences, so nothing is missed for good.

mod ethtool;
mod index;
mod interface;
mod message;
mod monitor;
mod netlink;
mod plan;
mod resolve;
mod rp_filter;
mod state;

pub use ethtool::{driver, gro};
pub use index::interface_index;
pub use interface::{DefaultRoute, Interface, Interfaces};
pub use monitor::{LinkState, Monitor, NetEvent};
pub use netlink::{NetError, Netlink};
pub use plan::{NextHop, RTPROT_MPT, RouteSpec, TunnelNumbers, Uplink, WhenDown};
pub use resolve::{Known, ResolveError, choose, fits, reaches, resolve};
pub use rp_filter::{RpFilter, rp_filter};
pub use state::NetState;
