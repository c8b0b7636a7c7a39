//! The keys of one agreement: sealing, opening, receiver indices, replay protection.
