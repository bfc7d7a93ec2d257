//! Generated frames in which every byte depends on its place and on the frame's number.

/// Makes and checks frames of one size.
///
/// Frame `n` is a fixed pseudo-random frame with a number made from `n` added to every 8 bytes. No
/// two frames of 8 bytes or more are alike, and making or checking one is a single pass at memory
/// speed.
#[derive(Debug)]
pub(crate) struct Pattern {
    base: Vec<u8>,
}

/// The first byte that differs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) offset: usize,
    pub(crate) expected: u8,
    pub(crate) got: u8,
}

impl Pattern {
    pub(crate) fn new(size: usize) -> Pattern {
        let mut base = Vec::with_capacity(size.next_multiple_of(8));
        let mut state = 0x5eed_u64;
        while base.len() < size {
            // splitmix64: passes statistical tests, two multiplications per 8 bytes.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            base.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
        }
        base.truncate(size);
        Pattern { base }
    }

    /// What frame `number` adds to each word; another value for each frame.
    fn key(number: u64) -> u64 {
        number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Writes frame `number` into `frame`.
    pub(crate) fn fill(&self, number: u64, frame: &mut [u8]) {
        let key = Self::key(number);
        let (words, tail) = frame.as_chunks_mut::<8>();
        let (base, base_tail) = self.base.as_chunks::<8>();
        for (word, base) in words.iter_mut().zip(base) {
            *word = u64::from_le_bytes(*base).wrapping_add(key).to_le_bytes();
        }
        for (byte, base) in tail.iter_mut().zip(base_tail) {
            *byte = base.wrapping_add(key.to_le_bytes()[0]);
        }
    }

    /// Compares every byte of `frame` with frame `number`.
    pub(crate) fn check(&self, number: u64, frame: &[u8]) -> Option<Difference> {
        let key = Self::key(number);
        let (words, tail) = frame.as_chunks::<8>();
        let (base, base_tail) = self.base.as_chunks::<8>();
        // One pass without a branch per word, so it runs at memory speed; the place is looked for
        // only if it failed.
        let wrong = words.iter().zip(base).fold(0, |wrong, (word, base)| {
            wrong | (u64::from_le_bytes(*word) ^ u64::from_le_bytes(*base).wrapping_add(key))
        });
        let low = key.to_le_bytes()[0];
        let wrong_tail = tail.iter().zip(base_tail).any(|(byte, base)| *byte != base.wrapping_add(low));
        if wrong == 0 && !wrong_tail {
            return None;
        }
        let mut expected = vec![0; self.base.len()];
        self.fill(number, &mut expected);
        first_difference(&expected, frame)
    }
}

/// Where two frames of one size first differ.
pub(crate) fn first_difference(expected: &[u8], got: &[u8]) -> Option<Difference> {
    let pairs = expected.iter().zip(got).enumerate();
    pairs
        .filter(|(_, (expected, got))| expected != got)
        .map(|(offset, (expected, got))| Difference { offset, expected: *expected, got: *got })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_byte_counts() {
        for size in [1, 7, 8, 9, 64, 100] {
            let pattern = Pattern::new(size);
            let mut frame = vec![0; size];
            pattern.fill(5, &mut frame);
            assert_eq!(pattern.check(5, &frame), None);
            for offset in 0..size {
                let good = frame[offset];
                frame[offset] ^= 1;
                let expected = Difference { offset, expected: good, got: good ^ 1 };
                assert_eq!(pattern.check(5, &frame), Some(expected));
                frame[offset] = good;
            }
        }
    }

    #[test]
    fn another_frame_does_not_pass() {
        let pattern = Pattern::new(64);
        let mut frame = vec![0; 64];
        pattern.fill(7, &mut frame);
        for number in (0..2000).filter(|number| *number != 7) {
            assert!(pattern.check(number, &frame).is_some(), "{number}");
        }
    }
}
