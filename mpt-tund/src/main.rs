//! `mpt-tund`.

fn main() -> std::process::ExitCode {
    mpt_tund::main_from(std::env::args_os())
}
