//! The command line.

use crate::{keys, path, policy, status};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use mpt_core::policy::{BadPolicy, PacketText, Policy};
use mpt_core::{RateError, Weight};
use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Shows and steers running mpt tunnels; makes keys.
#[derive(Debug, Parser)]
#[command(name = "mpt-cli", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows paths, reordering and drops.
    ///
    /// Loss, rate and share stand as up/down: to the peer, from the peer.
    Status(StatusArguments),
    /// Steers a path of a running tunnel; the configuration stays as it is.
    Path {
        #[command(subcommand)]
        command: PathCommand,
    },
    /// Tells what is done with which packets, and changes it; the configuration stays as it is.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
        /// The tunnel, where several run here.
        #[arg(long, global = true)]
        tunnel: Option<String>,
    },
    /// Prints a new private key: `umask 077; mpt-cli genkey > FILE`.
    Genkey,
    /// Reads a private key on stdin and prints its public key.
    Pubkey,
    /// Prints a new pre-shared key: `umask 077; mpt-cli genpsk > FILE`.
    Genpsk,
}

/// What `status` takes.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The tunnel; all that run here when left out.
    pub(crate) tunnel: Option<String>,
    /// Draws it anew every second; q ends, arrows scroll.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) watch: bool,
    /// Prints it as JSON: one object for a TUNNEL, a list of them without.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum PathCommand {
    /// Sets a property: `path set NAME weight N`, `path set NAME rate_limit 20mbit`. It counts from the next packet on.
    Set {
        #[command(flatten)]
        which: PathArguments,
        /// What to set.
        #[arg(value_enum)]
        property: Property,
        /// A weight, 1 to 10000, or auto for none; a rate limit, such as 20mbit, or off.
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    /// Takes a path back into use.
    Enable {
        #[command(flatten)]
        which: PathArguments,
    },
    /// Takes a path out of use.
    Disable {
        #[command(flatten)]
        which: PathArguments,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Shows the policies in the order in which they are asked, and what they took.
    List,
    /// Adds one: `policy add name calls dscp ef,cs5 size ..400 send duplicate`.
    ///
    /// Conditions, all of which have to hold: dscp, protocol, ports (either end), source_ports,
    /// destination_ports, from, to, size. What is done: send spread|fastest|duplicate|pin PATH|protect,
    /// order keep|free, patience 80ms. Several values stand with commas.
    Add {
        /// Keys and values.
        #[arg(required = true, value_name = "KEY VALUE")]
        words: Vec<String>,
        /// Put it in front of the policy of this name or number; else it is the last that is not built in.
        #[arg(long, value_name = "NAME")]
        before: Option<String>,
    },
    /// Removes the policy of this name or number.
    Remove {
        /// Its name or number, as `policy list` shows them.
        #[arg(value_name = "NAME")]
        policy: String,
    },
    /// Tells which policy takes a packet and why, and what happens to it:
    /// `policy explain 'udp 10.0.0.1:5004 -> 10.1.0.9:5004 dscp ef size 200'`.
    Explain {
        /// The packet.
        #[arg(required = true, value_name = "PACKET")]
        words: Vec<String>,
    },
}

/// Which path is meant.
#[derive(Debug, Args)]
pub(crate) struct PathArguments {
    /// The path's name.
    #[arg(value_name = "NAME")]
    pub(crate) path: String,
    /// The tunnel, where several that run here have a path of that name.
    #[arg(long)]
    pub(crate) tunnel: Option<String>,
    /// The peer, where several of a tunnel have a path of that name.
    #[arg(long)]
    pub(crate) peer: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Property {
    /// Its share relative to other paths.
    Weight,
    /// Most that is sent, of outer IP packets.
    #[value(name = "rate_limit")]
    RateLimit,
}

impl Property {
    /// The change that sets it to `value`.
    fn change(self, value: &str) -> Result<path::Change, String> {
        match self {
            Self::Weight => parse_weight(value).map(path::Change::Weight),
            Self::RateLimit => {
                value.parse().map(path::Change::RateLimit).map_err(|e: RateError| e.to_string())
            }
        }
    }
}

fn parse_weight(text: &str) -> Result<Option<Weight>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let wrong = "a weight is a whole number from 1 to 10000, or auto for none";
    let number: u64 = text.parse().map_err(|_| wrong)?;
    Weight::new(number).map(Some).map_err(|e| e.to_string())
}

/// What the words mean, and that values fit their properties.
fn parse<T: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = T>,
) -> Result<Arguments, clap::Error> {
    let arguments = Arguments::try_parse_from(words)?;
    let wrong = match &arguments.command {
        Command::Path { command: PathCommand::Set { property, value, .. } } => {
            property.change(value).err()
        }
        Command::Policy { command: PolicyCommand::Add { words, .. }, .. } => {
            words.join(" ").parse::<Policy>().err().map(|BadPolicy(why)| why)
        }
        Command::Policy { command: PolicyCommand::Explain { words }, .. } => {
            words.join(" ").parse::<PacketText>().err().map(|BadPolicy(why)| why)
        }
        _ => None,
    };
    match wrong {
        Some(text) => {
            Err(Arguments::command().error(clap::error::ErrorKind::ValueValidation, text))
        }
        None => Ok(arguments),
    }
}

/// Runs the command that `arguments` (the program's name first) stand for. Exit status: 0 done,
/// 1 it did not work, 2 wrong usage.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout with status 0, errors to stderr with 2; both print themselves.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match arguments.command {
        Command::Status(arguments) => status::run(&arguments),
        Command::Path { command: PathCommand::Set { which, property, value } } => property
            .change(&value)
            .map_err(anyhow::Error::msg)
            .and_then(|change| path::run(&which, change)),
        Command::Path { command: PathCommand::Enable { which } } => {
            path::run(&which, path::Change::Enabled(true))
        }
        Command::Path { command: PathCommand::Disable { which } } => {
            path::run(&which, path::Change::Enabled(false))
        }
        Command::Policy { command, tunnel } => policy::run(&command, tunnel.as_deref()),
        Command::Genkey => keys::genkey(),
        Command::Pubkey => keys::pubkey(),
        Command::Genpsk => keys::genpsk(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, the status still tells.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that has gone (`| head`) is no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_understood() {
        Arguments::command().debug_assert();
        let parse = |line: &str| super::parse(std::iter::once("mpt-cli").chain(line.split(' ')));
        for good in [
            "status",
            "status wan0 --watch",
            "status --json",
            "path set bridge-1 weight 3",
            "path set bridge-1 weight auto",
            "path set bridge-1 weight 3 --tunnel wan0 --peer roof",
            "path set bridge-1 rate_limit 20mbit --peer roof",
            "path set bridge-1 rate_limit off",
            "path disable bridge-1",
            "path enable --peer roof bridge-1",
            "policy list",
            "policy list --tunnel wan0",
            "policy add dscp ef send duplicate --before calls --tunnel wan0",
            "policy add --before 1 name x from 10.0.0.0/8 send pin a",
            "policy remove x",
            "policy explain icmp 10.0.0.1 10.0.0.2 dscp ef",
            "genkey",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "path set a weight 0",
            "path set a weight 10001",
            "path set a weight -1",
            "path set a weight x",
            "path set a weight 20mbit",
            "path set a rate_limit 20",
            "path set a rate_limit 1kbit",
            "path set a colour 3",
            "path enable",
            "status --watch --json",
            "policy add",
            "policy remove",
            "policy explain",
            "dance",
        ] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
