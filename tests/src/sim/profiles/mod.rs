//! One bulk flow, a constant stream, a call, short connections: sixteen networks, through path A alone, path B alone, static
//! weights and the adaptive scheduler. And what the latter makes of networks that change.

mod change;
mod changes_report;
mod crew;
mod figures;
mod grid;
mod link_words;
mod options;
mod profile;
mod random_networks;
mod run;
mod table;
mod trace;
mod web_run;

pub use change::{CHANGES, Carried, Change, Load, Network, Recovery, Slice, Timeline};
use changes_report::changes_report;
pub use figures::Figures;
pub use options::{Options, Traffic};
pub use profile::{PROFILES, Profile};
pub use random_networks::{Outcome, network, random_network};
pub use run::{
    Beside, BulkRun, Flow, LENGTH, STEADY_SHARE, Tunnel, WARM_UP, bulk, call_alone, steady, world,
};
pub use table::print;
pub use trace::trace;
pub use web_run::{WebRun, web};
