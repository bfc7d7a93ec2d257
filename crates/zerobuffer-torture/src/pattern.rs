//! Frame sizes and contents that every process computes alike; `old_end.py` holds the same
//! functions.

use std::sync::OnceLock;

/// A prime, so no frame size lines up with the repetition.
const PERIOD: usize = 65_521;

/// splitmix64.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What a round's frames look like: a function of the round's key and the sequence number alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    pub(crate) key: u64,
    /// Largest frame, bytes.
    pub(crate) max: u64,
}

impl Pattern {
    fn hash(self, sequence: u64) -> u64 {
        mix(self.key ^ mix(sequence))
    }

    /// Bytes of that frame: some tiny ones, many small ones, some up to the largest.
    pub(crate) fn size(self, sequence: u64) -> usize {
        let hash = self.hash(sequence);
        let most = match hash & 3 {
            0 => self.max.min(64),
            1 | 2 => self.max.div_ceil(8),
            _ => self.max,
        };
        (1 + (hash >> 2) % most) as usize
    }

    /// One period of that frame's content.
    fn period(self, sequence: u64) -> &'static [u8] {
        static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
        let table = TABLE.get_or_init(|| {
            let once: Vec<u8> = (0..PERIOD as u64).map(|i| (mix(i) >> 56) as u8).collect();
            [once.as_slice(), &once].concat()
        });
        let start = (mix(self.hash(sequence)) % PERIOD as u64) as usize;
        table.get(start..start + PERIOD).unwrap_or_default()
    }

    pub(crate) fn fill(self, target: &mut [u8], sequence: u64) {
        let period = self.period(sequence);
        for chunk in target.chunks_mut(PERIOD) {
            chunk.copy_from_slice(period.get(..chunk.len()).unwrap_or_default());
        }
    }

    pub(crate) fn content(self, sequence: u64) -> Vec<u8> {
        let mut data = vec![0; self.size(sequence)];
        self.fill(&mut data, sequence);
        data
    }

    /// What is wrong with a frame, if anything is.
    pub(crate) fn check(self, data: &[u8], sequence: u64) -> Result<(), String> {
        if data.len() != self.size(sequence) {
            return Err(format!(
                "frame {sequence} has {} bytes instead of {}",
                data.len(),
                self.size(sequence)
            ));
        }
        self.check_content(data, sequence)
    }

    /// [`Self::check`] for data of any length.
    pub(crate) fn check_content(self, data: &[u8], sequence: u64) -> Result<(), String> {
        let period = self.period(sequence);
        for (number, chunk) in data.chunks(PERIOD).enumerate() {
            if Some(chunk) != period.get(..chunk.len()) {
                let at = chunk.iter().zip(period).position(|(a, b)| a != b).unwrap_or(0);
                let at = number * PERIOD + at;
                return Err(format!(
                    "content of frame {sequence} ({} bytes) differs from byte {at} on",
                    data.len()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_found_wherever_it_is() {
        let pattern = Pattern { key: 7, max: 200_000 };
        let sequence = (1..10_000).find(|&sequence| pattern.size(sequence) > 2 * PERIOD).unwrap();
        let mut data = pattern.content(sequence);
        assert_eq!(pattern.check(&data, sequence), Ok(()));
        for at in [0, PERIOD, data.len() - 1] {
            data[at] ^= 1;
            let error = pattern.check(&data, sequence).unwrap_err();
            assert!(error.contains(&format!("byte {at} ")), "{error}");
            data[at] ^= 1;
        }
        assert!(pattern.check(&data, sequence + 1).is_err());
        data.pop();
        assert!(pattern.check(&data, sequence).is_err());
    }

    #[test]
    fn sizes_are_within_bounds() {
        for max in [1, 2, 48, 1000] {
            let pattern = Pattern { key: 1, max };
            assert!((1..500).all(|sequence| (1..=max as usize).contains(&pattern.size(sequence))));
        }
    }
}
