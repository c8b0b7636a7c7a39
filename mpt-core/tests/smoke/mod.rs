//! Arbitrary and damaged inputs for a parser.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Longest input made up from nothing, in bytes.
const MAX_RANDOM_LEN: usize = 200;

/// Gives `target` inputs that are arbitrary, or one of `valid` with some damage. It says whether it took
/// the bytes for what it reads.
pub fn smoke(name: &str, valid: &[Vec<u8>], mut target: impl FnMut(&[u8]) -> bool) {
    for input in valid {
        let shown = Shown { name, input };
        assert!(target(input), "{name} refuses a valid input");
        drop(shown);
    }
    let inputs = inputs_per_target();
    let mut rng = ChaCha8Rng::seed_from_u64(number("MPT_SMOKE_SEED").unwrap_or(1));
    let mut taken = 0u64;
    for _ in 0..inputs {
        let input = match below(&mut rng, 4) {
            0 => arbitrary(&mut rng),
            _ => damaged(&mut rng, valid),
        };
        let shown = Shown { name, input: &input };
        taken += u64::from(target(&input));
        drop(shown);
    }
    println!("{name}: {inputs} inputs, {taken} of them taken");
    assert!(taken > 0, "{name}: nothing got past the first check, so nothing was tested");
}

/// From `MPT_SMOKE`.
pub fn inputs_per_target() -> u64 {
    match number("MPT_SMOKE") {
        None | Some(0) => 3_000,
        Some(1) => 200_000,
        Some(n) => n,
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Prints its input when the target panics.
struct Shown<'a> {
    name: &'a str,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.input.iter().map(|b| format!("{b:02x}")).collect();
            eprintln!("{}: the input was {hex}", self.name);
        }
    }
}

pub fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    (rng.next_u64() % n.max(1) as u64) as usize
}

fn arbitrary(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; below(rng, MAX_RANDOM_LEN + 1)];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// One of `valid`, damaged up to four times.
fn damaged(rng: &mut ChaCha8Rng, valid: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = valid[below(rng, valid.len())].clone();
    for _ in 0..=below(rng, 4) {
        damage(rng, &mut bytes, valid);
    }
    bytes
}

fn damage(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, valid: &[Vec<u8>]) {
    let at = below(rng, bytes.len());
    match below(rng, 7) {
        0 => bytes.truncate(at),
        1 => bytes.extend(arbitrary(rng)),
        // The front of one and the rear of another.
        2 => {
            let other = &valid[below(rng, valid.len())];
            bytes.truncate(at);
            bytes.extend(other.iter().skip(at));
        }
        _ if bytes.is_empty() => {}
        3 => bytes[at] ^= 1 << below(rng, 8),
        4 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(rng, 5)],
        5 => bytes[at] = rng.next_u32() as u8,
        _ => {
            bytes.remove(at);
        }
    }
}
