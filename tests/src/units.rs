//! Rates and times as people type them.

use std::time::Duration;

/// A rate such as `20mbit`, `1.5gbit`, `500kbit` or `9600bit`, in bits a second.
///
/// # Errors
/// When it is none, with what one looks like.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let units = [("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3), ("bit", 1.0)];
    match parse(text, &units) {
        Some(rate) if (1.0..1e12).contains(&rate) => Ok(rate.round() as u64),
        _ => Err("a rate is a number above zero with its unit, such as 20mbit or 500kbit".into()),
    }
}

/// A time such as `3ms`, `1.5s` or `200us`.
///
/// # Errors
/// When it is none, with what one looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0)];
    match parse(text, &units) {
        Some(seconds) if (0.0..1e6).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a time is a number with its unit, such as 3ms, 1.5s or 200us".into()),
    }
}

/// The number before the first of `units` that `text` ends with, times that unit.
fn parse(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.trim().parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_nonsense_is_not() {
        assert_eq!(parse_rate("36mbit"), Ok(36_000_000));
        assert_eq!(parse_rate("1.5 Gbit"), Ok(1_500_000_000));
        assert_eq!(parse_rate("9600bit"), Ok(9600));
        for bad in ["", "36", "mbit", "0mbit", "-1mbit", "nanbit", "3ms"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration("3ms"), Ok(Duration::from_millis(3)));
        assert_eq!(parse_duration("0.25s"), Ok(Duration::from_millis(250)));
        for bad in ["", "3", "-1s", "infs", "3m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
