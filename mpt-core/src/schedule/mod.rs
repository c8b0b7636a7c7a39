//! Which path carries the next packet.
