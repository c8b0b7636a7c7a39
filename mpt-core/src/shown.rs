//! Text from elsewhere, on its way to a terminal.

/// Whether a terminal shows `c`: control characters it obeys, and the format characters of Unicode (General Category Cf)
/// turn the direction of what follows, or are not seen, so that two names look alike.
#[must_use]
pub fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::is_shown;

    #[test]
    fn what_is_obeyed_or_not_seen_is_not_shown() {
        assert!("dsl-2 Dachböden 屋根 🛰".chars().all(is_shown));
        assert!(!"\u{1b}\n\t\u{85}\u{200d}\u{202e}\u{2066}\u{feff}\u{e0041}".chars().any(is_shown));
    }
}
