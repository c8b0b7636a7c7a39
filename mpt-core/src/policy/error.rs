//! What is wrong with a policy that somebody wrote.

/// What is wrong, what was expected, and the nearest right word.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadPolicy(pub String);

impl BadPolicy {
    /// `found` is none of `words`, of which one was `expected`.
    pub(super) fn unknown(expected: &str, words: &[&str], found: &str) -> Self {
        let near = nearest(found, words).map(|w| format!("; did you mean `{w}`?"));
        Self(format!("expected {expected}; found `{found}`{}", near.unwrap_or_default()))
    }
}

/// The one of `words` that `word` was most likely meant to be.
#[must_use]
pub fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let plain = |w: &str| w.to_lowercase().replace('-', "_");
    let word = plain(word);
    words
        .iter()
        .map(|w| (strsim::damerau_levenshtein(&word, &plain(w)), *w))
        .filter(|(distance, w)| *distance <= 1 + w.len() / 4 && *distance < w.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, w)| w)
}
