//! Random scripts of operations on a real buffer, which agrees with the oracle after every step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod oracle;

use oracle::{Rig, Step};
use proptest::{collection::vec, prelude::*};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Sizes up to a little more than the largest ring; half of them small.
    let size = prop_oneof![1_u64..40, 1_u64..600];
    let step = prop_oneof![
        8 => size.clone().prop_map(Step::Write),
        3 => (size.clone(), 0_u8..9).prop_map(|(size, share)| Step::Loan(size, share)),
        1 => size.prop_map(Step::LoanAndLeave),
        8 => Just(Step::Read),
        1 => Just(Step::Latest),
        8 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Recreate),
    ];
    vec(step, 1..120)
}

proptest! {
    // PROPTEST_CASES overrides the number; a failing script is shrunk and printed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)) })]

    #[test]
    fn a_buffer_agrees_with_the_oracle(
        capacity in prop_oneof![Just(64_u64), Just(128), Just(192), Just(512)],
        script in steps(),
    ) {
        let mut rig = Rig::new(capacity);
        for step in &script {
            rig.run(step);
            rig.check();
        }
    }
}
