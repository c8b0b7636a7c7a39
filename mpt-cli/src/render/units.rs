//! Numbers for people.

/// Bits per second from bytes per second: `18.1 Mbit`.
pub(super) fn rate(bytes_per_second: f64) -> String {
    scaled(bytes_per_second * 8.0, 1000.0, &["bit", "kbit", "Mbit", "Gbit", "Tbit"])
}

/// Bytes: `4.2 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A count: in full up to seven digits, beyond in millions and so on.
pub(crate) fn count(n: u64) -> String {
    if n < 10_000_000 {
        n.to_string()
    } else {
        scaled(n as f64, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
    }
}

/// Three digits of `n` and its unit.
fn scaled(n: f64, step: f64, units: &[&str]) -> String {
    let (mut n, mut unit) = (n.max(0.0), 0);
    // 999.5 would be written as 1000.
    while n >= step.min(999.5) && unit + 1 < units.len() {
        n /= step;
        unit += 1;
    }
    let digits = if unit == 0 || n >= 99.95 { 0 } else { 1 };
    format!("{n:.digits$} {}", units[unit]).trim_end().to_owned()
}

/// Milliseconds from seconds, without the unit: `3.1`, `120`; `<0.1` for what is less.
pub(super) fn millis_bare(seconds: f64) -> String {
    let ms = seconds.max(0.0) * 1000.0;
    if ms > 0.0 && ms < 0.05 {
        return "<0.1".to_owned();
    }
    if ms < 99.95 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

/// A span of time in its two largest units: `2 h 13 min`.
pub(super) fn seconds(s: f64) -> String {
    let s = if s.is_finite() && s > 0.0 { s as u64 } else { 0 };
    let (larger, smaller) = match s {
        0..60 => return format!("{s} s"),
        60..3600 => ((s / 60, "min"), (s % 60, "s")),
        3600..86_400 => ((s / 3600, "h"), (s / 60 % 60, "min")),
        _ => ((s / 86_400, "d"), (s / 3600 % 24, "h")),
    };
    format!("{} {} {} {}", larger.0, larger.1, smaller.0, smaller.1)
}

/// How long ago something was, in its largest unit: `2 h ago`.
pub(super) fn ago(s: f64) -> String {
    let s = if s.is_finite() && s > 0.0 { s as u64 } else { 0 };
    match s {
        0..60 => format!("{s} s ago"),
        60..3600 => format!("{} min ago", s / 60),
        3600..86_400 => format!("{} h ago", s / 3600),
        _ => format!("{} d ago", s / 86_400),
    }
}

/// Percent of a part from 0 to 1, without the sign: `0`, `0.4`, `67`.
pub(super) fn percent(part: f64) -> String {
    let percent = part.clamp(0.0, 1.0) * 100.0;
    match percent {
        p if p > 0.0 && p < 0.05 => "<0.1".to_owned(),
        p if p == 0.0 || p >= 9.95 => format!("{p:.0}"),
        p => format!("{p:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(rate(0.0), "0 bit");
        assert_eq!(rate(2_262_500.0), "18.1 Mbit");
        assert_eq!(rate(124.99e6), "1.0 Gbit");
        assert_eq!(rate(31_250_000.0), "250 Mbit");
        assert_eq!(bytes(1023), "1.0 KiB");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(4 << 20), "4.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!((count(9_999_999), count(12_345_678)), ("9999999".into(), "12.3 M".into()));
        let millis = [0.0, 0.00001, 0.0031, 0.12].map(millis_bare);
        assert_eq!(millis, ["0.0", "<0.1", "3.1", "120"]);
        assert_eq!(seconds(59.9), "59 s");
        assert_eq!(seconds(8000.0), "2 h 13 min");
        assert_eq!(seconds(90_000.0), "1 d 1 h");
        assert_eq!(seconds(f64::NAN), "0 s");
        assert_eq!(ago(8000.0), "2 h ago");
        let percents = [0.0, 0.0001, 0.004, 0.0994, 0.0996, 0.67, 1.0].map(percent);
        assert_eq!(percents, ["0", "<0.1", "0.4", "9.9", "10", "67", "100"]);
    }
}
