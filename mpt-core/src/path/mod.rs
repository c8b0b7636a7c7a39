//! One path: its health, round-trip times, addresses and MTU.
//!
//! **Health** ([`PathHealth`]). Two witnesses speak of a path. Probes go out at an interval that
//! depends on what is at stake; one that is not answered within srtt + 4·rttvar + one interval is
//! missed, and three missed in a row take the path down. Reports from the peer tell up to where the
//! data has arrived; when nothing new arrives for longer than srtt/4 + 4·rttvar + two report
//! intervals, the path is *suspected* and used only where there is no other. Whatever arrives, echo
//! or data, refutes all misses of probes that left before it. So a lost probe costs nothing, while
//! a silent path that carries traffic is found out by its data, within 300 ms where the round trip
//! is below 100 ms, and one with little traffic by its probes, a little later.
//! Coming back takes three answers in a row; a path that keeps failing is ranked last for a time
//! that doubles with each failure.
//!
//! **Addresses** ([`RemoteAddress`]). The address of the newest authentic packet becomes a
//! candidate; candidate and present address are challenged side by side, and the path moves when
//! only the candidate answers.
//!
//! **MTU** ([`MtuSearch`]) after RFC 8899, and what follows for the TUN device ([`TunnelMtu`]).
//!
//! **Measures**: [`Rtt`] (RFC 6298), [`RateMeter`], [`LossMeter`]; and when the receiving end owes
//! a report, [`ReportSchedule`].

mod bottleneck;
mod bursts;
mod delivery_rate;
mod flap_guard;
mod health;
mod joint_sequence;
mod loss_kind;
mod loss_meter;
mod mtu_search;
mod one_way_delay;
mod overflow;
mod own_queue;
mod packet_size;
mod path_health;
mod path_model;
mod prober;
mod progress;
mod rate_meter;
mod remote_address;
mod report_schedule;
mod rtt;
mod sent_log;
mod state;
mod token;
mod told_delay;
mod tunnel_mtu;
mod windowed_min;
mod workers_progress;

#[cfg(test)]
mod tests;

pub use health::{Change, STARTING};
pub use loss_meter::{LossMeter, WorkersLoss};
pub use mtu_search::MtuSearch;
pub use path_health::PathHealth;
pub use path_model::PathModel;
pub use rate_meter::{Rate, RateMeter};
pub use remote_address::{Freshness, RemoteAddress};
pub use report_schedule::ReportSchedule;
pub use rtt::Rtt;
pub use state::{State, Usability};
pub use token::{ProbeToSend, TokenSource};
pub use told_delay::{CommonTurn, difference};
pub use tunnel_mtu::TunnelMtu;
