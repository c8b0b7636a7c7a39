//! `mpt-cli`.

fn main() -> std::process::ExitCode {
    mpt_cli::main_from(std::env::args_os())
}
