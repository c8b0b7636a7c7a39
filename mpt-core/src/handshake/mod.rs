//! Agreeing on keys: Noise_IKpsk2 over all paths at once, MACs and cookies as in WireGuard.
