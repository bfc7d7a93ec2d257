//! Percentiles of measured latencies.
use serde::Serialize;

/// Time from a frame's publication to the moment the reader has it.
// The unit stands in every name because the names are what the JSON shows.
#[allow(clippy::struct_field_names)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ns: u64,
    pub(crate) p90_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
}

impl Latency {
    /// `None` without samples.
    pub(crate) fn of(mut samples: Vec<u64>) -> Option<Latency> {
        samples.sort_unstable();
        // Nearest rank: the smallest sample that at least `percent` of them do not exceed.
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            samples.get(rank - 1).copied()
        };
        Some(Latency { p50_ns: at(50)?, p90_ns: at(90)?, p99_ns: at(99)?, max_ns: at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        assert_eq!(Latency::of(vec![]), None);
        let all = |ns| Latency { p50_ns: ns, p90_ns: ns, p99_ns: ns, max_ns: ns };
        assert_eq!(Latency::of(vec![7]), Some(all(7)));
        let samples: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(
            Latency::of(samples),
            Some(Latency { p50_ns: 100, p90_ns: 180, p99_ns: 198, max_ns: 200 })
        );
    }
}
