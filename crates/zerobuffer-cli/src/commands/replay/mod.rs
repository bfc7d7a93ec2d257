//! `zerobuffer replay`: recorded frames into buffers again, at their own pace.
mod source;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use zerobuffer::{Error, FullRingPolicy, Owner, Writer, WriterConfig};

use self::source::{Channel, Recordings};
use super::record::file::ENCODING;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::summary::{self, Ended};
use crate::{join, say, signals, size, time};

/// Send the frames of recordings into buffers of the recorded names, whose readers create them.
///
/// Several channels are played on one clock, and several files, or the files of a folder, one after
/// the other. A recording that is cut short is played up to the cut.
// Each flag is an option of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer replay drive-000.mcap drive-001.mcap --speed 2")]
pub(crate) struct Args {
    /// Recordings, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Play only this channel; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Send a channel into a buffer of another name; may be given several times.
    #[arg(long = "as", value_name = "NAME=BUFFER", value_parser = parse_rename)]
    rename: Vec<(String, String)>,
    /// How much faster than recorded: a number, or max for as fast as the readers take it.
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = parse_speed)]
    speed: Speed,
    /// Start again at the end, until stopped.
    #[arg(long = "loop")]
    repeat: bool,
    /// Send the next frame at each line of standard input: at a terminal, at each Enter.
    #[arg(long, conflicts_with = "speed")]
    step: bool,
    /// Stop after this many frames.
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
    /// Wait at most this long for each reader [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse)]
    wait: Option<Duration>,
    /// Drop a frame whose ring is full, instead of waiting.
    #[arg(long)]
    drop: bool,
    /// Use the buffers of another user: that user's number, or any. Without it only your own and
    /// root's ones are trusted, since the maker of one reads every frame.
    #[arg(long, value_name = "USER")]
    owner: Option<Owner>,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    Times(f64),
    Max,
}

/// What `--json` prints at the end.
#[derive(Default, Serialize)]
struct Summary {
    frames: u64,
    bytes: u64,
    dropped: u64,
    seconds: f64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut player = Player::new(args)?;
    let start = Instant::now();
    let result = player.play();
    let mut summary = player.leave();
    summary.seconds = start.elapsed().as_secs_f64();
    if result.is_ok() {
        let lost =
            if summary.dropped == 0 { String::new() } else { format!(", {} dropped", summary.dropped) };
        say::note(&format!(
            "played {} ({}) in {:.2} s{lost}",
            join::frames(summary.frames),
            size::human(summary.bytes),
            summary.seconds
        ));
    }
    if !args.json {
        return result;
    }
    summary.ended = Some(Ended::of(&result));
    summary::print(&summary, result)
}

struct Player<'a> {
    args: &'a Args,
    recordings: Recordings,
    writers: HashMap<String, Writer>,
    /// Where the lines of `--step` come from.
    steps: Option<Input>,
    /// When the first frame was sent, moved on by every wait for a reader; and its recorded time.
    clock: Option<(Instant, u64)>,
    summary: Summary,
}

