//! Where the outstanding bytes of the stream lie in the ring: at most 16 runs, one for each jump.

use crate::layout::ENTRIES;

/// A range of ring offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Gap {
    pub(super) fn len(self) -> u64 {
        self.end - self.start
    }
}

/// From byte `at` of the stream on, frames lie from ring offset `to` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) at: u64,
    pub(super) to: u64,
}

/// The jumps whose runs may be outstanding.
#[derive(Debug, Default)]
pub(super) struct Runs {
    jumps: [Jump; ENTRIES as usize],
    /// Numbers of the oldest and of the newest of them.
    first: u64,
    last: u64,
}

impl Runs {
    pub(super) fn new(first: u64, last: u64) -> Self {
        Self { first, last, ..Self::default() }
    }

    /// The same jumps, of which `first` is the oldest that counts.
    pub(super) fn from(self, first: u64) -> Self {
        Self { first, ..self }
    }

    pub(super) fn jump(&self, number: u64) -> Jump {
        self.jumps.get((number % ENTRIES) as usize).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, number: u64, jump: Jump) {
        if let Some(entry) = self.jumps.get_mut((number % ENTRIES) as usize) {
            *entry = jump;
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The number of the next jump, unless its entry still belongs to a run that is not credited
    /// whole.
    pub(super) fn next(&self) -> Option<u64> {
        (self.last - self.first < ENTRIES - 1).then_some(self.last + 1)
    }

    pub(super) fn push(&mut self, jump: Jump) {
        self.last += 1;
        self.set(self.last, jump);
    }

    /// Forgets the runs before byte `credited` of the stream.
    pub(super) fn credit(&mut self, credited: u64) {
        while self.first < self.last && self.jump(self.first + 1).at <= credited {
            self.first += 1;
        }
    }

    /// The ranges of the ring that bytes `credited..published` of the stream take, by their starts;
    /// how many there are.
    pub(super) fn taken(&self, credited: u64, published: u64) -> ([Gap; ENTRIES as usize], usize) {
        let mut taken = [Gap::default(); ENTRIES as usize];
        let mut count = 0;
        for (number, slot) in (self.first..=self.last).zip(&mut taken) {
            let jump = self.jump(number);
            let from = jump.at.max(credited);
            let end = if number == self.last { published } else { self.jump(number + 1).at };
            let place = |of: u64| jump.to.saturating_add(of.saturating_sub(jump.at));
            // An empty one sorts behind all others.
            *slot = if from < end {
                count += 1;
                Gap { start: place(from), end: place(end) }
            } else {
                Gap { start: u64::MAX, end: u64::MAX }
            };
        }
        for slot in taken.iter_mut().skip((self.last - self.first + 1) as usize) {
            *slot = Gap { start: u64::MAX, end: u64::MAX };
        }
        taken.sort_unstable_by_key(|gap| gap.start);
        (taken, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_what_is_not_credited_of_each_jump() {
        let mut runs = Runs::default();
        runs.push(Jump { at: 300, to: 0 });
        runs.push(Jump { at: 400, to: 700 });
        let taken = |runs: &Runs, credited, published| {
            let (taken, count) = runs.taken(credited, published);
            taken[..count].iter().map(|gap| (gap.start, gap.end)).collect::<Vec<_>>()
        };
        assert_eq!(taken(&runs, 100, 500), [(0, 100), (100, 300), (700, 800)]);
        runs.credit(350);
        assert_eq!(taken(&runs, 350, 500), [(50, 100), (700, 800)]);
        runs.credit(500);
        assert_eq!(taken(&runs, 500, 500), []);
        assert_eq!(runs.last(), 2);
    }

    #[test]
    fn a_seventeenth_jump_waits_for_a_run() {
        let mut runs = Runs::default();
        for number in 1..ENTRIES {
            assert_eq!(runs.next(), Some(number));
            runs.push(Jump { at: number * 32, to: 0 });
        }
        assert_eq!(runs.next(), None);
        runs.credit(31);
        assert_eq!(runs.next(), None);
        runs.credit(32);
        assert_eq!(runs.next(), Some(ENTRIES));
    }
}
