//! Shows and steers running tunnels through their control sockets; makes keys.

mod client;
mod command;
mod keys;
mod path;
mod policy;
mod render;
mod status;
mod watch;

pub use client::{Client, ClientError, RUN_DIR_VARIABLE, run_dir, running};
pub use command::main_from;
pub use render::{Line, Span, Tone, render};
