//! The command line of `mpt-tund`.

use crate::check::{Report, check};
use crate::config::Config;
use crate::control::{down, run_dir, socket_file};
use crate::patience;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Carries IP packets over several UDP paths at once.
#[derive(Debug, Parser)]
#[command(
    name = "mpt-tund",
    version,
    after_help = "A TUNNEL is a YAML file, or the name of one in /etc/mpt (MPT_CONF_DIR moves it)."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a tunnel in the foreground, until SIGTERM, Ctrl-C or `down`.
    Up {
        /// The configuration: a YAML file, or its name in /etc/mpt.
        tunnel: String,
    },
    /// Ends a running tunnel and waits until it has undone what it did.
    Down {
        /// The tunnel's name, which is its interface's, or its configuration file.
        tunnel: String,
    },
    /// Says what is wrong with a configuration, or what it amounts to on this machine.
    Check {
        /// The configuration: a YAML file, or its name in /etc/mpt.
        tunnel: String,
    },
}

/// Runs the command that `arguments` (the program's name first) stand for; `up` runs a tunnel.
/// Exit status: 0 done, 1 it did not work, 2 wrong usage.
pub fn main_from(
    arguments: impl IntoIterator<Item = OsString>,
    up: impl FnOnce(Config) -> anyhow::Result<()>,
) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout with status 0, errors to stderr with 2; both print themselves.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match arguments.command {
        Command::Up { tunnel } => Config::load(&tunnel).map_err(Into::into).and_then(up),
        Command::Down { tunnel } => down(&name_of(&tunnel)),
        Command::Check { tunnel } => check(&tunnel).map(print).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = describe(&error);
            // Where nobody reads it, the status still tells.
            patience::wait_for(move || {
                let _ = writeln!(std::io::stderr(), "{text}");
            });
            ExitCode::FAILURE
        }
    }
}

/// A reader that has gone (`| head`) is no error.
fn print(report: Report) {
    let _ = write!(std::io::stdout(), "{report}");
}

/// Problems of a configuration begin with their place, as compilers write them; other errors have
/// their causes behind them.
fn describe(error: &anyhow::Error) -> String {
    match error.downcast_ref::<crate::config::ConfigError>() {
        Some(problems) => problems.to_string(),
        None => format!("error: {error:#}"),
    }
}

/// The name of the tunnel that `tunnel` means. The running one of that name comes first. Else it
/// may be a configuration: then the interface's name in it counts, or, since the file may have
/// changed or gone while the tunnel ran, the file's stem.
fn name_of(tunnel: &str) -> String {
    if !tunnel.contains('/') && socket_file(&run_dir(), tunnel).exists() {
        return tunnel.to_owned();
    }
    if let Ok(config) = Config::load(tunnel) {
        return config.interface.name;
    }
    let path = Path::new(tunnel);
    let is_file =
        tunnel.contains('/') || path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let stem = path.file_stem().filter(|_| is_file);
    stem.map_or_else(|| tunnel.to_owned(), |stem| stem.to_string_lossy().into_owned())
}
