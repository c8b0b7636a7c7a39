//! mpt-cli.

/// Runs `mpt-cli` with these arguments, the program's name first.
pub fn main_from(
    _arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> std::process::ExitCode {
    eprintln!("mpt-cli is not built yet");
    std::process::ExitCode::FAILURE
}
