//! One bulk flow, a constant stream, a call: sixteen networks, through path A alone, path B alone, static
//! weights and the adaptive scheduler.

mod profile;
mod run;
mod table;

pub use profile::{PROFILES, Profile};
pub use run::{Beside, BulkRun, LENGTH, Tunnel, WARM_UP, bulk, call_alone, steady, trace, world};
pub use table::{Options, print};
