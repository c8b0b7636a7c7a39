//! What a path may carry besides data: a part of that, saved up.

/// An account of it in bytes: a `PART`th of what data takes, of which at most `SAVED` are saved up, or owed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra<const PART: u64, const SAVED: i64> {
    /// Saved up when it was looked at last.
    left: i64,
    /// What data had taken then.
    data: u64,
}

impl<const PART: u64, const SAVED: i64> Extra<PART, SAVED> {
    /// What may go now that data took `data` bytes since the path began.
    pub(super) fn left(&self, data: u64) -> i64 {
        let earned = data.saturating_sub(self.data) / PART;
        self.left.saturating_add_unsigned(earned).min(SAVED)
    }

    /// So many bytes went.
    pub(super) fn spend(&mut self, data: u64, bytes: usize) {
        let left = self.left(data).saturating_sub_unsigned(bytes as u64);
        *self = Self { left: left.max(-SAVED), data };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sixteenth = Extra<16, 4_000>;

    #[test]
    fn a_part_of_the_data_and_not_more_at_once_than_is_saved_up() {
        let (mut extra, mut data, mut taken) = (Sixteenth::default(), 0, 0);
        assert_eq!(extra.left(0), 0, "nothing went");
        let take = |extra: &mut Sixteenth, data| {
            let left = extra.left(data) >= 220;
            if left {
                extra.spend(data, 220);
            }
            left
        };
        for _ in 0..10_000 {
            data += 1_400;
            taken += if take(&mut extra, data) { 220 } else { 0 };
        }
        let part = f64::from(taken) / data as f64;
        assert!((0.05..=0.0625).contains(&part), "{part}");
        data += 1_400_000;
        let in_a_row = (0..1_000).filter(|_| take(&mut extra, data)).count();
        assert_eq!(in_a_row, 4_000 / 220);
    }

    #[test]
    fn debts_are_bounded() {
        let (mut extra, mut data) = (Extra::<4, 6_000>::default(), 0);
        for _ in 0..100_000 {
            data += 200;
            extra.spend(data, 300);
        }
        assert!(extra.left(data) <= 0);
        data += 30 * 1_400;
        assert!(extra.left(data) > 0, "it does not take a session to pay");
        data += 10_000 * 1_400;
        extra.spend(data, 6_000);
        assert_eq!(extra.left(data), 0);
    }
}
