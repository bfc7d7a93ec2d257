//! What `tests/consumers/speed.c` does, in Rust. Usage: speed NAME SIZE ROUNDS

use std::{env, error::Error, time::Instant};
use zerobuffer::{BufferConfig, Reader, Writer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let mut word = || words.next().ok_or("speed NAME SIZE ROUNDS");
    let (name, size, rounds) = (word()?, word()?.parse::<usize>()?, word()?.parse::<u32>()?);
    let mut reader = Reader::create(&name, BufferConfig::ring(4 * size as u64 + 65536))?;
    let mut writer = Writer::connect(&name)?;
    let data = vec![0; size];
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..rounds {
            writer.write(&data)?;
            drop(reader.try_read()?);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
    println!("{best:.1}");
    Ok(())
}
