//! The daemon's YAML file.
//!
//! Reading goes in four steps. `yaml` turns the text into a tree; only broken YAML ends here.
//! `read` walks the tree and notes every problem it meets beside the way to the value that has
//! it, then goes on, so that one run tells all of them. `rules` judges what only shows when the
//! pieces stand side by side (names used twice, a prefix two peers claim). At the end the ways are
//! turned into lines and columns: the text is parsed once more, and an error raised at the very
//! value makes the parser tell where it stands. Nothing is paid for this while a file is right.

mod convert;
mod find;
mod model;
mod not_yaml;
mod problem;
mod read;
mod reader;
mod rules;
mod secrets;
mod units;
mod yaml;

#[cfg(test)]
mod tests;

pub use convert::Machine;
pub use find::{CONF_DIR_VARIABLE, conf_dir, find, valid_interface_name};
pub use model::{
    Config, Host, Interface, InterfaceAddress, Listen, Mtu, Offload, Offloads, Path, PathOffloads,
    Peer, Remote, Route, WhenDown, Workers,
};
pub use mpt_core::policy::Protocol;
pub use problem::{ConfigError, Problem};

use std::fs::File;
use std::path::Path as FilePath;

/// No configuration has more bytes: ten thousand peers take 3 MiB.
const LONGEST: usize = 4 << 20;

impl Config {
    /// Reads and judges the file that `argument` names: a path to a YAML file, or the name of one
    /// in the configuration directory (see [`find`]).
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines and columns.
    pub fn load(argument: &str) -> Result<Self, ConfigError> {
        Self::read_file(&find(argument)?)
    }

    /// Reads and judges this file.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines and columns.
    pub fn read_file(file: &FilePath) -> Result<Self, ConfigError> {
        let text = File::open(file)
            .and_then(|opened| secrets::text(opened, LONGEST))
            .map_err(|e| ConfigError::whole(file, secrets::unreadable(&e)))?;
        let Some(text) = text else {
            let message = "has more than 4 MiB, a configuration far less; is it the right file?";
            return Err(ConfigError::whole(file, message.to_owned()));
        };
        Self::parse(file, &text)
    }

    /// Judges `text` as the contents of `file`, whose name and directory count: the interface is
    /// called after it by default, and key files are looked for beside it.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines and columns.
    pub fn parse(file: &FilePath, text: &str) -> Result<Self, ConfigError> {
        // Some editors write a byte order mark; YAML allows it, its parser here does not.
        read::config(file, text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}
