//! The ring's operations as data, beside the oracle that the property test and the model checkers
//! use too.

use crate::{
    oracle::{Rig, Step},
    script::Script,
};

/// Steps of one execution; what a longer script finds, a shorter one does.
const MOST: usize = 160;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let capacity = 64 * u64::from(script.byte() % 8 + 1);
    let mut rig = Rig::new(capacity);
    for _ in 0..MOST {
        let Some(kind) = script.next() else { break };
        rig.run(&step(kind, &mut script, capacity));
        rig.check();
    }
}

/// Sizes are at most a little larger than the ring; frames of no bytes are another test's.
fn step(kind: u8, script: &mut Script<'_>, capacity: u64) -> Step {
    let size = |script: &mut Script<'_>| 1 + script.short() % (capacity + 16);
    match kind % 16 {
        0..=3 => Step::Write(1 + u64::from(script.byte()) % 64),
        4 => Step::Write(size(script)),
        5 => Step::Loan(size(script), script.byte() % 9),
        6 => Step::LoanAndLeave(size(script)),
        7..=9 => Step::Read,
        10 => Step::Latest,
        11..=13 => Step::Release(script.byte().into()),
        14 => Step::Reconnect,
        _ => Step::Recreate,
    }
}
