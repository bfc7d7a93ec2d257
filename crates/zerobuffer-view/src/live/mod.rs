//! Buffers looked at again and again: rates, ages and states, from observing alone.
mod drops;
mod state;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use zerobuffer::observe::{self, BufferInfo};

use self::drops::Drops;
pub use self::state::State;

/// Over how long rates are taken.
const WINDOW: Duration = Duration::from_secs(2);
/// Looks that are kept for that, whatever their pace.
const KEPT: usize = 64;

/// One end of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Process number.
    pub pid: u64,
    /// Whether it lives.
    pub alive: bool,
    /// 0: another implementation.
    pub level: u8,
}

/// A buffer at one moment of a longer watch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Live {
    /// The buffer's name.
    pub name: String,
    /// How it is, in one word.
    pub state: State,
    /// What its frames are, as its writer says.
    pub caps: Option<String>,
    /// The number of the last frame.
    pub frames: u64,
    /// Over the last two seconds; `None` before the second look.
    pub frames_per_second: Option<f64>,
    /// `None` where the size of frames is not known.
    pub bytes_per_second: Option<f64>,
    /// Frames that the reader has not taken.
    pub frames_waiting: u64,
    /// Frames that the source has numbered in its stamps and never written, since the second look;
    /// `None` where frames have no stamps.
    pub frames_dropped: Option<u64>,
    /// Size of the ring.
    pub ring_bytes: u64,
    /// Bytes of it that wait or are held.
    pub used_bytes: u64,
    /// Size of the metadata block.
    pub metadata_bytes: u64,
    /// Since the last frame was seen to come; `None` while none has been seen.
    pub last_frame_age_seconds: Option<f64>,
    /// The writer, if one is registered.
    pub writer: Option<End>,
    /// The reader, if one is registered.
    pub reader: Option<End>,
    /// What is wrong with the segment, in words.
    pub defects: Vec<String>,
}

impl Live {
    /// The used share of the ring, 0.0 to 1.0.
    #[must_use]
    pub fn fill(&self) -> f64 {
        float(self.used_bytes) / float(self.ring_bytes.max(1))
    }
}

/// What is remembered of a buffer.
#[derive(Debug)]
struct Track {
    /// Looks, the oldest first: when, and how many frames had been written.
    looks: VecDeque<(Instant, u64)>,
    /// When a frame was last seen to have come.
    moved: Option<Instant>,
    /// The reader's number: another reader makes another buffer of the same name.
    reader: Option<u64>,
    drops: Drops,
}

/// Looks at all buffers, or at some.
#[derive(Debug, Default)]
pub struct Poller {
    names: Vec<String>,
    tracks: HashMap<String, Track>,
}

impl Poller {
    /// For these buffers; for all of the machine if none is named.
    #[must_use]
    pub fn new(names: &[String]) -> Poller {
        Poller { names: names.to_vec(), tracks: HashMap::new() }
    }

    /// Looks once, in the order of names.
    ///
    /// # Errors
    ///
    /// The shared-memory folder cannot be listed.
    pub fn look(&mut self) -> Result<Vec<Live>, zerobuffer::Error> {
        let infos = if self.names.is_empty() {
            observe::list()?
        } else {
            // One that is not there now may come.
            self.names.iter().filter_map(|name| observe::inspect(name).ok()).collect()
        };
        let now = Instant::now();
        let live: Vec<Live> = infos.into_iter().map(|info| self.update(info, now)).collect();
        self.tracks.retain(|name, _| live.iter().any(|buffer| buffer.name == *name));
        Ok(live)
    }

    fn update(&mut self, info: BufferInfo, now: Instant) -> Live {
        let sample = Sample::of(&info);
        let reader = info.reader.map(|peer| peer.pid);
        let fresh = || Track { looks: VecDeque::new(), moved: None, reader, drops: Drops::default() };
        let track = self.tracks.entry(info.name.clone()).or_insert_with(fresh);
        let last = track.looks.back().map(|(_, frames)| *frames);
        if track.reader != reader || last.is_some_and(|last| sample.frames < last) {
            *track = fresh();
        } else if last.is_some_and(|last| sample.frames > last) {
            track.moved = Some(now);
        }
        track.looks.push_back((now, sample.frames));
        while track.looks.len() > KEPT
            || track.looks.get(1).is_some_and(|(when, _)| now.saturating_duration_since(*when) >= WINDOW)
        {
            track.looks.pop_front();
        }
        let rate = rate(&track.looks);
        let dropped = track.drops.look(&info, now);
        let end = |peer: &observe::Peer| End { pid: peer.pid, alive: peer.alive, level: peer.level };
        let (writer, reader) = (info.writer.as_ref().map(end), info.reader.as_ref().map(end));
        let age = track.moved.map(|moved| now.saturating_duration_since(moved).as_secs_f64());
        let fill = float(sample.used) / float(info.payload_size.max(1));
        Live {
            state: State::of(writer, reader, !info.defects.is_empty(), age, fill),
            caps: sample.caps,
            frames: sample.frames,
            frames_per_second: rate,
            bytes_per_second: rate.zip(sample.frame_bytes).map(|(rate, bytes)| rate * bytes),
            frames_waiting: sample.waiting,
            frames_dropped: dropped,
            ring_bytes: info.payload_size,
            used_bytes: sample.used,
            metadata_bytes: info.metadata_size,
            last_frame_age_seconds: age,
            writer,
            reader,
            defects: info.defects,
            name: info.name,
        }
    }
}

