//! mpt-lab.
