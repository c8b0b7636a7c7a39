//! The mpt daemon.
