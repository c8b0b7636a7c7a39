//! Figures over seeds.

/// One figure of each seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(pub Vec<f64>);

impl Figures {
    /// The mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// The least.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The greatest.
    #[must_use]
    pub fn greatest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The share of seeds below `goal`.
    #[must_use]
    pub fn share_below(&self, goal: f64) -> f64 {
        self.share(|x| x < goal)
    }

    /// The share of seeds above `goal`.
    #[must_use]
    pub fn share_above(&self, goal: f64) -> f64 {
        self.share(|x| x > goal)
    }

    fn share(&self, fails: impl Fn(f64) -> bool) -> f64 {
        let failed = self.0.iter().filter(|x| fails(**x)).count();
        failed as f64 / self.0.len().max(1) as f64
    }

    /// Each divided by `by`.
    #[must_use]
    pub fn over(&self, by: f64) -> Self {
        Self(self.0.iter().map(|x| x / by).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_worst_and_share() {
        let f = Figures(vec![2.0, 4.0, 6.0, 8.0]).over(2.0);
        assert_eq!((f.mean(), f.least(), f.greatest()), (2.5, 1.0, 4.0));
        assert_eq!((f.share_below(2.0), f.share_above(2.0)), (0.25, 0.5));
    }
}
