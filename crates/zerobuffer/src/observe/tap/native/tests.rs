//! No frame that a tap delivers is torn or another one, whatever a writer does meanwhile. Each rule
//! is needed: without it a wrong frame comes through.

use super::world::{Flaw, World};
use super::*;

#[derive(Debug, Default)]
struct Tally {
    whole: u64,
    lost: u64,
    other_form: u64,
    impossible: u64,
}

/// A tap that follows a stream, looks at its newest frames, or does both.
fn follow(seed: u64, flaw: Flaw, looks: u32, tally: &mut Tally) -> Result<(), String> {
    let world = World::new(seed, flaw);
    let (mut ahead, mut bytes, mut position) = (Ahead::default(), Vec::new(), None);
    let mut lost = false;
    for turn in 0..looks {
        world.begin();
        let newest = lost || seed.is_multiple_of(3) || seed % 3 == 1 && turn % 5 == 0;
        let from = match position {
            Some(byte) if !newest => From::Byte(byte),
            other => From::Newest { after: other.unwrap_or(0) },
        };
        let mut found = look(&world, world.ring, from, &mut ahead, &mut bytes).unwrap();
        lost = found == Found::Lost;
        match found {
            Found::Lost => tally.lost += 1,
            Found::OtherForm => tally.other_form += 1,
            Found::Impossible { .. } => tally.impossible += 1,
            Found::Nothing { next } => position = position.or(Some(next)),
            Found::Whole { .. } => {}
        }
        while let Found::Whole { sequence, end } = found {
            world.judge(sequence, end, &bytes)?;
            tally.whole += 1;
            position = Some(end);
            let Some(next) = ahead.take(&mut bytes) else { break };
            found = next;
        }
    }
    Ok(())
}

#[test]
fn every_frame_that_is_delivered_is_whole() {
    let mut tally = Tally::default();
    let scale = std::env::var("ZEROBUFFER_TAP_WORLDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=scale.unwrap_or(60) {
        follow(seed, Flaw::None, 400, &mut tally).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    println!("{tally:?}");
    assert!(tally.whole > 1000 && tally.lost > 1000 && tally.other_form > 10, "{tally:?}");
    assert_eq!(tally.impossible, 0, "no writer has made an impossible frame");
}

#[test]
fn each_rule_that_is_switched_off_lets_a_wrong_frame_through() {
    for flaw in [
        Flaw::NotTheFormAgain,
        Flaw::NotWhatIsPublished,
        Flaw::JumpsBeforePublished,
        Flaw::ClaimsBeforeTheCopy,
        Flaw::NotTheClaimsAgain,
        Flaw::UnprovenIsWhole,
        Flaw::NoOverlap,
        Flaw::ClaimAfterTheData,
        Flaw::CountBeforeTheClaim,
        Flaw::PublishedBeforeTheJump,
        Flaw::NoClaimWhenNativeFormIsEntered,
        Flaw::ClaimOfOneFrameForTheWindow,
        Flaw::ClaimOfTheFrameBefore,
    ] {
        let mut tally = Tally::default();
        let wrong = (1..=600).find_map(|seed| {
            let why = follow(seed, flaw, 400, &mut tally).err()?;
            Some(format!("seed {seed}: {why}"))
        });
        println!("{flaw:?}: {}", wrong.as_deref().unwrap_or("NOT FOUND"));
        assert!(wrong.is_some(), "without it nothing is wrong: {flaw:?} {tally:?}");
    }
}

/// What a hostile segment says is never followed out of the ring, and ends.
#[test]
fn any_bytes_make_wrong_frames_or_nothing() {
    struct Noise(std::cell::Cell<u64>);
    impl Memory for Noise {
        fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
            assert!(at + into.len() as u64 <= 4096 + 1024, "{at} {}", into.len());
            for chunk in into.chunks_mut(8) {
                let mut x = self.0.get();
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                self.0.set(x);
                let word = match (at.checked_sub(4096), x >> 60) {
                    (_, 0) => u64::MAX - (x >> 20) % 5000,
                    (Some(128), _) => 1,
                    (Some(8 | 136), _) => (x >> 13) % 20,
                    (Some(0 | 16), _) => 16 * ((x >> 13) % 300),
                    _ => 16 * ((x >> 13) % 40),
                };
                chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }
    let ring = Ring { start: 0, capacity: 4096, block: 4096 };
    let (mut ahead, mut bytes, mut found) = (Ahead::default(), Vec::new(), [0; 5]);
    for seed in 1..=200_000_u64 {
        let noise = Noise(std::cell::Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
        let from =
            if seed.is_multiple_of(2) { From::Newest { after: 0 } } else { From::Byte(16 * (seed % 300)) };
        let kind = match look(&noise, ring, from, &mut ahead, &mut bytes).unwrap() {
            Found::Whole { .. } => 0,
            Found::Nothing { .. } => 1,
            Found::Lost => 2,
            Found::OtherForm => 3,
            Found::Impossible { .. } => 4,
        };
        found[kind] += 1;
        assert!(bytes.len() <= 4096);
        while ahead.take(&mut bytes).is_some() {}
    }
    println!("whole, nothing, lost, other form, impossible: {found:?}");
    assert!(found.iter().all(|count| *count > 0), "{found:?}");
}
