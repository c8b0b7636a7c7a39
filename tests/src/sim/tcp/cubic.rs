//! The congestion window: CUBIC, RFC 9438. All in segments.

use super::hystart::HyStart;
use mpt_core::Time;
use std::time::Duration;

const C: f64 = 0.4;
const BETA: f64 = 0.7;

/// Of a Reno flow that loses as much with this beta, section 4.3.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// RFC 6928.
const INITIAL: f64 = 10.0;

const LEAST_THRESHOLD: f64 = 2.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    pub window: f64,
    pub threshold: f64,
    /// Where it was reduced last, less if it has been reduced there before (fast convergence).
    reduced_at: f64,
    epoch: Option<Epoch>,
    hystart: HyStart,
}

/// Since the last reduction.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    began: Time,
    /// The curve's plateau, and seconds until it.
    plateau: f64,
    k: f64,
    /// A Reno flow's window.
    reno: f64,
}

impl Default for Cubic {
    fn default() -> Self {
        Self {
            window: INITIAL,
            threshold: f64::INFINITY,
            reduced_at: 0.0,
            epoch: None,
            hystart: HyStart::default(),
        }
    }
}

impl Cubic {
    /// So many segments are allowed to be in flight.
    pub(super) fn allows(&self) -> u64 {
        self.window as u64
    }

    /// A round trip as measured by an ACK; `una` and `next` as after it.
    pub(super) fn on_sample(&mut self, rtt: Duration, una: u64, next: u64) {
        let slow_start = self.window < self.threshold;
        if self.hystart.on_sample(rtt, self.window, una, next) && slow_start {
            self.threshold = self.window;
        }
    }

    /// So many segments were delivered by a window that was full.
    pub(super) fn on_delivered(&mut self, now: Time, segments: u64, rtt: Duration) {
        let mut segments = segments as f64;
        if self.window < self.threshold {
            let grows = segments.min(self.threshold - self.window);
            self.window += grows;
            segments -= grows;
        }
        if segments > 0.0 {
            self.follow_curve(now, segments, rtt);
        }
    }

    fn follow_curve(&mut self, now: Time, segments: f64, rtt: Duration) {
        let (window, reduced_at) = (self.window, self.reduced_at);
        let epoch = self.epoch.get_or_insert_with(|| {
            let plateau = reduced_at.max(window);
            let k = ((plateau - window) / C).cbrt();
            Epoch { began: now, plateau, k, reno: window }
        });
        let curve = |t: f64| C * (t - epoch.k).powi(3) + epoch.plateau;
        let t = now.since(epoch.began).as_secs_f64();
        let target = curve(t + rtt.as_secs_f64()).clamp(window, 1.5 * window);
        let alpha = if epoch.reno < reduced_at { ALPHA } else { 1.0 };
        let friendly = curve(t);
        epoch.reno += alpha * segments / window;
        self.window = match friendly < epoch.reno {
            true => epoch.reno.max(window),
            false => window + (target - window) * (segments / window).min(1.0),
        };
    }

    /// Something was lost: the threshold falls; the window follows as recovery says.
    pub(super) fn on_loss(&mut self) {
        let converges = self.window < self.reduced_at;
        let part = if converges { (1.0 + BETA) / 2.0 } else { 1.0 };
        self.reduced_at = self.window * part;
        self.threshold = (self.window * BETA).max(LEAST_THRESHOLD);
        self.epoch = None;
    }

    /// A timeout, not the first of its row or after [`on_loss`](Self::on_loss): begins with one segment, and nothing is known.
    pub(super) fn on_timeout(&mut self) {
        *self = Self { window: 1.0, threshold: self.threshold, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_loss_it_is_back_after_k() {
        let mut cubic = Cubic { window: 100.0, threshold: 100.0, ..Cubic::default() };
        cubic.on_loss();
        cubic.window = cubic.threshold;
        assert!((cubic.window - 70.0).abs() < 1e-9);
        // K is the cube root of 30 / 0.4, 4.2 s.
        let rtt = Duration::from_millis(100);
        for tick in 0..42 {
            let window = cubic.window as u64;
            cubic.on_delivered(Time::from_millis(tick * 100), window, rtt);
        }
        assert!((95.0..103.0).contains(&cubic.window), "{}", cubic.window);
    }

    #[test]
    fn slow_start_doubles() {
        let mut cubic = Cubic::default();
        cubic.on_delivered(Time::ZERO, 10, Duration::from_millis(20));
        assert_eq!(cubic.allows(), 20);
    }
}
