//! mpt-cli.
