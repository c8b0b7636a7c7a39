//! Whole paths in virtual time.

mod failure;
mod rebinding;
mod simulation;
mod states;
