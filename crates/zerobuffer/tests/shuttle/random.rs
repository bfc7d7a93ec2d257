//! Randomness that follows from a seed, on every machine and with every version of every library.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// A stream of numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in `times` on average.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Another stream.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// Stays with a thread for a while, how long is drawn per schedule: short turns find other faults
/// than long ones.
#[derive(Debug)]
pub(crate) struct RandomScheduler {
    seed: u64,
    random: Random,
    turn: u64,
    is_used: bool,
}

impl RandomScheduler {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(!seed);
        let turn = random.one_of(&[1, 2, 5, 20, 100]);
        Self { seed, random, turn, is_used: false }
    }
}

impl Scheduler for RandomScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!std::mem::replace(&mut self.is_used, true)).then(|| Schedule::new(self.seed))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let stays = current.filter(|id| runnable.iter().any(|task| task.id() == *id));
        if let Some(current) = stays
            && !yields
            && !self.random.once_in(self.turn)
        {
            return Some(current);
        }
        let others: Vec<TaskId> =
            runnable.iter().map(|task| task.id()).filter(|id| !yields || Some(*id) != current).collect();
        if others.is_empty() { stays } else { Some(self.random.one_of(&others)) }
    }

    fn next_u64(&mut self) -> u64 {
        self.random.next()
    }
}
