//! Moments of frames, kept in both processes and matched afterwards: frames themselves carry no
//! clock.
use serde::{Deserialize, Serialize};

/// Moments of every `stride`-th frame, counted from frame 0.
///
/// When there are too many, every other one goes: both ends thin out at the same counts, so what
/// they keep matches.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stamps {
    stride: u64,
    seen: u64,
    times: Vec<u64>,
}

impl Stamps {
    /// Enough for a p99.9 that means something, 2 MiB of memory.
    const MOST: usize = 1 << 18;

    pub(crate) fn new() -> Stamps {
        Stamps { stride: 1, seen: 0, times: Vec::with_capacity(Self::MOST) }
    }

    /// Whether the next frame's moment is kept: a clock reading per frame is saved where it is not.
    pub(crate) fn wants(&self) -> bool {
        self.seen.is_multiple_of(self.stride)
    }

    /// Counts a frame, with its moment if that is kept.
    pub(crate) fn push(&mut self, time: Option<u64>) {
        if let Some(time) = time {
            if self.times.len() == Self::MOST {
                let mut index = 0usize;
                self.times.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            // After thinning, this frame may be one of those that go.
            if self.wants() {
                self.times.push(time);
            }
        }
        self.seen += 1;
    }

    /// Nanoseconds from this side's moment to `later`'s, for the frames that both kept.
    pub(crate) fn until(&self, later: &Stamps) -> Vec<u64> {
        let stride = self.stride.max(later.stride);
        let every = |stamps: &Stamps| usize::try_from(stride / stamps.stride.max(1)).unwrap_or(1).max(1);
        let pairs = self.times.iter().step_by(every(self)).zip(later.times.iter().step_by(every(later)));
        pairs.map(|(earlier, later)| later.saturating_sub(*earlier)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(count: u64, offset: u64) -> Stamps {
        let mut stamps = Stamps::new();
        for number in 0..count {
            let time = stamps.wants().then_some(number * 10 + offset);
            stamps.push(time);
        }
        stamps
    }

    #[test]
    fn thinned_out_alike() {
        let most = Stamps::MOST as u64;
        for (sent, received) in [(10, 10), (10, 7), (most, most), (most + 1, most), (5 * most, 5 * most - 3)]
        {
            let spans = stamps(sent, 0).until(&stamps(received, 3));
            assert!(!spans.is_empty());
            assert!(spans.iter().all(|span| *span == 3), "{sent} {received}");
        }
        assert!(stamps(5 * most, 0).times.len() > Stamps::MOST / 2);
    }
}
