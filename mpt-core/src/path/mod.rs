//! One path: its health, round-trip times, addresses and MTU.