impl Player<'_> {
    fn new(args: &Args) -> Result<Player<'_>, Fail> {
        Ok(Player {
            recordings: Recordings::open(&args.files)?,
            writers: HashMap::new(),
            steps: args.step.then(|| Input::for_request("-")).transpose()?,
            clock: None,
            summary: Summary::default(),
            args,
        })
    }

    fn play(&mut self) -> Result<(), Fail> {
        let mut data = Vec::new();
        let mut round = 0u64;
        loop {
            while let Some(message) = self.recordings.next(&mut data)? {
                let only = &self.args.only;
                if !only.is_empty() && !only.iter().any(|name| **name == *message.channel.topic) {
                    continue;
                }
                if self.args.frames.is_some_and(|most| self.summary.frames >= most) {
                    return Ok(());
                }
                check(&message.channel)?;
                if data.is_empty() {
                    say::note(&format!("an empty message of '{}' is left out", message.channel.topic));
                    continue;
                }
                let name = self.connect(&message.channel)?;
                if !self.pace(message.log_time)? {
                    return Ok(());
                }
                self.send(&name, &data)?;
                round += 1;
            }
            if std::mem::take(&mut round) == 0 {
                return Err(self.recordings.without_frames(&self.args.only));
            }
            if !self.args.repeat {
                return Ok(());
            }
            self.recordings.rewind()?;
            self.clock = None;
        }
    }

    /// The buffer of a channel, connected to with its recorded metadata.
    fn connect(&mut self, channel: &Channel) -> Result<String, Fail> {
        let renamed = self.args.rename.iter().find(|(from, _)| **from == *channel.topic);
        let name = renamed.map_or(&*channel.topic, |(_, to)| to).to_owned();
        if self.writers.contains_key(&name) {
            return Ok(name);
        }
        let policy = if self.args.drop { FullRingPolicy::Refuse } else { FullRingPolicy::Block };
        let owner = self.args.owner.unwrap_or_default();
        let config = WriterConfig::default().write_timeout(None).full_ring(policy).owner(owner);
        let waiting = Instant::now();
        let mut writer = join::connect(&name, &config, self.args.wait)?;
        if let Some((start, _)) = &mut self.clock {
            *start += waiting.elapsed();
        }
        let handle = writer.handle();
        signals::on_signal(move || handle.interrupt());
        if !channel.metadata.is_empty() {
            writer.set_metadata(&channel.metadata)?;
        }
        self.writers.insert(name.clone(), writer);
        Ok(name)
    }

    /// Waits until a frame of that time is due; `false`: no further one is wanted.
    fn pace(&mut self, log_time: u64) -> Result<bool, Fail> {
        if let Some(steps) = &mut self.steps {
            say::note(&format!("frame {}: Enter sends it", self.summary.frames));
            let mut byte = [0u8; 1];
            while byte != [b'\n'] {
                if steps.fill(&mut byte)? == 0 {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let now = Instant::now();
        let (start, first) = *self.clock.get_or_insert((now, log_time));
        let due = match self.args.speed {
            Speed::Max => Duration::ZERO,
            Speed::Times(factor) => {
                // A recording is shorter than 2^63 nanoseconds, and the factor is above 0.
                let recorded = Duration::from_nanos(log_time.saturating_sub(first)).as_secs_f64();
                Duration::try_from_secs_f64(recorded / factor).unwrap_or(Duration::MAX)
            }
        };
        let left = due.saturating_sub(now.saturating_duration_since(start));
        if signals::caught().is_some() || (!left.is_zero() && signals::sleep(left)) {
            return Err(signals::interrupted(&self.done()));
        }
        Ok(true)
    }

    fn send(&mut self, name: &str, data: &[u8]) -> Result<(), Fail> {
        let done = self.done();
        let Some(writer) = self.writers.get_mut(name) else { return Ok(()) };
        match writer.write(data) {
            Ok(_) => {
                self.summary.frames += 1;
                self.summary.bytes += data.len() as u64;
                Ok(())
            }
            Err(Error::Full { .. }) if self.args.drop => {
                self.summary.dropped += 1;
                Ok(())
            }
            Err(Error::FrameTooLarge { size, max, .. }) => Err(Fail::new(
                Exit::Input,
                format!(
                    "a frame of {size} bytes does not fit buffer '{name}', whose ring takes at most {max}: start its reader with a larger --ring"
                ),
            )),
            Err(error) => Err(join::ended(error, &done)),
        }
    }

    fn done(&self) -> String {
        format!("{} played", join::frames(self.summary.frames))
    }

    fn leave(self) -> Summary {
        self.writers.values().for_each(join::let_notice);
        self.summary
    }
}

/// Refuses what is no frame: a file of another program, or images for Foxglove.
fn check(channel: &Channel) -> Result<(), Fail> {
    if channel.encoding == ENCODING {
        return Ok(());
    }
    let (topic, encoding) = (&channel.topic, &channel.encoding);
    let message = format!(
        "channel '{topic}' holds messages encoded as '{encoding}', not the frames that `zerobuffer record` \
         writes without --foxglove"
    );
    Err(Fail::new(Exit::Input, message).hint("--only NAME plays other channels"))
}

fn parse_rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err(String::from("write NAME=BUFFER, for instance cam=cam-again")),
    }
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let factor: Option<f64> = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    factor
        .map(Speed::Times)
        .ok_or_else(|| format!("'{text}' is no factor above 0: write for instance 2, 0.5 or max"))
}
