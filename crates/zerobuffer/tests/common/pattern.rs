//! Frame sizes and contents that both ends compute alike; `python/old_peer.py` holds the same
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

/// The size of frame `index` of a stream: 1 ..= `max`.
pub(crate) fn size_of(seed: u64, index: u64, max: u64) -> usize {
    usize::try_from(1 + mix(seed.wrapping_mul(1_000_003).wrapping_add(index)) % max).unwrap()
}

/// One period of the content with this key.
fn period(key: u64) -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let once: Vec<u8> = (0..PERIOD as u64).map(|i| (mix(i) >> 56) as u8).collect();
        [once.as_slice(), &once].concat()
    });
    let start = (key % PERIOD as u64 * 40_503 % PERIOD as u64) as usize;
    &table[start..start + PERIOD]
}

pub(crate) fn fill(target: &mut [u8], key: u64) {
    for chunk in target.chunks_mut(PERIOD) {
        let part = &period(key)[..chunk.len()];
        chunk.copy_from_slice(part);
    }
}

pub(crate) fn content(key: u64, len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    fill(&mut data, key);
    data
}

/// Where `data` differs from the content of this key, if it does.
pub(crate) fn check(data: &[u8], key: u64) -> Result<(), String> {
    for (number, chunk) in data.chunks(PERIOD).enumerate() {
        let wanted = &period(key)[..chunk.len()];
        if chunk != wanted {
            let at = chunk.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(0);
            return Err(format!(
                "content of frame {key} ({} bytes) differs at byte {}: {:#04x} instead of {:#04x}",
                data.len(),
                number * PERIOD + at,
                chunk[at],
                wanted[at]
            ));
        }
    }
    Ok(())
}
