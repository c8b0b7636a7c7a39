//! A link in words: `50/15/±3/0.5%/100`.

use crate::link::{LinkProfile, QueueLimit};
use std::time::Duration;

/// Mbit/s, one-way delay in ms, and, each if wanted, its jitter, the loss in per cent, and the queue in ms, 100 if nothing is said.
pub(super) fn parse(text: &str) -> Result<LinkProfile, String> {
    let wrong = |what: &str| {
        format!(
            "{what}; a link is RATE/DELAY, then if wanted /±JITTER, /LOSS% and /QUEUE: 50/15/±3/0.5%/100"
        )
    };
    let number = |part: &str, most: f64| match part.parse::<f64>() {
        Ok(n) if (0.0..=most).contains(&n) => Ok(n),
        _ => Err(wrong(&format!("`{part}` is no number from 0 to {most}"))),
    };
    let ms = |n: f64| Duration::from_secs_f64(n / 1e3);
    let mut parts = text.split('/');
    let (Some(rate), Some(delay)) = (parts.next(), parts.next()) else {
        return Err(wrong("a delay is missing"));
    };
    let rate = number(rate, 1e5)?;
    if rate < 0.01 {
        return Err(wrong("the rate is below 0.01 Mbit/s"));
    }
    let mut link = LinkProfile {
        rate_bps: Some((rate * 1e6) as u64),
        delay: ms(number(delay, 1e4)?),
        reorder: true,
        queue: QueueLimit::Time(Duration::from_millis(100)),
        ..LinkProfile::default()
    };
    for part in parts {
        if let Some(jitter) = part.strip_prefix('±').or_else(|| part.strip_prefix("+-")) {
            link.jitter = ms(number(jitter, 1e4)?);
        } else if let Some(loss) = part.strip_suffix('%') {
            link.loss = number(loss, 100.0)? / 100.0;
        } else {
            link.queue = QueueLimit::Time(ms(number(part, 1e4)?));
        }
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_and_a_slip_is_told() {
        let link = parse("5/60/±15/2%/300").unwrap();
        assert_eq!((link.rate_bps, link.delay.as_millis()), (Some(5_000_000), 60));
        assert_eq!((link.jitter.as_millis(), link.loss), (15, 0.02));
        assert_eq!(link.queue, QueueLimit::Time(Duration::from_millis(300)));
        assert_eq!(parse("0.5/7").unwrap().rate_bps, Some(500_000));
        for bad in ["", "50", "x/5", "5/-3", "0/3", "5/3/2%%", "5/3/±", "5/3/101%"] {
            assert!(parse(bad).is_err_and(|e| e.contains("50/15")), "{bad}");
        }
    }
}