/// Frames a second between the first look and the last.
fn rate(looks: &VecDeque<(Instant, u64)>) -> Option<f64> {
    let ((start, before), (end, after)) = (looks.front()?, looks.back()?);
    let seconds = end.saturating_duration_since(*start).as_secs_f64();
    (seconds > 0.0).then(|| float(after.saturating_sub(*before)) / seconds)
}

/// What one look says of the stream.
struct Sample {
    frames: u64,
    waiting: u64,
    used: u64,
    /// Bytes of a frame, on average.
    frame_bytes: Option<f64>,
    caps: Option<String>,
}

impl Sample {
    fn of(info: &BufferInfo) -> Sample {
        let json: Option<Value> =
            info.metadata.as_deref().and_then(|metadata| serde_json::from_slice(metadata).ok());
        let said = json.as_ref().and_then(|json| json.get("frame_size")).and_then(Value::as_u64);
        let (used, waiting) = (info.used, info.frames_waiting);
        // What waits in the ring tells where the writer does not: each frame has a header of 16
        // bytes.
        let measured = (waiting > 0 && used > 0).then(|| (float(used) / float(waiting) - 16.0).max(0.0));
        Sample {
            frames: info.last_sequence,
            waiting,
            used,
            frame_bytes: said.map(float).or(measured),
            caps: json.as_ref().and_then(|json| json.get("caps")).and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// For ratios: counts below 2^53 are exact.
#[allow(clippy::cast_precision_loss)]
#[must_use]
pub fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use zerobuffer::{BufferConfig, Reader, Writer};

    use super::*;

    #[test]
    fn a_stream_that_runs_and_one_that_stands_still() {
        let name = format!("zb-live-{}", std::process::id());
        let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(256)).unwrap();
        let mut poller = Poller::new(std::slice::from_ref(&name));
        let look = |poller: &mut Poller| poller.look().unwrap().pop().unwrap();
        let first = look(&mut poller);
        assert_eq!(
            (first.state, first.frames_per_second, first.last_frame_age_seconds),
            (State::Waiting, None, None)
        );
        let mut writer = Writer::connect(&name).unwrap();
        writer.set_metadata(br#"{"caps": "video/x-raw", "frame_size": 1000}"#).unwrap();
        for _ in 0..4 {
            writer.write(&[7; 1000]).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        let second = look(&mut poller);
        assert_eq!((second.state, second.frames, second.frames_waiting), (State::Live, 4, 4));
        assert_eq!(second.caps.as_deref(), Some("video/x-raw"));
        let (rate, bytes) = (second.frames_per_second.unwrap(), second.bytes_per_second.unwrap());
        assert!(rate > 0.0 && rate <= 200.0, "{rate}");
        assert!((bytes / rate - 1000.0).abs() < 1e-6);
        while reader.try_read().unwrap().is_some() {}
        let third = look(&mut poller);
        assert_eq!((third.frames_waiting, third.used_bytes), (0, 0));
        assert!(third.last_frame_age_seconds.is_some());
        drop((writer, reader));
        assert_eq!(poller.look().unwrap(), []);
        // The next buffer of that name is another one: its frames are not a sudden loss.
        let _reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(256)).unwrap();
        assert_eq!(look(&mut poller).frames_per_second, None);
    }

    #[test]
    fn drops_are_numbers_that_are_missing_in_the_stamps() {
        use zerobuffer_video::{Description, Format, Stamp, Video};
        let name = format!("zb-drops-{}", std::process::id());
        let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(1024)).unwrap();
        let mut writer = Writer::connect(&name).unwrap();
        let video = Video::new(Format::from_name("GRAY8").unwrap(), 8, 8).unwrap();
        let mut poller = Poller::new(std::slice::from_ref(&name));
        let mut now = Instant::now();
        // The poller looks at frames once a second at most: the test moves its clock.
        let mut after = |writer: &mut Writer, reader: &mut Reader, numbers: &[u64]| {
            for number in numbers {
                let stamp = Stamp { number: Some(*number), ..Stamp::default() };
                writer.write(&[&stamp.to_bytes()[..], &[7; 64]].concat()).unwrap();
                drop(reader.read().unwrap());
            }
            now += Duration::from_secs(1);
            let info = observe::inspect(&name).unwrap();
            poller.update(info, now).frames_dropped
        };
        writer.set_metadata(&Description::video("test", &video).stamped().to_json()).unwrap();
        assert_eq!(after(&mut writer, &mut reader, &[]), None);
        assert_eq!(after(&mut writer, &mut reader, &[10]), None);
        assert_eq!(after(&mut writer, &mut reader, &[11, 12, 13]), Some(0));
        assert_eq!(after(&mut writer, &mut reader, &[14, 17, 18]), Some(2));
        assert_eq!(after(&mut writer, &mut reader, &[]), Some(2));
        // Numbers that begin anew are no loss, and no gain either.
        assert_eq!(after(&mut writer, &mut reader, &[0, 1]), Some(2));
        assert_eq!(after(&mut writer, &mut reader, &[2, 4]), Some(3));
        // Another writer's numbers have nothing to do with those before.
        drop(writer);
        assert!(reader.read().is_err());
        let mut writer = Writer::connect(&name).unwrap();
        writer
            .set_metadata(br#"{"caps":"video/x-raw, format=(string)GRAY8, width=(int)8, height=(int)8"}"#)
            .unwrap();
        assert_eq!(after(&mut writer, &mut reader, &[100_000]), Some(3));
        // This one does not announce its stamps: the size shows them.
        assert_eq!(after(&mut writer, &mut reader, &[100_003]), Some(5));
    }
}
