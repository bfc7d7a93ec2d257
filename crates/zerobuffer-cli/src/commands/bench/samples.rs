//! Measured values, thinned evenly when there are more than can be kept.

/// Keeps every n-th value, n a power of two, and the largest one.
pub(super) struct Samples {
    kept: Vec<u64>,
    most: usize,
    every: u64,
    seen: u64,
    largest: u64,
}

impl Samples {
    /// Keeps at most `most` values, and the largest one.
    pub(super) fn new(most: usize) -> Samples {
        Samples { kept: Vec::with_capacity(most), most, every: 1, seen: 0, largest: 0 }
    }

    pub(super) fn push(&mut self, value: u64) {
        self.largest = self.largest.max(value);
        if self.seen.is_multiple_of(self.every) {
            if self.kept.len() >= self.most {
                let mut keep = false;
                self.kept.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.every = self.every.saturating_mul(2);
            }
            if self.seen.is_multiple_of(self.every) {
                self.kept.push(value);
            }
        }
        self.seen += 1;
    }

    pub(super) fn taken(mut self) -> Vec<u64> {
        if self.every > 1 {
            self.kept.push(self.largest);
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(most: usize, values: std::ops::Range<u64>) -> Vec<u64> {
        let mut samples = Samples::new(most);
        values.for_each(|value| samples.push(value));
        samples.taken()
    }

    #[test]
    fn all_are_kept_while_there_is_room() {
        assert!(of(4, 0..0).is_empty());
        assert_eq!(of(4, 1..5), [1, 2, 3, 4]);
    }

    #[test]
    fn then_every_second_every_fourth_and_the_largest() {
        assert_eq!(of(4, 0..5), [0, 2, 4, 4]);
        assert_eq!(of(4, 0..8), [0, 2, 4, 6, 7]);
        assert_eq!(of(4, 0..14), [0, 4, 8, 12, 13]);
        let many = of(64, 0..100_000);
        assert!((32..=65).contains(&many.len()), "{}", many.len());
        assert_eq!(many.last(), Some(&99_999));
    }
}
